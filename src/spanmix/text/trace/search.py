"""Find the longest matches of a query in shard after shard: those that lie in no other match.

A match of at least w + k - 1 bytes has the position that its first window chooses sampled, in the query as
in the document (see `spanmix.text.trace.sampling`). So for each sampled position p of the query, a shard
tells which suffixes begin with the bytes from p on, the longest first, and of each how many bytes in front
of p are equal too::

    query        ...e f | x = compute(total) + 1 ...        p is at the bar; the best match in front of it
    suffix 1     ...e f | x = compute(total) - 2            ends here: everything that ends before it lies
    suffix 2     ...y f | x = compute(total) + 1 ...        in it if it begins within w - 1 bytes of p

Most positions end there: either nothing long enough begins at them, or what does lies in a match that is
known. Inside of a match known to be long, positions are halved to find the first from which a match leads
further. Where the query repeats itself, what was found in one period is copied to the next ones.
"""

from __future__ import annotations

import time
from bisect import bisect_left, bisect_right

import numpy as np

from spanmix.text.trace.repeats import Agreement
from spanmix.text.trace.shard import Int64Array, Query, Shard
from spanmix.text.trace.staircase import Staircase

_FIRST_BYTES = 64
_OFFSETS_AT_ONCE = 1 << 14
_FIRST_BLOCK = 2
_FIRST_SHORT_BLOCK = 32
"""Where the longest match is short many suffixes share as much, and a few more cost nothing."""
_LAST_BLOCK = 1 << 14


class OutOfTimeError(Exception):
    """The time that a search was given is over; what was found until then stands."""


class Deadline:
    """A moment after which a search stops.

    Args:
        seconds: from now on; None never stops.
    """

    def __init__(self, seconds: float | None) -> None:
        self._end = None if seconds is None else time.monotonic() + seconds

    def check(self) -> None:
        """Raise `OutOfTimeError` once it has passed."""
        if self._end is not None and time.monotonic() > self._end:
            raise OutOfTimeError


def find_matches(shard: Shard, query: Query, least: int, found: Staircase, deadline: Deadline) -> None:
    """Add the longest matches of a query in one shard to what was found in others.

    Args:
        shard: to look in.
        query: what is looked up.
        least: bytes of the shortest match, at least the index's `shortest_bytes`.
        found: start and end of each match, in bytes of the query.
        deadline: when to stop.

    Raises:
        OutOfTimeError: `deadline` has passed; `found` holds what was found until then.
    """
    agreement = Agreement(query.text)
    for start in range(0, len(query.positions), _OFFSETS_AT_ONCE):
        deadline.check()
        part = slice(start, start + _OFFSETS_AT_ONCE)
        _Pass(shard, query, part, least, found, deadline, agreement).run()


class _Pass:
    """The sampled positions of a query, or a part of them, against one shard."""

    def __init__(
        self,
        shard: Shard,
        query: Query,
        part: slice,
        least: int,
        found: Staircase,
        deadline: Deadline,
        agreement: Agreement,
    ) -> None:
        self._shard, self._query, self._least = shard, query, least
        self._found, self._deadline, self._agreement = found, deadline, agreement
        self._own = Staircase()
        """Those of this pass, without those that lie in one of another shard."""
        self._seen: dict[bytes, int] = {}
        """The last position with the same bytes around it."""
        self._most = max(_FIRST_BYTES, -(-least // 8) * 8)
        offsets, before = query.positions[part], query.before[part]
        low, longest = shard.first_not_below(query, offsets, self._most)
        kept = np.flatnonzero(longest + before >= least)
        self._offsets: list[int] = offsets[kept].tolist()
        self._low: list[int] = low[kept].tolist()
        self._longest: list[int] = longest[kept].tolist()
        self._before: list[int] = before[kept].tolist()

    def run(self) -> None:
        number = 0
        while number < len(self._offsets):
            beyond = self._repeat(number)
            if beyond > number:
                number = beyond
                continue
            offset, longest, before = self._offsets[number], self._longest[number], self._before[number]
            reach = self._found.reach(offset - before)
            if offset + longest > reach:
                self._examine(number, max(reach - offset + 1, self._least - before, 1))
                number += 1
            elif longest < self._most:
                number += 1  # the longest match from here lies in one that is known
            else:
                number = self._first_beyond(number, reach)

    def _repeat(self, number: int) -> int:
        """Copy what was found as long as the query goes on in the way it came; return what is next to do.

        Let the bytes from one in front of what position p may have in front of it to before `end` be those
        `distance` bytes further in front. All matches that belong to positions before p are known. If none of
        them reaches as far as `end` less `distance`, then those of the next `distance` bytes' positions are
        those of the last ones, moved: they have the same bytes, and the same next to them at both ends.
        """
        offset, before = self._offsets[number], self._before[number]
        start = offset - before - 1
        if start < 0:
            return number
        around = self._query.text[start : offset + self._most]
        distance = offset - self._seen.get(around, offset)
        self._seen[around] = offset
        if not 0 < distance <= start:
            return number
        end = self._agreement.until(start, distance)
        while offset + self._most <= end and self._found.reach(offset - 1) + distance < end:
            self._deadline.check()
            for first, last in self._own.since(offset - before - distance):
                self._add(first + distance, last + distance)
            offset += distance
        return bisect_left(self._offsets, offset, lo=number)

    def _first_beyond(self, number: int, reach: int) -> int:
        """Return the next position from which a match may lead beyond `reach`, or the next near it.

        If a match leads beyond it from one position, it does so from the next one: the document has sampled
        the first for a window in which nothing in front of it is smaller, so the window that chooses the next
        one in the query chooses it in the document too. So it is enough to halve.
        """
        last = bisect_right(self._offsets, reach - self._most, lo=number)
        low, high = number, last
        while low < high:
            middle = (low + high) // 2
            low, high = (low, middle) if self._leads_beyond(middle, reach) else (middle + 1, high)
        if low < last:
            self._examine(low, reach - self._offsets[low] + 1)
            low += 1
        return low

    def _leads_beyond(self, number: int, reach: int) -> bool:
        self._deadline.check()
        offset = self._offsets[number]
        length = reach + 1 - offset
        if self._longest[number] < self._most or offset + length > len(self._query):
            return False
        low = self._shard.bound(self._query, offset, length, above=False)
        return self._is_at(low, offset, length)

    def _is_at(self, suffix: int, offset: int, length: int) -> bool:
        if suffix >= len(self._shard.positions):
            return False
        position = self._shard.positions[suffix : suffix + 1].astype(np.int64)
        return int(self._shard.common(self._query, np.array([offset]), position, length)[0]) == length

    def _examine(self, number: int, least: int) -> None:
        """Add the matches around one position whose part behind it has at least `least` bytes.

        Going away from where the query belongs, on either side, suffixes share less and less of what is
        behind the position. So of each side only those count that share more in front of it than all before
        them.
        """
        offset, low = self._offsets[number], self._low[number]
        length = len(self._query) - offset
        block = _FIRST_SHORT_BLOCK
        if self._longest[number] == self._most:
            block = _FIRST_BLOCK
            low = self._shard.bound(self._query, offset, length, above=False)
        sides = [_Side(low - 1, -1, length), _Side(low, 1, length)]
        while sides:
            self._deadline.check()
            for side in list(sides):
                suffixes = side.take(block, len(self._shard.positions))
                if not suffixes.size or side.limit < least:
                    sides.remove(side)
                    continue
                least = max(least, self._add_rises(side, suffixes, number))
            block = min(4 * block, _LAST_BLOCK)

    def _add_rises(self, side: _Side, suffixes: Int64Array, number: int) -> int:
        """Add the matches of the next suffixes of a side; return what others have to share behind it."""
        offset, before = self._offsets[number], self._before[number]
        positions = self._shard.positions[suffixes].astype(np.int64)
        in_front = self._shard.common_before(self._query, offset, positions, before)
        best = np.maximum.accumulate(np.append(side.in_front, in_front))
        rises = np.flatnonzero(best[1:] > best[:-1])
        rows = np.append(rises, len(positions) - 1)
        behind = self._shard.common(
            self._query, np.full(len(rows), offset), positions[rows], side.limit
        ).tolist()
        for row, shared in zip(rises.tolist(), behind, strict=False):
            if in_front[row] + shared >= self._least:
                self._add(offset - int(in_front[row]), offset + shared)
        side.in_front, side.limit = int(best[-1]), behind[-1]
        if side.in_front < before:
            return 0
        # The first one that shares all in front: only a longer one behind may begin earlier or end later.
        return 1 + (behind[len(rises) - 1] if len(rises) else side.limit)

    def _add(self, start: int, end: int) -> None:
        if self._found.add(start, end):
            self._own.add(start, end)


class _Side:
    """The suffixes on one side of where a query belongs, the nearest first.

    Args:
        first: the nearest.
        step: 1 for those behind it, -1 for those in front.
        limit: bytes that the next one can share with the query at most.
    """

    def __init__(self, first: int, step: int, limit: int) -> None:
        self._next, self._step, self.limit = first, step, limit
        self.in_front = -1
        """The most bytes that any so far shares in front of the position; -1 before the first."""

    def take(self, number: int, num_suffixes: int) -> Int64Array:
        """Return the next suffixes, fewer at the end."""
        suffixes = self._next + self._step * np.arange(number)
        suffixes = suffixes[(suffixes >= 0) & (suffixes < num_suffixes)]
        self._next += self._step * len(suffixes)
        return suffixes
