"""Read and rewrite the text files that a user names."""

from __future__ import annotations

import os
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from spanmix.errors import InputError
from spanmix.files import flush, follow, full_disk_named


@dataclass(frozen=True)
class TextFile:
    """A text file as it was when it was read.

    Args:
        path: the file itself, not a link to it.
        text: with its line ends, and with its byte order mark if it has one.
    """

    path: Path
    text: str


def read_file(name: str) -> TextFile:
    """Read a file, or stdin for ``-``.

    Raises:
        InputError: it does not exist, is no file, or is not UTF-8.
    """
    if name == "-" and sys.stdin is None:
        raise InputError("- is stdin, and stdin is closed; give a file or a pipe")
    try:
        data = sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
        return TextFile(Path(name).resolve(), data.decode("utf-8"))
    except OSError as error:
        raise InputError(f"{name} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        byte = f"byte {data[error.start]:#04x} at offset {error.start}"
        raise InputError(f"{name} is not UTF-8 text: {byte}; convert it first") from None


def ends_in_crlf(text: str) -> bool:
    """Return whether every line of a text ends in a carriage return and a line feed.

    >>> ends_in_crlf("a\\r\\nb\\r\\n"), ends_in_crlf("a\\r\\nb\\n"), ends_in_crlf("a")
    (True, False, False)
    """
    return text.count("\r\n") == text.count("\n") > 0


def require_writable(path: Path) -> None:
    """Raise `InputError` unless a file can be written or replaced at `path`. To be asked before long work."""
    try:
        real = follow(path)
        if real.exists() and not real.is_file():
            kind = "a folder" if real.is_dir() else "no regular file"
            raise InputError(f"{path} is {kind}; name a file to write to")
        if real.exists() and not os.access(real, os.W_OK):
            raise InputError(f"{path} is read-only; make it writable, or name another file")
        folder = next(folder for folder in real.absolute().parents if folder.exists())
        if not folder.is_dir():
            raise InputError(f"{path} cannot be written, as {folder} is a file; name another place")
        # Whether a folder can be written to, and takes so long a name, is known only when it is done.
        tempfile.NamedTemporaryFile(prefix=_prefix_aside(real), dir=folder).close()
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error.strerror}; name another place") from None


def replace_text(file: TextFile, text: str) -> None:
    """Replace a file's text whole or not at all, keeping its mode and, if we may, its owner and group.

    A new file gets the name: another name of the old one (a hard link) keeps the old text.

    Raises:
        InputError: the file is no longer what was read; it is left alone.
        SpanmixError: the disk is full.
    """
    path = file.path
    with full_disk_named(path):
        # Nobody but us may read what is aside, should we be killed before it has the file's own mode.
        handle, name = tempfile.mkstemp(prefix=_prefix_aside(path), dir=path.parent)
        aside = Path(name)
        try:
            with os.fdopen(handle, "wb") as stream:
                stream.write(text.encode("utf-8"))
                stream.flush()
                os.fsync(handle)
            _require_unchanged(file)
            _copy_rights(path, aside)
            aside.replace(path)
            flush(path.parent)
        finally:
            aside.unlink(missing_ok=True)


def _prefix_aside(path: Path) -> str:
    return f".{path.name}.partial-"


def _require_unchanged(file: TextFile) -> None:
    try:
        data = file.path.read_bytes()
    except OSError as error:
        now = f"it cannot be read now: {error.strerror}"
    else:
        before = file.text.encode("utf-8")
        if data == before:
            return
        now = f"it had {len(before):,} bytes when it was read, and has {len(data):,} others now"
    raise InputError(
        f"{file.path} was changed by someone else meanwhile ({now}), so nothing was written to it; "
        "give the same command again, with the cursors of the new text"
    )


def _copy_rights(source: Path, target: Path) -> None:
    """Give a file the owner, the group and the mode of another."""
    rights = source.stat()
    for owner in (rights.st_uid, -1):  # only root may give a file away, but its group may be kept
        try:
            os.chown(target, owner, rights.st_gid)
            break
        except OSError:
            continue
    target.chmod(rights.st_mode & 0o777)  # without setuid and setgid, as after any other write
