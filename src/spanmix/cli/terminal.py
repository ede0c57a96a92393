"""Show results on stdout and progress on stderr: for people on a terminal, as plain lines elsewhere."""

from __future__ import annotations

import io
import json
import math
import os
import sys
import time
import unicodedata
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spanmix.amounts import duration, size

if TYPE_CHECKING:
    from rich.progress import TaskID

_PLAIN_EVERY_SECONDS = 10.0


def prepare_streams() -> None:
    """Make stdout UTF-8 whatever the locale, as files are, and put the null device behind a closed stream.

    Left free, the number of a closed stream would go to the next file that is opened, and what is printed
    would be written into that. What is read from a closed stdin is an error, so ``sys.stdin`` stays ``None``.
    """
    # In the order of their numbers, as what is opened gets the lowest that is free.
    if sys.stdin is None:
        os.open(os.devnull, os.O_RDONLY)
    if sys.stdout is None:
        sys.stdout = _null()
    if sys.stderr is None:
        sys.stderr = _null()
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A file's name may hold bytes that are not UTF-8; Python keeps them as surrogates.
        sys.stdout.reconfigure(encoding="utf-8", errors="surrogateescape")


def _null() -> io.TextIOWrapper:
    return Path(os.devnull).open("w", encoding="utf-8")


def paragraph(text: str) -> str:
    """Return a text as one paragraph, in which names from files cannot steer the terminal.

    >>> paragraph("a tensor\\n  named \\x1b[31mred")
    'a tensor named \\\\x1b[31mred'
    """
    line = " ".join(text.split())
    return "".join(repr(one)[1:-1] if unicodedata.category(one) == "Cc" else one for one in line)


def warn(text: str) -> None:
    """Print a warning as one paragraph on stderr; bars that are drawn there stay below it."""
    print(f"spanmix: warning: {paragraph(text)}", file=sys.stderr, flush=True)


def tell(text: str) -> None:
    """Print news as one paragraph on stderr, like `warn`."""
    print(f"spanmix: {paragraph(text)}", file=sys.stderr, flush=True)


def drop_unwritten() -> None:
    """Throw away what a broken stream has not taken; Python would try again at its end, and complain."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


class Progress:
    """A bar for each stage of the work; call it with (stage, units done, units in all).

    On a terminal the bars are drawn by rich. Elsewhere, as in a log, a stage prints a line when it
    begins, one every ten seconds while it runs, and one when it is done.

    Args:
        stages: those that come one after the other, in order: each is shown with its place among them.
        units: by stage, what it counts. ``bytes`` are shown as sizes, with how many are done in a second.
    """

    def __init__(self, stages: Sequence[str] = (), units: Mapping[str, str] | None = None) -> None:
        self._rich = _rich_progress() if sys.stderr.isatty() else None
        self._places = {stage: f"{stage} ({i} of {len(stages)})" for i, stage in enumerate(stages, 1)}
        self._units = units or {}
        self._tasks: dict[str, TaskID] = {}
        self._next_line: dict[str, float] = {}
        self._begun: dict[str, tuple[float, int]] = {}

    def __enter__(self) -> Progress:
        """Start drawing."""
        if self._rich is not None:
            self._rich.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Leave the bars as they are and give the terminal back."""
        if self._rich is not None:
            self._rich.stop()

    @property
    def is_drawn(self) -> bool:
        """Whether there is a terminal with bars on it."""
        return self._rich is not None

    def __call__(self, stage: str, done: int, total: int, figures: str = "") -> None:
        """Report on a stage, with its newest figures behind the bar; the first call begins it."""
        now = time.monotonic()
        begun, done_before = self._begun.setdefault(stage, (now, done))
        rate = (done - done_before) / (now - begun) if now > begun else 0.0
        name = self._places.get(stage, stage)
        counted = _counted(done, total, rate, self._units.get(stage, ""))
        if self._rich is not None:
            if stage not in self._tasks:
                self._tasks[stage] = self._rich.add_task(name, figures=figures)
            shown = figures or (counted if stage in self._units else "")
            self._rich.update(self._tasks[stage], completed=done, total=total, figures=shown)
            return
        if done >= total or now >= self._next_line.get(stage, 0.0):
            if self._next_line.get(stage) != math.inf:
                print(f"{name}: {counted}{_left(done, total, rate)}", file=sys.stderr, flush=True)
            self._next_line[stage] = math.inf if done >= total else now + _PLAIN_EVERY_SECONDS


def _counted(done: int, total: int, rate: float, unit: str) -> str:
    """Write how much is done, in its unit, and of bytes how fast."""
    if unit != "bytes":
        return f"{done:,} of {total:,} {unit}".rstrip()
    return f"{size(done)} of {size(total)}" + (f", {size(rate)}/s" if rate else "")


def _left(done: int, total: int, rate: float) -> str:
    return f", {duration((total - done) / rate)} left" if rate and done < total else ""


def _rich_progress() -> Any:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    return Progress(*columns, TextColumn("{task.fields[figures]}"), console=Console(stderr=True))


def print_json(result: object) -> None:
    """Print one JSON object on one line; NaN and infinities, which JSON does not have, become null."""
    print(json.dumps(_finite(result), ensure_ascii=False, allow_nan=False))


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return value


def print_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print columns that line up: the first to the left, figures to the right.

    >>> print_table(["source", "bytes"], [["code", "1,024"], ["prose", "7"]])
    source  bytes
    code    1,024
    prose       7
    """
    lines = [header, *rows]
    widths = [max(len(line[i]) for line in lines) for i in range(len(header))]
    for first, *others in lines:
        cells = [first.ljust(widths[0])]
        cells += [cell.rjust(width) for cell, width in zip(others, widths[1:], strict=True)]
        print("  ".join(cells).rstrip())
