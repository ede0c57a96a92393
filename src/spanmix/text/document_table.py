"""The table beside a source's tokens: path, language, licence and byte length of each document."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spanmix.errors import InputError
from spanmix.text.report import CORPUS_FILE

MEND = "Restore it from a copy, or remove the corpus and prepare it again"


class DocumentTable:
    """Reads ``NAME.documents.parquet`` when it is first asked for something.

    Args:
        prefix: path of the source's files without their endings.
        num_documents, num_bytes: what ``corpus.json`` says about it.

    Raises:
        InputError: there is no such file; or, when it is read, it is damaged or belongs to another corpus.
    """

    def __init__(self, prefix: Path, num_documents: int, num_bytes: int) -> None:
        self._path = table_path(prefix)
        self._num_documents = num_documents
        self._num_bytes = num_bytes
        if not self._path.is_file():
            raise InputError(f"{self._path} is missing. {MEND}")

    def path(self, i: int) -> str:
        """Where document `i` came from."""
        return str(self._whole["path"][i].as_py())

    def num_bytes(self, i: int) -> int:
        """UTF-8 bytes of document `i`."""
        return int(self._whole["num_bytes"][i].as_py())

    def language(self, i: int) -> str:
        """Language of document `i`, or ``""``; the first call reads that column alone, 4 bytes a document."""
        names, number_of = self._languages
        return str(names[number_of[i]])

    @cached_property
    def _whole(self) -> Any:
        import pyarrow.compute

        table = self._read(None)
        num_bytes = pyarrow.compute.sum(table["num_bytes"]).as_py() or 0
        if num_bytes != self._num_bytes:
            raise InputError(
                f"{self._path} lists {self._num_documents} documents with {num_bytes} bytes; {CORPUS_FILE} "
                f"says {self._num_bytes} bytes. {MEND}"
            )
        return table

    @cached_property
    def _languages(self) -> tuple[list[str], NDArray[np.int32]]:
        column = self._read(["language"])["language"].combine_chunks()
        return column.dictionary.to_pylist(), column.indices.to_numpy()

    def _read(self, columns: list[str] | None) -> Any:
        """Read some columns as dictionaries, or all as they are, and check that the table is the corpus's."""
        import pyarrow
        import pyarrow.parquet

        try:
            schema = pyarrow.parquet.read_schema(self._path)
            if not schema.equals(_schema()):
                held = ", ".join(f"{field.name} ({field.type})" for field in schema)
                raise InputError(
                    f"{self._path} has the columns {held}; a corpus has path, language, licence (string) and "
                    f"num_bytes (int64). {MEND}"
                )
            table = pyarrow.parquet.read_table(self._path, columns=columns, read_dictionary=columns)
            table.validate(full=True)
        except (OSError, pyarrow.ArrowException) as error:
            raise InputError(f"{self._path} cannot be read: {error}. {MEND}") from None
        if table.num_rows != self._num_documents:
            raise InputError(
                f"{self._path} lists {table.num_rows} documents; {CORPUS_FILE} says "
                f"{self._num_documents}. {MEND}"
            )
        return table


def write_table(prefix: Path, rows: Mapping[str, Sequence[Any]]) -> None:
    """Write a source's table from its columns."""
    import pyarrow
    import pyarrow.parquet

    pyarrow.parquet.write_table(pyarrow.table(rows, _schema()), table_path(prefix))


def join_tables(parts: Sequence[Path], prefix: Path) -> None:
    """Write a source's table from those of its parts, given by the paths of their files without endings."""
    import pyarrow.parquet

    with pyarrow.parquet.ParquetWriter(table_path(prefix), _schema()) as writer:
        for part in parts:
            writer.write_table(pyarrow.parquet.read_table(table_path(part)))


def table_path(prefix: Path) -> Path:
    """Return where the table of a source lies."""
    return Path(f"{prefix}.documents.parquet")


def _schema() -> Any:
    import pyarrow

    text = pyarrow.string()
    return pyarrow.schema(
        [("path", text), ("language", text), ("licence", text), ("num_bytes", pyarrow.int64())]
    )
