"""Cut tokens at any character, so that a model learns to go on in the middle of a word.

A cursor rarely stands where a token ends. The ids of the text before it and of the text behind it are
then other ids than those of the whole file, because an editor's prompt encodes the two by themselves.
`CharacterCutter.cut` gives exactly those ids, and encodes only the words at the cuts again: GPT-2's
splitting rule starts a new word at every blank that follows a non-blank, whatever stands around it, so
the tokens up to such a place, and those behind it, do not depend on each other.
"""

from __future__ import annotations

import bisect
from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from spanmix.types import IntArray

_BLANKS = b" \t\n"
_SOLID = bytes(range(0x21, 0x7F))
_LONGEST_WORD = 256


class CharacterCutter:
    """Cuts the tokens of a byte-level tokenizer at byte offsets.

    Args:
        encode: plain text to ids.
        token_bytes: the bytes of each id.
        num_bytes: int32 [V], their lengths.
    """

    def __init__(
        self,
        encode: Callable[[str], Sequence[int]],
        token_bytes: Sequence[bytes],
        num_bytes: NDArray[np.int32],
    ) -> None:
        self._encode = encode
        self._token_bytes = token_bytes
        self._num_bytes = num_bytes

    def text(self, tokens: IntArray) -> bytes:
        """Return the bytes that tokens stand for."""
        table = self._token_bytes
        return b"".join([table[i] for i in tokens.tolist()])

    def ends(self, tokens: IntArray) -> NDArray[np.int64]:
        """Return the byte offset behind each token, int64 [L]."""
        return np.cumsum(self._num_bytes[tokens], dtype=np.int64)

    def cut(self, tokens: IntArray, text: bytes, cuts: Sequence[int]) -> list[IntArray]:
        """Cut tokens at byte offsets into ``len(cuts) + 1`` parts, each as it is encoded by itself.

        Args:
            tokens: int32 [L].
            text: their bytes.
            cuts: offsets in rising order, 0 to ``len(text)``, each where a character begins.

        Where a word is longer than 256 bytes, which is data and no word, the cut moves to the start of
        the token that it falls into.
        """
        ends = self.ends(tokens)
        places = [0, *(self._movable(text, ends, cut) for cut in cuts), len(text)]
        return [self._part(tokens, text, ends, start, stop) for start, stop in pairwise(places)]

    def _movable(self, text: bytes, ends: NDArray[np.int64], cut: int) -> int:
        """Return the cut, or the start of its token where the word around it cannot be encoded again."""
        place = int(np.searchsorted(ends, cut, side="left"))
        if cut in (0, len(text)) or ends[place] == cut:
            return cut
        start, stop = _word_start(text, cut), _word_end(text, cut)
        if start is not None and stop is not None and _is_text(text[start:stop]):
            return cut
        return int(ends[place - 1]) if place else 0

    def _part(
        self, tokens: IntArray, text: bytes, ends: NDArray[np.int64], start: int, stop: int
    ) -> IntArray:
        """Return the ids of ``text[start:stop]``, keeping every token that the cuts cannot change."""
        keep_from, keep_to = start, stop
        if start > 0 and (found := _word_end(text, start)) is not None:
            keep_from = found
        if stop < len(text) and (found := _word_start(text, stop)) is not None:
            keep_to = found
        if keep_from >= keep_to:
            return self._ids(text[start:stop], tokens, ends, start, stop)
        return np.concatenate(
            [
                self._ids(text[start:keep_from], tokens, ends, start, keep_from),
                _between(tokens, ends, keep_from, keep_to),
                self._ids(text[keep_to:stop], tokens, ends, keep_to, stop),
            ]
        )

    def _ids(
        self, piece: bytes, tokens: IntArray, ends: NDArray[np.int64], start: int, stop: int
    ) -> IntArray:
        """Encode the bytes from `start` to `stop` again, unless they begin or end inside a character."""
        if not piece:
            return tokens[:0]
        if not _is_text(piece):
            return _between(tokens, ends, start, stop)
        return np.array(self._encode(piece.decode("utf-8")), dtype=np.int32)


def _between(tokens: IntArray, ends: NDArray[np.int64], start: int, stop: int) -> IntArray:
    """Return the tokens that stand for the bytes from `start` to `stop`, both of them ends of tokens."""
    first = int(np.searchsorted(ends, start, side="right"))
    last = int(np.searchsorted(ends, stop, side="right"))
    held = int(ends[last - 1] if last else 0) - int(ends[first - 1] if first else 0)
    assert held == stop - start, f"bytes {start} to {stop} are not whole tokens"
    return tokens[first:last]


def _is_text(piece: bytes) -> bool:
    try:
        piece.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _word_start(text: bytes, cut: int) -> int | None:
    """Return the last place before `cut` where a word starts, or 0; None if it is too far."""
    floor = max(0, cut - _LONGEST_WORD)
    for place in range(cut - 1, floor, -1):
        if text[place] in _BLANKS and text[place - 1] in _SOLID:
            return place
    return 0 if floor == 0 else None


def _word_end(text: bytes, cut: int) -> int | None:
    """Return the first place behind `cut` where a word starts, or the end; None if it is too far."""
    ceiling = min(len(text), cut + _LONGEST_WORD)
    for place in range(cut + 1, ceiling):
        if text[place] in _BLANKS and text[place - 1] in _SOLID:
            return place
    return len(text) if ceiling == len(text) else None


def character_starts(text: bytes) -> NDArray[np.bool_]:
    """Return bool [len(text) + 1]: whether a character (or the end) begins at each byte offset."""
    starts = np.ones(len(text) + 1, dtype=np.bool_)
    starts[:-1] = (np.frombuffer(text, dtype=np.uint8) & 0xC0) != 0x80
    return starts


def snap(spans: Sequence[tuple[int, int]], stops: NDArray[np.int64]) -> list[tuple[int, int]]:
    """Move both ends of each span to the nearest of the allowed offsets; touching spans become one.

    A span that would vanish takes the whole stretch between the two offsets around its middle.

    Args:
        spans: (start, stop) in order.
        stops: allowed offsets in rising order, first 0 and last the end.

    >>> snap([(1, 3), (9, 10)], np.array([0, 4, 8, 12]))
    [(0, 4), (8, 12)]
    """
    allowed = stops.tolist()
    moved: list[tuple[int, int]] = []
    for start, stop in spans:
        low, high = _nearest(allowed, start), _nearest(allowed, stop)
        if low == high:
            above = bisect.bisect_right(allowed, (start + stop) // 2)
            above = min(max(above, 1), len(allowed) - 1)
            low, high = allowed[above - 1], allowed[above]
        if moved and low <= moved[-1][1]:
            moved[-1] = (moved[-1][0], max(high, moved[-1][1]))
        else:
            moved.append((low, high))
    return moved


def _nearest(allowed: list[int], offset: int) -> int:
    above = bisect.bisect_left(allowed, offset)
    if above == len(allowed):
        return allowed[-1]
    if above and offset - allowed[above - 1] <= allowed[above] - offset:
        return allowed[above - 1]
    return allowed[above]
