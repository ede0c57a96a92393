"""What an objective is: a way to write a whole file as examples, and to read the file back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from spanmix import seeding
from spanmix.errors import InputError
from spanmix.types import ControlIds, DocumentRef, Example, IntArray


@dataclass(frozen=True)
class TokenizedDocument:
    """One file of a source, as token ids.

    Args:
        tokens: int32 [L], L >= 1, no control ids.
        language: language name, such as ``python``, or ``""``.
        prompt_tokens: how many of the tokens are a prompt; 0 in a file that has none.
    """

    tokens: IntArray
    language: str = ""
    prompt_tokens: int = 0


@dataclass(frozen=True)
class DocumentKey:
    """Everything that random decisions about one document in one epoch depend on.

    Args:
        seed: the run's seed.
        source: index of the source in the recipe; it labels examples and decides nothing.
        source_key: `seeding.name_key` of the source's name.
        document: number of the document in its source.
        epoch: how many times the source has been read before.
        corruption_epoch: what the draws are keyed by: the epoch, or 0 where every epoch shall see the
            same corruption.
    """

    seed: int
    source: int
    source_key: int
    document: int
    epoch: int
    corruption_epoch: int

    def words(self, purpose: str, n: int, first: int = 0) -> list[int]:
        """Draw words `first` to `first + n - 1` of the 64-bit words for one purpose."""
        key = (self.seed, purpose, self.source_key, self.corruption_epoch)
        return seeding.draw_one(*key, self.document, n, first)

    def ref(self, piece: int) -> DocumentRef:
        """Name one piece of the document."""
        return DocumentRef(self.source, self.document, self.epoch, piece)


@dataclass(frozen=True)
class Alphabet:
    """What an objective needs to know of the tokenizer.

    Args:
        control: ids of the control tokens.
        ends_line: bool [V], whether a token's text ends with a newline.
        special_ids: ids of all special tokens by their text.
    """

    control: ControlIds
    ends_line: NDArray[np.bool_]
    special_ids: Mapping[str, int] = field(default_factory=dict)

    def ids_of(self, texts: Sequence[str], wanted_by: str) -> list[int]:
        """Return the ids of special tokens.

        Raises:
            InputError: the tokenizer lacks one of them, or files and spans are marked with it.
        """
        missing = [text for text in texts if text not in self.special_ids]
        if missing:
            raise InputError(
                f"{wanted_by} needs the special tokens {', '.join(texts)}, and the tokenizer lacks "
                f"{', '.join(missing)}; prepare a corpus with tokenizer.extra_tokens: [{', '.join(missing)}]"
            )
        control = self.control
        taken = {control.eot, control.sep, control.eom, control.pad, *control.masks}
        for text in texts:
            if self.special_ids[text] in taken:
                raise InputError(f"{wanted_by} is {text}, which marks files and spans; name another token")
        return [self.special_ids[text] for text in texts]

    def start_ids(self, mode_token: str | None) -> IntArray:
        """Return what stands in front of every example: ``<|endoftext|>`` and perhaps a mode token."""
        if mode_token is None:
            return np.array([self.control.eot], dtype=np.int32)
        [mode] = self.ids_of([mode_token], "objectives.mode_token")
        return np.array([self.control.eot, mode], dtype=np.int32)


class Objective(Protocol):
    """Writes documents as examples, piece by piece."""

    index: int
    """Place of the recipe's entry that it belongs to."""
    max_sentinels: int
    """The largest sentinel number that any draw can need (law 7)."""
    words_per_piece: int
    """How many random words the decisions about one piece may use."""
    smallest_room: int
    """Fewest positions in which any piece can be written."""
    sees_both_ways: bool
    """Whether its examples have a bidirectional prefix."""
    loss_on_all: bool
    """Whether every token behind the start carries loss in every example."""
    needs_language: bool
    """Whether what is drawn depends on the language of a document."""
    wanted_room: int
    """Fewest positions in a row in which every draw can be written as it was drawn."""

    def write(
        self, document: TokenizedDocument, start: int, room: int, words: list[int], ref: DocumentRef
    ) -> tuple[Example, int]:
        """Write the piece of a document that begins at token `start` and fills `room` positions.

        Args:
            document: the whole file.
            start: its first token that has not been written, below its length.
            room: positions that the example may take; at least `smallest_room`.
            words: `words_per_piece` random words for this piece.
            ref: what names the piece.

        Returns:
            The example, and how many tokens of the document it holds (at least 1).
        """
        ...

    def safe_tokens(self, room: int) -> int:
        """Return how long a file can be whose examples together take at most `room` positions.

        Only unusual cuts inside words can make them longer.
        """
        ...

    def restore(self, example: Example) -> IntArray:
        """Return the tokens of the piece that an example was made of: the inverse of writing it."""
        ...


_PIECES_AT_ONCE = 16
GROWTH = 4
"""Tokens by which two words that a cut divides may grow when they are encoded again; it is rarely more."""


def write_all(
    objective: Objective, document: TokenizedDocument, key: DocumentKey, row_tokens: int
) -> list[Example]:
    """Write a whole document as examples that each fit a row of `row_tokens` positions."""
    stride = objective.words_per_piece
    num_tokens = len(document.tokens)
    at_once = min(_PIECES_AT_ONCE, 1 + num_tokens // row_tokens)
    words: list[int] = []
    written: list[Example] = []
    start = 0
    while start < num_tokens:
        number = len(written)
        if stride and number % at_once == 0:
            words = key.words("spans", at_once * stride, number * stride)
        first = number % at_once * stride
        example, taken = objective.write(
            document, start, row_tokens, words[first : first + stride], key.ref(number)
        )
        written.append(example)
        start += taken
    return written


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
