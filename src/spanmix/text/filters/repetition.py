"""Measure how much of a text repeats itself: lines, paragraphs and n-grams of words.

The measures are those of Gopher's repetition rules (Rae et al., 2021, appendix A.1.1 and table A1). N-grams
are counted as datatrove does: an n-gram that came before counts with all its characters and is skipped, so
nothing counts twice. Words are numbered and n-grams hashed as arrays; an n-gram can only repeat where its
first n - 1 words do, so each length looks at what is left of the one before. About 20 MB/s on long
texts, 4 MB/s on texts of 2 kB.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

_PARAGRAPHS = re.compile(r"\n{2,}")
_LINES = re.compile(r"\n+")


def repeated_shares(text: str, pieces: Sequence[str]) -> tuple[float, float]:
    """Return how many of the pieces, and of the text's characters, are in pieces that came before.

    >>> repeated_shares("abc\\nabc\\nd", ["abc", "abc", "d"])
    (0.3333333333333333, 0.3333333333333333)
    """
    seen: set[str] = set()
    count = characters = 0
    for piece in pieces:
        if piece in seen:
            count += 1
            characters += len(piece)
        else:
            seen.add(piece)
    return (count / len(pieces) if pieces else 0.0), (characters / len(text) if text else 0.0)


def lines_of(text: str) -> list[str]:
    """Return the lines that are not empty, and the ends if they are."""
    return _LINES.split(text)


def paragraphs_of(text: str) -> list[str]:
    """Return what empty lines separate."""
    return _PARAGRAPHS.split(text.strip())


class NGrams:
    """The n-grams of a text's words, counted by length.

    Args:
        text: the whole text.
        words: ``text.split()``.
    """

    def __init__(self, text: str, words: list[str]) -> None:
        numbers = {word: number for number, word in enumerate(dict.fromkeys(words))}
        self._ids = np.fromiter(map(numbers.__getitem__, words), np.int64, len(words))
        self._ends = np.zeros(len(words) + 1, np.int64)
        np.cumsum(np.fromiter(map(len, words), np.int64, len(words)), out=self._ends[1:])
        self._num_characters = len(text)
        # Which n-gram starts at each word, numbered from 0, for the longest n so far; -1 where it is the only
        # one of its kind, and so no longer one repeats either.
        self._n = 1
        self._kinds = _renumber(self._ids)

    def top_share(self, n: int) -> float:
        """Return the share of the characters that the most frequent n-gram takes, with blanks between its
        words.

        Of several that are as frequent, the first one counts.
        """
        kinds = self._repeated(n)
        starts = np.flatnonzero(kinds >= 0)
        if len(starts) == 0:
            if len(self._ids) < n:
                return 0.0
            return self._share(int(self._ends[n] - self._ends[0]) + n - 1)
        counts = np.bincount(kinds[starts])
        most = np.flatnonzero(counts[kinds[starts]] == counts.max())
        first = int(starts[most[0]])
        return self._share(int(counts.max()) * (int(self._ends[first + n] - self._ends[first]) + n - 1))

    def repeated_share(self, n: int, at_most: float = 0.0) -> float:
        """Return the share of the characters in n-grams that came before, without blanks.

        Where even all that comes again, each character counted once, is no more than `at_most`, that share is
        returned: it is at least the one asked for, and is quicker to find.
        """
        kinds = self._repeated(n)
        starts = np.flatnonzero(kinds >= 0)
        if len(starts) == 0:
            return 0.0
        again = self._share(self._characters_again(starts, kinds[starts], n))
        if again <= at_most:
            return again
        seen: set[int] = set()
        characters = at = 0
        ends = self._ends
        for start, kind in zip(starts.tolist(), kinds[starts].tolist(), strict=True):
            if start < at:
                continue
            if kind in seen:
                characters += int(ends[start + n] - ends[start])
                at = start + n
            else:
                seen.add(kind)
        return self._share(characters)

    def _characters_again(self, starts: NDArray[np.int64], kinds: NDArray[np.int64], n: int) -> int:
        """Count the characters of the n-grams that are not the first of their kind, each character once."""
        first = np.empty(int(kinds.max()) + 1, np.int64)
        first[kinds[::-1]] = starts[::-1]
        again = starts[first[kinds] != starts]
        stops = np.minimum(self._ends[again + n], np.append(self._ends[again[1:]], self._ends[-1]))
        return int((stops - self._ends[again]).sum())

    def _repeated(self, n: int) -> NDArray[np.int64]:
        if n < self._n:
            self._n, self._kinds = 1, _renumber(self._ids)
        while self._n < n:
            shorter = self._kinds[:-1] if len(self._kinds) else self._kinds
            kinds = np.full(len(shorter), -1, np.int64)
            starts = np.flatnonzero(shorter >= 0)
            following = self._ids[starts + self._n]
            kinds[starts] = _renumber(shorter[starts] * (int(self._ids.max(initial=0)) + 1) + following)
            self._kinds = kinds
            self._n += 1
        return self._kinds

    def _share(self, characters: int) -> float:
        return characters / self._num_characters if self._num_characters else 0.0


def _renumber(values: NDArray[np.int64]) -> NDArray[np.int64]:
    """Number what occurs more than once from 0; the rest is -1."""
    if len(values) == 0:
        return values
    indices = pa.array(values).dictionary_encode().indices.to_numpy()
    is_repeated = np.bincount(indices) > 1
    numbers = np.where(is_repeated, np.cumsum(is_repeated) - 1, -1)
    return np.asarray(numbers[indices], np.int64)
