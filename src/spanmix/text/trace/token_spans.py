"""Say which tokens of a text lie whole in a part of it that is given in bytes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from spanmix.text.tokenizer import Tokenizer


class TokenEnds:
    """Where each token of a text ends, in bytes.

    Args:
        num_bytes: of each token, in their order.

    >>> ends = TokenEnds([3, 1, 4])
    >>> ends.inside(0, 7), ends.inside(1, 8), ends.inside(4, 6)
    (range(0, 2), range(1, 3), range(2, 2))
    """

    def __init__(self, num_bytes: Sequence[int] | NDArray[np.integer]) -> None:
        self._ends = np.cumsum(np.append(0, num_bytes))

    def inside(self, start: int, end: int) -> range:
        """Return the numbers of the tokens that lie whole between two bytes."""
        first = int(np.searchsorted(self._ends, start))
        last = int(np.searchsorted(self._ends, end, side="right")) - 1
        return range(first, max(first, last))

    @classmethod
    def of(cls, tokenizer: Tokenizer, text: str) -> TokenEnds:
        """Encode a text."""
        return cls(tokenizer.num_bytes[tokenizer.encode(text)])


def covered_tokens(ends: TokenEnds, spans: Iterable[tuple[int, int]], min_tokens: int) -> set[int]:
    """Return the tokens that lie whole in a span which holds at least `min_tokens` of them."""
    inside = (ends.inside(start, end) for start, end in spans)
    return {number for numbers in inside if len(numbers) >= min_tokens for number in numbers}
