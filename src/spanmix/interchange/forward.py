"""Compute a decoder's logits straight from its files, as the publishers' own code does, block by block.

This is what a conversion is checked against, so it shares nothing with the code that converts: the grouped
`qkv_proj` is read the way the published CodeGen2 model reads it, in activations, and three matrices the way
transformers' GPT-J and Llama do. A matrix is in memory only while it is multiplied.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from spanmix.interchange.tensors import Tensors
from spanmix.model.architecture import Architecture

Rounding = Callable[[Tensor], Tensor]
"""Gives a weight, or whole rows of it, as it comes back from where it is stored."""


def as_stored(weight: Tensor) -> Tensor:
    """Return a weight as it is."""
    return weight


class Forward(Protocol):
    """A decoder that is run block by block."""

    def embed(self, ids_BT: Tensor) -> Tensor:
        """Return the residual stream in front of the first block, [B, T, D]."""
        ...

    def block(self, layer: int, x_BTD: Tensor) -> Tensor:
        """Return the residual stream behind a block."""
        ...

    def logits(self, x_BTD: Tensor) -> Tensor:
        """Return the logits, [B, T, V]."""
        ...


class _Published:
    """What both forms share: weights that are read, widened, multiplied and forgotten."""

    def __init__(self, tensors: Tensors, shape: Architecture, rounding: Rounding) -> None:
        self._tensors, self._shape, self._rounding = tensors, shape, rounding

    def _linear(self, name: str, x: Tensor, bias: bool = False) -> Tensor:
        return F.linear(x, self._weight(f"{name}.weight"), self._weight(f"{name}.bias") if bias else None)

    def _weight(self, name: str) -> Tensor:
        return self._rounded(self._tensors.read(name))

    def _rounded(self, tensor: Tensor) -> Tensor:
        return self._rounding(tensor).float()

    def _rows(self, name: str, ids_BT: Tensor) -> Tensor:
        rows_ND = self._tensors.read(name)[ids_BT.flatten()]
        return self._rounded(rows_ND).view(*ids_BT.shape, -1)

    def _heads(self, x_BTD: Tensor) -> Tensor:
        return x_BTD.reshape(*x_BTD.shape[:2], -1, self._shape.head_dim)

    def _angles(self, num_tokens: int) -> Tensor:
        """Return the angle of each position and pair of channels, [T, rotary_dim / 2]."""
        rotary_dim = self._shape.rotary_dim
        inverse = 1.0 / (10000 ** (torch.arange(0, rotary_dim, 2) / rotary_dim))
        return torch.outer(torch.arange(num_tokens).float(), inverse)


class CodeGenForward(_Published):
    """The forward pass of a CodeGen or GPT-J checkpoint, in float32.

    Args:
        tensors: the checkpoint.
        shape: its architecture.
        num_groups: of `qkv_proj`; None for three matrices.
        rounding: what every weight goes through before it is used.
    """

    def __init__(
        self,
        tensors: Tensors,
        shape: Architecture,
        num_groups: int | None,
        rounding: Rounding = as_stored,
    ) -> None:
        super().__init__(tensors, shape, rounding)
        self._num_groups = num_groups

    def embed(self, ids_BT: Tensor) -> Tensor:
        """Return the residual stream in front of the first block, [B, T, D]."""
        return self._rows("transformer.wte.weight", ids_BT)

    def block(self, layer: int, x_BTD: Tensor) -> Tensor:
        """Return the residual stream behind a block."""
        name = f"transformer.h.{layer}"
        h_BTD = self._norm(f"{name}.ln_1", x_BTD)
        inner = F.gelu(self._linear(f"{name}.mlp.fc_in", h_BTD, bias=True), approximate="tanh")
        mlp_BTD = self._linear(f"{name}.mlp.fc_out", inner, bias=True)
        return x_BTD + self._attention(f"{name}.attn", h_BTD) + mlp_BTD

    def logits(self, x_BTD: Tensor) -> Tensor:
        """Return the logits, [B, T, V]."""
        return self._linear("lm_head", self._norm("transformer.ln_f", x_BTD), bias=True)

    def _attention(self, name: str, h_BTD: Tensor) -> Tensor:
        if self._num_groups is None:
            q, k, v = (self._linear(f"{name}.{letter}_proj", h_BTD) for letter in "qkv")
        else:
            # The order inside a group is query, value, key.
            fused = self._linear(f"{name}.qkv_proj", h_BTD)
            fused = fused.reshape(*h_BTD.shape[:2], self._num_groups, -1)
            q, v, k = torch.split(fused, self._shape.dim // self._num_groups, dim=-1)
        q, k, v = (self._heads(part) for part in (q, k, v))
        return self._attend(name, q, k, v)

    def _attend(self, name: str, q_BTHC: Tensor, k_BTHC: Tensor, v_BTHC: Tensor) -> Tensor:
        out_BTHC = causal_attention(self._rotate(q_BTHC), self._rotate(k_BTHC), v_BTHC)
        return self._linear(f"{name}.out_proj", out_BTHC.flatten(2))

    def _rotate(self, x_BTHC: Tensor) -> Tensor:
        """Rotate every two of the first channels by their position."""
        rotary_dim = self._shape.rotary_dim
        angles = self._angles(x_BTHC.shape[1]).repeat_interleave(2, dim=-1)[:, None]
        turned, kept = x_BTHC[..., :rotary_dim], x_BTHC[..., rotary_dim:]
        every_two = torch.stack((-turned[..., 1::2], turned[..., ::2]), dim=-1).flatten(-2)
        return torch.cat((turned * angles.cos() + every_two * angles.sin(), kept), dim=-1)

    def _norm(self, name: str, x_BTD: Tensor) -> Tensor:
        weight, bias = self._weight(f"{name}.weight"), self._weight(f"{name}.bias")
        return F.layer_norm(x_BTD, weight.shape, weight, bias, self._shape.layer_norm_epsilon)


class LlamaForward(_Published):
    """The forward pass of a Llama checkpoint, in float32; see `CodeGenForward`."""

    def embed(self, ids_BT: Tensor) -> Tensor:
        """Return the residual stream in front of the first block, [B, T, D]."""
        return self._rows("model.embed_tokens.weight", ids_BT)

    def block(self, layer: int, x_BTD: Tensor) -> Tensor:
        """Return the residual stream behind a block."""
        name = f"model.layers.{layer}"
        h_BTD = self._norm(f"{name}.input_layernorm", x_BTD)
        q, k, v = (self._heads(self._linear(f"{name}.self_attn.{letter}_proj", h_BTD)) for letter in "qkv")
        out_BTHC = causal_attention(self._rotate(q), self._rotate(k), v)
        x_BTD = x_BTD + self._linear(f"{name}.self_attn.o_proj", out_BTHC.flatten(2))
        h_BTD = self._norm(f"{name}.post_attention_layernorm", x_BTD)
        gate = F.silu(self._linear(f"{name}.mlp.gate_proj", h_BTD))
        inner = gate * self._linear(f"{name}.mlp.up_proj", h_BTD)
        return x_BTD + self._linear(f"{name}.mlp.down_proj", inner)

    def logits(self, x_BTD: Tensor) -> Tensor:
        """Return the logits, [B, T, V]."""
        return self._linear("lm_head", self._norm("model.norm", x_BTD))

    def _rotate(self, x_BTHC: Tensor) -> Tensor:
        """Rotate each channel of a head's first half with that of the second half."""
        angles = self._angles(x_BTHC.shape[1]).repeat(1, 2)[:, None]
        first, second = x_BTHC.chunk(2, dim=-1)
        return x_BTHC * angles.cos() + torch.cat((-second, first), dim=-1) * angles.sin()

    def _norm(self, name: str, x_BTD: Tensor) -> Tensor:
        scale = torch.rsqrt(x_BTD.pow(2).mean(-1, keepdim=True) + self._shape.layer_norm_epsilon)
        return x_BTD * scale * self._weight(f"{name}.weight")


def published_forward(
    tensors: Tensors, shape: Architecture, num_groups: int | None, rounding: Rounding = as_stored
) -> Forward:
    """Return the forward pass of a checkpoint, by its form.

    Args:
        tensors: the checkpoint.
        shape: its architecture.
        num_groups: of `qkv_proj`; None for three matrices.
        rounding: what every weight goes through before it is used.
    """
    if shape.form == "llama":
        return LlamaForward(tensors, shape, rounding)
    return CodeGenForward(tensors, shape, num_groups, rounding)


def causal_attention(q_BTHC: Tensor, k_BTHC: Tensor, v_BTHC: Tensor) -> Tensor:
    """Attend from each position to itself and those before, written out; all are [B, T, H, C]."""
    scores = torch.einsum("bthc,bshc->bhts", q_BTHC, k_BTHC) / q_BTHC.shape[-1] ** 0.5
    hidden = torch.ones(scores.shape[-2:], dtype=torch.bool).triu(1)
    weights = scores.masked_fill(hidden, torch.finfo(torch.float32).min).softmax(-1)
    return torch.einsum("bhts,bshc->bthc", weights, v_BTHC)
