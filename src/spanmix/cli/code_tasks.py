"""Let a model answer sets of programming problems, and grade the answers, for `spanmix evaluate`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spanmix.cli.arguments import whole_number
from spanmix.cli.grade import (
    add_download,
    add_grading,
    grade_samples,
    isolation_of,
    limits_of,
    print_figures,
)
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


@dataclass(frozen=True)
class CodeTasks:
    """Sets of problems, each with the file of its answers; how they are answered and run, if they are."""

    sets: tuple[tuple[ProblemSet, Path], ...]
    settings: SampleSettings
    isolation: Isolation | None


def read_code(args: argparse.Namespace, names: Sequence[str]) -> CodeTasks | None:
    """Read the sets of problems that are named, and try the sandbox, before a model is opened.

    Raises:
        InputError: there is no such set, two would have their answers in one file, a number is out of its
            range, or no sandbox works.
    """
    from spanmix.evaluate.code.sets import problem_set
    from spanmix.files import require_makable

    if not names:
        return None
    if args.samples is None:
        raise InputError("to answer programming problems give --samples DIR, where the answers are kept")
    require_makable(args.samples)
    settings = _settings(args)
    limits_of(args)  # which checks itself
    sets: dict[Path, tuple[str, ProblemSet]] = {}
    for name in names:
        found = problem_set(name, download=args.download)
        file = args.samples / f"{found.name.partition('.')[0]}.jsonl"
        if Path(name).is_file() and file.exists() and file.samefile(name):
            raise InputError(
                f"the answers to {name} would be kept in that file itself; name another folder with --samples"
            )
        other, there = sets.setdefault(file, (name, found))
        if there.sha256 != found.sha256:
            raise InputError(
                f"the answers to {other} and to {name} would both be kept in {file}; give one of them "
                "another name, or measure them one by one, with a folder each as --samples"
            )
    isolation = None if args.no_grade else isolation_of(args)
    return CodeTasks(tuple((found, file) for file, (_, found) in sets.items()), settings, isolation)


def require_askable(model: OpenModel, tasks: CodeTasks) -> None:
    """Raise `InputError` if a model cannot be asked such problems, or not with so long answers."""
    from spanmix.evaluate.code.sampling import require_askable

    for problems, _ in tasks.sets:
        if any(problem.suffix is not None for problem in problems.problems):
            model.infill_format  # noqa: B018 - what cannot infill is refused
        require_askable(model.engine, model.tokenizer, model.asked, problems.problems[0], tasks.settings)


def answer_and_grade(args: argparse.Namespace, model: OpenModel, tasks: CodeTasks) -> list[dict[str, Any]]:
    """Answer each set of problems, and grade what was answered.

    Returns:
        A report a set; with ``--no-grade`` none.

    Raises:
        InputError: the samples there were made in another way.
    """
    reports = []
    for problems, file in tasks.sets:
        _answer(model, problems, tasks.settings, file)
        if tasks.isolation is not None:
            reports.append(_grade(args, problems, file, tasks.isolation))
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


def _answer(model: OpenModel, problems: ProblemSet, settings: SampleSettings, file: Path) -> None:
    from spanmix.evaluate.code.samples import open_samples
    from spanmix.evaluate.code.sampling import make_samples

    infills = any(problem.suffix is not None for problem in problems.problems)
    facts = {
        **model.identity(),
        "start_ids": model.asked.start_ids,
        "infill_format": asdict(model.infill_format) if infills else None,
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
    ks = [k for k in KS if k <= args.num_samples]
    report = grade_samples(args, problems, places, ks, isolation).report
    write_json(file.with_suffix(".report.json"), report)
    if not args.json:
        print_figures(report)
        tell(f"look at what failed: {places.page}")
    return report
