"""Turn random words into span lengths of a fixed, geometric or Poisson distribution, exactly.

A distribution is a table of integer bounds over 2**64, computed once with 60 decimal digits, so a draw
is the same on every machine and in every version of every library.
"""

from __future__ import annotations

import bisect
from decimal import Decimal, localcontext

_WORDS = 1 << 64


class LengthTable:
    """Lengths of at least 1 with a given mean.

    Args:
        kind: ``fixed`` (always the mean, rounded), ``geometric`` (as SpanBERT's, from 1 on) or
            ``poisson`` (1 plus a Poisson number, so that no span is empty).
        mean: mean length, at least 1.

    >>> table = LengthTable("geometric", 2)
    >>> [table.draw(word) for word in (0, 2**63 - 1, 2**63, 2**64 - 1)]
    [1, 1, 2, 64]
    """

    def __init__(self, kind: str, mean: float) -> None:
        self.mean = mean
        self._fixed = round(mean) if kind == "fixed" else 0
        self._bounds = [] if kind == "fixed" else _bounds(kind, Decimal(repr(mean)))

    def draw(self, word: int) -> int:
        """Return the length that a 64-bit word stands for."""
        return self._fixed or 1 + bisect.bisect_right(self._bounds, word)


def _bounds(kind: str, mean: Decimal) -> list[int]:
    """Return the probabilities of "at most k", k = 1, 2, …, times 2**64, as long as they are below 1."""
    with localcontext() as context:
        context.prec = 60
        more = mean - 1
        # P(1), and P(k + 1) from P(k).
        probability = 1 / mean if kind == "geometric" else (-more).exp()
        total = Decimal(0)
        bounds: list[int] = []
        k = 1
        while True:
            total += probability
            bound = int(total * _WORDS)
            if bound >= _WORDS - 1 or (bounds and bound == bounds[-1] and k > mean):
                return bounds
            bounds.append(bound)
            probability *= more / mean if kind == "geometric" else more / k
            k += 1
