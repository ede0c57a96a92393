"""Tell what each token of an example is: shown, hidden in one of its spans, or a control token."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spanmix.objectives.fim import FIM_TOKENS
from spanmix.text.tokenizer import Tokenizer
from spanmix.types import Example, IntArray

SHOWN = 0
"""Stands for text that hides nothing; spans are numbered from 1."""


@dataclass(frozen=True)
class Anatomy:
    """Which span each token of an example belongs to.

    Args:
        span_of: int32 [n], `SHOWN`, or the number of the hidden span whose text, sentinel or end it is.
        is_control: bool [n], whether it is a control token.
        span_tokens: number of tokens of text in each span, in order.
    """

    span_of: IntArray
    is_control: NDArray[np.bool_]
    span_tokens: list[int]

    @property
    def num_text_tokens(self) -> int:
        """Tokens that are no controls: those of the file."""
        return int((~self.is_control).sum())


class Anatomist:
    """Takes examples apart by their control tokens.

    Args:
        tokenizer: whose control tokens they hold.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._is_control = tokenizer.is_control
        self._sep, self._eom = tokenizer.control.sep, tokenizer.control.eom
        _, self._suffix, self._middle = (tokenizer.special_ids.get(token, -1) for token in FIM_TOKENS)
        self._number_of = np.zeros(tokenizer.vocab_size, dtype=np.int32)
        self._number_of[list(tokenizer.control.masks)] = np.arange(1, len(tokenizer.control.masks) + 1)

    def __call__(self, example: Example) -> Anatomy:
        """Take an example apart.

        An infill example hides what stands behind ``<sep>``; a fill-in-the-middle example what stands behind
        ``<fim_middle>``. Where the suffix comes first, nothing marks where the prefix ends and the middle
        begins, so no span is told apart.
        """
        ids = example.token_ids
        span_of = self._number_of[ids]
        is_control = self._is_control[ids]
        lengths: list[int] = []
        if (sep := _first(ids, self._sep)) is not None:
            start = sep + 1
            for end in (sep + np.flatnonzero(ids[sep:] == self._eom)).tolist():
                span_of[start : end + 1] = span_of[start]
                lengths.append(end - start - 1)
                start = end + 1
        elif (middle := _first(ids, self._middle)) is not None and _first(ids, self._suffix) != 2:
            span_of[middle:-1] = 1
            lengths.append(len(ids) - middle - 2)
        return Anatomy(span_of, is_control, lengths)


def _first(ids: IntArray, wanted: int) -> int | None:
    found = np.flatnonzero(ids == wanted)
    return int(found[0]) if len(found) else None
