"""Keep the keys and values of a batch whose rows come, grow and go, and of some that went, for use again."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from spanmix.model.architecture import Architecture

LEAST_REUSED = 16
"""Fewer tokens in common with another row are read again: that costs less than to copy them."""

_SLOTS_AT_ONCE = 128
"""A step of generation may read all slots that there are (see `attend_cached`): few are kept beyond need."""
_NOTHING: NDArray[np.int64] = np.empty(0, np.int64)


def num_common(one: Sequence[int] | NDArray[np.int64], other: Sequence[int] | NDArray[np.int64]) -> int:
    """Return how many first tokens are the same.

    >>> num_common([1, 2, 3], [1, 2, 4, 5]), num_common([1], [1, 2])
    (2, 1)
    """
    length = min(len(one), len(other))
    differs = np.asarray(one[:length]) != np.asarray(other[:length])
    return int(differs.argmax()) if differs.any() else length


class RowCache:
    """A `spanmix.model.blocks.KVCache` that makes room for more rows and slots when they are needed.

    Rows 0..`num_rows` - 1 run. Those behind them rest: they hold what requests left that are done, until
    their place is needed. A new row begins with what it has in common with any other, running or resting.
    Memory is kept until the cache itself is dropped, and starts as zeros: what a mask hides must still be a
    finite number. A forward pass works on a window of neighboring rows: the new ones when prompts are read,
    all that run when each gets its next tokens.

        rows   0 1 2 3 4 5 | r r            window (4, 6) while the prompts of rows 4 and 5 are read
        row 1 leaves:  0 5 2 3 4 | 1 r r    the last row changes places with it, and it rests

    There is one slot more than the context has positions, for the keys and values of padding.

    Args:
        architecture: the decoder's shape.
        dtype: element type, the one that the decoder computes in.
        device: where the decoder is.
        max_slots: most slots of all rows together; one row is always there.
        resting_rows: how many rows can rest beside those that run, if there is room.
    """

    def __init__(
        self,
        architecture: Architecture,
        dtype: torch.dtype,
        device: torch.device,
        max_slots: int,
        resting_rows: int = 0,
    ) -> None:
        shape = (architecture.num_layers, 0, architecture.num_heads, 0, architecture.head_dim)
        self.keys_LBHSC = torch.empty(shape, dtype=dtype, device=device)
        self.values_LBHSC = torch.empty_like(self.keys_LBHSC)
        self.num_rows = 0
        self._context_tokens = architecture.context_tokens
        self._max_slots = max_slots
        self._resting_rows = resting_rows
        self._window = slice(0, 0)
        self._held: list[NDArray[np.int64]] = []
        self._left_at: list[int] = []
        self._num_left = 0

    @staticmethod
    def slot_bytes(architecture: Architecture, dtype: torch.dtype) -> int:
        """Return the bytes that one position of one row takes."""
        return 2 * architecture.num_layers * architecture.dim * dtype.itemsize

    def has_room(self, num_rows: int, num_slots: int) -> bool:
        """Return whether so many rows of so many positions can run at once."""
        return num_rows == 1 or num_rows * (num_slots + 1) <= self._max_slots

    def reserve(self, num_rows: int, num_slots: int) -> None:
        """Make room for `num_rows` rows in all that run, of `num_slots` positions each."""
        num_slots += 1
        rows, slots = len(self._held), self.keys_LBHSC.shape[3]
        if num_rows <= rows and num_slots <= slots:
            return
        rounded = -(-num_slots // _SLOTS_AT_ONCE) * _SLOTS_AT_ONCE
        rounded = max(num_slots, min(rounded, self._context_tokens + 1))
        # Many short rows may not fit at the length of an earlier long one: then all become shorter.
        lengths = (max(slots, rounded), rounded)
        slots = next((each for each in lengths if num_rows * each <= self._max_slots), num_slots)
        if num_rows > rows:
            rows = max(num_rows + self._resting_rows, 2 * rows)
        self._resize(max(num_rows, min(rows, self._max_slots // slots)), slots)

    def common(self, token_ids: Sequence[int]) -> int:
        """Return how many of a prompt's first tokens some row holds; 0 if they are too few to be copied."""
        return self._best(np.asarray(token_ids, np.int64))[1]

    def take_row(self, token_ids: Sequence[int]) -> int:
        """Let one more row run; return of how many of a prompt's first tokens it has the keys and values.

        There has to be room for it (see `reserve`). At least the last token is left to be read.
        """
        prompt = np.asarray(token_ids, np.int64)
        source, num_reused = self._best(prompt)
        row = self.num_rows
        resting = range(row, len(self._held))
        # A row that would hardly hold anything more than the new one is given up for it.
        if source in resting and 2 * num_reused >= len(self._held[source]):
            self.swap(row, source)
        else:
            others = (other for other in resting if other != source)  # it is still to be copied from
            victim = min(others, key=lambda other: (self._left_at[other], other), default=row)
            self._copy(row, victim, len(self._held[row]))
            self._held[victim], self._left_at[victim] = self._held[row], self._left_at[row]
            self._copy(victim if source == row else source, row, num_reused)
        self._held[row] = prompt[:num_reused]
        self.num_rows += 1
        return num_reused

    def hold(self, row: int, token_ids: Sequence[int]) -> None:
        """Note the tokens whose keys and values a row has."""
        self._held[row] = np.asarray(token_ids, np.int64)

    def swap(self, row: int, other: int) -> None:
        """Let two rows change places; what they hold has to be noted."""
        if row == other:
            return
        length = max(len(self._held[row]), len(self._held[other]))
        for store in (self.keys_LBHSC, self.values_LBHSC):
            kept = store[:, row, :, :length].clone()
            store[:, row, :, :length] = store[:, other, :, :length]
            store[:, other, :, :length] = kept
        self._held[row], self._held[other] = self._held[other], self._held[row]
        self._left_at[row], self._left_at[other] = self._left_at[other], self._left_at[row]

    def release(self) -> None:
        """Let the last row that runs rest."""
        self.num_rows -= 1
        self._num_left += 1
        self._left_at[self.num_rows] = self._num_left

    def select(self, first: int, end: int) -> None:
        """Set the window on the rows from `first` up to `end`."""
        self._window = slice(first, end)

    def extend(
        self, layer: int, k_BHTC: Tensor, v_BHTC: Tensor, positions_BT: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Store new keys and values in the window's rows, and return those of all slots, [B, H, S, C]."""
        keys_BHSC = self.keys_LBHSC[layer, self._window]
        values_BHSC = self.values_LBHSC[layer, self._window]
        rows_B1 = torch.arange(positions_BT.shape[0], device=positions_BT.device)[:, None]
        for window_BHSC, new_BHTC in ((keys_BHSC, k_BHTC), (values_BHSC, v_BHTC)):
            window_BHSC.transpose(1, 2)[rows_B1, positions_BT] = new_BHTC.transpose(1, 2)
        return keys_BHSC, values_BHSC

    def _best(self, prompt: NDArray[np.int64]) -> tuple[int, int]:
        """Return the row that has most in common with a prompt, but for its last token, and how much."""
        best, most = -1, 0
        for row, held in enumerate(self._held):
            length = min(len(held), len(prompt) - 1)
            if length <= most:
                continue
            if (shared := num_common(held[:length], prompt[:length])) > most:
                best, most = row, shared
        return (best, most) if most >= LEAST_REUSED else (-1, 0)

    def _copy(self, source: int, row: int, length: int) -> None:
        if source == row or length == 0:
            return
        for store in (self.keys_LBHSC, self.values_LBHSC):
            store[:, row, :, :length] = store[:, source, :, :length]

    def _resize(self, num_rows: int, num_slots: int) -> None:
        """Make the cache of this size; of the rows that rest those are dropped that left first."""
        resting = sorted(range(self.num_rows, len(self._held)), key=lambda row: -self._left_at[row])
        kept = [*range(self.num_rows), *resting][:num_rows]
        layers, _, heads, slots, channels = self.values_LBHSC.shape
        slots = min(slots, num_slots)
        # Of a row that rests it is known how much of it is used.
        used = [slots if row < self.num_rows else min(slots, len(self._held[row])) for row in kept]
        shape = (layers, num_rows, heads, num_slots, channels)
        dtype, device = self.keys_LBHSC.dtype, self.keys_LBHSC.device
        # Both before either is in its place: where memory lacks, all stays as it is.
        stores = [(name, _zeros(shape, dtype, device)) for name in ("keys_LBHSC", "values_LBHSC")]
        for name, new_LBHSC in stores:
            old_LBHSC = getattr(self, name)
            for row, (source, length) in enumerate(zip(kept, used, strict=True)):
                new_LBHSC[:, row, :, :length] = old_LBHSC[:, source, :, :length]
            setattr(self, name, new_LBHSC)
        num_new = num_rows - len(kept)
        self._held = [self._held[row][:slots] for row in kept] + [_NOTHING] * num_new
        self._left_at = [self._left_at[row] for row in kept] + [0] * num_new


def _zeros(shape: tuple[int, ...], dtype: torch.dtype, device: torch.device) -> Tensor:
    """Return zeros. The system gives those on a CPU when they are first touched: most rows rest unused."""
    if device.type != "cpu":
        return torch.zeros(shape, dtype=dtype, device=device)
    raw = torch.from_numpy(np.zeros(math.prod(shape) * dtype.itemsize, np.uint8))
    return raw.view(dtype).view(shape)
