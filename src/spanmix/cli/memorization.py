"""Measure how much a model writes word for word as in its training documents, for `spanmix evaluate`."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from spanmix.cli.arguments import whole_number
from spanmix.cli.terminal import Progress, paragraph, print_table, tell

if TYPE_CHECKING:
    from spanmix.evaluate.memorization import MemorizationFigures
    from spanmix.evaluate.memorization_prompts import MemorizationSettings
    from spanmix.generate.engine import EngineInfo
    from spanmix.generate.opening import OpenModel
    from spanmix.text.corpus import Corpus
    from spanmix.text.trace.index import TraceIndex

FLAGS = ("prompts", "prompt_tokens", "completion_tokens", "min_match_tokens")


def add_memorization(parser: argparse.ArgumentParser) -> None:
    """Add what decides how a model's memory is asked."""
    group = parser.add_argument_group("memorization of training documents (--tasks memorization)")
    group.add_argument(
        "--prompts",
        type=whole_number(1),
        default=200,
        metavar="N",
        help="documents of each source and side that the model goes on from (%(default)s)",
    )
    group.add_argument(
        "--prompt-tokens",
        type=whole_number(1),
        default=50,
        metavar="N",
        help="tokens of a document that are shown (%(default)s)",
    )
    group.add_argument(
        "--completion-tokens",
        type=whole_number(1),
        default=200,
        metavar="N",
        help="most tokens that it writes then (%(default)s)",
    )
    group.add_argument(
        "--min-match-tokens",
        type=whole_number(1),
        default=50,
        metavar="N",
        help="tokens in a row that some training document holds for all of them to count (%(default)s)",
    )


def memorization_settings(args: argparse.Namespace) -> MemorizationSettings:
    """Return what the flags say; raises `InputError` if it does not go together."""
    from spanmix.evaluate.memorization_prompts import MemorizationSettings

    return MemorizationSettings(
        args.min_match_tokens, args.prompts, args.prompt_tokens, args.completion_tokens, seed=args.seed
    )


def open_index(
    corpus: str, info: EngineInfo | None = None, settings: MemorizationSettings | None = None
) -> TraceIndex:
    """Open the corpus's trace index.

    Args:
        corpus: its folder.
        info: of the model, if it is known.
        settings: what is to be measured with it.

    Raises:
        InputError: there is no index, or what is asked for cannot be measured with it or the model.
    """
    from spanmix.evaluate.memorization import require_measurable
    from spanmix.text.trace.index import TraceIndex

    index = TraceIndex.open(corpus)
    if info is not None and settings is not None:
        require_measurable(info, index, settings)
    return index


def measure_sources(
    model: OpenModel, corpus: Corpus, names: Sequence[str], args: argparse.Namespace, progress: Progress
) -> list[MemorizationFigures]:
    """Measure training and held-out documents of each source; what has no document long enough is left out.

    Raises:
        InputError: none has.
    """
    from spanmix.evaluate.memorization import measure_memorization
    from spanmix.evaluate.memorization_prompts import NoPromptsError
    from spanmix.text.tokenizer import Tokenizer

    assert isinstance(model.tokenizer, Tokenizer), "it is the corpus's own"
    settings, index = memorization_settings(args), open_index(args.corpus)
    found = []
    missing: list[NoPromptsError] = []
    for name in names:
        for side, sources in (("train", corpus.train), ("held_out", corpus.held_out)):
            report = partial(progress, f"memorization of {name}, {side}".replace("_", " "))
            try:
                figures = measure_memorization(
                    model.engine, model.tokenizer, index, sources[name], side, settings, report
                )
            except NoPromptsError as error:
                missing.append(error)
                continue
            found.append(figures)
    if missing and not found:
        raise missing[0]
    for reason in missing:
        tell(f"left out: {reason}")
    return found


def print_memorization(results: Mapping[str, Any]) -> None:
    """Print how much of what the model wrote is copied, beside how much of the documents is."""
    from spanmix.text.trace.matches import where

    found = results.get("memorization", [])
    if not found:
        return
    least = found[0]["min_tokens"]
    rows = [
        [
            paragraph(f"{one['source']}, {one['side']}".replace("_", " ")),
            f"{one['num_completions']:,}",
            f"{one['num_tokens']:,}",
            _percent(one["memorized"]),
            _percent(one["really"]),
            _recited(one),
            f"{one['longest_bytes']:,}",
        ]
        for one in found
    ]
    header = ["memorization", "prompts", "tokens", "copied", "documents' own", "recited", "longest, bytes"]
    print_table(header, rows)
    print(
        f"copied: of the tokens written, those in a row of {least} that some training document holds; "
        f"documents' own: the same of how the documents go on; recited: completions that begin with the very "
        f"{least} tokens which come next"
    )
    for one in found:
        for copy in one["copies"][:1]:
            side = f"{one['source']}, {one['side']}".replace("_", " ")
            others = copy["num_occurrences"] - 1
            places = f", and at {others:,} other places" if others else ""
            tokens = f"{copy['num_tokens']:,} tokens"
            files = ", ".join(
                where(file.get("repository", ""), file["path"], file["line"]) for file in copy["files"]
            )
            print(paragraph(f"longest of {side}: {tokens}, {files}{places}"))
    print()


def _percent(interval: Mapping[str, float] | None) -> str:
    if interval is None:
        return "-"
    value, low, high = (100 * interval[end] for end in ("value", "low", "high"))
    return f"{value:.2f} % [{low:.2f}, {high:.2f}]"


def _recited(figures: Mapping[str, Any]) -> str:
    if figures["recited"] is None:
        return "-"
    number = round(figures["recited"]["value"] * figures["num_recitable"])
    return f"{number:,} of {figures['num_recitable']:,}"
