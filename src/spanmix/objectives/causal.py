"""Write a file as it stands: next-token prediction."""

from __future__ import annotations

import numpy as np

from spanmix.objectives.objective import Alphabet, DocumentKey, cut_at_line_end
from spanmix.types import Example, IntArray


class Causal:
    """``<|endoftext|> t…`` for a piece inside a file, ``<|endoftext|> t… <|endoftext|>`` at its end.

    Args:
        index: place of this objective in the recipe.
        alphabet: the tokenizer's control ids and line ends.
        row_tokens: positions in a row; a finished example takes at most as many.

    >>> from spanmix.types import ControlIds
    >>> alphabet = Alphabet(ControlIds(0, 1, 2, 4, (3,)), np.zeros(32, dtype=bool))
    >>> causal = Causal(0, alphabet, row_tokens=4)
    >>> key = DocumentKey(seed=0, source=0, source_key=0, document=0, epoch=0)
    >>> [e.token_ids.tolist() for e in causal.examples(np.arange(10, 16, dtype=np.int32), key)]
    [[0, 10, 11, 12, 13], [0, 14, 15, 0]]
    """

    max_sentinels = 0

    def __init__(self, index: int, alphabet: Alphabet, row_tokens: int) -> None:
        self.index = index
        self.alphabet = alphabet
        self.row_tokens = row_tokens

    def examples(self, tokens: IntArray, key: DocumentKey) -> list[Example]:
        """Cut the document into pieces that fill a row, the last one with its end token."""
        written: list[Example] = []
        start = 0
        while start < len(tokens):
            rest = tokens[start:]
            ends = len(rest) < self.row_tokens
            length = len(rest)
            if not ends:
                # Leave a token for the last piece, so that the file's end is always written.
                limit = min(self.row_tokens, len(rest) - 1)
                length = cut_at_line_end(rest, limit, self.row_tokens // 100, self.alphabet.ends_line)
            written.append(self._write(rest[:length], ends, key, len(written)))
            start += length
        return written

    def _write(self, piece: IntArray, ends: bool, key: DocumentKey, number: int) -> Example:
        token_ids = np.full(len(piece) + 1 + ends, self.alphabet.control.eot, dtype=np.int32)
        token_ids[1 : len(piece) + 1] = piece
        weights = np.ones(len(token_ids), dtype=np.float32)
        weights[0] = 0
        return Example(token_ids, weights, 0, self.index, key.ref(number))

    def restore(self, example: Example) -> IntArray:
        """Drop the start and, if it is there, the end."""
        tokens = example.token_ids[1:]
        return tokens[:-1] if tokens[-1] == self.alphabet.control.eot else tokens
