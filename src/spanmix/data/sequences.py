"""Lay documents end to end and cut them where the row ends: the paper's ``unit: sequence``.

A row gets one objective, drawn by its number; every document's part in it is corrupted by itself
("file-level", arXiv 2305.02309, section 2). The part is solved to fit what is left of the row, so no
target is cut here either.
"""

from __future__ import annotations

from collections.abc import Callable

from spanmix.data.packing import Row
from spanmix.data.sources import Mixture, Positions
from spanmix.data_configs import DataConfig
from spanmix.objectives.choose import ObjectiveMixture
from spanmix.objectives.objective import DocumentKey, TokenizedDocument
from spanmix.seeding import draw_one

IsWhole = Callable[[int, int], bool]


class _Reader:
    """Hands out the documents of a window part by part."""

    def __init__(
        self, mixture: Mixture, positions: Positions, stage: int, is_whole: IsWhole, room: int | None
    ) -> None:
        self.mixture, self.positions = mixture, positions
        self._stage, self._is_whole, self._room = stage, is_whole, room
        self._num_documents = 0
        self.key: DocumentKey | None = None
        self.document = TokenizedDocument(mixture.stores[0].tokens(0)[:0])
        self.start = self.piece = self._filled = self._of_document = 0
        self._next()

    def take(self, num_tokens: int, num_positions: int) -> None:
        """Count a part as written."""
        assert self.key is not None
        self.start += num_tokens
        self.piece += 1
        self._of_document += num_positions
        if self.start == len(self.document.tokens):
            self.positions = self.mixture.advance(self.positions, self.key.source, self._of_document)
            self._filled += self._of_document
            self._next()

    def _next(self) -> None:
        full = self._room is not None and self._filled >= self._room
        full = full or self._is_whole(self._num_documents, self._filled)
        self.key = None if full else self.mixture.next_document(self.positions, self._stage)
        self._num_documents += 1
        self.start = self.piece = self._of_document = 0
        if self.key is not None:
            self.document = self.mixture.document(self.key)


def lay_out(
    mixture: Mixture,
    objectives: ObjectiveMixture,
    config: DataConfig,
    positions: Positions,
    stage: int,
    first_row: int,
    is_whole: IsWhole,
    room: int | None,
) -> tuple[list[Row], Positions]:
    """Return the rows of a window of documents, and the positions after them.

    Args:
        mixture: the sources.
        objectives: what a row is written as.
        config: length of rows.
        positions: where each source stands.
        stage: whose weights hold.
        first_row: number of the window's first row in the run.
        is_whole: whether so many documents, which take so many positions, are enough for a window.
        room: positions until the next stage, or None.
    """
    reader = _Reader(mixture, positions, stage, is_whole, room)
    rows: list[Row] = []
    while reader.key is not None:
        [word] = draw_one(mixture.seed, "sequence", 0, 0, first_row + len(rows), 1)
        # All sources have the same objectives here; `Loader` sees to it.
        objective = objectives.choose_by_word(word)
        row: Row = []
        left = config.row_tokens
        while reader.key is not None and left >= objective.smallest_room:
            key, stride = reader.key, objective.words_per_piece
            words = key.words("spans", stride, reader.piece * stride) if stride else []
            example, taken = objective.write(
                reader.document, reader.start, left, words, key.ref(reader.piece)
            )
            row.append(example)
            left -= example.num_positions
            reader.take(taken, example.num_positions)
        rows.append(row)
    return rows, reader.positions
