"""Make a folder appear whole or not at all, written by one process at a time."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from spanmix.errors import InputError


@contextmanager
def whole_folder(out: Path) -> Iterator[Path]:
    """Give a folder beside `out` to write into; rename it to `out` when the block ends without an error.

    What a killed process left in ``<out>.partial`` is removed first. ``<out>.lock`` exists meanwhile.

    Raises:
        InputError: another process is writing `out`, or `out` is not an empty folder at the end.
    """
    out.parent.mkdir(parents=True, exist_ok=True)
    partial = out.with_name(out.name + ".partial")
    with _lock(out):
        shutil.rmtree(partial, ignore_errors=True)
        try:
            partial.mkdir()
            yield partial
            _sync_folder(partial)
            try:
                partial.rename(out)
            except OSError as error:
                raise InputError(
                    f"{out} cannot be put in place: {error.strerror}; choose another folder"
                ) from None
            _sync_folder(out.parent)
        finally:
            shutil.rmtree(partial, ignore_errors=True)


@contextmanager
def _lock(out: Path) -> Iterator[None]:
    path = out.with_name(out.name + ".lock")
    descriptor = os.open(path, os.O_CREAT | os.O_RDWR)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # The previous holder may have removed the file between our open and our lock.
            same = path.exists() and path.stat().st_ino == os.fstat(descriptor).st_ino
        except BlockingIOError:
            same = False
        if not same:
            raise InputError(
                f"{out} is being written by another process; wait for it, or choose another folder"
            )
        try:
            yield
        finally:
            path.unlink(missing_ok=True)
    finally:
        os.close(descriptor)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
