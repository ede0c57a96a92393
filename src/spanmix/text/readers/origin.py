"""Where a document is read, and the path that a corpus knows it by."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from spanmix.text.dropped import Dropped, printable


@dataclass(frozen=True)
class Origin:
    """A file, or a place in one.

    Args:
        file: where it is on this machine; for messages and for what lies beside it, and in no corpus.
        path: what it is called in the corpus: its path inside the repository that it lies in; without one the
            path below the folder that was named as a source, with the name of that folder in front; of a file
            that was named by itself, its name.
        root: what of `path` names the source's folder, with the slash behind it; ``""`` in a repository.
        repository: the one that it lies in, ``owner/name`` if that is known, or ``""``.
        host: the one that the repository's remote lies on, or ``""`` if that is not known.
    """

    file: str
    path: str
    root: str = ""
    repository: str = ""
    host: str = ""

    def at(self, place: str) -> Origin:
        """Return a place inside it, such as ``:3`` for its third line."""
        return replace(self, file=self.file + place, path=self.path + place)

    def dropped(self, reason: str, value: float | str | None = None, num_bytes: int = 0) -> Dropped:
        """Return that it was not taken; see `Dropped`."""
        return Dropped(
            self.path, reason, value, repository=self.repository, file=self.file, num_bytes=num_bytes
        )


def distinct_names(paths: Sequence[Path]) -> list[str]:
    """Return the last part of each path, or as many of its last parts as no other path ends with.

    >>> distinct_names([Path("/home/anna/api/src"), Path("/srv/web/src"), Path("/srv/notes.txt")])
    ['api/src', 'web/src', 'notes.txt']
    """
    whole = [Path(os.path.abspath(path)).parts[1:] for path in paths]  # noqa: PTH100 - links keep their names
    names: dict[tuple[str, ...], str] = {}
    num_parts = 1
    while len(names) < len(set(whole)):
        ends = Counter(parts[-num_parts:] for parts in set(whole))
        for parts in set(whole) - names.keys():
            if ends[parts[-num_parts:]] == 1 or num_parts >= len(parts):
                names[parts] = printable("/".join(parts[-num_parts:]))
        num_parts += 1
    return [names[parts] for parts in whole]
