"""Compute the next-token loss over a large vocabulary without ever holding all logits."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from spanmix.train import fused_softmax

CHUNK_BYTES = 128 * 2**20
SOFTMAX_BYTES = 2 * 2**20


def head_losses(
    hidden_ND: Tensor,
    weight_VD: Tensor,
    bias_V: Tensor | None,
    targets_N: Tensor,
    weights_N: Tensor,
    z_loss: float = 0,
) -> tuple[Tensor, Tensor]:
    """Return (weighted sum of the losses, cross-entropy of each position).

    Args:
        hidden_ND: hidden states of the positions that carry loss.
        weight_VD, bias_V: the head; one without bias has None.
        targets_N: int64 ids to predict.
        weights_N: float32 weight of each position in the sum.
        z_loss: the loss of a position is its cross-entropy and this many times log(Z)^2, Z being the
            normalizer of its softmax, which keeps the logits from drifting.

    Only the sum carries a gradient; the second result, [N] in nats, is for reports. Both are float32, or
    float64 if the hidden states are.
    """
    if bias_V is None:
        bias_V = weight_VD.new_zeros(len(weight_VD))
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
        bias = bias_V.to(_wide(hidden_ND))
        num = hidden_ND.shape[0]
        device_type = hidden_ND.device.type
        rows = _rows(chunk_bytes(device_type), weight.shape[0], hidden_ND.element_size())
        softmax_in_place = _softmax_in_place if device_type == "cpu" else fused_softmax.compiled()
        of_hidden, of_weight = ctx.needs_input_grad[:2]
        grad_hidden_ND = torch.empty_like(hidden_ND) if of_hidden else None
        grad_weight_VD = torch.zeros_like(weight_VD) if of_weight else None
        grad_bias_V = torch.zeros_like(bias)
        losses_N = torch.empty(num, dtype=bias.dtype, device=hidden_ND.device)
        log_z_N = torch.empty_like(losses_N)
        for part in _parts(num, rows):
            grad_CV = hidden_ND[part] @ weight.t()
            losses_N[part], log_z_N[part] = softmax_in_place(
                grad_CV, bias, grad_bias_V, targets_N[part], weights_N[part], z_loss
            )
            if grad_hidden_ND is not None:
                grad_hidden_ND[part] = grad_CV @ weight
            if grad_weight_VD is not None:
                _add(grad_weight_VD, grad_CV.t() @ hidden_ND[part])
        ctx.save_for_backward(grad_hidden_ND, grad_weight_VD, grad_bias_V)
        ctx.mark_non_differentiable(losses_N)
        return ((losses_N + z_loss * log_z_N.square()) * weights_N).sum(), losses_N

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        grad_hidden_ND, grad_weight_VD, grad_bias_V = ctx.saved_tensors
        scale = grads[0]
        if grad_hidden_ND is not None:
            grad_hidden_ND = grad_hidden_ND * scale.to(grad_hidden_ND.dtype)
        if grad_weight_VD is not None:
            grad_weight_VD = grad_weight_VD * scale
        return grad_hidden_ND, grad_weight_VD, grad_bias_V * scale, None, None, None


def chunk_bytes(device_type: str) -> int:
    """Return the bytes of logits that are there at once; a GPU wants larger products."""
    return CHUNK_BYTES if device_type == "cpu" else 4 * CHUNK_BYTES


def _softmax_in_place(
    logits_CV: Tensor,
    bias_V: Tensor,
    grad_bias_V: Tensor,
    targets_C: Tensor,
    weights_C: Tensor,
    z_loss: float,
) -> tuple[Tensor, Tensor]:
    """Return cross-entropies and log(Z) of logits that lack their bias.

    The logits are overwritten with the gradient of the weighted losses, and that of the bias is added up.
    """
    losses_C = torch.empty(len(targets_C), dtype=bias_V.dtype, device=logits_CV.device)
    log_z_C = torch.empty_like(losses_C)
    weights_C = weights_C.to(bias_V.dtype)
    for part in _parts(len(targets_C), _cached_rows(logits_CV)):
        targets_R1 = targets_C[part, None]
        grad_RV = logits_CV[part].to(bias_V.dtype, copy=True).add_(bias_V)
        target_R1 = grad_RV.gather(1, targets_R1)
        largest_R1 = grad_RV.amax(1, keepdim=True)
        sum_R1 = grad_RV.sub_(largest_R1).exp_().sum(1, keepdim=True)
        log_z_R1 = sum_R1.log() + largest_R1
        losses_C[part], log_z_C[part] = (log_z_R1 - target_R1)[:, 0], log_z_R1[:, 0]
        scale_R1 = weights_C[part, None]
        if z_loss:
            scale_R1 = scale_R1 * (1 + 2 * z_loss * log_z_R1)
        grad_RV *= scale_R1 / sum_R1
        grad_RV.scatter_add_(1, targets_R1, -weights_C[part, None])
        grad_bias_V += grad_RV.sum(0)
        logits_CV[part] = grad_RV
    return losses_C, log_z_C


def _add(total_VD: Tensor, summand_VD: Tensor) -> None:
    """Add in place, a few rows at once, so that a conversion to the wider type stays in the cache."""
    for part in _parts(len(total_VD), _cached_rows(total_VD)):
        total_VD[part] += summand_VD[part]


def _parts(num: int, rows: int) -> list[slice]:
    """Cut `num` rows into equal parts of at most `rows`."""
    if not num:
        return []
    each = -(-num // -(-num // rows))
    return [slice(start, min(start + each, num)) for start in range(0, num, each)]


def _wide(values: Tensor) -> torch.dtype:
    """Return the type that sums are made in: float32, or float64 where the values are."""
    return torch.promote_types(values.dtype, torch.float32)


def _rows(num_bytes: int, num_columns: int, element_size: int) -> int:
    """Rows that take about `num_bytes`, in eights."""
    return max(8, num_bytes // (num_columns * element_size) // 8 * 8)


def _cached_rows(values: Tensor) -> int:
    """Rows whose elements, four bytes each, stay in the cache; on a GPU all, as calls cost more there."""
    return _rows(SOFTMAX_BYTES, values.shape[1], 4) if values.device.type == "cpu" else max(1, len(values))
