"""Say which key each query may see: one definition, in the forms that the attention kernels want."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor


def allowed(segment_q: Tensor, segment_k: Tensor, index_q: Tensor, index_k: Tensor) -> Tensor:
    """The definition: a query sees the keys of its own segment, up to and including itself.

    The arguments broadcast; ``index`` is the place in the row. PAD is a segment like any other, so
    every query sees at least itself and no softmax runs over nothing.
    """
    return (segment_q == segment_k) & (index_k <= index_q)


@dataclass(frozen=True)
class AttentionMask:
    """The mask of a packed batch.

    Args:
        allowed_BTS: bool [B, T, T]; entry (b, t, s) lets query t see key s.
        first_keys: for every row, the first key that each query can see; kernels skip what lies before.
    """

    allowed_BTS: Tensor
    first_keys: list[list[int]]

    @classmethod
    def from_segments(cls, segment_ids_BT: Tensor) -> AttentionMask:
        """Build the mask of packed rows from their segment ids, int [B, T].

        >>> mask = AttentionMask.from_segments(torch.tensor([[1, 1, 2, 0]]))
        >>> mask.allowed_BTS[0].int().tolist()
        [[1, 0, 0, 0], [1, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]
        >>> mask.first_keys
        [[0, 0, 2, 3]]
        """
        index_T = torch.arange(segment_ids_BT.shape[1], device=segment_ids_BT.device)
        allowed_BTS = allowed(
            segment_ids_BT[:, :, None], segment_ids_BT[:, None, :], index_T[:, None], index_T[None, :]
        )
        first_keys_BT = allowed_BTS.int().argmax(dim=-1)
        return cls(allowed_BTS, first_keys_BT.tolist())

    @classmethod
    def causal(cls, num_rows: int, num_tokens: int, device: torch.device | str = "cpu") -> AttentionMask:
        """Build the mask of rows that hold one segment each."""
        return cls.from_segments(torch.ones(num_rows, num_tokens, dtype=torch.int32, device=device))

    @cached_property
    def additive_BTS(self) -> Tensor:
        """0 where a query may look and -inf where it may not, in bfloat16 (which holds both exactly)."""
        additive = torch.zeros(self.allowed_BTS.shape, dtype=torch.bfloat16, device=self.allowed_BTS.device)
        return additive.masked_fill_(~self.allowed_BTS, float("-inf"))
