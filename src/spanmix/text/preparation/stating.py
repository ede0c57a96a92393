"""Find the files by which folders state the licences of what is read, wherever they lie."""

from __future__ import annotations

import os
import posixpath
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from spanmix.config import SourceFilesConfig
from spanmix.text.dropped import printable
from spanmix.text.licences.repository import RepositoryLicences
from spanmix.text.licences.stating_files import LookedAt
from spanmix.text.readers.origin import Origin
from spanmix.text.readers.units import Unit


@dataclass(frozen=True)
class StatingFile:
    """A file that was opened to know the licence of others.

    Args:
        repository, path: what it is called, as if it were a document; a path that begins with ``../`` lies
            above the source's folder.
        num_bytes, sha256: what it held; of a link that was left out, what was concluded from it.
        file: where it is on disk; ``""`` of such a link, and if its name is not UTF-8.
    """

    repository: str
    path: str
    num_bytes: int
    sha256: str
    file: str


class StatingSearch:
    """Finds them for the units of one source; each is opened once.

    Args:
        source: the source.
    """

    def __init__(self, source: SourceFilesConfig) -> None:
        licences = source.licences
        asks = licences is not None and licences.repository_files
        self._licences = RepositoryLicences(source.follow_links) if asks else None

    def of(self, units: Iterable[Unit]) -> tuple[StatingFile, ...]:
        """Return the files that are looked at for the documents of some units, in the order of their names.

        Whether a row has a licence of its own is known when it is read, so rows count like files.
        """
        if self._licences is None:
            return ()
        found: dict[str, StatingFile] = {}
        for unit in units:
            looked_at = self._licences.of(unit.origin.file).looked_at
            for file in looked_at.keys() - found.keys():
                found[file] = _named(file, looked_at[file], unit.origin)
        return tuple(sorted(found.values(), key=lambda one: (one.repository, one.path, one.sha256)))


def changed_file(files: Iterable[StatingFile]) -> str:
    """Return where a file lies that no longer holds what it held, or ``""``."""
    return next((one.file for one in files if one.file and not _is_as_it_was(one)), "")


def _named(file: str, looked_at: LookedAt, beside: Origin) -> StatingFile:
    """Name a file after a document's place in its folder and the way from there."""
    way = os.path.relpath(file, os.path.dirname(os.path.abspath(beside.file)))  # noqa: PTH100, PTH120
    path = posixpath.normpath(posixpath.join(posixpath.dirname(beside.path), way.replace(os.sep, "/")))
    is_opened = printable(file) == file and not looked_at.is_link
    return StatingFile(
        beside.repository,
        printable(path),
        looked_at.num_bytes,
        looked_at.sha256,
        file if is_opened else "",
    )


def _is_as_it_was(one: StatingFile) -> bool:
    try:
        return LookedAt.again(Path(one.file)) == LookedAt(one.num_bytes, one.sha256)
    except OSError:
        return False
