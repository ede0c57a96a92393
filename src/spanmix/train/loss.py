"""Compute the next-token loss over a large vocabulary without ever holding all logits."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

_CHUNK_BYTES = 128 * 2**20
_SOFTMAX_BYTES = 2 * 2**20


def head_losses(
    hidden_ND: Tensor, weight_VD: Tensor, bias_V: Tensor, targets_N: Tensor, weights_N: Tensor
) -> tuple[Tensor, Tensor]:
    """Return (weighted sum of cross-entropies, cross-entropy of each position).

    Args:
        hidden_ND: hidden states of the positions that carry loss.
        weight_VD, bias_V: the head.
        targets_N: int64 ids to predict.
        weights_N: float32 weight of each position in the sum.

    Only the sum carries a gradient; the second result, float32 [N] in nats, is for reports.
    """
    arguments = (hidden_ND, weight_VD, bias_V, targets_N, weights_N)
    total, losses_N = _HeadLoss.apply(*arguments)  # type: ignore[no-untyped-call]
    return total, losses_N


class _HeadLoss(torch.autograd.Function):
    """Head and cross-entropy by chunks of positions; gradients are made on the way forward.

    A chunk is large, so that the matrix products run at full speed and the head's gradient is added up
    few times; its softmax runs over a few rows at once, in float32, in the processor's cache, and turns
    the chunk's logits into their gradient in place.
    """

    @staticmethod
    def forward(
        ctx: Any, hidden_ND: Tensor, weight_VD: Tensor, bias_V: Tensor, targets_N: Tensor, weights_N: Tensor
    ) -> tuple[Tensor, Tensor]:
        weight = weight_VD.to(hidden_ND.dtype)
        bias = bias_V.to(hidden_ND.dtype)
        num = hidden_ND.shape[0]
        rows = _rows(_CHUNK_BYTES, weight.shape[0], hidden_ND.element_size())
        with_grad = any(ctx.needs_input_grad)
        grad_hidden_ND = torch.empty_like(hidden_ND)
        grad_weight_VD = torch.zeros_like(weight_VD)
        grad_bias_V = torch.zeros_like(bias_V)
        losses_N = torch.empty(num, dtype=torch.float32, device=hidden_ND.device)
        for start in range(0, num, rows):
            part = slice(start, min(start + rows, num))
            grad_CV = F.linear(hidden_ND[part], weight, bias)
            losses_N[part] = _softmax_in_place(grad_CV, targets_N[part], weights_N[part])
            if with_grad:
                grad_hidden_ND[part] = grad_CV @ weight
                grad_weight_VD += grad_CV.t() @ hidden_ND[part]
                grad_bias_V += grad_CV.sum(0, dtype=torch.float32)
        ctx.save_for_backward(grad_hidden_ND, grad_weight_VD, grad_bias_V)
        ctx.mark_non_differentiable(losses_N)
        return (losses_N * weights_N).sum(), losses_N

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        grad_hidden_ND, grad_weight_VD, grad_bias_V = ctx.saved_tensors
        scale = grads[0]
        grad_hidden_ND = grad_hidden_ND * scale.to(grad_hidden_ND.dtype)
        return grad_hidden_ND, grad_weight_VD * scale, grad_bias_V * scale, None, None


def _softmax_in_place(logits_CV: Tensor, targets_C: Tensor, weights_C: Tensor) -> Tensor:
    """Return the cross-entropies, and overwrite the logits with the gradient of their weighted sum."""
    losses_C = torch.empty(len(targets_C), dtype=torch.float32, device=logits_CV.device)
    rows = _rows(_SOFTMAX_BYTES, logits_CV.shape[1], 4)
    for start in range(0, len(targets_C), rows):
        part = slice(start, start + rows)
        targets_R1 = targets_C[part, None]
        logprobs_RV = torch.log_softmax(logits_CV[part].float(), dim=-1)
        losses_C[part] = -logprobs_RV.gather(1, targets_R1)[:, 0]
        grad_RV = logprobs_RV.exp_()
        grad_RV.scatter_add_(1, targets_R1, grad_RV.new_full(targets_R1.shape, -1.0))
        logits_CV[part] = grad_RV.mul_(weights_C[part, None])
    return losses_C


def _rows(num_bytes: int, vocab_size: int, element_size: int) -> int:
    """Rows of logits that take about `num_bytes`, in eights."""
    return max(8, num_bytes // (vocab_size * element_size) // 8 * 8)
