"""Files and folders that are whole or absent, and whose every field is checked when they are read back.

Written aside, flushed to the disk, then renamed.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, TypeVar, cast

from spanmix.errors import InputError, SpanmixError

T = TypeVar("T")
_FULL_DISK = (errno.ENOSPC, errno.EDQUOT)
_FULL_IN_WORDS = re.compile(rf"\(os error ({errno.ENOSPC}|{errno.EDQUOT})\)|\d+ requested and \d+ written")
_LONGEST_AFFIX = len("..spanmix-replaced")
"""What the name of a folder gets around it while the folder is replaced."""


def write_text(path: Path, text: str) -> None:
    """Write a text file; whoever reads it sees the old one or the new one, never a part."""
    path = follow(path)
    aside = path.with_name(f".{path.name}.partial-{os.getpid()}")
    with full_disk_named(path):
        try:
            with aside.open("w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            aside.replace(path)
        finally:
            aside.unlink(missing_ok=True)
    flush(path.parent)


def write_json(path: Path, value: Any) -> None:
    """Write a JSON file for people to read too; NaN is refused, as JSON has none."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


@contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """Give a folder aside to fill; when the block ends without an error, put it in the place of `path`.

    An error, or the end of the process at any moment, leaves the old folder or the new one. What a
    process that was killed left aside is cleared away here, the next time that `path` is written.

    Raises:
        InputError: `path` cannot be replaced (see `replaceable`).
        SpanmixError: the disk is full.
    """
    path = replaceable(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.spanmix-partial")
    replaced = path.with_name(f".{path.name}.spanmix-replaced")
    if replaced.exists() and not path.exists():
        replaced.rename(path)  # the process was killed between the two renames below
    for leftover in (aside, replaced):
        shutil.rmtree(leftover, ignore_errors=True)
    with full_disk_named(path):
        try:
            aside.mkdir()
            yield aside
            for part in [*aside.rglob("*"), aside]:
                flush(part)
            if path.exists():
                path.rename(replaced)
            aside.rename(path)
            flush(path.parent)
        finally:
            shutil.rmtree(aside, ignore_errors=True)
    shutil.rmtree(replaced, ignore_errors=True)


@contextmanager
def one_writer(path: Path) -> Iterator[None]:
    """Hold ``.<name>.spanmix-lock`` beside it while the folder `path` is made.

    Raises:
        InputError: another process is making it, or it cannot be replaced (see `replaceable`).
    """
    path = replaceable(path)
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


@contextmanager
def one_whole_folder(path: Path) -> Iterator[Path]:
    """Give a folder aside to fill, to one process at a time; see `one_writer` and `whole_folder`."""
    with one_writer(path), whole_folder(path) as folder:
        yield folder


def out_folder(text: str) -> Path:
    """Read the value of ``--out``; raises `InputError` if it is empty or not UTF-8 (our libraries want that).

    >>> out_folder("runs/mine").name
    'mine'
    """
    if not text:
        raise InputError("--out is empty; name a folder, or `.` for the current one")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise InputError(f"--out is {text!r}, which is not UTF-8; give the folder another name") from None
    return Path(text)


def follow(path: Path) -> Path:
    """Return what a link leads to, whether or not that exists yet; any other path with a name as it is.

    Raises:
        InputError: the link leads in a circle.
    """
    if not path.is_symlink() and path.name not in ("", ".."):
        return path
    try:
        real = path.resolve()
    except RuntimeError:  # a circle, before Python 3.13
        real = path
    if real.is_symlink():
        raise InputError(f"{path} is a link that leads in a circle; remove it, or name another place")
    return real


def require_makable(path: Path) -> None:
    """Check that a folder can be made, or written to where there is one. To be asked before long work.

    Where there is none, a folder is made above it and removed: rights alone do not tell of ``/proc``.

    Raises:
        InputError: a part of the path is a file or too long a name, or the system refuses to write there.
    """
    try:
        path = above = follow(path).absolute()
        missing = []
        while not above.exists():
            missing.append(above.name)
            above = above.parent
        if not above.is_dir():
            raise InputError(f"{path} cannot be made, since {above} is a file; name a folder to write to")
        longest = max((len(os.fsencode(name)) for name in missing), default=0)
        most = os.pathconf(above, "PC_NAME_MAX") - _LONGEST_AFFIX
        if longest > most:
            raise InputError(
                f"a name in {str(path)[:80]}… has {longest} bytes, and {most} is the most here; name another"
            )
        if missing:
            Path(tempfile.mkdtemp(prefix=".spanmix-", dir=above)).rmdir()
        elif not os.access(above, os.W_OK | os.X_OK):
            code = errno.EROFS if os.statvfs(above).f_flag & os.ST_RDONLY else errno.EACCES
            raise OSError(code, os.strerror(code))
    except OSError as error:
        raise InputError(
            f"nothing can be written to {str(path)[:200]}: {error.strerror}; name another place"
        ) from None


def replaceable(path: Path) -> Path:
    """Return the folder that `whole_folder` writes for `path`, links followed. To be asked before long work.

    Raises:
        InputError: it is a file, a mount point, or holds the current folder.
    """
    path = follow(path)
    if path.exists() and not path.is_dir():
        raise InputError(f"{path} is a file; name a folder to write to")
    if path.is_mount():
        raise InputError(f"{path} is a mount point, which cannot be replaced; name a folder inside it")
    if path.exists() and Path.cwd().is_relative_to(path.resolve()):
        raise InputError(
            f"{path} is the current folder or holds it, so it cannot be replaced; name a folder inside it"
        )
    return path


@contextmanager
def full_disk_named(path: Path) -> Iterator[None]:
    """Turn a full disk into one paragraph with the file that was being written and the room there is."""
    try:
        yield
    except Exception as error:
        if not is_full_disk(error):
            raise
        free = shutil.disk_usage(path.parent).free
        raise SpanmixError(
            f"{getattr(error, 'filename', None) or path} could not be written: "
            f"{getattr(error, 'strerror', None) or os.strerror(errno.ENOSPC)} ({free:,} bytes are free "
            "without the part that was begun). What was whole before still is; make room, and give the same "
            "command again"
        ) from error


def is_full_disk(error: BaseException) -> bool:
    """Tell an error that says that the disk is full; NumPy and the library tokenizers use words for it.

    >>> is_full_disk(OSError(28, "No space left on device")), is_full_disk(OSError(2, "No such file"))
    (True, False)
    >>> is_full_disk(OSError("2432 requested and 992 written")), is_full_disk(Exception("(os error 28)"))
    (True, True)
    """
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno in _FULL_DISK
    return _FULL_IN_WORDS.search(str(error)) is not None


def read_json(path: Path, kind: type[T]) -> T:
    """Read a JSON file into a dataclass; fields that the class does not name are passed over.

    Raises:
        InputError: the file is missing or not JSON, or a field is missing or has another type.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise InputError(f"{path} is missing") from None
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from None
    return parse_json(content, kind, str(path))


def read_versioned(path: Path, kind: type[T], version: int) -> T:
    """Read a JSON file like `read_json`, after its ``format_version``, which must be `version`."""
    found = read_json(path, _Versioned).format_version
    if found != version:
        raise InputError(
            f"{path} has format version {found}, this Spanmix reads {version}; use the Spanmix that wrote it"
        )
    return read_json(path, kind)


def parse_json(content: bytes | str, kind: type[T], name: str) -> T:
    """Parse JSON into a dataclass; raises `InputError`, beginning with `name`, naming the field.

    >>> parse_json('{"format_version": "1"}', _Versioned, "run.json")
    Traceback (most recent call last):
    spanmix.errors.InputError: run.json has format_version '1'; input should be a valid integer
    """
    from pydantic import ValidationError

    checker = _adapter(cast(Any, kind))
    try:
        value: T = checker.validate_json(content, strict=True)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
    else:
        return value
    field = ".".join(str(part) for part in first["loc"])
    if first["type"] == "json_invalid":
        raise InputError(f"{name} is not JSON ({first['msg'].removeprefix('Invalid JSON: ')})")
    if first["type"] == "missing":
        raise InputError(f"{name} has no {field}")
    shown = f"{first['input']!r}"[:80]
    raise InputError(f"{name} has {field or 'the content'} {shown}; {first['msg'].lower()}")


@dataclass(frozen=True)
class _Versioned:
    format_version: int


@cache
def _adapter(kind: Any) -> Any:
    from pydantic import TypeAdapter

    return TypeAdapter(kind)


def flush(path: Path) -> None:
    """Make the disk hold what was written to a file or folder."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
