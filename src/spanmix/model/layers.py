"""The layers of a block without attention: linear maps, norms and MLPs.

Parameters keep their own type; a layer works in the type of its input, and its norms in float32 at least.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from spanmix.model.architecture import Architecture


class Linear(nn.Linear):
    """A linear map whose parameters follow the type of its input."""

    def forward(self, input: Tensor) -> Tensor:
        """Map [..., in_features] to [..., out_features]."""
        bias = None if self.bias is None else self.bias.to(input.dtype)
        return F.linear(input, self.weight.to(input.dtype), bias)


class LayerNorm(nn.LayerNorm):
    """A layer norm whose result has the type of its input, and whose work is done in float32 at least."""

    def forward(self, input: Tensor) -> Tensor:
        """Normalize the last axis."""
        return super().forward(input) if input.device.type == "cpu" else self.widened(input)

    def widened(self, input: Tensor) -> Tensor:
        """Do what a CPU's kernel does where the kernel takes input and parameters of one type only."""
        wide = torch.promote_types(input.dtype, torch.float32)
        weight, bias = self.weight.to(wide), self.bias.to(wide)
        return F.layer_norm(input.to(wide), self.normalized_shape, weight, bias, self.eps).to(input.dtype)


class RMSNorm(nn.RMSNorm):
    """A norm by the root mean square (arXiv 1910.07467), rounded once, at the end, to its input's type."""

    def forward(self, input: Tensor) -> Tensor:
        """Normalize the last axis."""
        wide = torch.promote_types(input.dtype, torch.float32)
        return F.rms_norm(input.to(wide), self.normalized_shape, self.weight.to(wide), self.eps).to(
            input.dtype
        )


class MLP(nn.Module):
    """Two linear maps around a tanh-approximated GELU."""

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        self.fc_in = Linear(architecture.dim, architecture.hidden_dim)
        self.fc_out = Linear(architecture.hidden_dim, architecture.dim)

    def forward(self, h_BTD: Tensor) -> Tensor:
        """Return the MLP's addition to the residual stream, [B, T, D]."""
        out: Tensor = self.fc_out(F.gelu(self.fc_in(h_BTD), approximate="tanh"))
        return out


class GatedMLP(nn.Module):
    """Two linear maps whose hidden layer is scaled by a third, through SiLU (SwiGLU, arXiv 2002.05202)."""

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        self.fc_gate = Linear(architecture.dim, architecture.hidden_dim, bias=False)
        self.fc_in = Linear(architecture.dim, architecture.hidden_dim, bias=False)
        self.fc_out = Linear(architecture.hidden_dim, architecture.dim, bias=False)

    def forward(self, h_BTD: Tensor) -> Tensor:
        """Return the MLP's addition to the residual stream, [B, T, D]."""
        out: Tensor = self.fc_out(F.silu(self.fc_gate(h_BTD)) * self.fc_in(h_BTD))
        return out
