"""Know which installed Python package a file of ``site-packages`` belongs to, and that package's licence."""

from __future__ import annotations

import csv
import io
from pathlib import Path

from spanmix.text.licences.headers import Stated
from spanmix.text.licences.joined import join
from spanmix.text.licences.metadata import read_metadata
from spanmix.text.licences.stating_files import LookedAt, StatingFiles

_MOST_LISTING_BYTES = 50_000_000


class PythonPackages:
    """The packages of one folder.

    Args:
        folder: the folder that packages are installed in.
        names: its entries, sorted.
        stating: opens their files.
    """

    def __init__(self, folder: Path, names: list[str], stating: StatingFiles) -> None:
        self._folder = folder
        self._stating = stating
        self._of_top: dict[str, list[str]] = {}
        self._files: dict[str, frozenset[str]] = {}
        self._stated: dict[str, tuple[Stated, dict[str, LookedAt]]] = {}
        for name in names:
            if name.endswith((".dist-info", ".egg-info")):
                self._add(name)

    def is_empty(self) -> bool:
        """Say whether no package lists its files."""
        return not self._of_top

    def of(self, path: str) -> tuple[Stated, dict[str, LookedAt]]:
        """Return what the package states that a file belongs to, by its path in the folder, and the package's
        files that say so."""
        path = path.replace("\\", "/")
        candidates = self._of_top.get(path.partition("/")[0], [])
        owners = (
            [one for one in candidates if path in self._files[one]] if len(candidates) > 1 else candidates
        )
        if len(owners) != 1:
            return Stated(), {}
        return self._read(owners[0])

    def _add(self, name: str) -> None:
        files = set()
        for listing in ("RECORD", "installed-files.txt", "SOURCES.txt"):
            try:
                text = self._stating.content(self._folder / name / listing, _MOST_LISTING_BYTES)
                lines = io.StringIO(text.decode("utf-8", "replace"), newline="")
                files = {row[0] for row in csv.reader(lines) if row}
            except (OSError, csv.Error):
                continue
            break
        self._files[name] = frozenset(files)
        tops = {path.partition("/")[0] for path in files if not path.startswith(("..", "/"))}
        for top in sorted(tops):
            self._of_top.setdefault(top, []).append(name)

    def _read(self, name: str) -> tuple[Stated, dict[str, LookedAt]]:
        if name not in self._stated:
            self._stated[name] = self._join(self._folder / name), self._stating.looked_at()
        return self._stated[name]

    def _join(self, info: Path) -> Stated:
        declared = Stated()
        for metadata in ("METADATA", "PKG-INFO"):
            declared = read_metadata(metadata, self._stating.text(info / metadata))
            if declared != Stated():
                break
        files = self._stating.licence_files(info)
        if (info / "licenses").is_dir():
            top = [path for path in files if path.parent == info / "licenses"]
            files = top or files
        texts = [self._stating.text(path) for path in files]
        return join([declared.expression] if declared.expression else [], texts, declared.unknown)
