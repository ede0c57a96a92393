"""Read tar archives as documents: one a file, or WebDataset's samples of a text and its JSON."""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from spanmix.corpus_configs.sources import SourceFilesConfig
from spanmix.text.dropped import UNREADABLE, Dropped, longer_than, printable
from spanmix.text.readers.columns import Columns, Facts, facts_of, find_columns, names_of
from spanmix.text.readers.faults import (
    BOMB,
    DAMAGED,
    HARD_LINK,
    HIDDEN,
    INVALID_JSON,
    SYMBOLIC_LINK,
    BombError,
    fault,
)
from spanmix.text.readers.json_values import parse_value
from spanmix.text.readers.origin import Origin
from spanmix.text.readers.records import read_record
from spanmix.text.readers.streams import ForwardStream
from spanmix.text.readers.text_file import most_bytes, to_document
from spanmix.types import Document

_MAX_SAMPLE_FILES = 64
_ERRORS = (tarfile.TarError, OSError, ValueError, BombError)


@dataclass(frozen=True)
class _Member:
    name: str
    data: bytes
    dropped: Dropped | None = None

    @property
    def key(self) -> str:
        """What the files of a sample share: the path up to the first dot of the name."""
        folder, slash, name = self.name.rpartition("/")
        return folder + slash + name.partition(".")[0]


def read_tar(
    path: Path, origin: Origin, source: SourceFilesConfig, max_document_bytes: int
) -> Iterator[Document | Dropped]:
    """Yield the documents of a tar archive, in its order; their paths are ``ARCHIVE/NAME``.

    Hidden files are dropped, a hidden folder as one. So are symbolic links, devices and hard links: of a file
    with several names an archive has the content once, and its other names are such links. If the first
    files of the archive are a ``.json`` and others of the same name up to the first dot, it is WebDataset's:
    files of one such name are a sample, and its ``.json`` says what is known of the others (path, language,
    licence, repository, stars), or holds the text itself. A sample has at most 64 files and twice the bytes
    of the longest document.

    Args:
        path: the archive, compressed if its name says so.
        origin: what it is called.
        source: what to take.
        max_document_bytes: longer files are dropped, and not held.

    Raises:
        InputError: the archive cannot be read and the source is to stop.
    """
    reader = _Reader(path, origin, source, max_document_bytes)
    try:
        yield from reader.documents()
    except BombError as error:
        yield origin.dropped(BOMB, str(error))
    except _ERRORS as error:
        why = getattr(error, "strerror", None) or str(error)
        reason = UNREADABLE if getattr(error, "strerror", None) else DAMAGED
        message = f"cannot be read: {why}; restore it, or set on_error: drop to pass over such files"
        yield fault(source, origin, reason, message)


class _Reader:
    def __init__(
        self, path: Path, origin: Origin, source: SourceFilesConfig, max_document_bytes: int
    ) -> None:
        self._path = path
        self._origin = origin
        self._source = source
        self._max_document_bytes = max_document_bytes
        self._columns = Columns.named(source.columns.text or source.text_field, source)

    def documents(self) -> Iterator[Document | Dropped]:
        is_webdataset: bool | None = None
        sample: list[_Member] = []
        try:
            for member in self._members():
                if isinstance(member, Dropped):
                    yield member
                    continue
                if is_webdataset is False:
                    yield self._document(member, Facts())
                    continue
                if sample and (sample[0].key != member.key or self._is_full(sample)):
                    is_webdataset = is_webdataset or _is_sample(sample)
                    yield from self._sample(sample, is_webdataset)
                    sample = []
                if is_webdataset is False:
                    yield self._document(member, Facts())
                else:
                    sample.append(member)
        except _ERRORS:
            yield from self._sample(sample, is_webdataset or _is_sample(sample))
            raise
        yield from self._sample(sample, is_webdataset or _is_sample(sample))

    def _members(self) -> Iterator[_Member | Dropped]:
        hidden: set[str] = set()
        # Headers of any length are read at once: none may ask for more than a file may have.
        with ForwardStream(self._path, most_bytes(".ipynb", self._max_document_bytes) + (1 << 20)) as stream:
            archive: Any = tarfile.TarFile(fileobj=cast(Any, stream), mode="r", errorlevel=1)
            while (member := archive.next()) is not None:
                archive.members = []  # they would all be kept
                name = printable(member.name)
                if member.isdir():
                    continue
                if entry := _hidden_entry(name):
                    if entry not in hidden and not entry.endswith(".git/"):
                        yield self._place(entry).dropped(HIDDEN)
                    hidden.add(entry)
                    continue
                if reason := _no_file(member):
                    yield self._place(name).dropped(reason)
                    continue
                if member.size > most_bytes(name, self._max_document_bytes):
                    reason = longer_than(self._max_document_bytes)
                    yield _Member(name, b"", self._place(name).dropped(reason, num_bytes=member.size))
                    continue
                file = archive.extractfile(member)
                data = b"" if file is None else file.read()
                if len(data) != member.size:
                    raise tarfile.ReadError("unexpected end of data")
                yield _Member(name, data)

    def _is_full(self, sample: list[_Member]) -> bool:
        num_bytes = sum(len(member.data) for member in sample)
        return len(sample) == _MAX_SAMPLE_FILES or num_bytes > 2 * self._max_document_bytes

    def _sample(self, sample: list[_Member], is_webdataset: bool) -> Iterator[Document | Dropped]:
        if not is_webdataset:
            for member in sample:
                yield self._document(member, Facts())
            return
        about, others = None, []
        for member in sample:
            if member.name == member.key + ".json":
                about = member
            else:
                others.append(member)
        record: Any = None
        if about is not None and about.dropped is None:
            try:
                record = parse_value(about.data)
            except ValueError as error:
                place = self._place(about.name)
                yield fault(self._source, place, INVALID_JSON, f"is not valid JSON: {error}")
                if not others:
                    return
        if about is not None and about.dropped is not None:
            yield about.dropped
            about = None
        if not others and about is not None:
            columns = isinstance(record, dict) and find_columns(names_of(record), self._source)
            yield from read_record(
                record,
                self._place(about.name),
                columns or self._columns,
                self._source,
                self._max_document_bytes,
            )
            return
        facts = facts_of(record, self._columns)
        for member in others:
            yield self._document(member, facts)

    def _document(self, member: _Member, facts: Facts) -> Document | Dropped:
        if member.dropped is not None:
            return member.dropped
        # In a sample .txt may stand for any file; its own path says more.
        name = member.name.rpartition("/")[2]
        place = self._place(member.name)
        return to_document(member.data, name, place, self._source, self._max_document_bytes, facts)

    def _place(self, name: str) -> Origin:
        return self._origin.at(f"/{name.removeprefix('./')}")


def _no_file(member: tarfile.TarInfo) -> str:
    """Return why a member that is no folder is not read; ``""`` of a file."""
    if member.isfile():
        return ""
    return SYMBOLIC_LINK if member.issym() else HARD_LINK if member.islnk() else UNREADABLE


def _hidden_entry(name: str) -> str:
    """Return the hidden file or folder that a file is or lies in, or ``""``.

    >>> _hidden_entry("./a/.b/c/.d"), _hidden_entry("a/.b"), _hidden_entry("../a/b")
    ('./a/.b/', 'a/.b', '')
    """
    parts = name.split("/")
    for i, part in enumerate(parts):
        if part.startswith(".") and part not in (".", ".."):
            return "/".join(parts[: i + 1]) + "/" * (i + 1 < len(parts))
    return ""


def _is_sample(members: list[_Member]) -> bool:
    return len(members) > 1 and any(member.name == member.key + ".json" for member in members)
