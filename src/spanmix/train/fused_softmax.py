"""Turn logits into their loss and its gradient in few passes over memory, with a compiler.

A GPU that takes one operation after another moves each chunk of logits through its memory some twenty times,
which takes as long as the matrix products beside it. This is the same in one expression.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import torch
from torch import Tensor


@cache
def compiled() -> Any:
    """Return `softmax_in_place`, compiled for any number of positions: it differs from batch to batch."""
    return torch.compile(softmax_in_place, dynamic=True)


def softmax_in_place(
    logits_CV: Tensor,
    bias_V: Tensor,
    grad_bias_V: Tensor,
    targets_C: Tensor,
    weights_C: Tensor,
    z_loss: float,
) -> tuple[Tensor, Tensor]:
    """Return cross-entropies and log(Z) of logits that lack their bias.

    The logits are overwritten with the gradient of the weighted losses, and that of the bias is added up, as
    `spanmix.train.loss` does it for a CPU.
    """
    wide_CV = logits_CV.to(bias_V.dtype) + bias_V
    weights_C1 = weights_C.to(bias_V.dtype)[:, None]
    is_target_CV = torch.arange(len(bias_V), device=bias_V.device) == targets_C[:, None]
    target_C1 = torch.where(is_target_CV, wide_CV, 0).sum(1, keepdim=True)
    log_z_C1 = torch.logsumexp(wide_CV, dim=1, keepdim=True)
    grad_CV = (wide_CV - log_z_C1).exp() * (weights_C1 * (1 + 2 * z_loss * log_z_C1))
    grad_CV = torch.where(is_target_CV, grad_CV - weights_C1, grad_CV)
    grad_bias_V += grad_CV.sum(0)
    logits_CV.copy_(grad_CV)
    return (log_z_C1 - target_C1)[:, 0], log_z_C1[:, 0]
