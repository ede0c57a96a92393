"""Keep transformers' keys and values of a batch whose rows come and go: all rows end at the same slot.

::

    row 0   . . . a b c         mask  0 0 0 1 1 1
    row 1   d e f g h i               1 1 1 1 1 1

Every row gets its next token in the same new slot, whatever its length, so one forward pass serves all; the
slots in front of a row are hidden by the mask, and hold zeros, which stay finite whatever is done with them.
A row is never interrupted, so that the distance of two slots is that of two positions, as the masks of
sliding windows take it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional


class AlignedCache:
    """The rows that run, in a `DynamicCache` of transformers whose layers hold tensors [B, heads, S, C]."""

    def __init__(self) -> None:
        self.cache: Any = None
        self.lengths: list[int] = []

    @property
    def num_slots(self) -> int:
        """Slots that are filled: those of the longest row."""
        return max(self.lengths, default=0)

    def add(self, cache: Any, lengths: Sequence[int]) -> None:
        """Take rows in behind the others.

        Args:
            cache: of the new rows, which begin at slot 0; it becomes a part of this one.
            lengths: slots of each that are filled.
        """
        num_slots = max(self.num_slots, *lengths)
        for index, layer in enumerate(cache.layers):
            old = self.cache.layers[index] if self.cache is not None else None
            layer.keys = _joined(old and old.keys, layer.keys, lengths, num_slots)
            layer.values = _joined(old and old.values, layer.values, lengths, num_slots)
        self.cache = cache
        self.lengths += lengths

    def next_slot(self, device: torch.device) -> Tensor:
        """Give every row one more slot, and return the mask that shows each its own, int64 [B, S]."""
        self.lengths = [length + 1 for length in self.lengths]
        slots_S = torch.arange(self.num_slots, device=device)
        lengths_B = torch.tensor(self.lengths, device=device)
        return (slots_S[None, :] >= self.num_slots - lengths_B[:, None]).long()

    def keep(self, rows: Sequence[int]) -> None:
        """Forget all rows but these, and the slots that none of these fills."""
        self.lengths = [self.lengths[row] for row in rows]
        if not rows:
            self.cache = None
            return
        for layer in self.cache.layers:
            start = layer.keys.shape[2] - self.num_slots
            index_B = torch.tensor(rows, device=layer.keys.device)
            layer.keys = layer.keys[:, :, start:].index_select(0, index_B)
            layer.values = layer.values[:, :, start:].index_select(0, index_B)


def _joined(old_BHSC: Tensor | None, new_BHSC: Tensor, lengths: Sequence[int], num_slots: int) -> Tensor:
    rows, heads, _, channels = new_BHSC.shape
    aligned_BHSC = new_BHSC.new_zeros(rows, heads, num_slots, channels)
    for row, length in enumerate(lengths):
        aligned_BHSC[row, :, num_slots - length :] = new_BHSC[row, :, :length]
    if old_BHSC is None:
        return aligned_BHSC
    padded_BHSC = functional.pad(old_BHSC, (0, 0, num_slots - old_BHSC.shape[2], 0))
    return torch.cat((padded_BHSC, aligned_BHSC))
