"""Keep intervals none of which lies in another, as matches are found in any order.

>>> found = Staircase()
>>> [found.add(*match) for match in [(5, 9), (6, 8), (2, 7), (3, 12), (3, 12)]]
[True, False, True, True, False]
>>> list(found)
[(2, 7), (3, 12)]
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator


class Staircase:
    """Intervals by their start; their ends rise too."""

    def __init__(self) -> None:
        self._starts: list[int] = []
        self._ends: list[int] = []

    def reach(self, start: int) -> int:
        """Return the end of the furthest interval that begins at `start` or before it, or 0."""
        number = bisect_right(self._starts, start)
        return self._ends[number - 1] if number else 0

    def add(self, start: int, end: int) -> bool:
        """Add an interval unless it lies in one that is there, and drop those that lie in it."""
        if self.reach(start) >= end:
            return False
        first = bisect_left(self._starts, start)
        last = bisect_right(self._ends, end)
        self._starts[first:last] = [start]
        self._ends[first:last] = [end]
        return True

    def since(self, start: int) -> list[tuple[int, int]]:
        """Return the intervals that begin at `start` or behind it."""
        first = bisect_left(self._starts, start)
        return list(zip(self._starts[first:], self._ends[first:], strict=True))

    def __iter__(self) -> Iterator[tuple[int, int]]:
        return zip(list(self._starts), list(self._ends), strict=True)

    def __len__(self) -> int:
        return len(self._starts)
