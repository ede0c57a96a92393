"""Measure a model on the held-out files of a corpus, for `spanmix evaluate`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spanmix.cli.arguments import listed, utf8_name, whole_number
from spanmix.cli.memorization import add_memorization, measure_sources, memorization_settings, open_index
from spanmix.cli.terminal import Progress, tell
from spanmix.errors import InputError

if TYPE_CHECKING:
    from spanmix.generate.opening import OpenModel
    from spanmix.text.corpus import Corpus

KIND_NAMES = ("single_line", "multi_line", "in_word")


def add_corpus_tasks(parser: argparse.ArgumentParser) -> None:
    """Add what decides which held-out text is measured."""
    group = parser.add_argument_group("held-out files of a corpus")
    group.add_argument(
        "--corpus",
        type=utf8_name,
        metavar="CORPUS",
        help="made by prepare; for bits-per-byte, infill, memorization, and defects and clones without files",
    )
    group.add_argument("--sources", metavar="A,B", help="sources of the corpus to measure on (all)")
    group.add_argument(
        "--kinds", default=",".join(KIND_NAMES), metavar="A,B", help="kinds of infill spans (%(default)s)"
    )
    group.add_argument(
        "--spans",
        type=whole_number(1),
        default=1000,
        metavar="N",
        help="infill spans of a kind (%(default)s)",
    )
    group.add_argument(
        "--report", type=Path, metavar="FILE", help="write what was measured as a page, such as report.html"
    )
    add_memorization(parser)


def open_corpus(args: argparse.Namespace, tasks: Sequence[str]) -> Corpus:
    """Open ``--corpus``.

    Raises:
        InputError: it was not given, or has no trace index and memorization is to be measured.
    """
    from spanmix.text.corpus import Corpus

    args.kinds = listed("--kinds", args.kinds, KIND_NAMES)
    if args.corpus is None:
        raise InputError(f"to measure {' and '.join(tasks)} name a corpus with --corpus")
    if "memorization" in tasks:
        memorization_settings(args)  # which check themselves
        open_index(args.corpus)
    return Corpus.open(args.corpus)


def measure_corpus(
    args: argparse.Namespace, model: OpenModel, corpus: Corpus, tasks: list[str]
) -> dict[str, Any]:
    """Return the results of `spanmix.evaluate.results.gather`, and write ``--report``.

    Raises:
        InputError: the corpus has another tokenizer, has no such source, or the model cannot infill, or not
            write as much as is asked of its memory.
    """
    from spanmix.evaluate.results import SourceResult, gather

    if model.tokenizer.fingerprint != corpus.tokenizer.fingerprint:
        raise InputError(
            f"the model {args.model} has the tokenizer {model.tokenizer.fingerprint[:12]} and the corpus "
            f"{args.corpus} was made with {corpus.tokenizer.fingerprint[:12]}; use its own corpus"
        )
    if "infill" in tasks and model.asked.infill is None:
        if args.tasks is not None:
            model.infill_format  # noqa: B018 - raises before all measuring
        tasks = [name for name in tasks if name != "infill"]
        tell("infill is left out: this model was not trained to")
    names = list(corpus.held_out) if args.sources is None else args.sources.split(",")
    names = listed("--sources", ",".join(names), corpus.held_out)
    if "memorization" in tasks:
        open_index(args.corpus, model.engine.info, memorization_settings(args))
    with Progress() as progress:
        found = {name: CORPUS_TASKS[name](model, corpus, names, args, progress) for name in tasks}
    results = gather(
        title=args.model,
        seed=args.seed,
        sources=[SourceResult(loss) for loss in found.get("bits-per-byte", [])],
        infill=found.get("infill", []),
        memorization=found.get("memorization", []),
        facts={"model": args.model, "corpus": args.corpus, "corpus fingerprint": corpus.fingerprint},
    )
    if args.report is not None:
        _write_report(args, results, found.get("infill", []))
    return results


def _write_report(args: argparse.Namespace, results: dict[str, Any], infill: Sequence[Any]) -> None:
    """Write the page, with the curves of training if the model is a run's."""
    from spanmix.evaluate.report import write_report
    from spanmix.train.metrics import read_metrics

    log = Path(args.model) / "metrics.jsonl"
    write_report(args.report, results, read_metrics(log) if log.is_file() else (), infill)
    tell(f"the report is {args.report}")


def _bits_per_byte(
    model: OpenModel, corpus: Corpus, names: Sequence[str], args: argparse.Namespace, progress: Progress
) -> list[Any]:
    from spanmix.evaluate.losses import bits_per_byte

    found = []
    for source in (corpus.held_out[name] for name in names):
        report = partial(progress, f"bits per byte of {source.name}")
        # Also for a model that is asked without: a first token needs something in front, and an end is known.
        start = model.tokenizer.control.eot
        found.append(bits_per_byte(model.engine, source, start, seed=args.seed, progress=report))
    return found


def _infill(
    model: OpenModel, corpus: Corpus, names: Sequence[str], args: argparse.Namespace, progress: Progress
) -> list[Any]:
    from spanmix.evaluate.infill_match import NoSpansError, measure_infill
    from spanmix.evaluate.infill_spans import KINDS
    from spanmix.text.tokenizer import Tokenizer

    assert isinstance(model.tokenizer, Tokenizer), "it is the corpus's own"
    found = []
    missing: list[InputError] = []
    for source in (corpus.held_out[name] for name in names):
        for kind in (KINDS[name] for name in args.kinds):
            report = _staged(progress, f"{kind.name} infill of {source.name}")
            options = {"seed": args.seed, "kind": kind, "num_spans": args.spans, "progress": report}
            try:
                figures = measure_infill(
                    model.engine, model.tokenizer, source, model.infill_format, **options
                )
            except NoSpansError as error:
                missing.append(error)
                continue
            found.append(figures)
    if missing and not found:
        raise missing[0]
    for reason in missing:
        print(f"left out: {reason}", file=sys.stderr)
    return found


def _staged(progress: Progress, label: str) -> Any:
    return lambda phase, done, total: progress(f"{label}, {phase}", done, total)


CORPUS_TASKS: Mapping[str, Callable[..., list[Any]]] = {
    "bits-per-byte": _bits_per_byte,
    "infill": _infill,
    "memorization": measure_sources,
}
DEFAULT_TASKS = ("bits-per-byte", "infill")
"""Memorization needs a trace index, so it is measured only where it is asked for."""
