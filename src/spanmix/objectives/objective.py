"""What an objective is: a way to write a whole file as examples, and to read the file back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from spanmix import seeding
from spanmix.types import ControlIds, DocumentRef, Example, IntArray


@dataclass(frozen=True)
class DocumentKey:
    """Everything that random decisions about one document in one epoch depend on.

    Args:
        seed: the run's seed.
        source: index of the source in the recipe; it labels examples and decides nothing.
        source_key: `seeding.name_key` of the source's name.
        document: number of the document in its source.
        epoch: how many times the source has been read before.
    """

    seed: int
    source: int
    source_key: int
    document: int
    epoch: int

    def words(self, purpose: str, n: int) -> list[int]:
        """Draw `n` 64-bit words for one purpose."""
        drawn = seeding.draw(self.seed, purpose, self.source_key, self.epoch, [self.document], n)
        words: list[int] = drawn[0].tolist()
        return words

    def ref(self, piece: int) -> DocumentRef:
        """Name one piece of the document."""
        return DocumentRef(self.source, self.document, self.epoch, piece)


@dataclass(frozen=True)
class Alphabet:
    """What an objective needs to know of the tokenizer.

    Args:
        control: ids of the control tokens.
        ends_line: bool [V], whether a token's text ends with a newline.
    """

    control: ControlIds
    ends_line: NDArray[np.bool_]


class Objective(Protocol):
    """Writes documents as examples that each fit a row."""

    @property
    def max_sentinels(self) -> int:
        """The largest sentinel number that any draw can need (law 7)."""
        ...

    def examples(self, tokens: IntArray, key: DocumentKey) -> list[Example]:
        """Write a whole document (int32 [L], L >= 1, no control ids) as examples, piece by piece."""
        ...

    def restore(self, example: Example) -> IntArray:
        """Return the tokens of the piece that an example was made of: the inverse of writing it."""
        ...


def cut_at_line_end(tokens: IntArray, limit: int, slack: int, ends_line: NDArray[np.bool_]) -> int:
    """Return how many of `tokens` to take: `limit`, or up to `slack` fewer to stop at a line end.

    >>> ends_line = np.array([False, True])
    >>> cut_at_line_end(np.array([0, 1, 0, 1, 0, 0]), 5, 2, ends_line)
    4
    >>> cut_at_line_end(np.array([0, 1, 0, 0, 0, 0]), 5, 2, ends_line)
    5
    """
    tail = ends_line[tokens[limit - slack : limit]]
    if slack == 0 or not tail.any():
        return limit
    return limit - int(tail[::-1].argmax())
