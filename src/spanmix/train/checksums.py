"""Notice a changed byte in any file of a folder, by a list that `sha256sum -c` reads too: SHA256SUMS."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path

from spanmix.errors import InputError

CHECKSUMS = "SHA256SUMS"
_LINE = re.compile(r"([0-9a-f]{64})  (\S+)\n")


def write_checksums(folder: Path) -> None:
    """List the checksums of all files of a folder in it."""
    lines = [f"{_sha256(path)}  {path.name}\n" for path in sorted(folder.iterdir())]
    (folder / CHECKSUMS).write_text("".join(lines), encoding="utf-8")


def read_checksums(folder: Path) -> dict[str, str]:
    """Return the listed checksums by file name; raises `InputError` if the list is missing or damaged."""
    path = folder / CHECKSUMS
    try:
        lines = path.read_bytes().decode("ascii").splitlines(keepends=True)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        lines = [""]
    found = [_LINE.fullmatch(line) for line in lines]
    listed = {match[2]: match[1] for match in found if match}
    if len(listed) < len(lines):
        raise InputError(f"{path} is damaged: a line of it is not of the form CHECKSUM  NAME")
    return listed


def verify(folder: Path, listed: Mapping[str, str]) -> None:
    """Raise `InputError` naming the first listed file that is missing, or differs from its checksum."""
    for name, expected in listed.items():
        path = folder / name
        try:
            found = _sha256(path)
        except FileNotFoundError:
            raise InputError(f"{path} is missing") from None
        except OSError as error:
            raise InputError(f"{path} cannot be read: {error.strerror}") from None
        if found != expected:
            raise InputError(f"{path} is damaged: its checksum differs from the saved one")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
