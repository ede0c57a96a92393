"""Record which GPU memory a run takes where, and write it down when it is wanted or runs out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from spanmix.train.events import EventLog
from spanmix.train.profiler import AfterStep

_MAX_ENTRIES = 100_000
"""Allocations and releases that are kept, the newest; some 100 MB of the machine's own memory."""


@contextmanager
def memory_recorded(wanted: bool, at: int, rank: int, folder: Path, events: EventLog) -> Iterator[AfterStep]:
    """Record GPU allocations with their stack traces while the block runs.

    ``rank-R-step-N.pickle`` is written after step `at`, and by a process whose memory runs out;
    pytorch.org/memory_viz draws it, in the browser alone.

    Args:
        wanted: whether to record at all.
        at: steps done when the snapshot is due; 0 writes one only when memory runs out.
        rank: of this process.
        folder: gets the file.
        events: is told of it, and of a failure, which does not end the run.
    """
    if not wanted:
        yield lambda done: None
        return
    recorder = _Recorder(at, rank, folder, events)
    recorder.start()
    try:
        yield recorder.after
    except torch.OutOfMemoryError:
        recorder.dump("GPU memory ran out in the step behind")
        raise
    finally:
        recorder.stop()


class _Recorder:
    def __init__(self, at: int, rank: int, folder: Path, events: EventLog) -> None:
        self._at, self._rank, self._done = at, rank, 0
        self._folder = folder
        self._events = events

    def start(self) -> None:
        self._try(lambda: torch.cuda.memory._record_memory_history(max_entries=_MAX_ENTRIES))

    def stop(self) -> None:
        self._try(lambda: torch.cuda.memory._record_memory_history(enabled=None))

    def after(self, done: int) -> None:
        self._done = done
        if done and done == self._at:
            self.dump("GPU memory up to")

    def dump(self, what: str) -> None:
        """Write what is recorded so far."""
        path = self._folder / f"rank-{self._rank}-step-{self._done}.pickle"

        def write() -> None:
            self._folder.mkdir(parents=True, exist_ok=True)
            torch.cuda.memory._dump_snapshot(str(path))  # type: ignore[no-untyped-call]
            text = f"{what} step {self._done:,}: {path}; pytorch.org/memory_viz draws it"
            self._events.tell(self._done, "memory_snapshot", text)

        self._try(write)

    def _try(self, act: Callable[[], None]) -> None:
        try:
            act()
        except Exception as error:  # whatever it is, the run does not depend on it
            text = f"no snapshot of the GPU's memory: {type(error).__name__}: {error}"
            self._events.warn(self._done, "memory_snapshot_failed", text)
