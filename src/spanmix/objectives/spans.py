"""Draw the spans of a file that the model will have to fill in.

The paper samples "a dynamic ratio of sequence to mask out", then span lengths and places "such that
the total number of tokens match the ratio", with uniform distributions. Bounds are not published;
the defaults are our own choice and stand in `spanmix.objective_configs.InfillConfig`.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from itertools import pairwise

from spanmix.objective_configs import InfillConfig
from spanmix.objectives.lengths import LengthTable
from spanmix.seeding import below

_FIXED_POINT = 1 << 32
_WORDS = 1 << 64
SPAN_CONTROLS = 3
"""Positions that each span takes beside its tokens: its sentinel twice, and ``<eom>``."""
Spans = list[tuple[int, int]]
"""(start, stop) of each span, in order, with something shown between any two."""


@dataclass(frozen=True)
class Corruption:
    """What is decided about a piece before its length is known.

    Args:
        ratio: share of the piece to hide, as a numerator over 2**32.
        num_spans: how many spans to hide, unless the piece is too short for so many.
        share: the piece fills the room divided by this: 1, unless spans of the mean length would then be
            more than there may be.
    """

    ratio: int
    num_spans: int
    share: int = 1


class SpanDraws:
    """Draws number, lengths and places of spans, each from its own random words.

    Args:
        config: the recipe's bounds.
    """

    def __init__(self, config: InfillConfig) -> None:
        self.max_spans = config.max_spans
        self.words_per_piece = 3 + 2 * config.max_spans
        self._low, self._high = (round(r * _FIXED_POINT) for r in (config.min_ratio, config.max_ratio))
        self._one = round(config.one_span_probability * _FIXED_POINT)
        self._mean = config.mean_span_tokens
        self._table: LengthTable | None = None
        if config.mean_span_tokens is not None and config.span_lengths != "uniform":
            self._table = LengthTable(config.span_lengths, config.mean_span_tokens)

    def corruption(self, words: list[int], length: int, room: int, fixed: int) -> Corruption:
        """Draw ratio and number of spans from the first three words of a piece.

        With a mean length the number of spans follows from the raw length of the piece, and that from the
        room, since each span takes `SPAN_CONTROLS` positions of it (as t5's ``random_spans_helper`` solves
        it). Where the spans would be more than `max_spans`, the piece is made so much shorter that a whole
        number of such pieces fills the room.

        Args:
            words: the piece's random words.
            length: tokens that are left in the file.
            room: positions that the example may take.
            fixed: positions of those that are neither text nor a span's controls.
        """
        ratio = self._low + below(words[0], self._high - self._low + 1)
        if self._mean is not None:
            exact, share = self._solved(ratio / _FIXED_POINT / self._mean, length, room, fixed)
            # Up or down at random, so that the ratio holds on average where spans are few.
            num_spans = int(exact) + (words[1] < (exact - int(exact)) * _WORDS)
            return Corruption(ratio, min(max(1, num_spans), self._most_in(room // share, fixed)), share)
        if below(words[1], _FIXED_POINT) < self._one:
            return Corruption(ratio, 1)
        return Corruption(ratio, min(2 + below(words[2], self.max_spans - 1), self._most_in(room, fixed)))

    def _most_in(self, room: int, fixed: int) -> int:
        """Return the most spans that a piece's own room has place for, one at least."""
        # Each span takes its controls, a hidden token and, but for the last, a shown one behind it.
        return max(1, min(self.max_spans, (room - fixed) // (SPAN_CONTROLS + 2)))

    def most(self, room: int, fixed: int) -> tuple[int, int]:
        """Return the most spans that a piece can have, and by how much the room of such pieces is divided."""
        if self._mean is None:
            return self.max_spans, 1
        exact, share = self._solved(self._high / _FIXED_POINT / self._mean, room, room, fixed)
        return min(self.max_spans, int(exact) + 1), share

    def _solved(self, spans_per_token: float, length: int, room: int, fixed: int) -> tuple[float, int]:
        """Return how many spans a piece should have that fills its share of the room, and the shares."""
        share = 0
        num_spans: float = sys.maxsize
        while num_spans > self.max_spans and room // (share + 1) >= fixed + SPAN_CONTROLS + 2:
            share += 1
            longest = (room // share - fixed) / (1 + SPAN_CONTROLS * spans_per_token)
            num_spans = min(length, longest) * spans_per_token
        return min(num_spans, self.max_spans), share

    def spans(self, corruption: Corruption, length: int, words: list[int], scale: float = 1.0) -> Spans:
        """Place the spans in a piece.

        Args:
            corruption: ratio and number of spans.
            length: of the piece, in tokens or in characters, at least 1.
            words: the piece's random words, all of them.
            scale: characters in a token, where `length` counts characters.
        """
        words = words[3:]
        if self._table is None:
            return draw_spans(corruption, length, words)
        num_spans = min(corruption.num_spans, (length + 1) // 2)
        longest = length - (num_spans - 1)
        lengths = [max(1, round(self._table.draw(word) * scale)) for word in words[:num_spans]]
        return place(_trimmed(lengths, longest), length, words[self.max_spans :])


def draw_spans(corruption: Corruption, length: int, words: list[int]) -> Spans:
    """Place spans of uniformly split length in a piece of `length` tokens.

    Args:
        corruption: ratio and number of spans.
        length: tokens in the piece, at least 1.
        words: random words, one fewer than twice the number of spans.

    Returns:
        (start, stop) of each span, in order. The hidden total is split uniformly into parts of at
        least 1; of the gaps between, the inner ones are at least 1 and the outer ones may be 0.

    >>> draw_spans(Corruption(1 << 31, 2), 6, [0, 0, 0])
    [(0, 1), (4, 6)]
    """
    num_spans = min(corruption.num_spans, (length + 1) // 2)
    hidden = min(max(num_spans, (length * corruption.ratio) >> 32), length - (num_spans - 1))
    # Parts of at least 1: cut the hidden tokens at num_spans - 1 of their inner places.
    cuts = [cut + 1 for cut in _subset(hidden - 1, num_spans - 1, words)]
    lengths = [stop - start for start, stop in pairwise([0, *cuts, hidden])]
    return place(lengths, length, words[num_spans - 1 :])


def place(lengths: list[int], length: int, words: list[int]) -> Spans:
    """Put spans of the given lengths into a piece, every placing equally likely.

    >>> place([2, 1], 5, [0, 0])
    [(0, 2), (4, 5)]
    """
    # Inner gaps of at least 1: the spans start behind different numbers of shown tokens.
    starts = _subset(length - sum(lengths) + 1, len(lengths), words)
    spans = []
    passed = 0
    for start, span_length in zip(starts, lengths, strict=True):
        spans.append((start + passed, start + passed + span_length))
        passed += span_length
    return spans


def _trimmed(lengths: list[int], longest: int) -> list[int]:
    """Shorten the last spans until together they are at most `longest`, each at least 1."""
    over = sum(lengths) - longest
    kept = list(lengths)
    for i in reversed(range(len(kept))):
        if over <= 0:
            break
        cut = min(over, kept[i] - 1)
        kept[i] -= cut
        over -= cut
    return kept


def _subset(n: int, k: int, words: list[int]) -> list[int]:
    """Return a uniform k-subset of 0..n-1, sorted (Floyd's method: k words, k steps)."""
    chosen: set[int] = set()
    for i, j in enumerate(range(n - k, n)):
        candidate = below(words[i], j + 1)
        chosen.add(j if candidate in chosen else candidate)
    return sorted(chosen)
