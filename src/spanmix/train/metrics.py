"""Record what a run measures: ``metrics.jsonl``, never a step twice."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, Protocol

from pydantic import Field

from spanmix.errors import SpanmixError
from spanmix.train import lines


@dataclass(frozen=True)
class Metric:
    """One figure: its kind (``train``, ``speed`` or the hook's), its name, and what it was measured on."""

    kind: str
    name: str
    value: float
    source: str | None = None
    objective: str | None = None

    def line(self, step: int, rows: int, tokens: int) -> dict[str, Any]:
        """Return the figure as a line of ``metrics.jsonl``."""
        labels = {"source": self.source, "objective": self.objective}
        return {
            "step": step,
            "rows": rows,
            "tokens": tokens,
            "kind": self.kind,
            "name": self.name,
            "value": self.value,
            **{key: label for key, label in labels.items() if label is not None},
        }

    @property
    def tag(self) -> str:
        """The figure's name in TensorBoard."""
        labels = [label for label in (self.source, self.objective) if label is not None]
        return "/".join([self.kind, self.name, *labels])


class Tracker(Protocol):
    """Shows the figures elsewhere too; see `spanmix.train.trackers`."""

    def write(self, metrics: Sequence[Metric], step: int) -> None:
        """Show the figures of a step."""
        ...

    def close(self) -> None:
        """End."""
        ...


class MetricsLog:
    """Appends to a run's figures; on a resume it first cuts what lies after the checkpoint.

    Args:
        folder: the run's folder.
        step: the checkpoint's step; lines after it are dropped, as they will be measured again.

    Raises:
        InputError: a line that was there before is damaged; a last line torn by a crash is not.
    """

    def __init__(self, folder: Path, step: int) -> None:
        self.path = folder / "metrics.jsonl"
        self._trackers: list[Tracker] = []
        lines.cut(self.path, _Line, lambda line: line.step <= step)

    def show_in(self, tracker: Tracker) -> None:
        """Give a tracker the same figures from now on, once they are written down."""
        self._trackers.append(tracker)

    def write(self, metrics: Sequence[Metric], step: int, rows: int, tokens: int) -> None:
        """Append the figures of a step.

        Raises:
            SpanmixError: a figure is not finite, or the file cannot be written, as when the disk is full.
        """
        for metric in metrics:
            if not math.isfinite(metric.value):
                raise SpanmixError(
                    f"{metric.tag} is {metric.value} after step {step}; the run cannot go on. Start one with "
                    "another --out and a lower optimizer.learning_rate"
                )
        written = [json.dumps(metric.line(step, rows, tokens)) for metric in metrics]
        if written:
            lines.append(self.path, written)
        for tracker in self._trackers:
            tracker.write(metrics, step)

    def close(self) -> None:
        """Close the trackers."""
        for tracker in self._trackers:
            tracker.close()


class SilentLog(MetricsLog):
    """Writes nothing: for the processes of a run but its first."""

    def __init__(self) -> None:
        self._trackers = []

    def write(self, metrics: Sequence[Metric], step: int, rows: int, tokens: int) -> None:
        """Do nothing."""


@dataclass(frozen=True)
class _Line:
    """What `Metric.line` writes."""

    step: int
    rows: int
    tokens: int
    kind: str
    name: str
    value: Annotated[float, Field(allow_inf_nan=False)]
    source: str | None = None
    objective: str | None = None


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """Read a run's ``metrics.jsonl``; raises `InputError` naming the first line that is damaged."""
    found = [asdict(line) for line in lines.read(path, _Line)]
    return [{key: value for key, value in line.items() if value is not None} for line in found]
