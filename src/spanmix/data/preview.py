"""Decode rows for people: each token with its text, its span, its target and its weight in the loss."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from spanmix.data.anatomy import Anatomist, Anatomy
from spanmix.data.loader import Loader
from spanmix.data.packing import Row
from spanmix.text.corpus import Corpus
from spanmix.types import Example

_LONGEST_CHARACTER = 4
EPOCH_AND_PIECE = (
    "epoch: how often the source was read before; piece: which part of the document, cut to fit a row; both "
    "from 0. Rows are packed from many documents at once, so a small source has several epochs in the first."
)


@dataclass(frozen=True)
class Cell:
    """One token, or the few tokens that only together are a character.

    Args:
        text: what it stands for; a control token's own name.
        token_ids: the ids.
        first: place of the first one in the example, which is also its position.
        span: the hidden span that it belongs to, or `spanmix.data.anatomy.SHOWN`.
        is_control: whether it is a control token.
        has_loss: whether predicting it is part of the loss.
        in_prefix: whether all of the example may see it.
    """

    text: str
    token_ids: tuple[int, ...]
    first: int
    span: int
    is_control: bool
    has_loss: bool
    in_prefix: bool

    @property
    def look(self) -> tuple[int, bool, bool, bool]:
        """What decides how it is drawn."""
        return self.span, self.is_control, self.has_loss, self.in_prefix


@dataclass(frozen=True)
class Piece:
    """One example of a row, decoded.

    Args:
        source, name: whose text it is; see `document_name`.
        objective: name of the recipe's entry.
        epoch, piece: which time, and which part of the file.
        cells: all of its tokens.
        span_tokens: tokens in each hidden span.
        num_text_tokens: tokens of the file in it.
    """

    source: str
    name: str
    objective: str
    epoch: int
    piece: int
    cells: tuple[Cell, ...]
    span_tokens: tuple[int, ...]
    num_text_tokens: int

    @property
    def summary(self) -> str:
        """Say in one line what it is."""
        hidden = sum(self.span_tokens)
        spans = f"{len(self.span_tokens)} span{'s' if len(self.span_tokens) != 1 else ''}"
        share = (
            f", {spans} with {hidden:,} tokens in all ({hidden / max(1, self.num_text_tokens):.0%})"
            if hidden
            else ""
        )
        with_loss = sum(len(cell.token_ids) for cell in self.cells if cell.has_loss)
        total = sum(len(cell.token_ids) for cell in self.cells)
        return (
            f"{self.objective}{share}, loss on {with_loss:,} of {total - 1:,} targets, epoch {self.epoch}, "
            f"piece {self.piece}"
        )


@dataclass(frozen=True)
class PreviewRow:
    """A row, decoded: its number in the run, how many of its positions are used, and its pieces."""

    number: int
    num_used: int
    row_tokens: int
    pieces: tuple[Piece, ...]

    @property
    def summary(self) -> str:
        """Say in one line how full it is."""
        segments = f"{len(self.pieces)} segment{'s' if len(self.pieces) != 1 else ''}"
        return f"row {self.number:,}: {segments}, {self.num_used:,} of {self.row_tokens:,} positions"


class Previewer:
    """Decodes the rows of a loader.

    Args:
        loader: makes the rows.
        corpus: knows the files' paths and the tokenizer.
    """

    def __init__(self, loader: Loader, corpus: Corpus) -> None:
        self._loader = loader
        self._corpus = corpus
        self._tokenizer = corpus.tokenizer
        self._anatomist = Anatomist(corpus.tokenizer)

    def row(self, row: Row, number: int) -> PreviewRow:
        """Decode one row."""
        used = sum(example.num_positions for example in row)
        pieces = tuple(self._piece(example) for example in row)
        return PreviewRow(number, used, self._loader.config.row_tokens, pieces)

    def _piece(self, example: Example) -> Piece:
        ref = example.ref
        source = self._loader.mixture.names[ref.source]
        anatomy = self._anatomist(example)
        return Piece(
            source,
            self._corpus.train[source].name_of(ref.document),
            self._loader.objectives.names[example.objective],
            ref.epoch,
            ref.piece,
            tuple(self._cells(example, anatomy)),
            tuple(anatomy.span_tokens),
            anatomy.num_text_tokens,
        )

    def _cells(self, example: Example, anatomy: Anatomy) -> Iterator[Cell]:
        ids = example.token_ids.tolist()
        spans, controls = anatomy.span_of.tolist(), anatomy.is_control.tolist()
        losses = (example.loss_weights > 0).tolist()
        first = 0
        while first < len(ids):
            look = (spans[first], controls[first], losses[first], first < example.prefix_length)
            length = 1 if controls[first] else self._whole(ids, controls, first)
            part = ids[first : first + length]
            yield Cell(self._tokenizer.decode(part), tuple(part), first, *look)
            first += length

    def _whole(self, ids: Sequence[int], controls: Sequence[bool], first: int) -> int:
        """Return how many tokens from `first` on are whole characters, 1 if none are."""
        data = b""
        for length in range(1, _LONGEST_CHARACTER + 1):
            if first + length > len(ids) or controls[first + length - 1]:
                break
            data += self._tokenizer.token_bytes[ids[first + length - 1]]
            try:
                data.decode("utf-8")
            except UnicodeDecodeError:
                continue
            return length
        return 1
