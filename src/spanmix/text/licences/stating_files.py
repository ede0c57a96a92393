"""Read the files by which a folder states a licence, but for symbolic links that its source leaves out."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

from spanmix.text.readers.hub import is_link_into_cache
from spanmix.text.regular_files import read_regular

_MOST_FILES = 200
_MOST_BYTES = 2_000_000
_MOST_HASHED_BYTES = 50_000_000


@dataclass(frozen=True)
class LookedAt:
    """What a file that was opened held: its bytes, and their SHA-256 in hex.

    `is_link` is said of a link that was not opened; the hash is of what was concluded from where it leads.
    """

    num_bytes: int
    sha256: str
    is_link: bool = False

    @classmethod
    def again(cls, path: Path | str) -> LookedAt:
        """Look at a file that was opened before; raises `OSError` if it cannot be opened now."""
        return cls.of(read_regular(path, _MOST_HASHED_BYTES))

    @classmethod
    def of(cls, data: bytes) -> LookedAt:
        """Return that a file holds this."""
        return cls(len(data), hashlib.sha256(data).hexdigest())


class StatingFiles:
    """Opens no link but those of the Hub's cache to its own files.

    Args:
        follow_links: as the source's; opens all.
    """

    def __init__(self, follow_links: bool = False) -> None:
        self._follow_links = follow_links
        self._looked_at: dict[str, LookedAt] = {}

    def looked_at(self) -> dict[str, LookedAt]:
        """Return what was opened since this was asked before, by its path."""
        found, self._looked_at = self._looked_at, {}
        return found

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
        data = read_regular(path, _MOST_HASHED_BYTES)
        self._looked_at[str(path)] = LookedAt.of(data)
        return data[:most_bytes]

    def note_link(self, path: Path, conclusion: str) -> None:
        """Note that a link was left out, and what was concluded from where it leads."""
        sha256 = hashlib.sha256(conclusion.encode()).hexdigest()
        self._looked_at[str(path)] = LookedAt(0, sha256, is_link=True)

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
