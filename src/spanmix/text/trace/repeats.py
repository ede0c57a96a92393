"""Tell where a text goes on as it did some bytes before, so that a pattern is looked up once.

A text of 5,000 blanks has a match from each of its positions, if the longest run of a document has fewer.
They are one match that comes again at every byte:

>>> grouped(Agreement(b"x" * 9), [(0, 5), (1, 6), (2, 7), (3, 8), (4, 9)])
[Repeated(start=0, end=5, number=5, last_end=9)]
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

_FIRST_BYTES = 64
_MOST_DISTANCES = 4096


class Repeated(NamedTuple):
    """A match that comes `number` times, at the same distance each time, and the last one ends at `last_end`.

    From the second on, each begins in the one before it or at its end, and holds the same bytes.
    """

    start: int
    end: int
    number: int
    last_end: int


class Agreement:
    """Compares a text with itself moved; what was compared once is remembered, so a long run is read once.

    Args:
        text: any bytes.
    """

    def __init__(self, text: bytes) -> None:
        self._text = text
        self._known: dict[int, tuple[int, int]] = {}

    def until(self, start: int, distance: int) -> int:
        """Return the first byte from `start` on that is another one than that `distance` in front of it.

        Returns the text's length if none is; `start` is at least `distance`, which is above 0.

        >>> Agreement(b"abcabcabd").until(3, 3)
        8
        """
        first, end = self._known.get(distance, (0, -1))
        if not first <= start <= end:
            if len(self._known) >= _MOST_DISTANCES:
                self._known.clear()
            end = self._compare(start, distance)
            self._known[distance] = (start, end)
        return end

    def _compare(self, start: int, distance: int) -> int:
        text = self._text
        width = _FIRST_BYTES
        while start < len(text):
            mine, theirs = text[start : start + width], text[start - distance : start - distance + width]
            if mine != theirs[: len(mine)]:
                different = int.from_bytes(mine, "big") ^ int.from_bytes(theirs[: len(mine)], "big")
                return start + len(mine) - (different.bit_length() + 7) // 8
            start += len(mine)
            width *= 2
        return start


def grouped(agreement: Agreement, spans: Iterable[tuple[int, int]]) -> list[Repeated]:
    """Make one of matches that hold the same bytes, come at one distance, and overlap or touch.

    Args:
        agreement: of the text.
        spans: start and end of each match; both rise.
    """
    found: list[Repeated] = []
    distance = 0
    for start, end in spans:
        if found:
            last = found[-1]
            length = last.end - last.start
            moved = end - last.last_end
            follows = end - start == length and moved <= length and distance in (0, moved)
            if follows and agreement.until(start, moved) >= end:
                found[-1] = last._replace(number=last.number + 1, last_end=end)
                distance = moved
                continue
        found.append(Repeated(start, end, 1, end))
        distance = 0
    return found
