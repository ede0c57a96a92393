"""Do the same to many partitions, on the cores of this machine or on a Ray cluster: Daft hands them out.

Natively Daft keeps a pool of processes, on Ray one of actors; both are given one partition after the other.
What is done is a function of a JSON text to a JSON text, so it cannot know which of them runs it.
"""

from __future__ import annotations

import errno
import json
import os
import signal
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from spanmix.errors import InputError, SpanmixError
from spanmix.files import is_full_disk

Task = Callable[[str], str]
"""A function at the top of a module: it is found by its name in other processes."""

LOCAL_CLUSTER = "ray://local"
"""Starts a cluster of this machine alone."""

_told: list[str] = []

os.environ.setdefault("DO_NOT_TRACK", "1")
os.environ.setdefault("DAFT_PROGRESS_BAR", "0")


def run_tasks(task: Task, jobs: Sequence[str], workers: int = 1, cluster: str | None = None) -> Iterator[str]:
    """Yield ``task(job)`` for each job, in their order.

    Args:
        task: what to do; it writes its files whole or not at all, and is not asked again for a job that it
            did.
        jobs: what each is about.
        workers: processes, or on a cluster actors; natively one runs in this process.
        cluster: address of a Ray cluster, such as ``ray://head:10001``; see `LOCAL_CLUSTER`.

    Raises:
        SpanmixError: what a task raised, of the same class; a task failed otherwise, with its traceback; or a
            process ended, and not all tasks were answered.
        OSError: the disk is full.
        KeyboardInterrupt: Ctrl-C.
    """
    if not jobs:
        return
    if cluster is None and (workers == 1 or len(jobs) == 1):
        for job in jobs:
            yield task(job)
        return
    import daft

    _choose_runner(cluster, workers)
    worker: Any = daft.cls(_Worker, use_process=True, max_concurrency=min(workers, len(jobs)))
    frame = daft.from_pydict({"job": list(jobs)})
    frame = frame.into_batches(1) if cluster is None else frame.into_partitions(len(jobs))
    answers = frame.select(worker(task).run(frame["job"]).alias("answer"))
    with _interrupts() as interrupts:
        num_answers = 0
        for row in _rows(answers, interrupts):
            num_answers += 1
            yield _answer(row["answer"])
        if num_answers < len(jobs):
            raise SpanmixError(f"only {num_answers} of {len(jobs)} tasks were answered; start again")


def _rows(answers: Any, interrupts: list[int]) -> Iterator[dict[str, Any]]:
    """Yield what Daft answers, and say in our words how it ended early."""
    try:
        for row in answers.iter_rows(results_buffer_size="num_cpus"):
            if interrupts:
                break
            yield row
    except Exception as error:
        if not interrupts:
            raise SpanmixError(
                "a process that did a part of the work ended, perhaps because memory ran out; use fewer "
                "--workers or a smaller corpus.partition_bytes, and give the same command again"
            ) from error
    if interrupts:
        raise KeyboardInterrupt


@contextmanager
def _interrupts() -> Iterator[list[int]]:
    """Collect Ctrl-C while Daft works: it ends its answers at one, as if there were no more.

    It does so, too, where the signal was ignored when the process began, as a shell has it for what a script
    puts in the background.
    """
    seen: list[int] = []
    ours = threading.current_thread() is threading.main_thread()
    if not ours or signal.getsignal(signal.SIGINT) not in (signal.default_int_handler, signal.SIG_IGN):
        yield seen
        return
    before = signal.signal(signal.SIGINT, lambda number, frame: seen.append(number))
    try:
        yield seen
    finally:
        signal.signal(signal.SIGINT, before)


class _Worker:
    """Runs tasks in a process of its own; errors come back as answers, since Daft would wrap them."""

    def __init__(self, task: Task) -> None:
        self._task = task

    def run(self, job: str) -> str:
        try:
            return json.dumps({"done": self._task(job)})
        except InputError as error:
            return json.dumps({"refused": str(error)})
        except SpanmixError as error:
            return json.dumps({"failed": str(error)})
        except Exception as error:
            if is_full_disk(error):
                return json.dumps({"full": getattr(error, "filename", None)})
            last = f"{type(error).__name__}: {error}"
            return json.dumps({"failed": f"a task ended with {last}", "trace": traceback.format_exc()})


def _answer(text: str) -> str:
    answer = json.loads(text)
    if "full" in answer:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), answer["full"])
    if "refused" in answer:
        raise InputError(answer["refused"])
    if "failed" in answer:
        error = SpanmixError(answer["failed"])
        if "trace" in answer:
            error.add_note(answer["trace"])
        raise error
    return str(answer["done"])


def _choose_runner(cluster: str | None, workers: int) -> None:
    """Tell Daft where to work, which it can be told once in a process."""
    import daft

    chosen = daft.runners.get_or_infer_runner_type() if _told else None
    wanted = "native" if cluster is None else "ray"
    if chosen not in (None, wanted):
        raise SpanmixError(f"this process works with Daft's runner {chosen!r} already; start another one")
    if chosen is None and cluster is None:
        daft.set_runner_native()
    elif chosen is None:
        _join_cluster(str(cluster), workers)
        daft.set_runner_ray(noop_if_initialized=True)
    _told.append(wanted)


def _join_cluster(cluster: str, workers: int) -> None:
    try:
        import ray
    except ImportError:
        raise InputError(
            f"--cluster {cluster} needs Ray, which is not installed; install spanmix[cluster]"
        ) from None
    quiet: dict[str, Any] = {"logging_level": "ERROR", "log_to_driver": False}
    if cluster == LOCAL_CLUSTER:
        ray.init(num_cpus=workers, include_dashboard=False, **quiet)
        return
    try:
        ray.init(address=cluster, **quiet)
    except (ConnectionError, ValueError, RuntimeError) as error:
        raise InputError(f"the Ray cluster {cluster} cannot be reached: {error}") from None
