"""Read and rewrite the text files that a user names."""

from __future__ import annotations

import sys
from pathlib import Path

from spanmix.errors import InputError
from spanmix.files import write_text


def read_text(name: str) -> str:
    """Return the text of a file, or of stdin for ``-``, with its line ends as they are.

    Raises:
        InputError: it does not exist, is no file, or is not UTF-8.
    """
    try:
        data = sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
        return data.decode("utf-8")
    except OSError as error:
        raise InputError(f"{name} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        byte = f"byte {data[error.start]:#04x} at offset {error.start}"
        raise InputError(f"{name} is not UTF-8 text: {byte}; convert it first") from None


def write_in_place(path: Path, text: str) -> None:
    """Replace a file's text whole or not at all, keeping its permissions and the link to it, if it is one."""
    target = path.resolve()
    mode = target.stat().st_mode
    write_text(target, text)
    target.chmod(mode)
