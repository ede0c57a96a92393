"""Compute the next-token loss over a large vocabulary without ever holding all logits."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

_CHUNK_BYTES = 128 * 2**20
_SOFTMAX_BYTES = 2 * 2**20


def head_losses(
    hidden_ND: Tensor,
    weight_VD: Tensor,
    bias_V: Tensor,
    targets_N: Tensor,
    weights_N: Tensor,
    z_loss: float = 0,
) -> tuple[Tensor, Tensor]:
    """Return (weighted sum of the losses, cross-entropy of each position).

    Args:
        hidden_ND: hidden states of the positions that carry loss.
        weight_VD, bias_V: the head.
        targets_N: int64 ids to predict.
        weights_N: float32 weight of each position in the sum.
        z_loss: the loss of a position is its cross-entropy and this many times log(Z)^2, Z being the
            normalizer of its softmax, which keeps the logits from drifting.

    Only the sum carries a gradient; the second result, [N] in nats, is for reports. Both are float32, or
    float64 if the hidden states are.
    """
    arguments = (hidden_ND, weight_VD, bias_V, targets_N, weights_N, z_loss)
    total, losses_N = _HeadLoss.apply(*arguments)  # type: ignore[no-untyped-call]
    return total, losses_N


class _HeadLoss(torch.autograd.Function):
    """Head and cross-entropy by chunks of positions; gradients are made on the way forward.

    A chunk is large, so that the matrix products run at full speed and the head's gradient is added up
    few times; its softmax runs over a few rows at once, in float32 at least, in the processor's cache, and
    turns the chunk's logits into their gradient in place.
    """

    @staticmethod
    def forward(
        ctx: Any,
        hidden_ND: Tensor,
        weight_VD: Tensor,
        bias_V: Tensor,
        targets_N: Tensor,
        weights_N: Tensor,
        z_loss: float,
    ) -> tuple[Tensor, Tensor]:
        weight = weight_VD.to(hidden_ND.dtype)
        bias = bias_V.to(hidden_ND.dtype)
        num = hidden_ND.shape[0]
        rows = _rows(_CHUNK_BYTES, weight.shape[0], hidden_ND.element_size())
        with_grad = any(ctx.needs_input_grad)
        grad_hidden_ND = torch.empty_like(hidden_ND)
        grad_weight_VD = torch.zeros_like(weight_VD)
        grad_bias_V = torch.zeros_like(bias_V)
        losses_N = torch.empty(num, dtype=_wide(hidden_ND), device=hidden_ND.device)
        log_z_N = torch.empty_like(losses_N)
        for start in range(0, num, rows):
            part = slice(start, min(start + rows, num))
            grad_CV = F.linear(hidden_ND[part], weight, bias)
            losses_N[part], log_z_N[part] = _softmax_in_place(
                grad_CV, targets_N[part], weights_N[part], z_loss
            )
            if with_grad:
                grad_hidden_ND[part] = grad_CV @ weight
                grad_weight_VD += grad_CV.t() @ hidden_ND[part]
                grad_bias_V += grad_CV.sum(0, dtype=_wide(grad_CV))
        ctx.save_for_backward(grad_hidden_ND, grad_weight_VD, grad_bias_V)
        ctx.mark_non_differentiable(losses_N)
        return ((losses_N + z_loss * log_z_N.square()) * weights_N).sum(), losses_N

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        grad_hidden_ND, grad_weight_VD, grad_bias_V = ctx.saved_tensors
        scale = grads[0]
        grad_hidden_ND = grad_hidden_ND * scale.to(grad_hidden_ND.dtype)
        return grad_hidden_ND, grad_weight_VD * scale, grad_bias_V * scale, None, None, None


def _softmax_in_place(
    logits_CV: Tensor, targets_C: Tensor, weights_C: Tensor, z_loss: float
) -> tuple[Tensor, Tensor]:
    """Return cross-entropies and log(Z); overwrite the logits with the gradient of the weighted losses."""
    losses_C = torch.empty(len(targets_C), dtype=_wide(logits_CV), device=logits_CV.device)
    log_z_C = torch.empty_like(losses_C)
    rows = _rows(_SOFTMAX_BYTES, logits_CV.shape[1], 4)
    for start in range(0, len(targets_C), rows):
        part = slice(start, start + rows)
        targets_R1 = targets_C[part, None]
        logits_RV = logits_CV[part].to(losses_C.dtype)
        logprobs_RV = torch.log_softmax(logits_RV, dim=-1)
        losses_C[part] = -logprobs_RV.gather(1, targets_R1)[:, 0]
        log_z_C[part] = logits_RV.gather(1, targets_R1)[:, 0] + losses_C[part]
        grad_RV = logprobs_RV.exp_()
        if z_loss:
            grad_RV *= 1 + 2 * z_loss * log_z_C[part, None]
        grad_RV.scatter_add_(1, targets_R1, grad_RV.new_full(targets_R1.shape, -1.0))
        logits_CV[part] = grad_RV.mul_(weights_C[part, None])
    return losses_C, log_z_C


def _wide(values: Tensor) -> torch.dtype:
    """Return the type that sums are made in: float32, or float64 where the values are."""
    return torch.promote_types(values.dtype, torch.float32)


def _rows(num_bytes: int, vocab_size: int, element_size: int) -> int:
    """Rows of logits that take about `num_bytes`, in eights."""
    return max(8, num_bytes // (vocab_size * element_size) // 8 * 8)
