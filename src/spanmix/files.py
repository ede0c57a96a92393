"""Write files and folders whole or not at all: aside, flushed to the disk, then renamed."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from spanmix.errors import InputError


def write_text(path: Path, text: str) -> None:
    """Write a text file; whoever reads it sees the old one or the new one, never a part."""
    aside = path.with_name(f".{path.name}.partial-{os.getpid()}")
    try:
        with aside.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)
    _flush(path.parent)


def write_json(path: Path, value: Any) -> None:
    """Write a JSON file for people to read too; NaN is refused, as JSON has none."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


@contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """Give a folder aside to fill; when the block ends without an error, put it in the place of `path`.

    An error, or the end of the process at any moment, leaves the old folder or the new one. What a
    process that was killed left aside is cleared away here, the next time that `path` is written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.spanmix-partial")
    replaced = path.with_name(f".{path.name}.spanmix-replaced")
    if replaced.exists() and not path.exists():
        replaced.rename(path)  # the process was killed between the two renames below
    for leftover in (aside, replaced):
        shutil.rmtree(leftover, ignore_errors=True)
    aside.mkdir()
    try:
        yield aside
        for part in [*aside.rglob("*"), aside]:
            _flush(part)
        if path.exists():
            path.rename(replaced)
        aside.rename(path)
        _flush(path.parent)
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    shutil.rmtree(replaced, ignore_errors=True)


@contextmanager
def one_writer(path: Path) -> Iterator[None]:
    """Hold ``.<name>.spanmix-lock`` beside it while `path` is made.

    Raises:
        InputError: another process is making it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = path.with_name(f".{path.name}.spanmix-lock")
    with lock.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # The holder before us may have removed the file between our open and our lock.
            same = lock.exists() and lock.stat().st_ino == os.fstat(file.fileno()).st_ino
        except BlockingIOError:
            same = False
        if not same:
            raise InputError(
                f"{path} is being written by another process; wait for it, or choose another folder"
            )
        try:
            yield
        finally:
            lock.unlink(missing_ok=True)


def _flush(path: Path) -> None:
    """Make the disk hold what was written to a file or folder."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
