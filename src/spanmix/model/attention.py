"""Compute softmax(QK' / sqrt(C)) V under a mask, with the kernel that suits the processor.

The rule is static. A GPU takes FlexAttention, which skips what the mask leaves out. On a CPU, where that has
no backward, bfloat16 takes `BlockedAttention` and everything else PyTorch's scaled_dot_product_attention,
which runs far below the speed of its matrix products in bfloat16; see ``docs/performance.md`` for the
measurement.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from functools import cache
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.attention.flex_attention import flex_attention

from spanmix.model.masks import TILE_QUERIES, AttentionMask, Tile

Kernel = Callable[[Tensor, Tensor, Tensor, AttentionMask], Tensor]
"""Takes queries, keys and values [B, H, T, C] and a mask."""

KEPT_KEYS = 1024
"""A tile of `BlockedAttention` that has no more keys keeps its probabilities for the backward pass."""


def attend(q_BHTC: Tensor, k_BHTC: Tensor, v_BHTC: Tensor, mask: AttentionMask) -> Tensor:
    """Attend within a packed batch; every argument and the result are [B, H, T, C]."""
    return kernel_for(q_BHTC.device.type, q_BHTC.dtype)(q_BHTC, k_BHTC, v_BHTC, mask)


def prepare(mask: AttentionMask, device_type: str, dtype: torch.dtype) -> None:
    """Let a mask make the form of itself that the kernel takes, outside of what may be compiled."""
    kernel = kernel_for(device_type, dtype)
    if kernel is attend_by_blocks_of_the_mask:
        mask.block_mask  # noqa: B018 - the mask keeps it
    elif kernel is attend_densely:
        mask.allowed_BTS  # noqa: B018


def kernel_for(device_type: str, dtype: torch.dtype) -> Kernel:
    """Return the kernel that a kind of processor takes for a precision."""
    if device_type == "cuda":
        return attend_by_blocks_of_the_mask
    return attend_in_cache_blocks if dtype == torch.bfloat16 else attend_densely


def attend_densely(q_BHTC: Tensor, k_BHTC: Tensor, v_BHTC: Tensor, mask: AttentionMask) -> Tensor:
    """Attend with PyTorch's scaled_dot_product_attention and the whole mask."""
    return F.scaled_dot_product_attention(q_BHTC, k_BHTC, v_BHTC, attn_mask=mask.allowed_BTS[:, None])


def attend_in_cache_blocks(q_BHTC: Tensor, k_BHTC: Tensor, v_BHTC: Tensor, mask: AttentionMask) -> Tensor:
    """Attend with `BlockedAttention`."""
    result: Tensor = BlockedAttention.apply(q_BHTC, k_BHTC, v_BHTC, mask)  # type: ignore[no-untyped-call]
    return result


def attend_by_blocks_of_the_mask(
    q_BHTC: Tensor, k_BHTC: Tensor, v_BHTC: Tensor, mask: AttentionMask
) -> Tensor:
    """Attend with FlexAttention, compiled on a GPU; on a CPU it is slow and has no backward."""
    # What is being compiled anyway compiles it, too.
    alone = q_BHTC.is_cuda and not torch.compiler.is_compiling()
    kernel = _compiled_flex() if alone else flex_attention
    result: Tensor = kernel(q_BHTC, k_BHTC, v_BHTC, block_mask=mask.block_mask)
    return result


@cache
def _compiled_flex() -> Any:
    return torch.compile(flex_attention, dynamic=False)


def attend_cached(q_BHTC: Tensor, keys_BHSC: Tensor, values_BHSC: Tensor, positions_BT: Tensor) -> Tensor:
    """Attend to a cache in which slot s holds position s: a query sees the slots up to its own.

    Args:
        q_BHTC: queries.
        keys_BHSC, values_BHSC: all slots of the rows, of the queries' type; what is in those that no query
            sees does not matter, as long as it is finite.
        positions_BT: of the queries; they do not fall along a row.
    """
    num_tokens, num_slots = q_BHTC.shape[2], int(positions_BT.max()) + 1
    if q_BHTC.device.type == "cpu" and q_BHTC.dtype == torch.bfloat16:
        return _attend_cached_by_products(q_BHTC, keys_BHSC, values_BHSC, positions_BT, num_slots)
    keys_BHSC, values_BHSC = keys_BHSC[:, :, :num_slots], values_BHSC[:, :, :num_slots]
    if num_tokens == num_slots:  # all rows from their beginning
        return F.scaled_dot_product_attention(q_BHTC, keys_BHSC, values_BHSC, is_causal=True)
    visible_BTS = torch.arange(num_slots, device=q_BHTC.device) <= positions_BT[:, :, None]
    return F.scaled_dot_product_attention(q_BHTC, keys_BHSC, values_BHSC, attn_mask=visible_BTS[:, None])


_FEW_QUERIES = 32
"""So many of each row are one product of all rows; more are taken row by row."""


def _attend_cached_by_products(
    q_BHTC: Tensor, keys_BHSC: Tensor, values_BHSC: Tensor, positions_BT: Tensor, num_slots: int
) -> Tensor:
    """Attend as `attend_cached` does, with plain products."""
    num_rows, num_heads, num_tokens, head_dim = q_BHTC.shape
    q_BHTC = q_BHTC * head_dim**-0.5
    if num_tokens <= _FEW_QUERIES:
        if keys_BHSC.shape[2] > 2 * num_slots:
            # To copy some of the slots takes less time than to attend to all of them; a product of some of
            # them where they lie takes more than both.
            keys_BHSC = keys_BHSC[:, :, :num_slots].contiguous()
            values_BHSC = values_BHSC[:, :, :num_slots].contiguous()
        return _by_products(q_BHTC, keys_BHSC, values_BHSC, positions_BT)
    out_BTHC = q_BHTC.new_empty(num_rows, num_tokens, num_heads, head_dim)
    for row, start in itertools.product(range(num_rows), range(0, num_tokens, TILE_QUERIES)):
        at = slice(row, row + 1), slice(start, start + TILE_QUERIES)
        # Rounded up, so that products come in few shapes.
        stop = -(-(int(positions_BT[at].max()) + 1) // TILE_QUERIES) * TILE_QUERIES
        k_BHSC, v_BHSC = keys_BHSC[at[0], :, :stop], values_BHSC[at[0], :, :stop]
        tile_BHTC = _by_products(q_BHTC[at[0], :, at[1]], k_BHSC, v_BHSC, positions_BT[at])
        out_BTHC[at] = tile_BHTC.transpose(1, 2)
    return out_BTHC.transpose(1, 2)


def _by_products(q_BHTC: Tensor, k_BHSC: Tensor, v_BHSC: Tensor, positions_BT: Tensor) -> Tensor:
    num_rows, num_heads, num_tokens, _ = q_BHTC.shape
    num_slots, all_see = k_BHSC.shape[2], int(positions_BT.min()) + 1
    scores_NTS = torch.bmm(q_BHTC.flatten(0, 1), k_BHSC.flatten(0, 1).transpose(1, 2))
    hidden_BTS = torch.arange(all_see, num_slots) > positions_BT[:, :, None]
    scores_BHTS = scores_NTS.view(num_rows, num_heads, num_tokens, num_slots)
    scores_BHTS[..., all_see:].masked_fill_(hidden_BTS[:, None], float("-inf"))
    out_NTC = torch.bmm(torch.softmax(scores_NTS, dim=-1), v_BHSC.flatten(0, 1))
    return out_NTC.view(q_BHTC.shape)


class BlockedAttention(torch.autograd.Function):
    """Attention tile by tile, so that the scores stay in the processor's cache.

    Keys that no query of a tile can see are never touched, and the mask is applied only where some can and
    some cannot. The backward pass needs the probabilities again: those of tiles of up to `KEPT_KEYS` keys
    are kept, which is linear in the length of a row, and others are computed anew (Dao et al.,
    FlashAttention, arXiv 2205.14135).
    """

    @staticmethod
    def forward(ctx: Any, q_BHTC: Tensor, k_BHTC: Tensor, v_BHTC: Tensor, mask: AttentionMask) -> Tensor:
        """Return the attended values, [B, H, T, C]; in memory T comes before H."""
        num_rows, num_heads, num_tokens, head_dim = q_BHTC.shape
        q_BHTC = (q_BHTC * head_dim**-0.5).contiguous()
        k_BHTC, v_BHTC = k_BHTC.contiguous(), v_BHTC.contiguous()
        out_BTHC = q_BHTC.new_empty(num_rows, num_tokens, num_heads, head_dim)
        kept = []
        for tile in mask.tiles:
            q_HTC, k_HSC, v_HSC = _of_tile(tile, q_BHTC, k_BHTC, v_BHTC)
            probabilities = _probabilities(q_HTC, k_HSC, mask, tile)
            out_BTHC[tile.row, tile.queries] = torch.bmm(probabilities, v_HSC).transpose(0, 1)
            if _is_kept(tile):
                kept.append(probabilities)
        ctx.save_for_backward(q_BHTC, k_BHTC, v_BHTC, *kept)
        ctx.mask = mask
        return out_BTHC.transpose(1, 2)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradients of queries, keys and values."""
        q_BHTC, k_BHTC, v_BHTC, *kept = ctx.saved_tensors
        grad_BHTC = grads[0]
        grad_q = torch.empty_like(q_BHTC)
        grad_k, grad_v = torch.zeros_like(k_BHTC), torch.zeros_like(v_BHTC)
        remaining = iter(kept)
        for tile in ctx.mask.tiles:
            q_HTC, k_HSC, v_HSC = _of_tile(tile, q_BHTC, k_BHTC, v_BHTC)
            again = not _is_kept(tile)
            probabilities = _probabilities(q_HTC, k_HSC, ctx.mask, tile) if again else next(remaining)
            grad_HTC = grad_BHTC[tile.row, :, tile.queries].contiguous()
            grad_probabilities = torch.bmm(grad_HTC, v_HSC.transpose(1, 2))
            grad_scores = torch._softmax_backward_data(
                grad_probabilities, probabilities, -1, probabilities.dtype
            )
            grad_q[tile.row, :, tile.queries] = torch.bmm(grad_scores, k_HSC)
            grad_k[tile.row, :, tile.keys].baddbmm_(grad_scores.transpose(1, 2), q_HTC)
            grad_v[tile.row, :, tile.keys].baddbmm_(probabilities.transpose(1, 2), grad_HTC)
        return grad_q.mul_(q_BHTC.shape[-1] ** -0.5), grad_k, grad_v, None


def _is_kept(tile: Tile) -> bool:
    return tile.num_keys <= KEPT_KEYS


def _of_tile(tile: Tile, q_BHTC: Tensor, k_BHTC: Tensor, v_BHTC: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return a tile's queries, keys and values, contiguous, as products would copy them slowly."""
    return (
        q_BHTC[tile.row, :, tile.queries].contiguous(),
        k_BHTC[tile.row, :, tile.keys].contiguous(),
        v_BHTC[tile.row, :, tile.keys].contiguous(),
    )


def _probabilities(q_HTC: Tensor, k_HSC: Tensor, mask: AttentionMask, tile: Tile) -> Tensor:
    scores_HTS = torch.bmm(q_HTC, k_HSC.transpose(1, 2))
    additive_TS = mask.additive_BTS[tile.row, tile.queries, tile.keys]
    for part in tile.masked:
        scores_HTS[..., part] += additive_TS[:, part]
    return torch.softmax(scores_HTS, dim=-1)
