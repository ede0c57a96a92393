"""Where the files stand that a document of the corpus is made of.

A document is one file as it was read, unless the layout wrote a header in front of it or joined the files of
a repository. Then the corpus remembers of each file where its own text begins and how long it is. Nothing is
read out of the text for that, as a file may hold such lines itself::

    <|file|>a.py   x = 1   <|file|>b.py   y = 2        lines, each with its end
    ............   12-18   ............   30-36        bytes of the files' own texts
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

_TEXTS = ("path", "language", "licence")


@dataclass(frozen=True)
class DocumentFile:
    """A file whose text stands in a document, whole.

    Args:
        path: where it came from.
        language: language name, or ``""``.
        licence: SPDX expression, or ``""`` if unknown.
        start: byte of the document at which its text begins, behind what the layout wrote in front of it.
        num_bytes: of its text, in UTF-8.
        repository: the document's, ``owner/name`` if that is known, or ``""``.
    """

    path: str
    language: str
    licence: str
    start: int
    num_bytes: int
    repository: str = ""

    @property
    def end(self) -> int:
        """The byte behind its text."""
        return self.start + self.num_bytes


def rows_of_files(rows: Any) -> Any:
    """Return what a table of documents says of each of their files, a document as it was read being one.

    Args:
        rows: a pyarrow table with the columns language, licence, num_bytes and files.

    Returns:
        A pyarrow table with the columns language, licence and num_bytes, in no order.
    """
    import pyarrow
    import pyarrow.compute

    files = rows["files"].combine_chunks()
    is_alone = pyarrow.compute.equal(pyarrow.compute.fill_null(files.value_lengths(), 0), 0)
    every = files.flatten()
    names = ["language", "licence", "num_bytes"]
    inside = pyarrow.table({name: every.field(name) for name in names})
    return pyarrow.concat_tables([rows.filter(is_alone).select(names), inside])


class DocumentRows:
    """Some rows of a table of documents, see `spanmix.text.document_table`, of which files are asked.

    Args:
        rows: a pyarrow table with all columns of the corpus's; ``files`` and ``repository`` may be missing.

    Raises:
        ValueError: the files of a document do not lie in it one behind the other.
    """

    def __init__(self, rows: Any) -> None:
        columns = {name: rows[name].combine_chunks() for name in rows.column_names}
        files = columns.pop("files", None)
        self._documents = columns
        self._num_bytes = columns["num_bytes"].to_numpy()
        self._bounds: NDArray[np.int64] = np.zeros(rows.num_rows + 1, np.int64)
        if files is None or not rows.num_rows:
            return
        np.cumsum(files.value_lengths().fill_null(0).to_numpy(), out=self._bounds[1:])
        every = files.flatten()
        self._files = {name: every.field(name) for name in _TEXTS}
        self._starts: NDArray[np.int64] = every.field("start").to_numpy()
        self._ends: NDArray[np.int64] = self._starts + every.field("num_bytes").to_numpy()
        self._check()

    def files_between(self, row: int, start: int, end: int) -> list[DocumentFile]:
        """Return the files of a document whose text holds one of the bytes from `start` to before `end`.

        If all of these are the layout's, that is the file in front of which they stand; what the layout wrote
        behind the last file counts to that one.
        """
        first, last = self._bounds[row : row + 2].tolist()
        if first == last:
            return [self._file(row, self._documents, row, 0, int(self._num_bytes[row]))]
        # The first whose text is not over at `start`, and those behind it that have begun before `end`.
        low = first + int(np.searchsorted(self._ends[first:last], start, side="right"))
        high = first + int(np.searchsorted(self._starts[first:last], end))
        found = [number for number in range(low, high) if self._ends[number] > self._starts[number]]
        return [
            self._file(row, self._files, number, int(self._starts[number]), int(self._ends[number]))
            for number in found or [min(low, last - 1)]
        ]

    def _file(self, document: int, columns: dict[str, Any], row: int, start: int, end: int) -> DocumentFile:
        """Return the file in a row of some columns, which is of the given document."""
        path, language, licence = (str(columns[name][row].as_py()) for name in _TEXTS)
        repositories = self._documents.get("repository")
        repository = "" if repositories is None else str(repositories[document].as_py())
        return DocumentFile(path, language, licence, start, end - start, repository)

    def _check(self) -> None:
        """Look at all at once: each begins behind the one before it, or at 0, and ends in its document."""
        counts = np.diff(self._bounds)
        is_first = np.zeros(len(self._starts), np.bool_)
        is_first[self._bounds[:-1][counts > 0]] = True
        before = np.where(is_first, 0, np.append(0, self._ends[:-1])[: len(self._ends)])
        most = np.repeat(self._num_bytes, counts)
        wrong = (self._starts < before) | (self._ends < self._starts) | (self._ends > most)
        if wrong.any():
            row = int(np.repeat(np.arange(len(counts)), counts)[wrong][0])
            raise ValueError(f"the files of {self._documents['path'][row]} do not lie in it one by one")
