"""Read lines of JSON as documents: a whole file, compressed or not, or a range of bytes of a large one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from spanmix.corpus_configs.sources import SourceFilesConfig
from spanmix.text.dropped import UNREADABLE, Dropped
from spanmix.text.readers.columns import Columns, find_columns, names_of
from spanmix.text.readers.faults import BOMB, DAMAGED, INVALID_JSON, LONG_LINE, BombError, fault
from spanmix.text.readers.json_values import parse_value
from spanmix.text.readers.lines import bounded_lines
from spanmix.text.readers.origin import Origin
from spanmix.text.readers.records import read_record
from spanmix.text.readers.streams import ForwardStream
from spanmix.types import Document

_OTHER_FIELDS_BYTES = 1_000_000
_HEAD_BYTES = 1 << 26


def read_jsonl(
    path: Path,
    origin: Origin,
    source: SourceFilesConfig,
    max_document_bytes: int,
    start: int = 0,
    end: int | None = None,
    numbered: bool = True,
) -> Iterator[Document | Dropped]:
    """Yield the document of each line that begins in a range of bytes.

    Which field holds the text is decided once for the whole file, by its first line, so that parts of it
    agree. A document's path is its field, or ``FILE:LINE`` with lines from 1; in a file that is read in
    parts, ``FILE:@BYTE``, the place of the line.

    Args:
        path: the file, compressed if its name says so.
        origin: what it is called.
        source: which fields to take.
        max_document_bytes: longer documents are dropped. A line may be three times as long, as JSON with
            ASCII alone is, and a megabyte more for the other fields; no more of it is held.
        start, end: the range; a line that begins in front of `start` belongs to another part.
        numbered: whether lines are numbered; only for a range from 0.

    Raises:
        InputError: the file, or a line, cannot be read and the source is to stop.
    """
    max_line_bytes = 3 * max_document_bytes + _OTHER_FIELDS_BYTES
    try:
        with ForwardStream(path) as stream:
            columns = _columns_of(path, source, max_line_bytes)
            if start:
                stream.seek(start - 1)  # a line that begins at `start` has its predecessor's end in front
            lines = bounded_lines(stream.read, max_line_bytes, max(start - 1, 0), end)
            for number, (place, line) in enumerate(lines, start=1):
                if place >= start and (line is None or line.strip()):
                    at = origin.at(f":{number}" if numbered else f":@{place}")
                    yield from _read_line(line, at, columns, source, max_document_bytes)
    except BombError as error:
        yield origin.dropped(BOMB, str(error))
    except OSError as error:
        why = error.strerror or str(error)
        reason = UNREADABLE if error.strerror else DAMAGED
        yield fault(source, origin, reason, f"cannot be read: {why}; restore it, or set on_error to drop")


def _read_line(
    line: bytes | None, origin: Origin, columns: Columns, source: SourceFilesConfig, max_document_bytes: int
) -> Iterator[Document | Dropped]:
    if line is None:
        yield origin.dropped(LONG_LINE)
        return
    try:
        record = parse_value(line)
    except ValueError as error:
        yield fault(source, origin, INVALID_JSON, f"is not valid JSON: {error}")
        return
    yield from read_record(record, origin, columns, source, max_document_bytes)


def _columns_of(path: Path, source: SourceFilesConfig, max_line_bytes: int) -> Columns:
    """Decide by the first line that is an object; one that cannot be read is met again by its own part."""
    left = _HEAD_BYTES
    columns = None
    with ForwardStream(path) as stream:

        def read(size: int) -> bytes:
            nonlocal left
            data = stream.read(min(size, left))
            left -= len(data)
            return data

        try:
            for _, line in bounded_lines(read, max_line_bytes):
                if line is not None and line.strip():
                    record = parse_value(line)
                    columns = find_columns(names_of(record), source) if isinstance(record, dict) else None
                    break
        except (ValueError, OSError, BombError):
            pass
    return columns or Columns.named(source.columns.text or source.text_field, source)
