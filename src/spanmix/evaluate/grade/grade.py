"""Grade programs: run each against its check, in a sandbox of its own, and say whether it passed.

See docs/grading.md for what is contained, and how a verdict comes about.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from spanmix.errors import InputError
from spanmix.evaluate.code.problem import Check, ExitCheck
from spanmix.evaluate.grade.exit_check import run_exit_check
from spanmix.evaluate.grade.isolation import Isolation
from spanmix.evaluate.grade.limits import Limits
from spanmix.evaluate.grade.pairs import Pairs
from spanmix.evaluate.grade.verdict import StoppedError, Verdict

_IN_FLIGHT = 2
"""How many programs a worker has before it, so that it need not wait for the next."""


@dataclass(frozen=True)
class _Task:
    index: int
    program: str
    check: Check


def grade(
    tasks: Iterable[tuple[str, Check]], num_workers: int, limits: Limits, isolation: Isolation
) -> Iterator[tuple[int, Verdict]]:
    """Run programs against their checks, several at a time.

    Nothing that is started here outlives the iterator: end it early with its ``close``, or drop it.

    Args:
        tasks: the text of a program, and what decides about it; drawn as they are needed.
        num_workers: how many are run at once.
        limits: what each may use.
        isolation: how it is kept apart; see `choose.best_isolation`.

    Yields:
        the place of a program in `tasks`, from 0, and its verdict, in the order in which they are known.

    Raises:
        InputError: a check cannot be run, such as one of a language that is not installed.
        SpanmixError: a sandbox could not be started.
    """
    if num_workers < 1:
        raise InputError(f"num_workers is {num_workers}; use at least 1")
    return _graded(tasks, num_workers, limits, isolation)


def _graded(
    tasks: Iterable[tuple[str, Check]], num_workers: int, limits: Limits, isolation: Isolation
) -> Iterator[tuple[int, Verdict]]:
    waiting: queue.SimpleQueue[_Task | None] = queue.SimpleQueue()
    done: queue.SimpleQueue[tuple[int, Verdict] | BaseException] = queue.SimpleQueue()
    stop = threading.Event()
    arguments = (isolation, limits, waiting, done, stop)
    workers = [threading.Thread(target=_work, args=arguments, daemon=True) for _ in range(num_workers)]
    for worker in workers:
        worker.start()
    try:
        num_open = 0
        for index, (program, check) in enumerate(tasks):
            waiting.put(_Task(index, program, check))
            num_open += 1
            if num_open >= _IN_FLIGHT * num_workers:
                yield _next(done)
                num_open -= 1
        for _ in range(num_open):
            yield _next(done)
    finally:
        stop.set()
        for _ in workers:
            waiting.put(None)
        for worker in workers:
            worker.join()


def _next(done: queue.SimpleQueue[tuple[int, Verdict] | BaseException]) -> tuple[int, Verdict]:
    found = done.get()
    if isinstance(found, BaseException):
        raise found
    return found


def _work(
    isolation: Isolation,
    limits: Limits,
    waiting: queue.SimpleQueue[_Task | None],
    done: queue.SimpleQueue[tuple[int, Verdict] | BaseException],
    stop: threading.Event,
) -> None:
    """Grade what comes until there is no more, or one is told to stop."""
    try:
        with Pairs(isolation, limits, stop) as pairs:
            while not stop.is_set() and (task := waiting.get()) is not None:
                if isinstance(task.check, ExitCheck):
                    verdict = run_exit_check(task.program, task.check, isolation, limits, stop)
                else:
                    verdict = pairs.judge(task.program, task.check)
                done.put((task.index, verdict))
    except StoppedError:
        pass
    except BaseException as error:
        done.put(error)
