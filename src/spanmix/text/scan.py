"""Read all sources once to learn what is in them, and again, document by document, as it was then."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from spanmix.config import CorpusConfig, SourceFilesConfig
from spanmix.errors import InputError
from spanmix.text.dropped import Dropped
from spanmix.text.near_copies import NearCopies
from spanmix.text.readers import read_source
from spanmix.text.split import held_out_documents
from spanmix.types import Document

EXACT_COPY = "exact copy"


@dataclass
class Entry:
    """What is remembered of a document between two readings.

    Args:
        source: position of its source in the configuration.
        content_hash: SHA-256 of its bytes.
        num_bytes: length in UTF-8.
        is_copy: an earlier document, of any source, has the same bytes.
        is_held_out: it is not for training.
    """

    source: int
    content_hash: bytes
    num_bytes: int
    is_copy: bool
    is_held_out: bool = False

    @property
    def key(self) -> int:
        """63 bits of the content hash: the document's id in random draws."""
        return int.from_bytes(self.content_hash[:8], "little") >> 1


class Scan:
    """All documents of all sources, in reading order, with the side that each belongs to.

    Args:
        config: the sources and the share to hold out; the folder at its `path` is not read.
        advance: called with the bytes of each document that was read.

    Raises:
        InputError: a source is missing or has no text; what was dropped is counted by reason.
    """

    def __init__(self, config: CorpusConfig, advance: Callable[[int], None]) -> None:
        self.sources = config.sources
        self._max_document_bytes = config.max_document_bytes
        self._out = Path(config.path)
        self.entries: list[Entry] = []
        self.dropped: dict[str, Counter[str]] = {}
        self._bounds = [0]
        near_copies = NearCopies()
        seen: set[bytes] = set()
        for number in range(len(self.sources)):
            self._read(number, seen, near_copies, advance)
            self._bounds.append(len(self.entries))
        kept = [entry for entry in self.entries if not entry.is_copy]
        held_out = held_out_documents(
            [entry.key for entry in kept],
            [entry.source for entry in kept],
            near_copies.groups(),
            config.held_out_share,
            config.seed,
        )
        for entry, is_held_out in zip(kept, held_out.tolist(), strict=True):
            entry.is_held_out = is_held_out

    def documents(self, source: SourceFilesConfig) -> Iterator[tuple[int, Document, Entry]]:
        """Read a source again and yield its documents, exact copies left out, with their places in `entries`.

        Raises:
            InputError: a document is not what it was when it was first read.
        """
        number = self.sources.index(source)
        i, end = self._bounds[number : number + 2]
        for item in read_source(source, self._max_document_bytes, self._out):
            if isinstance(item, Dropped):
                continue
            if i == end or hashlib.sha256(item.text.encode()).digest() != self.entries[i].content_hash:
                raise InputError(f"source {source.name}: {item.path} changed while it was read; start again")
            if not self.entries[i].is_copy:
                yield i, item, self.entries[i]
            i += 1
        if i != end:
            raise InputError(
                f"source {source.name}: {end - i} documents vanished while it was read; start again"
            )

    def _read(
        self, number: int, seen: set[bytes], near_copies: NearCopies, advance: Callable[[int], None]
    ) -> None:
        source = self.sources[number]
        dropped = self.dropped[source.name] = Counter()
        first_dropped: dict[str, str] = {}
        num_kept = 0
        for item in read_source(source, self._max_document_bytes, self._out):
            if isinstance(item, Dropped):
                dropped[item.reason] += 1
                first_dropped.setdefault(item.reason, item.path)
                continue
            data = item.text.encode()
            content_hash = hashlib.sha256(data).digest()
            is_copy = content_hash in seen
            if is_copy:
                dropped[EXACT_COPY] += 1
                first_dropped.setdefault(EXACT_COPY, item.path)
            else:
                seen.add(content_hash)
                near_copies.add(data)
                num_kept += 1
            self.entries.append(Entry(number, content_hash, len(data), is_copy))
            advance(len(data))
        if not num_kept:
            counts = ", ".join(
                f"{count} {reason} (first {first_dropped[reason]})"
                for reason, count in sorted(dropped.items())
            )
            where = ", ".join(source.paths) or "no paths"
            wanted = "no file" if source.tokenizer is None else "no .ds file, and no .bin that has an .idx,"
            why = f"dropped {counts}" if counts else f"{wanted} was found"
            raise InputError(f"source {source.name} ({where}) has no text: {why}")
