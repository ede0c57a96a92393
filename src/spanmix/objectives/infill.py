"""Write a file so that hidden spans follow the text around them: CodeGen2's file-level span corruption.

    <|endoftext|> t… <mask_1> t… <mask_2> t… <|endoftext|>
    <sep> <mask_1> span_1 <eom> <mask_2> span_2 <eom> <|endoftext|>

The layout is that of the paper (arXiv 2305.02309, section 2) and of the published models' prompts, with
``<|endoftext|>`` in front as context. A piece is corrupted whole: ratio and number of spans are drawn
first, then its length is solved so that the finished example fits the row, so no target is ever cut.
"""

from __future__ import annotations

import numpy as np

from spanmix.config import ObjectiveConfig
from spanmix.errors import InputError
from spanmix.objectives.objective import Alphabet, DocumentKey, cut_at_line_end
from spanmix.objectives.spans import draw_corruption, draw_spans, words_per_piece
from spanmix.types import Example, IntArray


def num_positions(num_tokens: int, num_spans: int) -> int:
    """Positions that a piece takes: two sentinels and an ``<eom>`` a span, and three tokens around.

    The example has one token more (its last is only predicted): see `spanmix.types.Example`.
    """
    return num_tokens + 3 * num_spans + 3


class Infill:
    """File-level span corruption.

    Args:
        index: place of this objective in the recipe.
        config: its bounds.
        alphabet: the tokenizer's control ids and line ends.
        row_tokens: positions in a row; a finished example takes at most as many.

    Raises:
        InputError: a row is too short for the largest possible number of spans.

    >>> from spanmix.types import ControlIds
    >>> alphabet = Alphabet(ControlIds(0, 1, 2, 9, (3, 4, 5, 6)), np.zeros(64, dtype=bool))
    >>> infill = Infill(0, ObjectiveConfig("infill", 1.0, max_spans=4), alphabet, row_tokens=64)
    >>> key = DocumentKey(seed=0, source=0, source_key=0, document=0, epoch=1)
    >>> [example] = infill.examples(np.arange(20, 28, dtype=np.int32), key)
    >>> example.token_ids.tolist()
    [0, 3, 21, 4, 23, 5, 25, 26, 27, 0, 1, 3, 20, 2, 4, 22, 2, 5, 24, 2, 0]
    >>> infill.restore(example).tolist()
    [20, 21, 22, 23, 24, 25, 26, 27]
    """

    def __init__(self, index: int, config: ObjectiveConfig, alphabet: Alphabet, row_tokens: int) -> None:
        shortest = num_positions(2 * config.max_spans, config.max_spans) + row_tokens // 100
        if row_tokens < shortest:
            raise InputError(
                f"data.row_tokens is {row_tokens}; {config.max_spans} infill spans (objectives.max_spans) "
                f"need rows of at least {shortest}"
            )
        self.index = index
        self.config = config
        self.alphabet = alphabet
        self.row_tokens = row_tokens

    @property
    def max_sentinels(self) -> int:
        """The largest sentinel number that any draw can need."""
        return self.config.max_spans

    def examples(self, tokens: IntArray, key: DocumentKey) -> list[Example]:
        """Cut the document into pieces and corrupt each of them."""
        stride = words_per_piece(self.config)
        slack = self.row_tokens // 100
        shortest_full_piece = self.row_tokens - num_positions(0, self.config.max_spans) - slack
        most_pieces = 1 + len(tokens) // shortest_full_piece
        words = key.words("spans", most_pieces * stride)
        written: list[Example] = []
        start = 0
        while start < len(tokens):
            piece_words = words[len(written) * stride : (len(written) + 1) * stride]
            corruption = draw_corruption(self.config, piece_words)
            rest = tokens[start:]
            length = self.row_tokens - num_positions(0, corruption.num_spans)
            if length < len(rest):
                length = cut_at_line_end(rest, length, slack, self.alphabet.ends_line)
            piece = rest[:length]
            spans = draw_spans(corruption, len(piece), piece_words[3:])
            written.append(self._write(piece, spans, key, len(written)))
            start += len(piece)
        return written

    def _write(self, piece: IntArray, spans: list[tuple[int, int]], key: DocumentKey, number: int) -> Example:
        control = self.alphabet.control
        shown: list[IntArray] = [_ids(control.eot)]
        hidden: list[IntArray] = [_ids(control.eot, control.sep)]
        passed = 0
        for mask, (start, stop) in zip(control.masks, spans, strict=False):
            shown += [piece[passed:start], _ids(mask)]
            hidden += [_ids(mask), piece[start:stop], _ids(control.eom)]
            passed = stop
        token_ids = np.concatenate([*shown, piece[passed:], *hidden, _ids(control.eot)])
        weights = np.ones(len(token_ids), dtype=np.float32)
        if not self.config.loss_on_sentinels:
            weights[np.isin(token_ids, (control.sep, *control.masks))] = 0
        weights[0] = 0
        return Example(token_ids, weights, 0, self.index, key.ref(number))

    def restore(self, example: Example) -> IntArray:
        """Put every span back where its sentinel stands."""
        return restore(example.token_ids, self.alphabet)


def restore(token_ids: IntArray, alphabet: Alphabet) -> IntArray:
    """Undo the corruption of one example, read from its tokens alone."""
    control = alphabet.control
    sep = int(np.flatnonzero(token_ids == control.sep)[0])
    shown, answers = token_ids[1 : sep - 1], token_ids[sep + 1 : -1]
    sentinels = np.asarray(control.masks, dtype=np.int32)
    places = np.flatnonzero(np.isin(shown, sentinels))
    ends = np.flatnonzero(answers == control.eom)
    starts = np.concatenate([[0], ends[:-1] + 1])
    assert len(places) == len(ends) and (shown[places] == answers[starts]).all(), "sentinels do not match"
    parts: list[IntArray] = []
    passed = 0
    for place, start, end in zip(places.tolist(), starts.tolist(), ends.tolist(), strict=True):
        parts += [shown[passed:place], answers[start + 1 : end]]
        passed = place + 1
    return np.concatenate([*parts, shown[passed:]])


def _ids(*ids: int) -> IntArray:
    return np.array(ids, dtype=np.int32)
