"""Record what a run measures: ``metrics.jsonl`` and TensorBoard, never a step twice."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from spanmix.errors import InputError, SpanmixError
from spanmix.files import full_disk_named, parse_json, write_text


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

    Raises:
        InputError: a line that was there before is damaged; a last line torn by a crash is not.
    """

    def __init__(self, folder: Path, step: int) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self.path = folder / "metrics.jsonl"
        if self.path.exists():
            write_text(self.path, _up_to(step, self.path))
        self._file = self.path.open("a", encoding="utf-8")
        purge = step + 1 if step else None
        self._board = SummaryWriter(str(folder / "tensorboard"), purge_step=purge)

    def write(self, metrics: Iterable[Metric], step: int, rows: int, tokens: int) -> None:
        """Append the figures of a step.

        Raises:
            SpanmixError: a figure is not finite, or the disk is full.
        """
        lines = []
        for metric in metrics:
            if not math.isfinite(metric.value):
                raise SpanmixError(
                    f"{metric.tag} is {metric.value} after step {step}; the run cannot go on. Start one with "
                    "another --out and a lower optimizer.learning_rate"
                )
            lines.append(json.dumps(metric.line(step, rows, tokens)) + "\n")
            self._board.add_scalar(metric.tag, metric.value, step)
        with full_disk_named(self.path):
            self._file.write("".join(lines))
            self._file.flush()

    def close(self) -> None:
        """Flush and close both logs."""
        with full_disk_named(self.path):
            self._file.close()
            self._board.close()


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
    lines = _read_lines(path)
    for number, line in enumerate(lines, start=1):
        _parse(line, path, number)
    return [json.loads(line) for line in lines]


def _up_to(step: int, path: Path) -> str:
    """Return the lines of a log up to a step."""
    lines = _read_lines(path)
    if lines and not lines[-1].endswith("\n"):
        lines.pop()  # torn by a crash, so it lies after every checkpoint
    return "".join(line for number, line in enumerate(lines, 1) if _parse(line, path, number).step <= step)


def _read_lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8").splitlines(keepends=True)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise InputError(
            f"{path} is not UTF-8 text (byte {error.start}); restore it, or move it away"
        ) from None


def _parse(line: str, path: Path, number: int) -> _Line:
    try:
        return parse_json(line, _Line, f"{path}, line {number}")
    except InputError as error:
        raise InputError(f"{error}. Delete the line to go on without it") from error
