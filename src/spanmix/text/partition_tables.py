"""Write and read the documents of a partition between two steps, in Parquet, some megabytes at a time."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spanmix.text.dropped import Dropped
from spanmix.types import Document

_AT_ONCE = 8_000_000
_EXCERPTS = 20
"""So many dropped documents of each reason in a partition keep an excerpt."""
_LONGEST_EXCERPT = 400
_FIELDS = [field.name for field in dataclasses.fields(Document)]


class _Rows:
    """Collects rows and writes them when they are many; as a context manager it closes the file."""

    def __init__(self, path: Path, schema: Any) -> None:
        import pyarrow.parquet

        self._schema = schema
        self._writer = pyarrow.parquet.ParquetWriter(path, schema, compression="zstd", compression_level=1)
        self._columns: dict[str, list[Any]] = {name: [] for name in schema.names}
        self._size = 0

    def _append(self, row: dict[str, Any], size: int) -> None:
        for name, column in self._columns.items():
            column.append(row[name])
        self._size += size
        if self._size >= _AT_ONCE:
            self._write()

    def _write(self) -> None:
        import pyarrow

        self._writer.write_table(pyarrow.table(self._columns, self._schema))
        self._columns = {name: [] for name in self._schema.names}
        self._size = 0

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self._write()
        self._writer.close()


class DocumentWriter(_Rows):
    """Writes documents."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, _document_schema())

    def __enter__(self) -> DocumentWriter:
        return self

    def add(self, document: Document) -> None:
        """Append one."""
        row = {name: getattr(document, name) for name in _FIELDS}
        self._append(row, len(document.text) + 200)


class DroppedWriter(_Rows):
    """Writes what was dropped; only the first ones of each reason with an excerpt."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, dropped_schema())
        self._num_excerpts: Counter[str] = Counter()

    def __enter__(self) -> DroppedWriter:
        return self

    def add(self, dropped: Dropped, num_bytes: int) -> None:
        """Append one."""
        excerpt = ""
        if dropped.excerpt and self._num_excerpts[dropped.reason] < _EXCERPTS:
            self._num_excerpts[dropped.reason] += 1
            excerpt = dropped.excerpt[:_LONGEST_EXCERPT]
        value = "" if dropped.value is None else str(dropped.value)
        row = {
            "path": dropped.path,
            "repository": dropped.repository,
            "reason": dropped.reason,
            "value": value,
            "num_bytes": num_bytes,
            "excerpt": excerpt,
        }
        self._append(row, len(excerpt) + 200)


def read_documents(path: Path, wanted: NDArray[np.bool_]) -> Iterator[tuple[int, Document]]:
    """Yield the documents of a partition for which `wanted` is true, each with its number in it."""
    import pyarrow.parquet

    with pyarrow.parquet.ParquetFile(path) as file:
        first = 0
        for group in range(file.num_row_groups):
            count = file.metadata.row_group(group).num_rows
            rows = np.flatnonzero(wanted[first : first + count])
            if len(rows):
                table = file.read_row_group(group).take(rows)
                for row, fields in zip(rows.tolist(), table.to_pylist(), strict=True):
                    yield first + row, Document(**fields)
            first += count


def columns() -> tuple[list[str], list[str]]:
    """Return the columns of documents, and those of what was dropped."""
    return _document_schema().names, dropped_schema().names


def dropped_schema() -> Any:
    """Return the columns of what was dropped: path, repository, reason, value, num_bytes, excerpt."""
    import pyarrow

    text = pyarrow.string()
    texts = [(name, text) for name in ("path", "repository", "reason", "value")]
    return pyarrow.schema([*texts, ("num_bytes", pyarrow.int64()), ("excerpt", text)])


def _document_schema() -> Any:
    import pyarrow

    text, integer = pyarrow.large_string(), pyarrow.int64()
    kinds = {"prompt_characters": integer, "stars": integer, "read_bytes": integer}
    return pyarrow.schema([(name, kinds.get(name, text)) for name in _FIELDS])
