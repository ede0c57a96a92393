"""Draw the spans of a file that the model will have to fill in.

The paper samples "a dynamic ratio of sequence to mask out", then span lengths and places "such that
the total number of tokens match the ratio", with uniform distributions. Bounds are not published;
the defaults are our own choice and stand in `spanmix.config.ObjectiveConfig`.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from spanmix.config import ObjectiveConfig
from spanmix.seeding import below

_FIXED_POINT = 1 << 32


@dataclass(frozen=True)
class Corruption:
    """What is decided about a piece before its length is known.

    Args:
        ratio: share of the piece to hide, as a numerator over 2**32.
        num_spans: how many spans to hide, unless the piece is too short for so many.
    """

    ratio: int
    num_spans: int


def words_per_piece(config: ObjectiveConfig) -> int:
    """How many random words the decisions about one piece may use."""
    return 3 + (config.max_spans - 1) + config.max_spans


def draw_corruption(config: ObjectiveConfig, words: list[int]) -> Corruption:
    """Draw ratio and number of spans from the first three words of a piece."""
    low, high = (round(ratio * _FIXED_POINT) for ratio in (config.min_ratio, config.max_ratio))
    ratio = low + below(words[0], high - low + 1)
    if below(words[1], _FIXED_POINT) < round(config.one_span_probability * _FIXED_POINT):
        return Corruption(ratio, 1)
    return Corruption(ratio, 2 + below(words[2], config.max_spans - 1))


def draw_spans(corruption: Corruption, length: int, words: list[int]) -> list[tuple[int, int]]:
    """Place the spans in a piece of `length` tokens.

    Args:
        corruption: ratio and number of spans.
        length: tokens in the piece, at least 1.
        words: the piece's random words, after the first three.

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
    # Inner gaps of at least 1: the spans start behind different numbers of shown tokens.
    shown = length - hidden
    starts = _subset(shown + 1, num_spans, words[num_spans - 1 :])
    spans = []
    passed = 0
    for start, span_length in zip(starts, lengths, strict=True):
        spans.append((start + passed, start + passed + span_length))
        passed += span_length
    return spans


def _subset(n: int, k: int, words: list[int]) -> list[int]:
    """Return a uniform k-subset of 0..n-1, sorted (Floyd's method: k words, k steps)."""
    chosen: set[int] = set()
    for i, j in enumerate(range(n - k, n)):
        candidate = below(words[i], j + 1)
        chosen.add(j if candidate in chosen else candidate)
    return sorted(chosen)
