"""The loss of the next token over a large vocabulary, without ever holding all logits."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

_CHUNK_BYTES = 16 * 2**20


def head_losses(hidden_ND: Tensor, weight_VD: Tensor, bias_V: Tensor, targets_N: Tensor, weights_N: Tensor) -> tuple[Tensor, Tensor]:
    """Return (weighted sum of cross-entropies, cross-entropy of each position).

    Args:
        hidden_ND: hidden states of the positions that carry loss.
        weight_VD, bias_V: the head.
        targets_N: ids to predict.
        weights_N: float32 weight of each position in the sum.

    Only the sum carries a gradient; the second result, float32 [N] in nats, is for reports.
    """
    total, losses = _HeadLoss.apply(hidden_ND, weight_VD, bias_V, targets_N, weights_N)  # type: ignore[no-untyped-call]
    return total, losses


class _HeadLoss(torch.autograd.Function):
    """Head and cross-entropy by chunks of positions, gradients made on the way forward."""

    @staticmethod
    def forward(ctx: Any, hidden_ND: Tensor, weight_VD: Tensor, bias_V: Tensor, targets_N: Tensor, weights_N: Tensor) -> tuple[Tensor, Tensor]:
        weight = weight_VD.to(hidden_ND.dtype)
        bias = bias_V.to(hidden_ND.dtype)
        num, vocab = hidden_ND.shape[0], weight.shape[0]
        rows = max(64, _CHUNK_BYTES // (vocab * hidden_ND.element_size()) // 64 * 64)
        grad_hidden = torch.empty_like(hidden_ND)
        grad_weight = torch.zeros_like(weight_VD)
        grad_bias = torch.zeros_like(bias_V)
        losses_N = torch.empty(num, dtype=torch.float32)
        for start in range(0, num, rows):
            part = slice(start, min(start + rows, num))
            hidden = hidden_ND[part]
            logits = F.linear(hidden, weight, bias)
            target = targets_N[part, None]
            logprob = torch.log_softmax(logits.float(), dim=-1)
            losses_N[part] = -logprob.gather(1, target)[:, 0]
            grad = logprob.exp_()
            grad.scatter_add_(1, target, grad.new_full((), -1.0).expand_as(target))
            grad = (grad * weights_N[part, None]).to(hidden.dtype)
            grad_hidden[part] = grad @ weight
            grad_weight += grad.t() @ hidden
            grad_bias += grad.sum(0, dtype=torch.float32)
        ctx.save_for_backward(grad_hidden, grad_weight, grad_bias)
        ctx.mark_non_differentiable(losses_N)
        return (losses_N * weights_N).sum(), losses_N

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        grad_hidden, grad_weight, grad_bias = ctx.saved_tensors
        scale = grads[0]
        return grad_hidden * scale.to(grad_hidden.dtype), grad_weight * scale, grad_bias * scale, None, None
