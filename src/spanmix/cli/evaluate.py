"""``spanmix evaluate``: measure a model on the held-out files of a corpus."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Collection, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spanmix.cli.arguments import (
    add_engine,
    add_json,
    add_lead_tokens,
    add_model,
    add_verb,
    utf8_name,
    whole_number,
)
from spanmix.cli.code_tasks import add_code_tasks, answer_and_grade
from spanmix.cli.files import require_writable
from spanmix.cli.tables import print_infill, print_sources
from spanmix.cli.terminal import Progress, print_json, tell
from spanmix.errors import InputError, nearest

if TYPE_CHECKING:
    from spanmix.cli.arguments import Verbs
    from spanmix.cli.models import OpenModel
    from spanmix.text.corpus import Corpus, CorpusSource

EXAMPLE = """
spanmix evaluate runs/demo --corpus runs/demo/corpus
spanmix evaluate runs/mine --corpus corpora/mine --tasks bits-per-byte --json
spanmix evaluate runs/mine --corpus corpora/mine --tasks infill --kinds in_word --sources code
spanmix evaluate runs/mine --tasks humaneval,single-line --samples evals/mine --num-samples 20
"""


def add(verbs: Verbs) -> None:
    """Add the verb."""
    summary = "measure a model: on the held-out files of a corpus, or by programs that it writes"
    parser = add_verb(verbs, "evaluate", summary, EXAMPLE, run)
    add_model(parser)
    add_engine(parser)
    parser.add_argument(
        "--corpus", type=utf8_name, metavar="CORPUS", help="made by prepare; for bits-per-byte and infill"
    )
    parser.add_argument(
        "--tasks",
        metavar="A,B",
        help=f"what to measure ({','.join(TASKS)}; without infill for a model that was not trained to); "
        "also humaneval, single-line, multi-line, or files of problems",
    )
    parser.add_argument("--sources", metavar="A,B", help="sources of the corpus to measure on (all)")
    parser.add_argument(
        "--kinds", default=",".join(KIND_NAMES), metavar="A,B", help="kinds of infill spans (%(default)s)"
    )
    parser.add_argument(
        "--spans",
        type=whole_number(1),
        default=1000,
        metavar="N",
        help="infill spans of a kind (%(default)s)",
    )
    parser.add_argument(
        "--seed", type=int, default=0, metavar="N", help="decides which spans and which answers (%(default)s)"
    )
    add_lead_tokens(parser)
    parser.add_argument("--out", type=Path, metavar="FILE", help="write the result as JSON too")
    add_code_tasks(parser)
    add_json(parser)


def run(args: argparse.Namespace) -> None:
    """Measure each task on each source, and print one table a task."""
    asked = list(dict.fromkeys((args.tasks or ",".join(TASKS)).split(",")))
    code_sets = [name for name in asked if name not in TASKS and (name in SETS or Path(name).is_file())]
    tasks = [name for name in asked if name not in code_sets]
    if tasks:
        tasks = _listed("--tasks", ",".join(tasks), [*TASKS, *SETS])
    args.kinds = _listed("--kinds", args.kinds, KIND_NAMES)
    if args.out is not None:
        require_writable(args.out)
    from spanmix.cli.models import open_model
    from spanmix.evaluate.results import write_results

    corpus = _corpus(args, tasks) if tasks else None
    model = open_model(args.model, args.engine, args.lead_tokens)
    results = _on_corpus(args, model, corpus, tasks) if corpus else {}
    if code_sets:
        results["code"] = answer_and_grade(args, model, code_sets)
    if args.out is not None:
        write_results(args.out, results)
    if args.json:
        print_json(results)
    elif tasks:
        print_sources(results)
        print_infill(results)


def _corpus(args: argparse.Namespace, tasks: list[str]) -> Corpus:
    from spanmix.text.corpus import Corpus

    if args.corpus is None:
        raise InputError(f"to measure {' and '.join(tasks)} name a corpus with --corpus")
    return Corpus.open(args.corpus)


def _on_corpus(
    args: argparse.Namespace, model: OpenModel, corpus: Corpus, tasks: list[str]
) -> dict[str, Any]:
    """Measure on the held-out files of the corpus."""
    from spanmix.evaluate.results import SourceResult, gather

    if model.tokenizer.fingerprint != corpus.tokenizer.fingerprint:
        raise InputError(
            f"the model {args.model} has the tokenizer {model.tokenizer.fingerprint[:12]} and the corpus "
            f"{args.corpus} was made with {corpus.tokenizer.fingerprint[:12]}; use its own corpus"
        )
    if "infill" in tasks and model.asked.infill is None:
        if args.tasks is not None:
            model.infill_format  # noqa: B018 - raises before all measuring
        tasks.remove("infill")
        tell("infill is left out: this model was not trained to")
    names = list(corpus.held_out) if args.sources is None else args.sources.split(",")
    sources = [corpus.held_out[name] for name in _listed("--sources", ",".join(names), corpus.held_out)]
    with Progress() as progress:
        found = {name: TASKS[name](model, sources, args, progress) for name in tasks}
    return gather(
        title=args.model,
        seed=args.seed,
        sources=[SourceResult(loss) for loss in found.get("bits-per-byte", [])],
        infill=found.get("infill", []),
        facts={"model": args.model, "corpus": args.corpus, "corpus fingerprint": corpus.fingerprint},
    )


def _listed(flag: str, value: str, known: Collection[str]) -> list[str]:
    """Read a list of names, each once, in the order given."""
    names = list(dict.fromkeys(value.split(",")))
    for name in names:
        if name not in known:
            raise InputError(f"{flag}: there is no {name!r}{nearest(name, known)}")
    return names


def _bits_per_byte(
    model: OpenModel, sources: Sequence[CorpusSource], args: argparse.Namespace, progress: Progress
) -> list[Any]:
    from spanmix.evaluate.losses import bits_per_byte

    found = []
    for source in sources:
        report = partial(progress, f"bits per byte of {source.name}")
        # Also for a model that is asked without: a first token needs something in front, and an end is known.
        start = model.tokenizer.control.eot
        found.append(bits_per_byte(model.engine, source, start, seed=args.seed, progress=report))
    return found


def _infill(
    model: OpenModel, sources: Sequence[CorpusSource], args: argparse.Namespace, progress: Progress
) -> list[Any]:
    from spanmix.evaluate.infill_match import NoSpansError, measure_infill
    from spanmix.evaluate.infill_spans import KINDS

    found = []
    missing: list[InputError] = []
    for source in sources:
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


SETS = ("humaneval", "single-line", "multi-line")
KIND_NAMES = ("single_line", "multi_line", "in_word")
TASKS = {"bits-per-byte": _bits_per_byte, "infill": _infill}
