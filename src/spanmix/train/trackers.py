"""Show a run's figures elsewhere too, as in TensorBoard, where a failure does not end the run."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from spanmix.train.metrics import Metric, Tracker


class TensorBoard:
    """Writes TensorBoard's event files, each figure at once.

    PyTorch's ``SummaryWriter`` writes them in a thread: what goes wrong there is told at another step, under
    a traceback of the thread.

    Args:
        folder: where the event files lie.
        step: what TensorBoard shows of later steps, from files of before, is dropped.
    """

    def __init__(self, folder: Path, step: int) -> None:
        from tensorboard.compat.proto import event_pb2
        from tensorboard.summary.writer.record_writer import RecordWriter

        self._protos = event_pb2
        folder.mkdir(parents=True, exist_ok=True)
        name = f"events.out.tfevents.{time.time_ns():020d}.{socket.gethostname()}.{os.getpid()}"
        self._records = RecordWriter((folder / name).open("wb"))
        self._add(file_version="brain.Event:2")
        if step:
            start = event_pb2.SessionLog(status=event_pb2.SessionLog.START)
            self._add(step=step + 1, session_log=start)
        self._records.flush()

    def write(self, metrics: Sequence[Metric], step: int) -> None:
        """Append the figures of a step."""
        from tensorboard.compat.proto.summary_pb2 import Summary

        if metrics:
            values = [Summary.Value(tag=metric.tag, simple_value=metric.value) for metric in metrics]
            self._add(step=step, summary=Summary(value=values))
            self._records.flush()

    def close(self) -> None:
        """Close the event file."""
        self._records.close()

    def _add(self, **fields: Any) -> None:
        event = self._protos.Event(wall_time=time.time(), **fields)
        self._records.write(event.SerializeToString())


class Tolerated:
    """A tracker that may fail: that is said once, and from there it is left alone.

    Args:
        name: for people.
        build: makes the tracker.
        failed: is told (step, what happened).
        step: steps done so far.
    """

    def __init__(
        self, name: str, build: Callable[[], Tracker], failed: Callable[[int, str], None], step: int
    ) -> None:
        self._name = name
        self._failed = failed
        self._tracker: Tracker | None = None
        self._step = step
        self._try(lambda: setattr(self, "_tracker", build()))

    def write(self, metrics: Sequence[Metric], step: int) -> None:
        """Pass the figures of a step on."""
        self._step = step
        if (tracker := self._tracker) is not None:
            self._try(lambda: tracker.write(metrics, step))

    def close(self) -> None:
        """End the tracker."""
        if (tracker := self._tracker) is not None:
            self._try(tracker.close)
            self._tracker = None

    def _try(self, act: Callable[[], None]) -> None:
        try:
            act()
        except Exception as error:  # whatever it is, the run does not depend on it
            self._tracker = None
            self._failed(
                self._step,
                f"{self._name} gets no more figures of this run: {type(error).__name__}: {error}. Training "
                "goes on, and all of them are in metrics.jsonl; start the run again to try it once more",
            )
