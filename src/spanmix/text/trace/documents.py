"""Look up where a training document came from, reading only its part of the source's table."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from spanmix.errors import InputError
from spanmix.text.document_table import MEND, table_path

_COLUMNS = ["path", "language", "licence"]
_GROUPS_IN_MEMORY = 16


class Origin(NamedTuple):
    """What is known of a document."""

    path: str
    language: str
    licence: str


class DocumentOrigins:
    """The table of one source; any number of threads may ask.

    Args:
        prefix: path of the source's files without their endings.
    """

    def __init__(self, prefix: Path) -> None:
        self._path = table_path(prefix)
        self._ends: Any = None
        self._group = lru_cache(_GROUPS_IN_MEMORY)(self._read)

    def __getitem__(self, document: int) -> Origin:
        """Return where a document came from; raises `InputError` if the table is no good."""
        if self._ends is None:
            self._ends = self._group_ends()
        if not 0 <= document < (int(self._ends[-1]) if len(self._ends) else 0):
            raise InputError(f"{self._path} has no document {document}; it belongs to another corpus. {MEND}")
        number = int(np.searchsorted(self._ends, document, side="right"))
        group, first = self._group(number)
        row = document - first
        return Origin(*(str(group[column][row].as_py()) for column in _COLUMNS))

    def _group_ends(self) -> Any:
        metadata = self._open().metadata
        return np.cumsum([metadata.row_group(i).num_rows for i in range(metadata.num_row_groups)])

    def _read(self, number: int) -> tuple[Any, int]:
        import pyarrow

        file = self._open()
        try:
            group = file.read_row_group(number, columns=_COLUMNS)
        except (OSError, pyarrow.ArrowException) as error:
            raise InputError(f"{self._path} cannot be read: {error}. {MEND}") from None
        return group, int(self._ends[number]) - group.num_rows

    def _open(self) -> Any:
        import pyarrow
        import pyarrow.parquet

        try:
            return pyarrow.parquet.ParquetFile(self._path)
        except (OSError, pyarrow.ArrowException) as error:
            raise InputError(f"{self._path} cannot be read: {error}. {MEND}") from None
