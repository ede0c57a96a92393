"""Say what was written of a corpus beside its token stores, and what of it is no longer so."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from spanmix.amounts import count

STORE_ENDINGS = (".bin", ".idx")
"""Endings of the token stores, which the corpus's fingerprint stands for."""


@dataclass(frozen=True)
class WrittenFile:
    """A file as it was written: its size in bytes, and SHA-256 in hex."""

    num_bytes: int
    sha256: str


def written_files(folder: Path, without: str) -> dict[str, WrittenFile]:
    """Return the files of a corpus that was just made, but for its token stores; they are read once.

    Args:
        folder: the corpus.
        without: the file that will hold what is returned.

    Returns:
        By the path in `folder`.
    """
    paths = sorted(path for path in folder.rglob("*") if path.is_file() and path.suffix not in STORE_ENDINGS)
    names = {path.relative_to(folder).as_posix(): path for path in paths}
    return {
        name: WrittenFile(path.stat().st_size, _sha256(path))
        for name, path in names.items()
        if name != without
    }


def changes(folder: Path, files: Mapping[str, WrittenFile]) -> Iterator[tuple[str, str]]:
    """Yield the path of each file that is not as it was written, with what is the matter with it."""
    for name, written in files.items():
        path = folder / name
        if not path.is_file():
            yield name, f"{name} is missing"
        elif (found := path.stat().st_size) != written.num_bytes:
            yield name, f"{name} has {count(found, 'byte')}, and {written.num_bytes:,} were written"
        elif _sha256(path) != written.sha256:
            yield name, f"{name} has other contents than were written"


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
