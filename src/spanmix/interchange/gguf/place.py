"""Where a GGUF file may be written, and how it comes there whole or not at all."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from spanmix.errors import InputError
from spanmix.files import flush, follow, full_disk_named

SUFFIX = ".gguf"


def require_place(dest: Path) -> None:
    """Raise `InputError` if `dest` is no name for a GGUF file, or something else is there."""
    if dest.suffix != SUFFIX:
        raise InputError(f"{dest} does not end in {SUFFIX}; a GGUF is one file, name it NAME{SUFFIX}")
    real = follow(dest)
    if real.is_dir():
        raise InputError(f"{dest} is a folder; a GGUF is one file, name another place")
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
        except BlockingIOError:
            raise InputError(
                f"{path} is being written by another process; wait for it, or choose another file"
            ) from None
        try:
            yield aside
            flush(aside)
            aside.replace(path)
            flush(path.parent)
        finally:
            aside.unlink(missing_ok=True)
