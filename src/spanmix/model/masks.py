"""Put `spanmix.data.visible`, who may see whom, into the forms that the attention kernels want."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from spanmix.data.visible import allowed

if TYPE_CHECKING:
    from torch.nn.attention.flex_attention import BlockMask

Visible = list[list[list[int]]]
"""For every row and query, the first key that it can see and the one behind the last."""


@dataclass(frozen=True)
class AttentionMask:
    """The mask of a packed batch.

    Args:
        segment_ids_BT: int [B, T], whose token each place is.
        in_prefix_BT: bool [B, T], what all of its segment sees: a bidirectional prefix.
    """

    segment_ids_BT: Tensor
    in_prefix_BT: Tensor

    @classmethod
    def from_segments(cls, segment_ids_BT: Tensor, in_prefix_BT: Tensor | None = None) -> AttentionMask:
        """Build the mask of packed rows from their segment ids, int [B, T], and prefixes, bool [B, T].

        >>> mask = AttentionMask.from_segments(torch.tensor([[1, 1, 2, 0]]))
        >>> mask.allowed_BTS[0].int().tolist()
        [[1, 0, 0, 0], [1, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]
        >>> mask.visible
        [[[0, 1], [0, 2], [2, 3], [3, 4]]]
        >>> prefix = torch.tensor([[True, True, False, False]])
        >>> AttentionMask.from_segments(torch.tensor([[1, 1, 1, 0]]), prefix).allowed_BTS[0].int().tolist()
        [[1, 1, 0, 0], [1, 1, 0, 0], [1, 1, 1, 0], [0, 0, 0, 1]]
        """
        if in_prefix_BT is None:
            in_prefix_BT = torch.zeros_like(segment_ids_BT, dtype=torch.bool)
        return cls(segment_ids_BT, in_prefix_BT)

    @classmethod
    def causal(cls, num_rows: int, num_tokens: int, device: torch.device | str = "cpu") -> AttentionMask:
        """Build the mask of rows that hold one segment each."""
        return cls.from_segments(torch.ones(num_rows, num_tokens, dtype=torch.int32, device=device))

    @cached_property
    def allowed_BTS(self) -> Tensor:
        """Bool [B, T, T]; entry (b, t, s) lets query t see key s."""
        index_T = torch.arange(self.segment_ids_BT.shape[1], device=self.segment_ids_BT.device)
        segment_q, segment_k = self.segment_ids_BT[:, :, None], self.segment_ids_BT[:, None, :]
        visible_BTS: Tensor = allowed(
            segment_q, segment_k, index_T[:, None], index_T[None, :], self.in_prefix_BT[:, None, :]
        )
        return visible_BTS

    @cached_property
    def visible(self) -> Visible:
        """Where each query's first key lies and where its last one ends; kernels skip the others."""
        flags_BTS = self.allowed_BTS.to(torch.uint8)
        first_BT = flags_BTS.argmax(dim=-1)
        stop_BT = flags_BTS.shape[-1] - flags_BTS.flip(-1).argmax(dim=-1)
        return torch.stack([first_BT, stop_BT], dim=-1).tolist()

    @cached_property
    def additive_BTS(self) -> Tensor:
        """0 where a query may look and -inf where it may not, in bfloat16 (which holds both exactly)."""
        additive = torch.zeros(self.allowed_BTS.shape, dtype=torch.bfloat16, device=self.allowed_BTS.device)
        return additive.masked_fill_(~self.allowed_BTS, float("-inf"))

    @cached_property
    def block_mask(self) -> BlockMask:
        """The same for FlexAttention, which skips blocks of keys that no query of a block can see."""
        from torch.nn.attention.flex_attention import create_block_mask

        segments, prefix = self.segment_ids_BT, self.in_prefix_BT

        def mask_mod(b: Tensor, h: Tensor, q: Tensor, k: Tensor) -> Tensor:
            visible: Tensor = allowed(segments[b, q], segments[b, k], q, k, prefix[b, k])
            return visible

        rows, length = segments.shape
        return create_block_mask(mask_mod, rows, None, length, length, device=segments.device)
