"""Let a model answer sets of programming problems, and grade the answers, for `spanmix evaluate`."""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spanmix.cli.arguments import whole_number
from spanmix.cli.grade import add_download, add_grading, grade_samples, isolation_of, print_figures
from spanmix.cli.graded import Places
from spanmix.cli.terminal import Progress, tell
from spanmix.errors import InputError

if TYPE_CHECKING:
    from spanmix.evaluate.code.sampling import SampleSettings
    from spanmix.evaluate.code.sets import ProblemSet
    from spanmix.evaluate.grade.isolation import Isolation
    from spanmix.generate.opening import OpenModel


def add_code_tasks(parser: argparse.ArgumentParser) -> None:
    """Add what decides how problems are answered and graded."""
    group = parser.add_argument_group("programming problems")
    group.add_argument(
        "--samples",
        type=Path,
        metavar="DIR",
        help="where answers, results and reports are kept; the same command goes on there",
    )
    group.add_argument(
        "--num-samples", type=whole_number(1), default=1, metavar="N", help="answers a problem (%(default)s)"
    )
    group.add_argument(
        "--temperature",
        type=float,
        metavar="T",
        help="0 for one answer; else the paper's for the largest k that N allows: 0.2, 0.6 or 0.8",
    )
    group.add_argument("--top-p", type=float, default=0.95, metavar="P", help="(%(default)s)")
    group.add_argument(
        "--max-tokens", type=whole_number(1), default=512, metavar="N", help="of an answer (%(default)s)"
    )
    group.add_argument(
        "--truncation", default="auto", metavar="RULE", help="how an answer is cut (%(default)s)"
    )
    group.add_argument(
        "--no-grade", action="store_true", help="only answer; `spanmix grade` runs the answers later"
    )
    add_download(parser)
    add_grading(parser)


def answer_and_grade(args: argparse.Namespace, model: OpenModel, names: list[str]) -> list[dict[str, Any]]:
    """Answer each set of problems, and grade what was answered.

    Returns:
        A report a set; with ``--no-grade`` none.

    Raises:
        InputError: there is no such set, no sandbox works, or the samples there were made in another way.
    """
    from spanmix.evaluate.code.sets import problem_set

    if args.samples is None:
        raise InputError("to answer programming problems give --samples DIR, where the answers are kept")
    settings = _settings(args)
    sets = [problem_set(name, download=args.download) for name in names]
    if any(problem.suffix is not None for found in sets for problem in found.problems):
        model.infill_format  # noqa: B018 - what cannot infill is refused before all work
    isolation = None if args.no_grade else isolation_of(args)
    reports = []
    for problems in sets:
        file = args.samples / f"{problems.name.partition('.')[0]}.jsonl"
        _answer(args, model, problems, settings, file)
        if isolation is not None:
            reports.append(_grade(args, problems, file, isolation))
    return reports


def _settings(args: argparse.Namespace) -> SampleSettings:
    from spanmix.evaluate.code.sampling import PAPER_TEMPERATURES, SampleSettings

    temperature = args.temperature
    if temperature is None:
        reached = [k for k in PAPER_TEMPERATURES if k <= args.num_samples]
        temperature = 0.0 if args.num_samples == 1 else PAPER_TEMPERATURES[max(reached)]
    return SampleSettings(
        args.num_samples, temperature, args.top_p, args.max_tokens, args.seed, args.truncation
    )


def _answer(
    args: argparse.Namespace, model: OpenModel, problems: ProblemSet, settings: SampleSettings, file: Path
) -> None:
    from spanmix.evaluate.code.samples import open_samples
    from spanmix.evaluate.code.sampling import make_samples

    facts = {
        **model.identity(),
        "problems": problems.name,
        "problems_sha256": problems.sha256,
        **settings.facts(),
    }
    with open_samples(file, facts) as samples, Progress() as progress:
        if samples.num_torn_bytes:
            tell(f"{file}: a last line that was not finished is made again")
        report = partial(progress, f"answer {problems.name}")
        made = make_samples(
            model.engine, model.tokenizer, model.asked, problems.problems, settings, samples, report
        )
    tell(f"{file}: {made.num_samples:,} answers of {made.num_tokens:,} tokens, {made.num_there:,} were there")
    if made.cut_problems:
        tell(f"{len(made.cut_problems):,} problems did not fit the context and were cut on the left")


def _grade(
    args: argparse.Namespace, problems: ProblemSet, file: Path, isolation: Isolation
) -> dict[str, Any]:
    from spanmix.evaluate.code.answers import results_path
    from spanmix.evaluate.code.pass_at_k import KS
    from spanmix.files import write_json

    places = Places(file, results_path(file), file.with_suffix(".html"))
    report = grade_samples(args, problems, places, KS, isolation).report
    write_json(file.with_suffix(".report.json"), report)
    if not args.json:
        print_figures(report)
        tell(f"look at what failed: {places.page}")
    return report
