"""Lay the weights of linear maps out the way the processor's matrix kernels read them, once.

A product with few rows, such as the one token a row of generation, takes as long as its weights take to be
read, and PyTorch's products read them slowly in the order of rows. oneDNN's own order is read faster, in
float32 and in bfloat16 (``benchmarks/decode.py``).
"""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from spanmix.model.decoder import Decoder
from spanmix.model.layers import MLP, Linear

_ROWS = 8
"""Rows of input that the order is chosen for; others run as well."""


def can_pack(decoder: Decoder, dtype: torch.dtype) -> bool:
    """Return whether this processor and this PyTorch have such kernels for a type."""
    if decoder.wte.weight.device.type != "cpu" or not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        return False
    if dtype == torch.bfloat16:
        return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
    return dtype == torch.float32


def pack(decoder: Decoder, dtype: torch.dtype) -> None:
    """Replace each linear map of a decoder by a packed one, in place, one after the other.

    Args:
        decoder: it can generate and score from then on, and neither be trained nor saved.
        dtype: what the maps compute in.
    """
    for parent in list(decoder.modules()):
        for name, child in parent.named_children():
            if isinstance(child, MLP):
                setattr(parent, name, PackedMLP(child, dtype))
            elif isinstance(child, Linear):
                setattr(parent, name, PackedLinear(child, dtype))


def cast(decoder: Decoder, dtype: torch.dtype) -> Decoder:
    """Copy a decoder with its linear maps in another type; embedding and norms keep theirs."""
    cast = copy.deepcopy(decoder)
    for module in cast.modules():
        if isinstance(module, Linear):
            module.to(dtype)
    return cast


class PackedLinear(nn.Module):
    """A linear map whose weight only oneDNN can read.

    Args:
        linear: the map.
        dtype: of weight, bias and input.
        with_gelu: apply the tanh-approximated GELU to the sums, before they are rounded and written.
    """

    def __init__(self, linear: Linear, dtype: torch.dtype, with_gelu: bool = False) -> None:
        super().__init__()
        self._then = ("gelu", "tanh") if with_gelu else ("none", "")
        weight = linear.weight.detach().to(dtype).contiguous()
        self._weight = torch.ops.mkldnn._reorder_linear_weight(weight, _ROWS)
        self._bias = None if linear.bias is None else linear.bias.detach().to(dtype)

    def forward(self, input: Tensor) -> Tensor:
        """Map [..., in_features] to [..., out_features]."""
        then, how = self._then
        out: Tensor = torch.ops.mkldnn._linear_pointwise(input, self._weight, self._bias, then, [], how)
        return out


class PackedMLP(nn.Module):
    """An `MLP` of packed maps."""

    def __init__(self, mlp: MLP, dtype: torch.dtype) -> None:
        super().__init__()
        self.fc_in = PackedLinear(mlp.fc_in, dtype, with_gelu=True)
        self.fc_out = PackedLinear(mlp.fc_out, dtype)

    def forward(self, h_BTD: Tensor) -> Tensor:
        """Return the MLP's addition to the residual stream, [B, T, D]."""
        out: Tensor = self.fc_out(self.fc_in(h_BTD))
        return out
