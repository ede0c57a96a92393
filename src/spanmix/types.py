"""What crosses the house: a Document, an Example and a Batch.

    Document --tokenize--> token ids --objective--> Example --pack--> Batch

Worked example. The file ``ab\\ncd`` has the token ids ``10 11 12``; ``<|endoftext|>`` is 0, ``<sep>`` 1,
``<eom>`` 2 and ``<mask_1>`` 3. Hiding the middle token gives this infill example of ten tokens::

    token_ids     0  10   3  12   0   1   3  11   2   0
                  start  ^mask_1  end sep ^mask_1 ^eom  end
    loss_weights  0   1   1   1   1   1   1   1   1   1

and the causal example of another file, ``20 21``, is ``0 20 21 0``. An example of n tokens takes n - 1
positions of a row, because its last token is only ever predicted. Packed into one row of 14::

    token_ids     0 10  3 12  0  1  3 11  2 |  0 20 21 |  P  P
    targets      10  3 12  0  1  3 11  2  0 | 20 21  0 |  P  P
    loss_weights  1  1  1  1  1  1  1  1  1 |  1  1  1 |  0  0
    segment_ids   1  1  1  1  1  1  1  1  1 |  2  2  2 |  0  0
    positions     0  1  2  3  4  5  6  7  8 |  0  1  2 |  0  1

PAD is segment 0: it attends to itself alone, and it never carries loss. With a bidirectional prefix
(`Example.prefix_length`), ``in_prefix`` marks the positions that all of their segment may see.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

IntArray = NDArray[np.int32]
FloatArray = NDArray[np.float32]

PAD_SEGMENT = 0


@dataclass(frozen=True)
class TextControls:
    """What every model's tokenizer has of the ids that no text ever yields.

    Args:
        eot: ends a text, and stands in front of one that is empty.
    """

    eot: int


@dataclass(frozen=True)
class ControlIds(TextControls):
    """The ids that no text ever yields, of our models.

    Args:
        eot: ``<|endoftext|>``, in front of every example and behind every file.
        sep: ``<sep>``, between the shown text and the hidden spans.
        eom: ``<eom>``, behind every hidden span.
        pad: ``<pad>``.
        masks: ``<mask_1>``, ``<mask_2>``, … in this order.
    """

    sep: int
    eom: int
    pad: int
    masks: tuple[int, ...]

    def __post_init__(self) -> None:
        ids = (self.eot, self.sep, self.eom, self.pad, *self.masks)
        assert len(set(ids)) == len(ids), f"control ids are not distinct: {ids}"


@dataclass(frozen=True)
class Document:
    """One file of a source, as text.

    Args:
        text: the whole file.
        source: name of the source that it belongs to.
        path: what it is called in the corpus, wherever it lies on this machine: its path inside the
            repository, or what its dataset says, or the path below the source's folder with the name of that
            in front; see `spanmix.text.readers.origin`.
        language: language name, such as ``python``, or ``""``.
        licence: SPDX expression, or ``""`` if unknown.
        prompt_characters: how many characters at the start of the text are a prompt; the rest is the
            response to it. 0 in a file that has none.
        repository: the repository that it lies in, ``owner/name`` where both are known, or ``""``.
        stars: the repository's stars, or None if unknown.
        root: what of `path` names the source's folder, with the slash behind it, or ``""``.
        file: where it was read on this machine, a file or a place in one; in no corpus.
        read_bytes: how many bytes it was read as, before anything was converted; 0 if that is not known.
        host: the one that the repository lies on, such as ``github.com``, or ``""`` if that is not known; in
            no corpus.
        text_field: the field of its record that held the text, if that is not the one that its source names;
            in no corpus.
    """

    text: str
    source: str
    path: str
    language: str = ""
    licence: str = ""
    prompt_characters: int = 0
    repository: str = ""
    stars: int | None = None
    root: str = field(default="", compare=False)
    file: str = field(default="", compare=False)
    read_bytes: int = field(default=0, compare=False)
    host: str = field(default="", compare=False)
    text_field: str = field(default="", compare=False)


class DocumentRef(NamedTuple):
    """Which piece of which document an example was made of: all integers, from 0."""

    source: int
    document: int
    epoch: int
    piece: int


@dataclass(frozen=True)
class Example:
    """One document piece as the objective wrote it; see the module's worked example.

    Args:
        token_ids: int32 [n], n >= 2, starting with ``<|endoftext|>``.
        loss_weights: float32 [n]; entry i is the weight of *predicting* token i, so entry 0 is 0.
        prefix_length: tokens in the bidirectional prefix; 0 in a causal decoder.
        objective: index of the objective in the recipe.
        ref: the piece it was made of.
    """

    token_ids: IntArray
    loss_weights: FloatArray
    prefix_length: int
    objective: int
    ref: DocumentRef

    def __post_init__(self) -> None:
        n = len(self.token_ids)
        assert n >= 2, f"an example has {n} tokens; it needs at least 2"
        assert self.token_ids.dtype == np.int32 and self.loss_weights.dtype == np.float32
        assert self.loss_weights.shape == (n,), "one loss weight for each token"
        assert self.loss_weights[0] == 0, "the start token is never predicted"
        assert 0 <= self.prefix_length < n

    @property
    def num_positions(self) -> int:
        """Positions that the example takes in a row: one fewer than its tokens."""
        return len(self.token_ids) - 1


@dataclass(frozen=True)
class Segment:
    """Where an example lies in a batch: row, first position and length, with what made it."""

    row: int
    start: int
    length: int
    prefix_length: int
    objective: int
    ref: DocumentRef


@dataclass(frozen=True)
class Batch:
    """Packed rows, ready for the decoder. Targets are shifted here and nowhere else.

    Args:
        token_ids: int32 [B, T], the inputs.
        targets: int32 [B, T]; ``targets[b, t]`` is the token after ``token_ids[b, t]``.
        loss_weights: float32 [B, T], the weight of each target.
        segment_ids: int32 [B, T]; 1, 2, … within a row, `PAD_SEGMENT` on padding.
        positions: int32 [B, T], from 0 in every segment (or through the row, if the recipe says so).
        in_prefix: bool [B, T], what all of its segment may see; see `spanmix.model.masks`.
        segments: the examples in the batch, by row and start.
        first_row: number of the first row in the whole run.
    """

    token_ids: IntArray
    targets: IntArray
    loss_weights: FloatArray
    segment_ids: IntArray
    positions: IntArray
    in_prefix: NDArray[np.bool_]
    segments: tuple[Segment, ...]
    first_row: int

    def __post_init__(self) -> None:
        shape = self.token_ids.shape
        assert len(shape) == 2
        for array in (self.targets, self.loss_weights, self.segment_ids, self.positions, self.in_prefix):
            assert array.shape == shape, f"{array.shape} beside token_ids {shape}"

    @property
    def num_rows(self) -> int:
        """Rows in the batch."""
        return int(self.token_ids.shape[0])

    def rows(self, start: int, stop: int) -> Batch:
        """Return rows start..stop-1 as a batch of their own, for micro-batches."""
        chosen = tuple(
            Segment(s.row - start, s.start, s.length, s.prefix_length, s.objective, s.ref)
            for s in self.segments
            if start <= s.row < stop
        )
        part = slice(start, stop)
        return Batch(
            self.token_ids[part],
            self.targets[part],
            self.loss_weights[part],
            self.segment_ids[part],
            self.positions[part],
            self.in_prefix[part],
            chosen,
            self.first_row + start,
        )
