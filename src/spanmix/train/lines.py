"""A log as lines of JSON: appended to, cut back, and read again with every field checked."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from spanmix.errors import InputError, SpanmixError
from spanmix.files import full_disk_named, parse_json, write_text

T = TypeVar("T")


def append(path: Path, lines: Sequence[str]) -> None:
    """Append lines, and hand them to the system; raises `SpanmixError` saying why that failed."""
    try:
        with full_disk_named(path), path.open("a", encoding="utf-8") as file:
            file.write("".join(line + "\n" for line in lines))
    except OSError as error:
        raise SpanmixError(
            f"{path} could not be written: {error.strerror or error}. The run stops, as what it measures "
            "would be lost; see to the file, and the same command goes on from the newest checkpoint"
        ) from error


def cut(path: Path, kind: type[T], stays: Callable[[T], bool]) -> None:
    """Drop the lines that do not stay, and a last line that was torn by a crash; no file is no line.

    Raises:
        InputError: a line that was there before is damaged.
    """
    if not path.exists():
        return
    lines = _read(path)
    if lines and not lines[-1].endswith("\n"):
        lines.pop()  # torn by a crash, so it lies after every checkpoint
    kept = [line for number, line in enumerate(lines, 1) if stays(_parse(line, kind, path, number))]
    write_text(path, "".join(kept))


def read(path: Path, kind: type[T]) -> list[T]:
    """Read a log; raises `InputError` naming the first line that is damaged."""
    return [_parse(line, kind, path, number) for number, line in enumerate(_read(path), 1)]


def _read(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8").splitlines(keepends=True)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise InputError(
            f"{path} is not UTF-8 text (byte {error.start}); restore it, or move it away"
        ) from None


def _parse(line: str, kind: type[T], path: Path, number: int) -> T:
    try:
        return parse_json(line, kind, f"{path}, line {number}")
    except InputError as error:
        raise InputError(f"{error}. Delete the line to go on without it") from error
