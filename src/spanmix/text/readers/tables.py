"""Read tables as documents: Parquet by row group, and the Arrow files of Hugging Face's datasets library."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from spanmix.corpus_configs.sources import SourceFilesConfig
from spanmix.text.dropped import UNREADABLE, Dropped
from spanmix.text.readers.columns import (
    Columns,
    explain_missing,
    find_columns,
    missing_columns,
)
from spanmix.text.readers.faults import BOMB, DAMAGED, NO_COLUMN, fault
from spanmix.text.readers.origin import Origin
from spanmix.text.readers.records import read_record
from spanmix.text.readers.streams import FREE_BYTES, MAX_RATIO
from spanmix.types import Document

_BATCH_BYTES = 4_000_000
_MAX_BATCH_ROWS = 1024
_ARROW_MAGIC = b"ARROW1\0\0"


def split_parquet(
    path: Path, origin: Origin, source: SourceFilesConfig, unit_bytes: int
) -> Iterator[tuple[int, int, int] | Dropped]:
    """Yield ranges of row groups with about so many bytes of text: first, one behind the last, and bytes.

    Only the end of the file is read, which says where its row groups lie.

    Raises:
        InputError: the file is damaged or has no text, and the source is to stop.
    """
    try:
        with pq.ParquetFile(path) as file:
            columns = _columns_of(file.schema_arrow, origin, source)
            metadata = file.metadata
    except (pa.ArrowException, OSError) as error:
        yield _damaged(origin, source, error)
        return
    if isinstance(columns, Dropped):
        yield columns
        return
    first = num_bytes = 0
    for group in range(metadata.num_row_groups):
        num_bytes += _text_bytes(metadata.row_group(group), columns)[0]
        if num_bytes >= unit_bytes or group + 1 == metadata.num_row_groups:
            yield first, group + 1, num_bytes
            first, num_bytes = group + 1, 0


def read_parquet(
    path: Path, origin: Origin, source: SourceFilesConfig, max_document_bytes: int, start: int, end: int
) -> Iterator[Document | Dropped]:
    """Yield the documents of some row groups; a path is the record's, or ``FILE:ROW`` with rows from 1.

    Memory holds a page of each column and a few megabytes of rows; a single value of more than that is held
    as it is in the file.

    Args:
        path: the file.
        origin: what it is called.
        source: which columns to take.
        max_document_bytes: longer documents are dropped.
        start, end: the first row group, and the one behind the last.

    Raises:
        InputError: the file is damaged or has no text, and the source is to stop.
    """
    try:
        with pq.ParquetFile(path) as file:
            columns = _columns_of(file.schema_arrow, origin, source)
            metadata = file.metadata
        if isinstance(columns, Dropped):
            yield columns
            return
        # A dictionary is kept as one: a long value that stands in many rows is held once.
        kept = [] if columns.in_files else [columns.text]
        options = {"read_dictionary": kept, "buffer_size": 1 << 20, "pre_buffer": False}
        row = sum(metadata.row_group(group).num_rows for group in range(start))
        with pq.ParquetFile(path, **options) as file:
            for group in range(start, end):
                yield from _read_group(file, group, row, origin, columns, source, max_document_bytes)
                row += metadata.row_group(group).num_rows
    except (pa.ArrowException, OSError) as error:
        yield _damaged(origin, source, error)


def _read_group(
    file: Any,
    group: int,
    row: int,
    origin: Origin,
    columns: Columns,
    source: SourceFilesConfig,
    max_document_bytes: int,
) -> Iterator[Document | Dropped]:
    facts = file.metadata.row_group(group)
    num_bytes, num_stored = _text_bytes(facts, columns)
    if num_bytes > FREE_BYTES and num_bytes > MAX_RATIO * num_stored:
        yield origin.at(f":{row + 1}").dropped(BOMB, f"{num_stored:,} bytes become {num_bytes:,}")
        return
    rows = max(1, min(_MAX_BATCH_ROWS, _BATCH_BYTES * facts.num_rows // max(num_bytes, 1)))
    names = columns.taken(file.schema_arrow.names)
    names += [source.prompt_field] if source.prompt_field else []
    for batch in file.iter_batches(rows, row_groups=[group], columns=names, use_threads=False):
        for record in batch.to_pylist():
            row += 1
            yield from read_record(record, origin.at(f":{row}"), columns, source, max_document_bytes)


def read_arrow(
    path: Path, origin: Origin, source: SourceFilesConfig, max_document_bytes: int
) -> Iterator[Document | Dropped]:
    """Yield the documents of an Arrow file, in the streaming or the file format; see `read_parquet`."""
    row = 0
    try:
        with pa.memory_map(str(path)) as file:
            is_file = file.read(len(_ARROW_MAGIC)) == _ARROW_MAGIC
            file.seek(0)
            reader = pa.ipc.open_file(file) if is_file else pa.ipc.open_stream(file)
            columns = _columns_of(reader.schema, origin, source)
            if isinstance(columns, Dropped):
                yield columns
                return
            names = columns.taken(reader.schema.names) + (
                [source.prompt_field] if source.prompt_field else []
            )
            batches = map(reader.get_batch, range(reader.num_record_batches)) if is_file else reader
            for batch in batches:
                chosen = batch.select(names)
                for i in range(batch.num_rows):
                    row += 1
                    record = chosen.slice(i, 1).to_pylist()[0]
                    yield from read_record(record, origin.at(f":{row}"), columns, source, max_document_bytes)
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        yield _damaged(origin, source, error)


def _columns_of(schema: pa.Schema, origin: Origin, source: SourceFilesConfig) -> Columns | Dropped:
    names = [name for field in schema for name in _names(field.name, field.type)]
    columns = find_columns(names, source)
    if columns is None:
        return fault(source, origin, NO_COLUMN, explain_missing(names, source))
    if columns.text in schema.names and pa.types.is_nested(schema.field(columns.text).type):
        held = schema.field(columns.text).type
        return fault(
            source,
            origin,
            NO_COLUMN,
            f"has no text in the column {columns.text!r}: it holds {held}. Name another one as columns.text, "
            "or set on_error: drop to pass over such files",
        )
    wanted = missing_columns(names, source.columns)
    wanted += [name for name in [source.prompt_field] if name is not None and name not in names]
    if wanted:
        return fault(
            source,
            origin,
            NO_COLUMN,
            f"has no column {', '.join(map(repr, wanted))}; it has {', '.join(names)}. Correct the names in "
            "columns, or set on_error: drop to pass over such files",
        )
    return columns


def _names(name: str, kind: pa.DataType) -> Iterator[str]:
    yield name
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        kind = kind.value_type
    if pa.types.is_struct(kind):
        for inner in kind:
            yield from _names(f"{name}.{inner.name}", inner.type)


def _text_bytes(group: Any, columns: Columns) -> tuple[int, int]:
    """Return how many bytes the text of a row group has, and how many of the file it takes."""
    name = "files" if columns.in_files else columns.text
    chunks = [group.column(i) for i in range(group.num_columns)]
    chunks = [chunk for chunk in chunks if f"{chunk.path_in_schema}.".startswith(f"{name}.")]
    return sum(chunk.total_uncompressed_size for chunk in chunks), sum(
        chunk.total_compressed_size for chunk in chunks
    )


def _damaged(origin: Origin, source: SourceFilesConfig, error: Exception) -> Dropped:
    why = " ".join(str(error).split())
    reason = UNREADABLE if isinstance(error, OSError) and error.strerror else DAMAGED
    message = f"cannot be read: {why}; restore it, or set on_error: drop to pass over such files"
    return fault(source, origin, reason, message)
