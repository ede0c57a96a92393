"""Give jobs to worker processes, side by side, and end them all together."""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import IO, Any

from spanmix.errors import InputError, SpanmixError, StoppedEarlyError
from spanmix.lessons.job import Job

JobProgress = Callable[[str, int, int], None]
"""Called with what is done, units done and units in all."""
_POLL_SECONDS = 0.2


@dataclass(frozen=True)
class Place:
    """Where a worker computes: variables of its environment."""

    environment: dict[str, str]


def places(num_devices: int, num_threads: int, num_workers: int | None = None) -> list[Place]:
    """Return where workers compute: one on each GPU, or as many as there are groups of cores.

    Args:
        num_devices: GPUs; 0 computes on the CPU.
        num_threads: of each run on a CPU; 0 takes all cores.
        num_workers: how many, if that was asked for.

    Raises:
        InputError: more workers than GPUs were asked for.
    """
    if num_devices:
        if num_workers is not None and num_workers > num_devices:
            raise InputError(
                f"--workers is {num_workers}, and there are {num_devices} GPUs; use as many at most"
            )
        return [
            Place({"CUDA_VISIBLE_DEVICES": _device(number)}) for number in range(num_workers or num_devices)
        ]
    cores = len(os.sched_getaffinity(0))
    number = num_workers or (max(1, cores // num_threads) if num_threads else 1)
    threads = num_threads or cores
    return [Place({"OMP_NUM_THREADS": str(threads)})] * number


def _device(number: int) -> str:
    """Return the name of a GPU among those that this process may see."""
    visible = [name for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name]
    return visible[number] if number < len(visible) else str(number)


def run_jobs(
    jobs: Sequence[Job],
    where: Sequence[Place],
    should_stop: Callable[[], bool],
    progress: JobProgress,
    finished: Callable[[Job], None],
) -> None:
    """Do all jobs, in this order, as many at once as there are places.

    Args:
        jobs: to be done.
        where: the places.
        should_stop: asked again and again; then workers end their step, and save.
        progress: called now and then.
        finished: called after each job.

    Raises:
        StoppedEarlyError: it was asked to stop.
        SpanmixError: a job failed; the others that were being done have been stopped, and are saved.
    """
    waiting: queue.SimpleQueue[Job] = queue.SimpleQueue()
    for job in jobs:
        waiting.put(job)
    events: queue.SimpleQueue[tuple[str, Job | None, dict[str, Any]]] = queue.SimpleQueue()
    workers = [_Worker(place, waiting, events) for place in where[: len(jobs)]]
    try:
        _watch(workers, events, should_stop, progress, finished)
    finally:
        for worker in workers:
            worker.close()


def _watch(
    workers: list[_Worker],
    events: queue.SimpleQueue[tuple[str, Job | None, dict[str, Any]]],
    should_stop: Callable[[], bool],
    progress: JobProgress,
    finished: Callable[[Job], None],
) -> None:
    running, told, stopped = len(workers), False, False
    failure: SpanmixError | None = None
    while running:
        stopped = stopped or should_stop()
        if (stopped or failure is not None) and not told:
            told = True
            for worker in workers:
                worker.stop()
        with suppress(queue.Empty):
            kind, job, fields = events.get(timeout=_POLL_SECONDS)
            if kind == "ended":
                running -= 1
            elif kind == "progress" and job is not None:
                progress(f"{job.name}: {fields['stage']}", fields["done"], fields["total"])
            elif kind == "done" and job is not None:
                finished(job)
            elif kind == "stopped":
                stopped = True  # a signal has reached the worker itself
            elif kind == "failed":
                failure = failure or _failure(job, fields)
    if failure is not None:
        raise failure
    if stopped:
        raise StoppedEarlyError(
            "stopped, as it was asked to, and all runs are saved; the same command goes on"
        )


def _failure(job: Job | None, fields: dict[str, Any]) -> SpanmixError:
    name = "a worker" if job is None else f"the run {job.name}"
    text = f"{name} failed: {fields['text']}"
    return InputError(text) if fields.get("exit_code") == InputError.exit_code else SpanmixError(text)


class _Worker:
    """A worker process, and the thread that speaks to it."""

    def __init__(
        self,
        place: Place,
        waiting: queue.SimpleQueue[Job],
        events: queue.SimpleQueue[tuple[str, Job | None, dict[str, Any]]],
    ) -> None:
        self._waiting = waiting
        self._events = events
        self._stopped = threading.Event()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "spanmix.lessons.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, **place.environment},
            text=True,
            encoding="utf-8",
        )
        self._thread = threading.Thread(target=self._speak, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Let it end its step, save, and take no other job."""
        self._stopped.set()
        with suppress(ProcessLookupError):
            self._process.terminate()

    def close(self) -> None:
        """End it, wherever it is."""
        self._stopped.set()
        with suppress(OSError):
            _pipe(self._process.stdin).close()  # the worker ends when its input does
        try:
            self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._thread.join(timeout=10)
        _pipe(self._process.stdout).close()

    def _speak(self) -> None:
        job: Job | None = None
        try:
            lines = iter(_pipe(self._process.stdout))
            ended = not next(lines, "")
            while not ended and not self._stopped.is_set():
                try:
                    job = self._waiting.get_nowait()
                except queue.Empty:
                    return
                _pipe(self._process.stdin).write(json.dumps(asdict(job)) + "\n")
                _pipe(self._process.stdin).flush()
                ended = not self._answered(job, lines)
            if ended and not self._stopped.is_set():
                text = f"its process ended with {self._process.wait()}; its own words are above"
                self._events.put(("failed", job, {"text": text}))
        except OSError as error:
            if not self._stopped.is_set():
                self._events.put(("failed", job, {"text": f"its process is gone ({error})"}))
        finally:
            self._events.put(("ended", job, {}))

    def _answered(self, job: Job, lines: Any) -> bool:
        """Pass on what the worker says of a job; return whether it came to an end of it."""
        for line in lines:
            fields = json.loads(line)
            kind = fields.pop("kind")
            if "trace" in fields:
                print(fields.pop("trace"), file=sys.stderr, flush=True)
            self._events.put((kind, job, fields))
            if kind in ("done", "stopped", "failed"):
                return True
        return False


def _pipe(stream: IO[str] | None) -> IO[str]:
    assert stream is not None, "it was made with pipes"
    return stream
