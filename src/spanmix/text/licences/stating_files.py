"""Read the files by which a folder states a licence, but for symbolic links that its source leaves out."""

from __future__ import annotations

import os
from pathlib import Path

from spanmix.text.readers.hub import is_link_into_cache
from spanmix.text.regular_files import read_regular

_MOST_FILES = 200
_MOST_BYTES = 2_000_000


class StatingFiles:
    """Opens no link but those of the Hub's cache to its own files.

    Args:
        follow_links: as the source's; opens all.
    """

    def __init__(self, follow_links: bool = False) -> None:
        self._follow_links = follow_links

    def names(self, folder: Path) -> tuple[list[str], list[str]]:
        """Return the names in a folder, sorted: of what may be opened, and of the links that are left out.

        Raises:
            OSError: it cannot be listed.
        """
        with os.scandir(folder) as entries:
            found = {entry.name: entry.is_symlink() and self._is_left_out(entry.path) for entry in entries}
        names = sorted(found)
        return [name for name in names if not found[name]], [name for name in names if found[name]]

    def content(self, path: Path, most_bytes: int = _MOST_BYTES) -> bytes:
        """Return what a file holds, up to so many bytes; raises `OSError` if it may or can not be opened."""
        if self._is_left_out(str(path)):
            raise OSError(f"{path} is a symbolic link")
        return read_regular(path, most_bytes)

    def text(self, path: Path) -> str:
        """Return a file's text, or nothing if it may or can not be opened."""
        try:
            return self.content(path).decode("utf-8", "replace")
        except OSError:
            return ""

    def licence_files(self, folder: Path) -> list[Path]:
        """Return the licence texts in a folder and its folders, sorted; others' files are passed over."""
        found = []
        for path in sorted(folder.rglob("*"))[:_MOST_FILES]:
            name = path.name.lower()
            is_named = any(word in name for word in ("licen", "copying"))
            if path.is_file() and (is_named or folder.name == "LICENSES"):
                found.append(path)
        return [path for path in found if not self._is_left_out(str(path))]

    def _is_left_out(self, path: str) -> bool:
        return not self._follow_links and os.path.islink(path) and not is_link_into_cache(path)  # noqa: PTH114
