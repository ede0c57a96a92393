"""Write graded samples as other programs do, for ``spanmix grade --write FORMAT=FILE``."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from spanmix.cli.graded import GradedSamples
from spanmix.cli.terminal import Progress
from spanmix.errors import InputError, nearest

if TYPE_CHECKING:
    from spanmix.evaluate.code.sets import ProblemSet
    from spanmix.evaluate.grade.verdict import Verdict

FORMATS = ("bigcode-generations", "bigcode", "evalplus-samples", "evalplus", "lm-eval")


def add_formats(parser: argparse.ArgumentParser) -> None:
    """Add ``--write``."""
    parser.add_argument(
        "--write",
        action="append",
        default=[],
        metavar="FORMAT=FILE",
        help=f"samples or results as other programs write them: {', '.join(FORMATS)}; may be repeated",
    )


def named_formats(given: list[str]) -> dict[str, Path]:
    """Read ``FORMAT=FILE``; raises `InputError` if a format is not known, has no file, or is named twice.

    >>> named_formats(["evalplus=a/eval_results.json"])
    {'evalplus': PosixPath('a/eval_results.json')}
    """
    named = {}
    for entry in given:
        name, _, file = entry.partition("=")
        if name not in FORMATS:
            raise InputError(f"--write: there is no format {name!r}{nearest(name, FORMATS)}")
        if not file:
            raise InputError(f"--write {name} has no file; give one, as in --write {name}=results.json")
        if name in named:
            raise InputError(f"--write names {name} twice; write one file of it")
        named[name] = Path(file)
    return named


def write_formats(
    forms: Mapping[str, Path], args: argparse.Namespace, problems: ProblemSet, done: GradedSamples
) -> None:
    """Write each of them.

    EvalPlus's results say of each sample what the tests say that it began from, and what all say; where the
    file of problems has tests of both kinds, programs are run once more with the first.
    """
    from spanmix.evaluate.code import formats
    from spanmix.evaluate.lm_eval.results import code_results
    from spanmix.files import follow, write_json

    for name, path in forms.items():
        follow(path).parent.mkdir(parents=True, exist_ok=True)
        if name == "bigcode-generations":
            formats.write_generations(path, problems.problems, done.answers)
        elif name == "bigcode":
            config = {"limits": done.report["limits"], **(done.report["settings"] or {})}
            write_json(follow(path), formats.bigcode_results(problems.name, done.graded.figures, config))
        elif name == "evalplus-samples":
            formats.write_evalplus_samples(path, done.answers)
        elif name == "evalplus":
            base, plus = _base_and_plus(args, problems, done)
            results = formats.evalplus_results(
                problems.problems, done.answers, base, plus, checksum=problems.sha256
            )
            formats.write_evalplus_results(path, results)
        else:
            write_json(follow(path), code_results(done.report))


def _base_and_plus(
    args: argparse.Namespace, problems: ProblemSet, done: GradedSamples
) -> tuple[tuple[Verdict, ...], tuple[Verdict, ...] | None]:
    from spanmix.evaluate.code.grading import grade_answers
    from spanmix.evaluate.code.sets import problem_set

    begun_from = problem_set(args.problems, plus_tests=False)
    if begun_from.sha256 == problems.sha256:
        return done.graded.verdicts, None
    with Progress() as progress:
        graded = grade_answers(
            begun_from, done.answers, [1], args.workers, done.limits, done.isolation, progress
        )
    return graded.verdicts, done.graded.verdicts
