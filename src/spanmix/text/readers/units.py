"""Cut a source into units, which are read by themselves: files, and parts of large files."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from spanmix.corpus_configs.sources import SourceFilesConfig
from spanmix.errors import InputError
from spanmix.text.dropped import Dropped, printable
from spanmix.text.readers.files import SourceFile, list_files, size_and_change
from spanmix.text.readers.formats import ARROW, FILE, JSONL, PARQUET, TAR, TOKENS, compression_of
from spanmix.text.readers.jsonl import read_jsonl
from spanmix.text.readers.origin import Origin
from spanmix.text.readers.tables import read_arrow, read_parquet, split_parquet
from spanmix.text.readers.text_file import read_file
from spanmix.text.source_tokenizer import SourceTokenizer
from spanmix.text.token_files import read_token_file
from spanmix.types import Document

UNIT_BYTES = 32_000_000
"""About how many bytes of text a part of a large file has; a smaller file is never cut."""
JSONL_PART = "jsonl part"

_EXPANSION = {JSONL: 4, TAR: 4}


@dataclass(frozen=True)
class FileStamp:
    """A file of a unit as it was listed: path, size in bytes, time of change, and whether it lies beside the
    one that is read."""

    path: str
    num_bytes: int
    changed_ns: int
    raw_path: str = ""
    is_beside: bool = True

    @property
    def file(self) -> Path:
        """Where it is on disk."""
        return _path_of(self.path, self.raw_path)


@dataclass(frozen=True)
class Unit:
    """Something to read by itself: it can be kept as JSON and read in another process, in any order.

    Args:
        origin: the file, and what it is called.
        kind: how it is read; see `spanmix.text.readers.formats`, and `JSONL_PART`.
        num_bytes: bytes of text to expect, as far as that is known without reading.
        size: bytes of the whole file on disk.
        changed_ns: its time of change, in nanoseconds.
        start, end: of a `JSONL_PART` the bytes whose lines are read, of Parquet the row groups; 0 otherwise.
        beside: the files that it is read with.
        raw_path: the bytes of its path in hex, if they are not UTF-8; then ``origin.file`` only shows it.
    """

    origin: Origin
    kind: str
    num_bytes: int
    size: int
    changed_ns: int
    start: int = 0
    end: int = 0
    beside: tuple[FileStamp, ...] = ()
    raw_path: str = ""

    @property
    def file(self) -> Path:
        """Where it is on disk."""
        return _path_of(self.origin.file, self.raw_path)


def list_units(
    source: SourceFilesConfig, out: Path | None = None, unit_bytes: int = UNIT_BYTES
) -> Iterator[Unit | Dropped]:
    """Yield the units of a source in reading order; only of Parquet is anything read, where its rows lie.

    Large files of lines of JSON, and Parquet files of several row groups, give several units. All others are
    one, since what is compressed or archived has to be read from its start.

    Args:
        source: where to look.
        out: the corpus that is made of it, see `list_files`.
        unit_bytes: about how many bytes of text a part has.

    Raises:
        InputError: as `list_files`; a Parquet file is damaged or has no text, and the source is to stop.
    """
    for item in list_files(source, out):
        if isinstance(item, Dropped):
            yield item
        elif item.kind == JSONL and not compression_of(item.path.name) and item.num_bytes > unit_bytes:
            for start in range(0, item.num_bytes, unit_bytes):
                end = min(start + unit_bytes, item.num_bytes)
                yield _unit(item, JSONL_PART, end - start, start, end)
        elif item.kind == PARQUET:
            for part in split_parquet(item.path, item.origin, source, unit_bytes):
                yield part if isinstance(part, Dropped) else _unit(item, PARQUET, part[2], *part[:2])
        else:
            expansion = _EXPANSION.get(item.kind, 1) if compression_of(item.path.name) else 1
            yield _unit(item, item.kind, item.num_bytes * expansion)


def read_unit(unit: Unit, source: SourceFilesConfig, max_document_bytes: int) -> Iterator[Document | Dropped]:
    """Yield what a unit holds; the units of a source, one after the other, give what `read_source` gives.

    Args:
        unit: of `list_units`.
        source: the source that it was listed for.
        max_document_bytes: longer documents are dropped.

    Raises:
        InputError: a file, line or row cannot be read and the source is to stop.
    """
    path, origin = unit.file, unit.origin
    if unit.kind == TOKENS or source.tokenizer is not None:
        yield from _read_tokens(path, origin, source, max_document_bytes)
    elif unit.kind == JSONL:
        yield from read_jsonl(path, origin, source, max_document_bytes)
    elif unit.kind == JSONL_PART:
        yield from read_jsonl(path, origin, source, max_document_bytes, unit.start, unit.end, numbered=False)
    elif unit.kind == PARQUET:
        yield from read_parquet(path, origin, source, max_document_bytes, unit.start, unit.end)
    elif unit.kind == ARROW:
        yield from read_arrow(path, origin, source, max_document_bytes)
    elif source.prompt_field is not None:
        raise InputError(
            f"source {source.name}: {origin.file} is no .jsonl file of corpus.sources.paths, so it has no "
            f"field {source.prompt_field!r}; leave out prompt_field, or name .jsonl files alone"
        )
    elif unit.kind == TAR:
        from spanmix.text.readers.archive import read_tar  # tarfile takes long to import

        yield from read_tar(path, origin, source, max_document_bytes)
    else:
        assert unit.kind == FILE, f"unknown kind of unit: {unit.kind}"
        yield read_file(path, origin, source, max_document_bytes)


def files_of(unit: Unit) -> tuple[FileStamp, ...]:
    """Return the file of a unit, and those beside it."""
    own = FileStamp(unit.origin.file, unit.size, unit.changed_ns, unit.raw_path, is_beside=False)
    return (own, *unit.beside)


def changed(unit: Unit) -> bool:
    """Return whether the file of a unit, or one beside it, is not what it was when it was listed."""
    return any(size_and_change(one.file) != (one.num_bytes, one.changed_ns) for one in files_of(unit))


def _read_tokens(
    path: Path, origin: Origin, source: SourceFilesConfig, max_document_bytes: int
) -> Iterator[Document | Dropped]:
    assert source.tokenizer is not None, "tokenized files are listed for sources with a tokenizer"
    if source.prompt_field is not None:
        raise InputError(
            f"source {source.name}: tokenized files have no field {source.prompt_field!r}; leave out "
            "prompt_field, or tokenizer"
        )
    tokenizer = SourceTokenizer.load(source.tokenizer)
    yield from read_token_file(path, origin, source.name, tokenizer, max_document_bytes)


def _unit(file: SourceFile, kind: str, num_bytes: int, start: int = 0, end: int = 0) -> Unit:
    beside = tuple(
        FileStamp(*_shown(part.path)[:1], part.num_bytes, part.changed_ns, _shown(part.path)[1])
        for part in file.beside
    )
    _, raw_path = _shown(file.path)
    return Unit(file.origin, kind, num_bytes, file.num_bytes, file.changed_ns, start, end, beside, raw_path)


def _shown(path: Path) -> tuple[str, str]:
    """Return a path as it is shown, and its bytes in hex if that is another one."""
    name = str(path)
    shown = printable(name)
    return shown, "" if shown == name else os.fsencode(name).hex()


def _path_of(path: str, raw_path: str) -> Path:
    return Path(os.fsdecode(bytes.fromhex(raw_path)) if raw_path else path)
