"""Ask a model multiple-choice questions, last words and summaries, for `spanmix evaluate`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spanmix.cli.terminal import Progress, print_table, tell
from spanmix.errors import InputError

if TYPE_CHECKING:
    from spanmix.evaluate.choice.readers import ChoiceItem
    from spanmix.evaluate.choice.summaries import Article
    from spanmix.generate.opening import OpenModel

CHOICE_TASKS = ("piqa", "hellaswag", "boolq", "lambada", "xsum")

Questions = dict[str, "list[ChoiceItem] | list[Article]"]
"""What was read for each task."""


def add_choice_tasks(parser: argparse.ArgumentParser) -> None:
    """Add what decides how questions are asked."""
    group = parser.add_argument_group("questions (NAME=FILE)")
    group.add_argument(
        "--start",
        action="store_true",
        help="put what the model was trained to see in front of every text, <|endoftext|> for most, in front "
        "of every question; lm-eval does not",
    )


def read_questions(asked: dict[str, str]) -> Questions:
    """Read the file of each task; raises `InputError` if one cannot be used."""
    from spanmix.evaluate.choice.readers import read_items
    from spanmix.evaluate.choice.summaries import read_xsum

    return {
        name: read_xsum(Path(file)) if name == "xsum" else read_items(name, Path(file))
        for name, file in asked.items()
    }


def measure_questions(args: argparse.Namespace, model: OpenModel, questions: Questions) -> dict[str, Any]:
    """Return the figures of each task, with an entry for every question.

    Raises:
        InputError: a question does not fit the model's context, or a package is missing.
    """
    from spanmix.evaluate.choice.score import score_choices
    from spanmix.evaluate.choice.summaries import score_summaries

    start_ids = model.asked.start_ids if args.start else ()
    found: dict[str, Any] = {}
    with Progress() as progress:
        for name, items in questions.items():
            report = partial(progress, name)
            if name == "xsum":
                articles: Any = items
                result: Any = score_summaries(model.engine, model.tokenizer, articles, start_ids, report)
            else:
                choices: Any = items
                result = score_choices(model.engine, model.tokenizer, name, choices, start_ids, report)
            found[name] = {"start": args.start, **asdict(result)}
    return found


def print_questions(found: dict[str, Any]) -> None:
    """Print the figures of each task, and what was cut."""
    for name, result in found.items():
        figures = result.get("figures") or {kind: {"interval": one} for kind, one in result["rouge"].items()}
        rows = [[figure, _shown(entry["interval"])] for figure, entry in figures.items()]
        print_table([f"{name}, {result['num_items']:,} questions", "95 %"], rows)
        if result["num_cut_items"]:
            tell(f"{name}: {result['num_cut_items']:,} questions did not fit the context and were cut")
        if moved := result.get("num_moved_boundaries"):
            tell(f"{name}: {moved:,} answers begin inside of a token, and are scored from behind it")
        print()


def split_named(names: Sequence[str], known: Sequence[str]) -> tuple[dict[str, str], list[str]]:
    """Separate ``NAME=FILE`` of known names from all others; raises `InputError` if one is named twice or has
    no file.

    >>> split_named(["piqa=a.jsonl", "humaneval"], ["piqa"])
    ({'piqa': 'a.jsonl'}, ['humaneval'])
    """
    named, others = {}, []
    for entry in names:
        name, is_named, file = entry.partition("=")
        if is_named and name in known:
            if name in named:
                raise InputError(f"--tasks names {name} twice; measure one file of it at a time")
            if not file:
                raise InputError(f"--tasks: {name} has no file; give one, as in {name}=FILE")
            named[name] = file
        else:
            others.append(entry)
    return named, others


def _shown(interval: dict[str, float]) -> str:
    return f"{interval['value']:.4f} [{interval['low']:.4f}, {interval['high']:.4f}]"
