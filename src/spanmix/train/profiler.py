"""Record what PyTorch does in some steps of a run, as a trace and a table."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch
from torch.profiler import ProfilerActivity, profile

from spanmix.train.events import EventLog

_TABLE_ROWS = 40
AfterStep = Callable[[int], None]
"""Called with the number of steps that are done, when the run starts and after each."""


@contextmanager
def profiled(steps: Sequence[int], folder: Path, device: str, events: EventLog) -> Iterator[AfterStep]:
    """Profile the steps from the first to the last of `steps`, or as many of them as are made.

    A failure is an event and ends the profile, not the run. The profiler only listens: the run computes the
    same bits.

    Args:
        steps: (first, last), from 1; empty profiles nothing.
        folder: gets ``steps-A-B.json.gz``, a trace for Perfetto or chrome://tracing, and ``steps-A-B.txt``,
            the operators that took longest.
        device: ``cuda`` records the kernels of the GPU too.
        events: is told of the files, and of a failure.
    """
    if not steps:
        yield lambda done: None
        return
    recorder = _Recorder(steps[0], steps[1], folder, device, events)
    try:
        yield recorder.after
    finally:
        recorder.end()


class _Recorder:
    def __init__(self, first: int, last: int, folder: Path, device: str, events: EventLog) -> None:
        self._first, self._last = first, last
        self._folder = folder
        self._on_gpu = device == "cuda"
        self._events = events
        self._profile: profile | None = None
        self._begun = self._done = 0

    def after(self, done: int) -> None:
        """Start before the first step of the range, and write behind the last."""
        self._done = done
        if self._profile is None and self._first <= done + 1 <= self._last:
            self._try(self._start)
        elif done >= self._last:
            self.end()

    def end(self) -> None:
        """Write what was recorded, if anything was."""
        if self._profile is not None:
            self._try(self._write)
            self._profile = None

    def _start(self) -> None:
        activities = [ProfilerActivity.CPU]
        if self._on_gpu:
            activities.append(ProfilerActivity.CUDA)
        self._profile = profile(activities=activities, record_shapes=True)
        self._profile.start()
        self._begun = self._done + 1

    def _write(self) -> None:
        assert self._profile is not None
        if self._on_gpu:
            torch.cuda.synchronize()
        self._profile.stop()
        if self._done < self._begun:
            return  # the run ended within its first step
        self._folder.mkdir(parents=True, exist_ok=True)
        name = f"steps-{self._begun}-{self._done}"
        trace, table = self._folder / f"{name}.json.gz", self._folder / f"{name}.txt"
        aside = self._folder / f".{name}.partial.json.gz"  # the ending decides that it is compressed
        self._profile.export_chrome_trace(str(aside))
        aside.replace(trace)
        order = "self_device_time_total" if self._on_gpu else "self_cpu_time_total"
        averages = self._profile.key_averages()
        table.write_text(averages.table(sort_by=order, row_limit=_TABLE_ROWS, max_name_column_width=80))
        text = f"profiled steps {self._begun:,} to {self._done:,}: {table} and, for Perfetto, {trace}"
        self._events.tell(self._done, "profiled", text)

    def _try(self, act: Callable[[], None]) -> None:
        try:
            act()
        except Exception as error:  # whatever it is, the run does not depend on it
            self._profile = None
            self._first = self._last = 0
            text = f"no profile of steps was written: {type(error).__name__}: {error}. Training goes on"
            self._events.warn(self._done, "profile_failed", text)
