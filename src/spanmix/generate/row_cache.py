"""Keep the keys and values of a batch whose rows come, grow and go."""

from __future__ import annotations

import torch
from torch import Tensor

from spanmix.model.architecture import Architecture
from spanmix.model.blocks import KVCache

_FIRST_SLOTS = 64


class RowCache(KVCache):
    """A `KVCache` with room for more rows and slots, doubled as it fills up.

    Rows 0..`num_rows` - 1 are in use. Memory is kept until the cache itself is dropped, and starts as
    zeros: what a mask hides must still be a finite number. A forward pass works on a window of
    neighboring rows: the new ones when prompts are read, all of them when each gets its next token.

        rows   0 1 2 3 | 4 5 | . .          window (4, 6) while the prompts of rows 4 and 5 are read
        rows   0 1 2 3   4 5 | . .          window (0, 6) afterwards
        row 1 leaves:  0 5 2 3 4 | . . .    the last row takes its place

    Args:
        architecture: the decoder's shape.
        dtype: element type; keys and values of another one are converted as they come.
        device: where the decoder is.
    """

    def __init__(self, architecture: Architecture, dtype: torch.dtype, device: torch.device) -> None:
        super().__init__(architecture, 0, 0, dtype)
        self.keys_LBHSC = self.keys_LBHSC.to(device)
        self.values_LBHSC = self.values_LBHSC.to(device)
        self.context_tokens = architecture.context_tokens
        self.num_rows = 0
        self.window = slice(0, 0)

    @staticmethod
    def slot_bytes(architecture: Architecture, dtype: torch.dtype) -> int:
        """Return the bytes that one position of one row takes."""
        return 2 * architecture.num_layers * architecture.dim * dtype.itemsize

    def reserve(self, num_rows: int, num_slots: int) -> None:
        """Make room for `num_rows` rows in all of at least `num_slots` slots."""
        self._grow(num_rows, num_slots)

    def add_rows(self, num_new: int, num_slots: int) -> None:
        """Take `num_new` more rows into use, with at least `num_slots` slots, and set the window on them."""
        self._grow(self.num_rows + num_new, num_slots)
        self.window = slice(self.num_rows, self.num_rows + num_new)
        self.num_rows += num_new

    def all_rows(self, num_slots: int) -> None:
        """Set the window on all rows, with at least `num_slots` slots."""
        self._grow(self.num_rows, num_slots)
        self.window = slice(0, self.num_rows)

    def remove_row(self, row: int, num_used: int) -> None:
        """Free a row by moving the last one, of which `num_used` slots are filled, into its place."""
        last = self.num_rows - 1
        if row != last:
            for store in (self.keys_LBHSC, self.values_LBHSC):
                store[:, row, :, :num_used] = store[:, last, :, :num_used]
        self.num_rows = last

    def extend(
        self, layer: int, k_BHTC: Tensor, v_BHTC: Tensor, positions_BT: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Store new keys and values in the window's rows; return their slots up to the last one in use."""
        keys_BHSC = self.keys_LBHSC[layer, self.window]
        values_BHSC = self.values_LBHSC[layer, self.window]
        rows_B1 = torch.arange(positions_BT.shape[0], device=positions_BT.device)[:, None]
        for window_BHSC, new_BHTC in ((keys_BHSC, k_BHTC), (values_BHSC, v_BHTC)):
            window_BHSC.transpose(1, 2)[rows_B1, positions_BT] = new_BHTC.transpose(1, 2).to(
                window_BHSC.dtype
            )
        stop = int(positions_BT.max()) + 1
        return keys_BHSC[:, :, :stop], values_BHSC[:, :, :stop]

    def _grow(self, num_rows: int, num_slots: int) -> None:
        rows, slots = self.keys_LBHSC.shape[1], self.keys_LBHSC.shape[3]
        if num_rows <= rows and num_slots <= slots:
            return
        rows = max(rows, 1)
        while rows < num_rows:
            rows *= 2
        slots = max(slots, _FIRST_SLOTS)
        while slots < num_slots:
            slots *= 2
        slots = max(num_slots, min(slots, self.context_tokens))
        layers, _, heads, old_slots, channels = self.values_LBHSC.shape
        values_LBHSC = self.values_LBHSC.new_zeros(layers, rows, heads, slots, channels)
        keys_LBHSC = torch.zeros_like(values_LBHSC)
        for new, old in ((keys_LBHSC, self.keys_LBHSC), (values_LBHSC, self.values_LBHSC)):
            new[:, : self.num_rows, :, :old_slots] = old[:, : self.num_rows]
        self.keys_LBHSC, self.values_LBHSC = keys_LBHSC, values_LBHSC
