"""Write a file so that hidden spans follow the text around them: CodeGen2's file-level span corruption.

    <|endoftext|> t… <mask_1> t… <mask_2> t… <|endoftext|>
    <sep> <mask_1> span_1 <eom> <mask_2> span_2 <eom> <|endoftext|>

The layout is that of the paper (arXiv 2305.02309, section 2) and of the published models' prompts, with
``<|endoftext|>`` in front as context. A piece is corrupted whole: ratio and number of spans are drawn
first, then its length is solved so that the finished example fits the room, so no target is ever cut.
"""

from __future__ import annotations

import numpy as np

from spanmix.objective_configs import InfillConfig
from spanmix.objectives.objective import GROWTH, Alphabet, TokenizedDocument, cut_at_line_end
from spanmix.objectives.partition import Partition, needs_characters
from spanmix.objectives.spans import SPAN_CONTROLS, SpanDraws
from spanmix.types import DocumentRef, Example, IntArray


class Infill:
    """File-level span corruption.

    Args:
        index: place of this objective in the recipe.
        config: its bounds.
        alphabet: the tokenizer's control ids and line ends.
        partition: cuts a piece into shown and hidden parts; built from the same config.

    >>> from spanmix.objectives.objective import DocumentKey, write_all
    >>> from spanmix.types import ControlIds
    >>> alphabet = Alphabet(ControlIds(0, 1, 2, 9, (3, 4, 5, 6)), np.zeros(64, dtype=bool))
    >>> infill = Infill(0, InfillConfig(weight=1, max_spans=4), alphabet)
    >>> document = TokenizedDocument(np.arange(20, 28, dtype=np.int32))
    >>> key = DocumentKey(seed=0, source=0, source_key=0, document=0, epoch=1, corruption_epoch=1)
    >>> [example] = write_all(infill, document, key, row_tokens=64)
    >>> example.token_ids.tolist()
    [0, 3, 21, 4, 23, 5, 25, 26, 27, 0, 1, 3, 20, 2, 4, 22, 2, 5, 24, 2, 0]
    >>> infill.restore(example).tolist()
    [20, 21, 22, 23, 24, 25, 26, 27]
    """

    def __init__(
        self, index: int, config: InfillConfig, alphabet: Alphabet, partition: Partition | None = None
    ) -> None:
        self.index = index
        self.config = config
        self.alphabet = alphabet
        self.start_ids = alphabet.start_ids(config.mode_token)
        self.max_sentinels = config.max_spans
        self.sees_both_ways = config.bidirectional
        shown = config.loss_on_shown and not config.bidirectional
        self.loss_on_all = shown and config.loss_on_sentinels and len(self.start_ids) == 1
        self.needs_language = config.span_units.nodes > 0
        self._draws = SpanDraws(config)
        self._partition = partition or Partition(config, self._draws)
        self.words_per_piece = self._partition.words_per_piece
        control = alphabet.control
        self._masks = [_ids(mask) for mask in control.masks]
        self._between, self._eom, self._end = (
            _ids(control.eot, control.sep),
            _ids(control.eom),
            _ids(control.eot),
        )
        self.smallest_room = self._num_positions(2, 1)
        self.wanted_room = self._num_positions(2 * config.max_spans, config.max_spans)
        self._growth = 2 * GROWTH if needs_characters(config) else 0

    def write(
        self, document: TokenizedDocument, start: int, room: int, words: list[int], ref: DocumentRef
    ) -> tuple[Example, int]:
        """Corrupt the piece that fills the room, or the rest of the file.

        Spans that begin or end inside tokens make a piece a little longer than it was, and there may be fewer
        of them than there is room for. Then a shorter or a longer piece is drawn instead; if after a few
        tries none fits, spans between tokens.
        """
        rest = document.tokens[start:]
        corruption = self._draws.corruption(words, len(rest), room, self._num_positions(0, 0))
        room //= corruption.share
        planned = room - self._num_positions(0, corruption.num_spans)
        length = self._cut(rest, planned, room)
        written: tuple[list[IntArray], int] | None = None
        for _ in range(_TRIES):
            parts = self._partition.parts(document, start, start + length, corruption, words)
            spare = room - self._num_positions(sum(map(len, parts)), len(parts) // 2)
            if spare >= 0 and (written is None or length > written[1]):
                written = parts, length
            if (length == len(rest) and spare >= 0) or 0 <= spare <= room // 100:
                break
            length = self._cut(rest, max(1, length + spare), room)
        if written is None:
            length = self._cut(rest, planned, room)
            written = self._partition.token_parts(document, start, start + length, corruption, words), length
        return self._write(written[0], ref), written[1]

    def _cut(self, rest: IntArray, length: int, room: int) -> int:
        """Return a length that the rest of the file has, or one near it at which a line ends."""
        if length >= len(rest):
            return len(rest)
        return cut_at_line_end(rest, length, min(room // 100, length - 1), self.alphabet.ends_line)

    def safe_tokens(self, room: int) -> int:
        """Return how long a file can be whose pieces, with the most spans they can have, fit the room."""
        num_spans, share = self._draws.most(room, self._num_positions(0, 0))
        return room - share * self._num_positions(num_spans * self._growth, num_spans + 1)

    def _num_positions(self, num_tokens: int, num_spans: int) -> int:
        """Positions of an example: two sentinels and an ``<eom>`` a span, and the start, end and ``<sep>``.

        The example has one token more (its last is only predicted): see `spanmix.types.Example`.
        """
        return num_tokens + SPAN_CONTROLS * num_spans + len(self.start_ids) + 2

    def _write(self, parts: list[IntArray], ref: DocumentRef) -> Example:
        """Lay parts, shown and hidden in turn, out as an example."""
        shown = [self.start_ids, parts[0]]
        hidden = [self._between]
        for mask, span, text in zip(self._masks, parts[1::2], parts[2::2], strict=False):
            shown += (mask, text)
            hidden += (mask, span, self._eom)
        num_shown = sum(map(len, shown)) + 2
        token_ids = np.concatenate([*shown, *hidden, self._end])
        weights = np.ones(len(token_ids), dtype=np.float32)
        weights[: len(self.start_ids)] = 0
        if not self.config.loss_on_sentinels:
            weights[np.isin(token_ids, (self.alphabet.control.sep, *self.alphabet.control.masks))] = 0
        if self.config.bidirectional or not self.config.loss_on_shown:
            weights[:num_shown] = 0
        prefix_length = num_shown if self.config.bidirectional else 0
        return Example(token_ids, weights, prefix_length, self.index, ref)

    def restore(self, example: Example) -> IntArray:
        """Put every span back where its sentinel stands."""
        return restore(example.token_ids, self.alphabet, len(self.start_ids))


_TRIES = 6


def restore(token_ids: IntArray, alphabet: Alphabet, num_start: int = 1) -> IntArray:
    """Undo the corruption of one example, read from its tokens alone."""
    control = alphabet.control
    sep = int(np.flatnonzero(token_ids == control.sep)[0])
    shown, answers = token_ids[num_start : sep - 1], token_ids[sep + 1 : -1]
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
