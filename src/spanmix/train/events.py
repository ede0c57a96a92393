"""Record what befell a run, in words: ``events.jsonl``, and a warning for whoever watches.

=====================  ======================================================================
``damaged_checkpoint``  it was set aside, and an older one loaded
``skipped_batch``       loss or gradient was not finite; see `spanmix.train.bad_batches`
``loss_spike``          see `spanmix.train.spikes`
``source_ended``        a source reached its ``max_epochs``; see `spanmix.train.mixture_watch`
``tracker_failed``      TensorBoard, W&B or Trackio gets no more figures
``profiled``            steps are profiled, and the files written; ``profile_failed``: they are not
``memory_snapshot``     of a GPU, written; ``memory_snapshot_failed``: it is not
``restarted``           a process had ended, and ``torchrun`` started all of them again
``stopped``             the run was asked to stop, and saved
=====================  ======================================================================
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from spanmix.train import lines

_REPEATED = ("skipped_batch", "loss_spike", "source_ended")
"""What happens again when the same steps are made again; the rest is of one process and stays."""


@dataclass(frozen=True)
class Event:
    """One line of ``events.jsonl``: the steps that were done or being made, its kind, and a paragraph."""

    step: int
    kind: str
    text: str


class EventLog:
    """Appends to a run's events; on a resume it first cuts what will happen again.

    Args:
        folder: the run's folder.
        step: the checkpoint's step.
        warn: is given the text of every event that is worth a warning.
        tell: is given the text of every event that is good news.

    Raises:
        InputError: a line that was there before is damaged; a last line torn by a crash is not.
    """

    def __init__(
        self,
        folder: Path,
        step: int,
        warn: Callable[[str], None],
        tell: Callable[[str], None] = lambda text: None,
    ) -> None:
        self.path = folder / "events.jsonl"
        self._warn = warn
        self._tell = tell
        lines.cut(self.path, Event, lambda event: event.step <= step or event.kind not in _REPEATED)

    def warn(self, step: int, kind: str, text: str) -> None:
        """Record an event, and warn of it; raises `SpanmixError` if it cannot be written."""
        self.record(step, kind, text)
        self._warn(text)

    def tell(self, step: int, kind: str, text: str) -> None:
        """Record an event, and tell of it; raises `SpanmixError` if it cannot be written."""
        self.record(step, kind, text)
        self._tell(text)

    def record(self, step: int, kind: str, text: str) -> None:
        """Record an event; raises `SpanmixError` if it cannot be written."""
        line = json.dumps(asdict(Event(step, kind, text)), ensure_ascii=False)
        lines.append(self.path, [line])


class SilentEvents(EventLog):
    """Records nothing: for the processes of a run but its first."""

    def __init__(self) -> None:
        pass

    def warn(self, step: int, kind: str, text: str) -> None:
        """Do nothing."""

    def tell(self, step: int, kind: str, text: str) -> None:
        """Do nothing."""

    def record(self, step: int, kind: str, text: str) -> None:
        """Do nothing."""


def read_events(path: Path) -> list[Event]:
    """Read a run's ``events.jsonl``; raises `InputError` naming the first line that is damaged."""
    return lines.read(path, Event)
