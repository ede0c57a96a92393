"""Find where a text stands among the sorted suffixes of one shard, which is mapped from the disk.

The text that is looked up is a `Query`; it ends in a byte that no document holds, so comparing stops there by
itself. Bytes are compared eight at a time, as big-endian numbers, for many positions at once.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from spanmix.text.token_store import map_numbers
from spanmix.text.trace.layout import FIRST_FOREIGN, KEY_EVERY, IndexSettings, ShardRecord, shard_file
from spanmix.text.trace.sampling import ByteArray, WordArray, gram_hashes, window_choices

Int64Array = NDArray[np.int64]

_END = 0xFE
"""Ends a query: neither in UTF-8 text nor a separator."""
_ENDS = bytes(i if i < FIRST_FOREIGN else _END for i in range(256))
_MOST_WORDS = 1 << 18
_THRESHOLDS = np.array([1 << (8 * i) for i in range(8)], np.uint64)


class Query:
    """A text that is looked up.

    Args:
        text: its UTF-8 bytes; others that UTF-8 does not have are equal to none of a document.
        settings: of the index.
    """

    def __init__(self, text: bytes, settings: IndexSettings) -> None:
        self.text = text.translate(_ENDS)
        self.bytes = np.frombuffer(self.text + bytes([_END]) * 16, np.uint8)
        self.words = _words(self.bytes).astype(np.uint64)
        hashes = gram_hashes(self.bytes[: len(text)], settings.gram_bytes)
        self._choices = window_choices(hashes, settings.window)
        self.positions, first_windows = np.unique(self._choices, return_index=True)
        """Those that are sampled in every document that shares the bytes around them: int64 [P], rising."""
        self.before = self.positions - first_windows
        """Bytes in front of each at which a match may begin that has no earlier one of them: int64 [P]."""

    def __len__(self) -> int:
        return len(self.text)

    def anchor(self, start: int) -> int:
        """Return the first sampled position at or behind `start`, of a match that begins there."""
        return int(self._choices[start])


class Shard:
    """One shard; reading it changes nothing, so any number of threads may.

    Args:
        folder: of the index.
        number: of the shard.
        record: what its files hold.
    """

    def __init__(self, folder: Path, number: int, record: ShardRecord) -> None:
        self.record = record
        self.text: ByteArray = map_numbers(shard_file(folder, number, "text"), np.uint8)
        self.positions: NDArray[np.uint32] = map_numbers(shard_file(folder, number, "positions"), "<u4")
        self.starts: NDArray[np.uint32] = map_numbers(shard_file(folder, number, "starts"), "<u4")
        self._keys: WordArray = map_numbers(shard_file(folder, number, "keys"), "<u8")
        self._words = _words(self.text)

    def first_not_below(self, query: Query, offsets: Int64Array, most: int) -> tuple[Int64Array, Int64Array]:
        """Return where the query from each offset on belongs, and how many bytes the best one shares.

        Args:
            query: what is looked up.
            offsets: int64 [N], positions in it.
            most: bytes to compare, a multiple of 8.

        Returns:
            int64 [N], the first suffix that is not below the query's bytes, of which `most` are looked at;
            and int64 [N], the longest common beginning of any suffix with them, at most `most`.
        """
        low, high = self._between_keys(query.words[offsets])
        below, above = np.zeros_like(low), np.zeros_like(low)  # bytes shared with the suffixes at both ends
        while (open_ := np.flatnonzero(low < high)).size:
            middle = (low[open_] + high[open_]) >> 1
            found = self.positions[middle].astype(np.int64)
            known = np.minimum(below[open_], above[open_])
            shared = self.common(query, offsets[open_], found, most, known)
            at = np.minimum(shared, most - 1)
            is_below = (shared < most) & (self.text[found + at] < query.bytes[offsets[open_] + at])
            low[open_[is_below]] = middle[is_below] + 1
            below[open_[is_below]] = shared[is_below]
            high[open_[~is_below]] = middle[~is_below]
            above[open_[~is_below]] = shared[~is_below]
        longest = np.maximum(below, above)
        # Where the search began at an end of its range, that suffix was not looked at.
        for neighbor, shared_there in ((low - 1, below), (low, above)):
            unseen = (shared_there == 0) & (neighbor >= 0) & (neighbor < len(self.positions))
            inside = np.flatnonzero(unseen)
            found = self.positions[neighbor[inside]].astype(np.int64)
            shared = self.common(query, offsets[inside], found, most)
            longest[inside] = np.maximum(longest[inside], shared)
        return low, longest

    def bound(self, query: Query, offset: int, length: int, above: bool) -> int:
        """Return the first suffix that is not below `length` bytes of the query, or is above them.

        Args:
            query: what is looked up.
            offset: where the bytes begin in it.
            length: how many; no more than there are.
            above: pass over the suffixes that begin with these bytes too.
        """
        (low,), (high,) = (found.tolist() for found in self._between_keys(query.words[offset : offset + 1]))
        if length < 8:
            low, high = 0, len(self.positions)
        while low < high:
            middle = (low + high) >> 1
            position = int(self.positions[middle])
            shared = self._common_of_one(query, offset, position, length)
            if shared == length:
                is_below = above
            else:
                is_below = self.text[position + shared] < query.bytes[offset + shared]
            low, high = (middle + 1, high) if is_below else (low, middle)
        return int(low)

    def common(
        self,
        query: Query,
        offsets: Int64Array,
        positions: Int64Array,
        most: int,
        known: Int64Array | None = None,
    ) -> Int64Array:
        """Return how many bytes, up to `most`, are equal from each offset and each position on: int64 [N].

        Args:
            query: the text.
            offsets, positions: int64 [N], in the query and in the shard's text.
            most: bytes to compare.
            known: int64 [N], how many are known to be equal; none if not given.
        """
        shared = np.zeros(len(positions), np.int64) if known is None else known.copy()
        active = np.arange(len(positions))
        width = 1
        while active.size:
            num_equal, rest = self._equal_words(
                query, offsets[active] + shared[active], positions[active] + shared[active], width
            )
            ended = rest != 0
            shared[active] += 8 * num_equal
            last = np.searchsorted(_THRESHOLDS, rest[ended], side="right")
            shared[active[ended]] += 8 - last
            active = active[~ended]
            active = active[shared[active] < most]
            width = max(1, min(2 * width, _MOST_WORDS // max(1, active.size)))
        return np.minimum(shared, most)

    def _equal_words(
        self, query: Query, offsets: Int64Array, positions: Int64Array, width: int
    ) -> tuple[Int64Array, WordArray]:
        """Return how many of `width` words are equal, and the bits in which the next differs, 0 if none."""
        if width == 1:
            different = query.words[offsets] ^ self._words[positions]
            return (different == 0).astype(np.int64), different
        steps = 8 * np.arange(width)
        mine = query.words[np.minimum(offsets[:, None] + steps, len(query.words) - 1)]
        theirs = self._words[np.minimum(positions[:, None] + steps, len(self._words) - 1)]
        different = mine ^ theirs
        is_equal = different == 0
        num_equal = np.where(is_equal.all(axis=1), width, is_equal.argmin(axis=1))
        at = np.minimum(num_equal, width - 1)
        return num_equal, different[np.arange(len(at)), at]

    def common_before(self, query: Query, offset: int, positions: Int64Array, most: int) -> Int64Array:
        """Return how many bytes, up to `most`, are equal in front of an offset and each position."""
        shared = np.zeros(len(positions), np.int64)
        active = np.arange(len(positions))
        # Byte by byte: the first one parts most of them, so eight at a time take longer.
        for back in range(1, most + 1):
            active = active[self.text[positions[active] - back] == query.bytes[offset - back]]
            if not active.size:
                break
            shared[active] = back
        return shared

    def _between_keys(self, words: WordArray) -> tuple[Int64Array, Int64Array]:
        """Return between which suffixes those that begin with each of these words stand: int64 [N] twice."""
        low = np.searchsorted(self._keys, words, side="left")
        high = np.searchsorted(self._keys, words, side="right")
        return (
            np.maximum((low - 1) * KEY_EVERY, 0).astype(np.int64),
            np.minimum(high * KEY_EVERY, len(self.positions)).astype(np.int64),
        )

    def _common_of_one(self, query: Query, offset: int, position: int, most: int) -> int:
        """Like `common`, for one pair."""
        done = 0
        width = 64
        while done < most:
            width = min(width, most - done)
            mine = query.text[offset + done : offset + done + width]
            theirs = self.text[position + done : position + done + width].tobytes()
            if mine != theirs:
                both = min(len(mine), len(theirs))
                different = int.from_bytes(mine[:both], "big") ^ int.from_bytes(theirs[:both], "big")
                return done + both - (different.bit_length() + 7) // 8
            done += width
            width *= 2
        return most


def _words(text: ByteArray) -> NDArray[np.uint64]:
    """Show a text as the eight bytes from each position on, as big-endian numbers: uint64 [len(text) - 7]."""
    return np.ndarray((len(text) - 7,), ">u8", buffer=text.data, strides=(1,))
