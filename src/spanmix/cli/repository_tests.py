"""Let the tests of a repository decide about answers, for `spanmix evaluate --bench-from GIT --executed`."""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spanmix.cli.arguments import whole_number
from spanmix.cli.grade import isolation_of
from spanmix.cli.terminal import Progress

if TYPE_CHECKING:
    from spanmix.evaluate.grade.limits import Limits
    from spanmix.evaluate.grade.repository_tests import RepositoryTests
    from spanmix.evaluate.replay.bench import Bench
    from spanmix.evaluate.replay.bench_match import BenchAnswer
    from spanmix.evaluate.replay.executed import Executed

TEST_COMMAND = "python -m pytest -q -x"


def add_tests(parser: argparse.ArgumentParser) -> None:
    """Add what decides how tests are run."""
    group = parser.add_argument_group("tests of the repository of --bench-from")
    group.add_argument(
        "--executed",
        action="store_true",
        help="let its own tests decide about answers in Python, in a sandbox (see --unsafe)",
    )
    group.add_argument(
        "--test-python",
        default=sys.executable,
        metavar="PATH",
        help="the Python that has pytest and what the code imports (this one)",
    )
    group.add_argument(
        "--test-command",
        default=TEST_COMMAND,
        metavar="LINE",
        help="pytest or unittest, with variables of the environment in front as in a shell (%(default)s)",
    )
    number = partial(group.add_argument, metavar="N")
    number("--test-seconds", type=whole_number(1), default=120, help="most for one run (%(default)s)")
    number(
        "--test-memory-mb", type=whole_number(128), default=4096, help="most memory of a run (%(default)s)"
    )
    number(
        "--test-disk-mb",
        type=whole_number(1),
        default=1024,
        help="most that a run has in files, the checkout included (%(default)s)",
    )


def _test_limits(args: argparse.Namespace) -> Limits:
    from spanmix.evaluate.grade.repository_tests import TEST_LIMITS

    return replace(
        TEST_LIMITS,
        seconds=float(args.test_seconds),
        memory_bytes=args.test_memory_mb << 20,
        file_bytes=args.test_disk_mb << 20,
    )


def repository_tests(args: argparse.Namespace) -> RepositoryTests:
    """Return what runs the tests, after a trial of the sandbox.

    Raises:
        InputError: no sandbox works here, or the Python or the command cannot be used.
    """
    from spanmix.evaluate.grade.repository_tests import Interpreter, RepositoryTests

    python = Interpreter.ask(args.test_python, args.bench_from)
    return RepositoryTests(python, args.test_command, isolation_of(args), _test_limits(args))


@contextmanager
def cleared_up() -> Iterator[None]:
    """Let SIGTERM end the process as Ctrl-C does, so that no copy of the checkout is left behind."""

    def leave(number: int, frame: object) -> None:
        raise SystemExit(128 + number)

    before = signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL if before is None else before)


def execute_answers(
    args: argparse.Namespace,
    bench: Bench,
    answers: Sequence[BenchAnswer],
    tests: RepositoryTests,
    facts: Mapping[str, Any],
    progress: Progress,
) -> Executed:
    """Let the tests decide about answers, and keep what they say in ``DIR/executed.jsonl``.

    Raises:
        InputError: what was kept was made in another way.
        SpanmixError: the tests do not pass as the repository is.
    """
    from spanmix.evaluate.replay.executed import execute

    how = {"test_command": args.test_command, "test_python": args.test_python}
    with cleared_up(), tempfile.TemporaryDirectory(prefix="spanmix-checkout-") as aside:
        return execute(
            args.bench_from,
            bench,
            answers,
            tests,
            Path(aside) / "checkout",
            args.samples / "executed.jsonl",
            facts={**facts, **how, **asdict(_test_limits(args))},
            progress=partial(progress, f"run the tests of {bench.origin.repository}"),
        )
