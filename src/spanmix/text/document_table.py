"""The table beside a source's tokens: path, repository, language, licence, length and files of documents."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spanmix.errors import InputError
from spanmix.text.document_files import DocumentFile, DocumentRows
from spanmix.text.report import CORPUS_FILE, MEND
from spanmix.text.written_files import WrittenFile, changes

_GROUPS_IN_MEMORY = 16


class DocumentTable:
    """Reads ``NAME.documents.parquet`` when it is first asked for something; any number of threads may ask.

    Args:
        prefix: path of the source's files without their endings.
        num_documents, num_bytes: what ``corpus.json`` says about it.
        files: what it says of all its files, by name; empty in older corpora.

    Raises:
        InputError: there is no such file; or, when it is read, it is damaged or belongs to another corpus.
    """

    def __init__(
        self, prefix: Path, num_documents: int, num_bytes: int, files: Mapping[str, WrittenFile] | None = None
    ) -> None:
        self._path = table_path(prefix)
        self._num_documents = num_documents
        self._num_bytes = num_bytes
        self._written = {name: file for name, file in (files or {}).items() if name == self._path.name}
        self._is_checked = False
        if not self._path.is_file():
            raise InputError(f"{self._path} is missing. {MEND}")

    def check(self) -> None:
        """Refuse a table that is not as it was written; it is read once for that, 2 GB a second.

        Raises:
            InputError: it was damaged or changed.
        """
        if not self._is_checked:
            for _, what in changes(self._path.parent, self._written):
                raise InputError(f"corpus {self._path.parent} is damaged or was changed: {what}. {MEND}")
            self._is_checked = True

    def path(self, i: int) -> str:
        """Where document `i` came from; of joined files, their repository's name."""
        return str(self._whole["path"][i].as_py())

    def repository(self, i: int) -> str:
        """Repository of document `i`, or ``""``; older corpora do not know any."""
        table = self._whole
        return str(table["repository"][i].as_py()) if "repository" in table.column_names else ""

    def num_bytes(self, i: int) -> int:
        """UTF-8 bytes of document `i`."""
        return int(self._whole["num_bytes"][i].as_py())

    def language(self, i: int) -> str:
        """Language of document `i`, or ``""``; the first call reads that column alone, 4 bytes a document."""
        names, number_of = self._languages
        return str(names[number_of[i]])

    def files_between(self, i: int, start: int, end: int) -> list[DocumentFile]:
        """Return the files that the bytes of document `i` from `start` to before `end` are of, at least one.

        Only the row group with the document is read; see `DocumentRows.files_between`.
        """
        _, ends = self._layout
        number = int(np.searchsorted(ends, i, side="right"))
        first, rows = self._groups(number)
        return rows.files_between(i - first, start, end)

    @property
    def lists_files(self) -> bool:
        """Whether the table says which files a document is made of; those of older corpora do not."""
        metadata, _ = self._layout
        return "files" in metadata.schema.to_arrow_schema().names

    @cached_property
    def _groups(self) -> Callable[[int], tuple[int, DocumentRows]]:
        return lru_cache(_GROUPS_IN_MEMORY)(self._read_group)  # made late, as it cannot be pickled

    @cached_property
    def _whole(self) -> Any:
        import pyarrow.compute

        table = self._read(["path", "repository", "num_bytes"], ())
        num_bytes = pyarrow.compute.sum(table["num_bytes"]).as_py() or 0
        if num_bytes != self._num_bytes:
            raise InputError(
                f"{self._path} lists {self._num_documents} documents with {num_bytes} bytes; {CORPUS_FILE} "
                f"says {self._num_bytes} bytes. {MEND}"
            )
        return table

    @cached_property
    def _languages(self) -> tuple[list[str], NDArray[np.int32]]:
        column = self._read(["language"], ["language"])["language"].combine_chunks()
        return column.dictionary.to_pylist(), column.indices.to_numpy()

    @cached_property
    def _layout(self) -> tuple[Any, NDArray[np.int64]]:
        """What the file says of itself, and the document behind each of its row groups."""
        import pyarrow
        import pyarrow.parquet

        self.check()
        try:
            metadata = pyarrow.parquet.read_metadata(self._path)
        except (OSError, pyarrow.ArrowException) as error:
            raise self._unreadable(error) from None
        schema = metadata.schema.to_arrow_schema()
        if not any(schema.equals(known) for known in _schemas()):
            held = ", ".join(f"{field.name} ({field.type})" for field in schema)
            raise InputError(
                f"{self._path} has the columns {held}; a corpus has path, repository, language, "
                f"licence (string), num_bytes (int64) and files. {MEND}"
            )
        if metadata.num_rows != self._num_documents:
            raise InputError(
                f"{self._path} lists {metadata.num_rows} documents; {CORPUS_FILE} says "
                f"{self._num_documents}. {MEND}"
            )
        sizes = [metadata.row_group(number).num_rows for number in range(metadata.num_row_groups)]
        return metadata, np.cumsum(np.array(sizes, np.int64))

    def _read(self, columns: list[str], as_dictionaries: Sequence[str], group: int | None = None) -> Any:
        """Read some columns, of one row group or of all."""
        import pyarrow
        import pyarrow.parquet

        metadata, _ = self._layout
        try:
            with pyarrow.parquet.ParquetFile(
                self._path, metadata=metadata, read_dictionary=list(as_dictionaries)
            ) as file:
                table = file.read(columns) if group is None else file.read_row_group(group, columns)
            table.validate(full=True)
        except (OSError, pyarrow.ArrowException) as error:
            raise self._unreadable(error) from None
        return table

    def _read_group(self, number: int) -> tuple[int, DocumentRows]:
        """Return the number of the first document of a row group, and its rows."""
        _, ends = self._layout
        rows = self._read(_schema().names, (), number)
        try:
            return int(ends[number]) - rows.num_rows, DocumentRows(rows)
        except ValueError as error:  # pyarrow's own are such, too
            raise self._unreadable(error) from None

    def _unreadable(self, error: Exception) -> InputError:
        return InputError(f"{self._path} cannot be read: {error}. {MEND}")


def write_table(prefix: Path, rows: Mapping[str, Sequence[Any]]) -> None:
    """Write a source's table from its columns; an entry of ``files`` is the `DocumentFile`s of a document."""
    import pyarrow
    import pyarrow.parquet

    files = [[{name: getattr(file, name) for name in _FILE} for file in listed] for listed in rows["files"]]
    pyarrow.parquet.write_table(pyarrow.table({**rows, "files": files}, _schema()), table_path(prefix))


def join_tables(parts: Sequence[Path], prefix: Path) -> None:
    """Write a source's table from those of its parts, given by the paths of their files without endings."""
    import pyarrow.parquet

    with pyarrow.parquet.ParquetWriter(table_path(prefix), _schema()) as writer:
        for part in parts:
            writer.write_table(pyarrow.parquet.read_table(table_path(part)))


def table_path(prefix: Path) -> Path:
    """Return where the table of a source lies."""
    return Path(f"{prefix}.documents.parquet")


_FILE = ("path", "language", "licence", "start", "num_bytes")
"""What the table has of each file; its repository is its document's."""


def _schema() -> Any:
    import pyarrow

    text, integer = pyarrow.string(), pyarrow.int64()
    kinds = {"start": integer, "num_bytes": integer}
    file = pyarrow.struct([(name, kinds.get(name, text)) for name in _FILE])
    kinds["files"] = pyarrow.list_(file)
    names = ("path", "repository", "language", "licence", "num_bytes", "files")
    return pyarrow.schema([(name, kinds.get(name, text)) for name in names])


def _schemas() -> list[Any]:
    """Return the columns of a table, and those of older corpora."""
    known = [_schema()]
    for name in ("repository", "files"):  # in the order in which they came to be, backwards
        known.append(known[-1].remove(known[-1].get_field_index(name)))
    return known
