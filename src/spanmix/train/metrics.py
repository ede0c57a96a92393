"""Record what a run measures: ``metrics.jsonl`` and TensorBoard, never a step twice."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spanmix.errors import InputError
from spanmix.files import write_text


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


class MetricsLog:
    """Appends to a run's logs; on a resume it first cuts what lies after the checkpoint.

    Args:
        folder: the run's folder.
        step: the checkpoint's step; lines after it are dropped, as they will be measured again.
    """

    def __init__(self, folder: Path, step: int) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self.path = folder / "metrics.jsonl"
        if self.path.exists():
            kept = [
                line for line in self.path.read_text().splitlines(keepends=True) if _step_of(line) <= step
            ]
            write_text(self.path, "".join(kept))
        self._file = self.path.open("a", encoding="utf-8")
        purge = step + 1 if step else None
        self._board = SummaryWriter(str(folder / "tensorboard"), purge_step=purge)

    def write(self, metrics: Iterable[Metric], step: int, rows: int, tokens: int) -> None:
        """Append the figures of a step."""
        lines = []
        for metric in metrics:
            lines.append(json.dumps(metric.line(step, rows, tokens), allow_nan=False) + "\n")
            self._board.add_scalar(metric.tag, metric.value, step)
        self._file.write("".join(lines))
        self._file.flush()

    def close(self) -> None:
        """Flush and close both logs."""
        self._file.close()
        self._board.close()


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """Read a run's ``metrics.jsonl``; raises `InputError` naming a line that is not JSON."""
    lines = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        try:
            lines.append(json.loads(line))
        except json.JSONDecodeError:
            raise InputError(f"{path}, line {number} is not JSON; delete the line to read the rest") from None
    return lines


def _step_of(line: str) -> float:
    """The step of a metrics line; a line torn by a crash lies after every checkpoint."""
    try:
        return float(json.loads(line)["step"])
    except (json.JSONDecodeError, KeyError, TypeError):
        return float("inf")
