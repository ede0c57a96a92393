"""Compute softmax(QK' / sqrt(C)) V under a mask, with the kernel that suits the processor.

The rule is static. A GPU takes FlexAttention, which skips what the mask leaves out. On a CPU, where that has
no backward, bfloat16 takes `BlockedAttention` and everything else PyTorch's scaled_dot_product_attention,
which runs far below the speed of its matrix products in bfloat16; see ``docs/performance.md`` for the
measurement.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.attention.flex_attention import flex_attention

from spanmix.model.masks import AttentionMask

Kernel = Callable[[Tensor, Tensor, Tensor, AttentionMask], Tensor]
"""Takes queries, keys and values [B, H, T, C] and a mask."""

_QUERY_BLOCK = 256
_KEY_STEP = 128


def attend(q_BHTC: Tensor, k_BHTC: Tensor, v_BHTC: Tensor, mask: AttentionMask) -> Tensor:
    """Attend within a packed batch; every argument and the result are [B, H, T, C]."""
    return kernel_for(q_BHTC.device.type, q_BHTC.dtype)(q_BHTC, k_BHTC, v_BHTC, mask)


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
    kernel = _compiled_flex() if q_BHTC.is_cuda else flex_attention
    result: Tensor = kernel(q_BHTC, k_BHTC, v_BHTC, block_mask=mask.block_mask)
    return result


@cache
def _compiled_flex() -> Any:
    return torch.compile(flex_attention, dynamic=False)


def attend_cached(q_BHTC: Tensor, keys_BHSC: Tensor, values_BHSC: Tensor, positions_BT: Tensor) -> Tensor:
    """Attend to a cache in which slot s holds position s: a query sees the slots up to its own."""
    slots_S = torch.arange(keys_BHSC.shape[2], device=q_BHTC.device)
    visible_BTS = slots_S[None, None, :] <= positions_BT[:, :, None]
    return F.scaled_dot_product_attention(q_BHTC, keys_BHSC, values_BHSC, attn_mask=visible_BTS[:, None])


class BlockedAttention(torch.autograd.Function):
    """Attention row by row and block by block, so that the scores stay in the processor's cache.

    Keys before the first one that a block's queries can see, and behind the last, are never touched.
    Block edges are multiples of a fixed step, so the matrix products come in few shapes and
    the library's kernels are built once. The scores are recomputed in the backward pass (Dao et al.,
    FlashAttention, arXiv 2205.14135).
    """

    @staticmethod
    def forward(ctx: Any, q_BHTC: Tensor, k_BHTC: Tensor, v_BHTC: Tensor, mask: AttentionMask) -> Tensor:
        """Return the attended values, [B, H, T, C]."""
        additive_BTS = mask.additive_BTS
        q_BHTC = q_BHTC * q_BHTC.shape[-1] ** -0.5
        out_BHTC = torch.empty_like(q_BHTC)
        for row, queries, keys in _blocks(mask):
            probabilities = _probabilities(q_BHTC, k_BHTC, additive_BTS, row, queries, keys)
            out_BHTC[row, :, queries] = torch.bmm(probabilities, v_BHTC[row, :, keys])
        ctx.save_for_backward(q_BHTC, k_BHTC, v_BHTC, additive_BTS)
        ctx.mask = mask
        return out_BHTC

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradients of queries, keys and values."""
        grad_BHTC = grads[0]
        q_BHTC, k_BHTC, v_BHTC, additive_BTS = ctx.saved_tensors
        grad_q, grad_k, grad_v = (
            torch.empty_like(q_BHTC),
            torch.zeros_like(k_BHTC),
            torch.zeros_like(v_BHTC),
        )
        for row, queries, keys in _blocks(ctx.mask):
            probabilities = _probabilities(q_BHTC, k_BHTC, additive_BTS, row, queries, keys)
            grad = grad_BHTC[row, :, queries]
            grad_probabilities = torch.bmm(grad, v_BHTC[row, :, keys].transpose(1, 2))
            grad_scores = torch._softmax_backward_data(
                grad_probabilities, probabilities, -1, probabilities.dtype
            )
            grad_q[row, :, queries] = torch.bmm(grad_scores, k_BHTC[row, :, keys])
            grad_k[row, :, keys] += torch.bmm(grad_scores.transpose(1, 2), q_BHTC[row, :, queries])
            grad_v[row, :, keys] += torch.bmm(probabilities.transpose(1, 2), grad)
        return grad_q.mul_(q_BHTC.shape[-1] ** -0.5), grad_k, grad_v, None


def _probabilities(
    q_BHTC: Tensor, k_BHTC: Tensor, additive_BTS: Tensor, row: int, queries: slice, keys: slice
) -> Tensor:
    scores_HTS = torch.bmm(q_BHTC[row, :, queries], k_BHTC[row, :, keys].transpose(1, 2))
    scores_HTS += additive_BTS[row, queries, keys]
    return torch.softmax(scores_HTS, dim=-1)


def _blocks(mask: AttentionMask) -> list[tuple[int, slice, slice]]:
    """List (row, queries, keys) blocks that together cover every allowed pair."""
    blocks = []
    for row, visible in enumerate(mask.visible):
        for start in range(0, len(visible), _QUERY_BLOCK):
            stop = min(start + _QUERY_BLOCK, len(visible))
            first = min(first for first, _ in visible[start:stop]) // _KEY_STEP * _KEY_STEP
            last = max(behind for _, behind in visible[start:stop])
            # The end of a block of queries is a multiple of the step, or the end of the row; so is this.
            last = min(-(-last // _KEY_STEP) * _KEY_STEP, len(visible))
            blocks.append((row, slice(start, stop), slice(first, last)))
    return blocks
