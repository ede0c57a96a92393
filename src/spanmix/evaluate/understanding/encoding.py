"""Turn labeled texts into rows of ids, and rows of like length into batches.

A row is ``<|endoftext|>``, which stands in front of every file that a model was trained on, and the text. A
pair is its two texts with two empty lines between them, as they would stand in one file: the tokens of the
second see those of the first. What is longer than `max_tokens` is cut at its end; of a pair each text may
have half of the room, and what one does not need is the other's.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from spanmix import seeding
from spanmix.evaluate.understanding.examples import LabeledText
from spanmix.text.tokenizer import Tokenizer
from spanmix.types import PAD_SEGMENT, IntArray

BETWEEN = "\n\n\n"
TEXT_SEGMENT = 1
_SORTED_BATCHES = 16
_WIDTH_STEP = 64


@dataclass(frozen=True)
class EncodedText:
    """A row to be.

    Args:
        token_ids: int32 [n].
        label: 0 or 1.
        num_cut: tokens that did not fit.
    """

    token_ids: IntArray
    label: int
    num_cut: int


@dataclass(frozen=True)
class TextBatch:
    """Rows that go through the decoder together.

    Args:
        token_ids_BT: int64 [B, T].
        segment_ids_BT: int64 [B, T]; `TEXT_SEGMENT`, and `PAD_SEGMENT` behind the end of a row.
        labels_B: int64 [B].
        numbers: which of the examples they are, [B].
    """

    token_ids_BT: Tensor
    segment_ids_BT: Tensor
    labels_B: Tensor
    numbers: list[int]


def encode_all(examples: Sequence[LabeledText], tokenizer: Tokenizer, max_tokens: int) -> list[EncodedText]:
    """Encode examples; `max_tokens` is the longest row.

    Raises:
        InputError: a text holds a lone surrogate.
    """
    between = tokenizer.encode(BETWEEN)
    texts = [text for example in examples for text in example.texts]
    ids = iter(tokenizer.encode_arrays(texts))
    start = np.array([tokenizer.control.eot], dtype=np.int32)
    encoded = []
    for example in examples:
        parts = [next(ids) for _ in example.texts]
        room = max_tokens - 1 - len(between) * (len(parts) - 1)
        kept = _cut(parts, room)
        row = [start, kept[0]]
        for part in kept[1:]:
            row += [np.array(between, dtype=np.int32), part]
        num_cut = sum(len(part) for part in parts) - sum(len(part) for part in kept)
        encoded.append(EncodedText(np.concatenate(row), example.label, num_cut))
    return encoded


def _cut(parts: Sequence[IntArray], room: int) -> list[IntArray]:
    """Cut one text, or two, to a number of tokens.

    >>> [len(part) for part in _cut([np.arange(9), np.arange(3)], 10)]
    [7, 3]
    """
    if len(parts) == 1:
        return [parts[0][:room]]
    one, other = len(parts[0]), len(parts[1])
    first = min(one, max(room - room // 2, room - other))
    return [parts[0][:first], parts[1][: room - first]]


def in_order(encoded: Sequence[EncodedText], batch_size: int, pad_id: int) -> Iterator[TextBatch]:
    """Yield batches of all examples, the longest first."""
    longest_first = sorted(range(len(encoded)), key=lambda n: (-len(encoded[n].token_ids), n))
    for start in range(0, len(encoded), batch_size):
        yield _batch(encoded, longest_first[start : start + batch_size], pad_id)


def shuffled(
    encoded: Sequence[EncodedText], batch_size: int, pad_id: int, seed: int, epoch: int
) -> Iterator[TextBatch]:
    """Yield batches of all examples in an order that seed and epoch decide, those of like length together."""
    words = seeding.draw(seed, "fine-tune order", 0, epoch, range(len(encoded)), 2)
    order = np.argsort(words[:, 0], kind="stable").tolist()
    batches: list[list[int]] = []
    for start in range(0, len(order), batch_size * _SORTED_BATCHES):
        near = order[start : start + batch_size * _SORTED_BATCHES]
        near.sort(key=lambda n: (len(encoded[n].token_ids), n))
        batches += [near[first : first + batch_size] for first in range(0, len(near), batch_size)]
    for n in np.argsort(words[: len(batches), 1], kind="stable").tolist():
        yield _batch(encoded, batches[n], pad_id)


def _batch(encoded: Sequence[EncodedText], numbers: list[int], pad_id: int) -> TextBatch:
    rows = [encoded[n] for n in numbers]
    # Few widths: a GPU's attention is compiled for each.
    longest = max(len(row.token_ids) for row in rows)
    width = -(-longest // _WIDTH_STEP) * _WIDTH_STEP
    token_ids_BT = np.full((len(rows), width), pad_id, dtype=np.int64)
    segment_ids_BT = np.full((len(rows), width), PAD_SEGMENT, dtype=np.int64)
    for b, row in enumerate(rows):
        token_ids_BT[b, : len(row.token_ids)] = row.token_ids
        segment_ids_BT[b, : len(row.token_ids)] = TEXT_SEGMENT
    labels_B = torch.tensor([row.label for row in rows])
    return TextBatch(torch.from_numpy(token_ids_BT), torch.from_numpy(segment_ids_BT), labels_B, numbers)
