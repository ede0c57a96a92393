"""Keep answers as lines of JSON beside the settings that they were got with, so that work can go on.

Each answer is appended as soon as it is there. A process that is killed leaves at most a last line without
its end, which the next one cuts off. Answers that were got with other settings are never mixed with these:
the settings stand beside the file, and have to be the same.
"""

from __future__ import annotations

import dataclasses
import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Generic, TypeVar

from spanmix.errors import InputError, SpanmixError
from spanmix.evaluate.code.samples import settings_path
from spanmix.files import follow, full_disk_named, parse_json, read_json, require_makable, write_json

T = TypeVar("T")
_END = b"\n"


class Records(Generic[T]):
    """The answers of one file, open to be gone on with; see `open_records`.

    Args:
        path: the file, for the messages.
        handle: it, open for appending.
        known: the answers that it held when it was opened.
    """

    def __init__(self, path: Path, handle: int, known: list[T]) -> None:
        self.known = known
        self._path = path
        self._handle = handle

    def append(self, record: T) -> None:
        """Add an answer; it is there when this returns, even if the process is killed then.

        Raises:
            SpanmixError: it could not be written; then the file is as it was.
        """
        line = json.dumps(dataclasses.asdict(record), allow_nan=False)  # type: ignore[call-overload]
        data = line.encode("ascii") + _END
        size = os.fstat(self._handle).st_size
        try:
            with full_disk_named(self._path):
                num_written = 0
                while num_written < len(data):
                    num_written += os.write(self._handle, data[num_written:])
        except OSError as error:
            raise SpanmixError(f"{self._path} could not be written: {error.strerror}") from error
        finally:
            if os.fstat(self._handle).st_size != size + len(data):
                os.ftruncate(self._handle, size)


@contextmanager
def open_records(path: Path, kind: type[T], settings: Mapping[str, Any]) -> Iterator[Records[T]]:
    """Open a file of answers to go on with, or begin it; for one process at a time.

    Args:
        path: a ``.jsonl`` file.
        kind: the dataclass of an answer.
        settings: what the answers depend on, as JSON can hold it.

    Raises:
        InputError: it was begun with other settings, is damaged, or is being written by another process.
    """
    path = follow(path)
    require_makable(path.parent)
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        handle = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o666)
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error.strerror}; name another file") from None
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InputError(
                f"{path} is being written by another process; wait for it, or name another file"
            ) from None
        known = _known(path, handle, kind)
        # As they will be read back, with lists for tuples.
        _agree(path, json.loads(json.dumps(settings)), begun=bool(known))
        yield Records(path, handle, known)
    finally:
        os.close(handle)


def _known(path: Path, handle: int, kind: type[T]) -> list[T]:
    content = path.read_bytes()
    whole = content.rfind(_END) + 1
    if whole < len(content):
        os.ftruncate(handle, whole)
    lines = content[:whole].split(_END)[:-1]
    try:
        return [parse_json(line, kind, f"{path}, line {number}") for number, line in enumerate(lines, 1)]
    except InputError as error:
        raise InputError(
            f"{error}; delete the line to have it answered again, or name another file"
        ) from None


def _agree(path: Path, settings: dict[str, Any], begun: bool) -> None:
    """Write the settings of a file that is begun; compare those of one that is gone on with."""
    beside = settings_path(path)
    if not begun:
        write_json(beside, settings)
        return
    if not beside.exists():
        raise InputError(
            f"{path} has answers, and {beside.name} beside it, which says how they were got, is missing; "
            "restore it, or name another file"
        )
    there = read_json(beside, dict[str, Any])
    for name in sorted({*there, *settings}):
        if there.get(name) != settings.get(name):
            raise InputError(
                f"{path} was begun with {name} {_shown(there, name)}, and this is {_shown(settings, name)}; "
                "use the same settings to go on with it, or name another file"
            )


def _shown(settings: Mapping[str, Any], name: str) -> str:
    return json.dumps(settings[name])[:200] if name in settings else "(not given)"
