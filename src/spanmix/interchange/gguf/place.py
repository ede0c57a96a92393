"""Where a GGUF file may be written, and how it comes there whole or not at all."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from spanmix.errors import InputError
from spanmix.files import flush, follow, full_disk_named, require_makable
from spanmix.interchange.target import report_beside

SUFFIX = ".gguf"
_MOST_NAME_BYTES = 200
"""A file system takes 255, and what is written aside and the report have longer names."""


def require_place(dest: Path) -> None:
    """Raise `InputError` if `dest` is no name for a GGUF file, or something else is there."""
    if dest.suffix != SUFFIX:
        raise InputError(f"{dest} does not end in {SUFFIX}; a GGUF is one file, name it NAME{SUFFIX}")
    real = follow(dest)
    require_makable(real.parent if real.exists() else real)
    if real.is_dir():
        raise InputError(f"{dest} is a folder; a GGUF is one file, name another place")
    if (length := len(os.fsencode(real.name))) > _MOST_NAME_BYTES:
        raise InputError(f"the name {real.name[:40]}… has {length} bytes, and {_MOST_NAME_BYTES} is the most")
    if (report := report_beside(dest)).is_dir():
        raise InputError(f"{report} is a folder, and the report would be written there; name another place")
    if real.is_file() and real.stat().st_size and not _begins_as_gguf(real):
        raise InputError(f"{dest} is there and is not a GGUF file; name another place")


def _begins_as_gguf(file: Path) -> bool:
    with file.open("rb") as stream:
        return stream.read(4) == b"GGUF"


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Give a file aside to write; when the block ends without an error, put it in the place of `path`."""
    path = follow(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.spanmix-partial")
    with full_disk_named(path), aside.open("ab") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # The holder before us may have put the file in its place between our open and our lock.
            same = aside.exists() and aside.stat().st_ino == os.fstat(lock.fileno()).st_ino
        except BlockingIOError:
            same = False
        if not same:
            raise InputError(
                f"{path} is being written by another process; wait for it, or choose another file"
            )
        try:
            yield aside
            flush(aside)
            aside.replace(path)
            flush(path.parent)
        finally:
            aside.unlink(missing_ok=True)
