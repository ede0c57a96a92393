"""Count where a match stands in a shard, and say which documents, files and lines those places are."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from spanmix.text.document_files import DocumentFile
from spanmix.text.trace.matches import FilePlace
from spanmix.text.trace.search import Deadline
from spanmix.text.trace.shard import Int64Array, Query, Shard

_BLOCK = 1 << 16


def places(shard: Shard, query: Query, start: int, end: int, deadline: Deadline) -> Iterator[Int64Array]:
    """Yield, in blocks and in no order, the positions of a shard's text at which a part of the query stands.

    Args:
        shard: to look in.
        query: the text.
        start, end: bytes of the part, at least as many as the index's `shortest_bytes`.
        deadline: when to stop.

    Raises:
        OutOfTimeError: `deadline` has passed.
    """
    offset = query.anchor(start)
    before = offset - start
    deadline.check()
    low = shard.bound(query, offset, end - offset, above=False)
    high = shard.bound(query, offset, end - offset, above=True)
    for first in range(low, high, _BLOCK):
        deadline.check()
        found = shard.positions[first : min(first + _BLOCK, high)].astype(np.int64)
        yield found[shard.common_before(query, offset, found, before) == before] - before


def smallest(blocks: Iterator[Int64Array], most: int) -> Iterator[tuple[int, Int64Array]]:
    """Yield after each block how many positions there were so far, and the `most` smallest, rising."""
    number = 0
    kept = np.zeros(0, np.int64)
    for block in blocks:
        number += len(block)
        merged = np.concatenate([kept, block])
        if len(merged) > most:
            merged = np.partition(merged, most - 1)[:most] if most else merged[:0]
        kept = np.sort(merged)
        yield number, kept


def document_at(shard: Shard, position: int) -> tuple[int, int]:
    """Return the document that a position in a shard's text is of, and the byte of the document there."""
    number = int(np.searchsorted(shard.starts, position, side="right")) - 1
    return shard.record.first_document + number, position - int(shard.starts[number])


def file_place(shard: Shard, document: int, file: DocumentFile, start: int, end: int) -> FilePlace:
    """Say which part of a match lies in one of the files that it stands in.

    Args:
        shard: holds the document.
        document: its number.
        file: one of the document.
        start, end: bytes of the document that match.
    """
    first, last = max(start, file.start), min(end, file.end)
    if first >= last:
        return FilePlace(file.path, file.repository, file.licence, file.language, 0, 0, 0)
    before = int(shard.starts[document - shard.record.first_document])
    lines = shard.text[before + file.start : before + first] == ord("\n")
    return FilePlace(
        path=file.path,
        repository=file.repository,
        licence=file.licence,
        language=file.language,
        line=1 + int(np.count_nonzero(lines)),
        start=first - file.start,
        num_bytes=last - first,
    )
