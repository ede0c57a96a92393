"""Watch a text that is being written for parts that stand word for word in the training documents.

A server that withholds long copies asks before it sends each piece. Only what a match that ends in the new
piece needs to hold is looked up, so a piece costs the same however long the text is.
"""

from __future__ import annotations

import dataclasses

from spanmix.errors import InputError
from spanmix.text.trace.index import TraceIndex
from spanmix.text.trace.matches import Match

_MORE_BYTES = 2
"""A copy in whole characters may have up to three bytes too many, and one of all is in the new piece."""


class VerbatimGuard:
    """One text as it grows; not to be shared between threads, though its index may be.

    Args:
        index: of the corpus.
        most_bytes: UTF-8 bytes of the longest copy that is let through; at least the index's `shortest_bytes`
            less one.
        seconds: time for each piece; None is all that it takes. A piece that was not searched to its end may
            complete a copy that is not named; `is_complete` is then False, and a server that rather withholds
            too much stops there.

    Raises:
        InputError: `most_bytes` is less than the index can watch, or `seconds` is not above 0.
    """

    def __init__(self, index: TraceIndex, most_bytes: int, seconds: float | None = None) -> None:
        if most_bytes < index.shortest_bytes - 1:
            raise InputError(
                f"copies of more than {most_bytes} bytes are to be withheld, and this index finds those of "
                f"{index.shortest_bytes} and more; allow {index.shortest_bytes - 1}, or build it again with "
                f"`spanmix trace --corpus {index.corpus} --build --shortest-bytes {max(1, most_bytes + 1)}`"
            )
        if seconds is not None and not seconds > 0:
            raise InputError(f"seconds is {seconds}; use a number above 0, or None for no limit")
        self._index = index
        self._least = most_bytes + 1
        self._seconds = seconds
        self._tail = ""
        self._bytes_before = 0
        self._characters_before = 0
        self.is_complete = True
        """Whether every piece so far was searched to its end."""

    def add(self, piece: str) -> Match | None:
        """Append whole characters; return a match of more than `most_bytes` bytes that ends in them, if
        there is one.

        The match is the longest in what was looked up, and may begin further in front in truth: its start is
        the earliest at which a copy of one byte too many ends in this piece. Bytes and characters are counted
        from the beginning of the whole text.
        """
        text = self._tail + piece
        tail_bytes = len(self._tail.encode())
        match, is_complete = self._index.longest_match(text, self._least, self._seconds, behind=tail_bytes)
        self.is_complete &= is_complete
        before = (self._bytes_before, self._characters_before)
        self._keep(text)
        return match and dataclasses.replace(
            match,
            start=match.start + before[0],
            end=match.end + before[0],
            start_character=match.start_character + before[1],
            end_character=match.end_character + before[1],
            last_end=match.last_end + before[0],
            last_end_character=match.last_end_character + before[1],
        )

    def _keep(self, text: str) -> None:
        """Keep the last characters, as far as a match of one byte too many that ends behind them reaches."""
        kept = text.encode()[-(self._least + _MORE_BYTES) :]
        first = next((i for i, byte in enumerate(kept) if byte & 0xC0 != 0x80), len(kept))
        tail = kept[first:].decode()
        self._bytes_before += len(text.encode()) - len(kept) + first
        self._characters_before += len(text) - len(tail)
        self._tail = tail
