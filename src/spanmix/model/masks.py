"""Put `spanmix.data.visible`, who may see whom, into the forms that the attention kernels want."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, cached_property
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from spanmix.data.visible import allowed

if TYPE_CHECKING:
    from torch.nn.attention.flex_attention import BlockMask

TILE_QUERIES = 128
"""Queries of a `Tile`, and what the edges of its keys are rounded to."""


@dataclass(frozen=True)
class Tile:
    """A block of queries of one row and the keys that any of them can see.

    Args:
        row: of the batch.
        queries: where the queries lie.
        keys: where the keys lie; keys that only some of the queries see are among them.
        masked: where the mask has to be applied, counted from the first of `keys`; the others are for all.
    """

    row: int
    queries: slice
    keys: slice
    masked: tuple[slice, ...]

    @property
    def num_keys(self) -> int:
        """How many keys there are."""
        stop: int = self.keys.stop
        return stop - int(self.keys.start)


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
    def tiles(self) -> list[Tile]:
        """Blocks that together cover every allowed pair; kernels skip what lies between them.

        Their edges are multiples of a fixed step, so that matrix products come in few shapes and a library
        builds its kernels once.
        """
        return [
            tile
            for row, allowed_TS in enumerate(self.allowed_BTS)
            for tile in (_tile(allowed_TS, row, start) for start in range(0, len(allowed_TS), TILE_QUERIES))
        ]

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
        create = _compiled(create_block_mask) if segments.is_cuda else create_block_mask
        made: BlockMask = create(mask_mod, rows, None, length, length, device=segments.device)
        return made


@cache
def _compiled(create: Any) -> Any:
    """Compile the search for blocks, which else makes all of [B, T, T] on the way."""
    return torch.compile(create, dynamic=False)


def _tile(allowed_TS: Tensor, row: int, start: int) -> Tile:
    num_tokens = len(allowed_TS)
    queries = slice(start, min(start + TILE_QUERIES, num_tokens))
    seen_S = allowed_TS[queries].any(dim=0).nonzero()[:, 0]
    first = int(seen_S[0]) // TILE_QUERIES * TILE_QUERIES
    last = min(-(-(int(seen_S[-1]) + 1) // TILE_QUERIES) * TILE_QUERIES, num_tokens)
    seen_by_all = allowed_TS[queries, first:last].all(dim=0).int()
    # The first run of keys that each query sees; the mask is applied before and behind it.
    begin = int(seen_by_all.argmax())
    behind = torch.cat((seen_by_all[begin:], seen_by_all.new_zeros(1))).argmin()
    end = begin + int(behind)
    parts = slice(0, begin), slice(end, last - first)
    return Tile(row, queries, slice(first, last), tuple(part for part in parts if part.start < part.stop))
