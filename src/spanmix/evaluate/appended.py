"""Keep records as lines of JSON in a file that is only appended to, so that work can go on after any end.

Each record is appended as soon as it is there. A process that is killed leaves at most a last line without
its end, which the next one cuts off. The settings that records were made with stand beside them, in
``NAME.settings.json``; going on with others is refused, so what a file holds was made in one way.
"""

from __future__ import annotations

import dataclasses
import fcntl
import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from spanmix.errors import InputError, SpanmixError
from spanmix.files import follow, full_disk_named, parse_json, read_json, require_makable, write_json

T = TypeVar("T")
_END = b"\n"
_BLOCK = 1 << 16


def _read_plain(path: Path) -> dict[str, Any]:
    return read_json(path, dict[str, Any])


@dataclass(frozen=True)
class Keeping(Generic[T]):
    """How one kind of record is kept.

    Args:
        kind: its dataclass.
        noun: what one is called in messages, such as ``sample``.
        pack: from the settings to the JSON that stands beside the file.
        read: back from that file to the settings.
    """

    kind: type[T]
    noun: str
    pack: Callable[[dict[str, Any]], Any] = dict
    read: Callable[[Path], dict[str, Any]] = _read_plain


class AppendedFile(Generic[T]):
    """The records of one file, open to be gone on with; see `open_appended`.

    Args:
        path: the file.
        handle: it, open for appending.
        keeping: how its records are kept.
        num_torn_bytes: length of a last line that an earlier process did not finish, and that was cut off.
    """

    def __init__(self, path: Path, handle: int, keeping: Keeping[T], num_torn_bytes: int) -> None:
        self.path = path
        self.num_torn_bytes = num_torn_bytes
        self._handle = handle
        self._keeping = keeping

    def records(self) -> Iterator[tuple[str, T]]:
        """Yield the records that are there, each behind its place, such as ``samples.jsonl, line 3``.

        Raises:
            InputError: a line is damaged.
        """
        with self.path.open("rb") as file:
            for number, line in enumerate(file, 1):
                place = f"{self.path}, line {number}"
                try:
                    yield place, parse_json(line, self._keeping.kind, place)
                except InputError as error:
                    raise InputError(
                        f"{error}; delete the line, and its {self._keeping.noun} is made again, or name "
                        "another file"
                    ) from None

    def append(self, record: T) -> None:
        """Add a record; it is there when this returns, even if the process is killed then.

        Raises:
            SpanmixError: it could not be written; then the file is as it was.
        """
        # ASCII: other programs read the file in whatever encoding the system has.
        fields = dataclasses.asdict(record)  # type: ignore[call-overload]
        line = json.dumps(fields, allow_nan=False).encode("ascii") + _END
        size = os.fstat(self._handle).st_size
        try:
            with full_disk_named(self.path):
                _write_all(self._handle, line)
        except OSError as error:
            raise SpanmixError(f"{self.path} could not be written: {error.strerror}") from error
        finally:
            if os.fstat(self._handle).st_size != size + len(line):
                os.ftruncate(self._handle, size)


@contextmanager
def open_appended(path: Path, keeping: Keeping[T], settings: Mapping[str, Any]) -> Iterator[AppendedFile[T]]:
    """Open a file of records to one process at a time, and go on with what is in it.

    Args:
        path: a ``.jsonl`` file; begun if it is not there.
        keeping: how its records are kept.
        settings: all that decides what the records are, as JSON can hold it.

    Raises:
        InputError: another process writes the file, or it was made with other settings or without any.
        SpanmixError: the disk is full.
    """
    path = follow(path)
    require_makable(path.parent)
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        handle = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o666)
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error.strerror}; name another file") from None
    try:
        _lock(handle, path)
        size, end = os.fstat(handle).st_size, _end_of_lines(handle)
        # As they will be read back, with lists for tuples.
        _keep_settings(path, keeping, json.loads(json.dumps(settings)), size, end)
        if end < size:  # only now: a file without settings of ours is somebody else's
            os.ftruncate(handle, end)
        num_torn_bytes = size - end
        yield AppendedFile(path, handle, keeping, num_torn_bytes)
        os.fsync(handle)
    finally:
        os.close(handle)


def settings_path(path: Path) -> Path:
    """Return where the settings of a file stand."""
    return path.with_name(path.name + ".settings.json")


def _write_all(handle: int, data: bytes) -> None:
    while data:
        data = data[os.write(handle, data) :]


def _lock(handle: int, path: Path) -> None:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise InputError(
            f"{path} is being written by another process; wait for it, or name another file"
        ) from None


def _end_of_lines(handle: int) -> int:
    """Return where the last line that has its end ends."""
    end = os.fstat(handle).st_size
    while end:
        start = max(0, end - _BLOCK)
        found = os.pread(handle, end - start, start).rfind(_END)
        if found != -1:
            return start + found + 1
        end = start
    return 0


def _keep_settings(path: Path, keeping: Keeping[Any], settings: dict[str, Any], size: int, end: int) -> None:
    """Write the settings of a file that is begun; check those of one that is gone on with."""
    beside = settings_path(path)
    if size == 0 or (end == 0 and beside.exists()):
        write_json(beside, keeping.pack(settings))
        return
    if not beside.exists():
        raise InputError(
            f"{path} has {keeping.noun}s, and {beside.name} beside it is missing, so nothing tells how they "
            "were made; restore it, or name another file"
        )
    there, settings = _flat(keeping.read(beside)), _flat(settings)
    names = [name for name in sorted({*there, *settings}) if there.get(name) != settings.get(name)]
    if names:
        pairs = [f"{name} {_shown(there, name)} there, {_shown(settings, name)} now" for name in names]
        raise InputError(
            f"{path} was made with other settings: {'; '.join(pairs)}. Use those, or name another file"
        )


def _flat(settings: Mapping[str, Any], above: str = "") -> dict[str, Any]:
    """Return the settings without groups, so that a message says which of a group differs.

    >>> _flat({"seed": 0, "format": {"lead": 3}})
    {'seed': 0, 'format.lead': 3}
    """
    found: dict[str, Any] = {}
    for name, value in settings.items():
        inner = _flat(value, f"{above}{name}.") if isinstance(value, dict) and value else None
        found |= inner or {f"{above}{name}": value}
    return found


def _shown(settings: Mapping[str, Any], name: str) -> str:
    return json.dumps(settings[name])[:100] if name in settings else "(not given)"
