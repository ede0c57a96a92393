"""Compute logits from a GGUF file by llama.cpp's own graphs, in float32, a matrix in memory at a time.

This is what an export is checked against: it shares nothing with the code that names and turns the tensors.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from gguf import GGUFReader, dequantize
from torch import Tensor

from spanmix.interchange.forward import Forward, causal_attention
from spanmix.interchange.gguf.reader import open_gguf


class _Graph:
    """What both architectures share; every number comes from the file.

    Raises:
        ValueError, LookupError, ArithmeticError: they do not fit together.
    """

    def __init__(self, reader: GGUFReader, architecture: str) -> None:
        self._tensors = {tensor.name: tensor for tensor in reader.tensors}
        self._reader, self._architecture = reader, architecture
        self._num_heads = int(self._number("attention.head_count"))
        self._rotary_dim = int(self._number("rope.dimension_count"))
        self._base = self._number("rope.freq_base")
        width = int(self._tensors["token_embd.weight"].shape[0])
        # What is computed with is no larger than the file; a number in its head may be any.
        head_dim = width // self._num_heads
        if width % self._num_heads or not 0 < self._rotary_dim <= head_dim or not self._base > 0:
            raise ValueError(
                f"{self._num_heads} heads for a width of {width:,}, rotated in {self._rotary_dim:,} channels "
                f"by the base {self._base}"
            )

    def embed(self, ids_BT: Tensor) -> Tensor:
        """Return the residual stream in front of the first block, [B, T, D]."""
        return self._weight("token_embd.weight")[ids_BT]

    def _number(self, key: str) -> float:
        return float(self._reader.fields[f"{self._architecture}.{key}"].contents())

    def _weight(self, name: str) -> Tensor:
        stored = self._tensors[name]
        return torch.from_numpy(np.array(dequantize(stored.data, stored.tensor_type)))

    def _linear(self, name: str, x: Tensor, bias: bool) -> Tensor:
        return F.linear(x, self._weight(f"{name}.weight"), self._weight(f"{name}.bias") if bias else None)

    def _heads(self, name: str, h_BTD: Tensor, bias: bool) -> Tensor:
        return self._linear(name, h_BTD, bias).view(*h_BTD.shape[:2], self._num_heads, -1)

    def _angles(self, num_tokens: int) -> Tensor:
        """Return the angle of each position and pair, [T, 1, R / 2]."""
        steps = torch.arange(0, self._rotary_dim, 2) / self._rotary_dim
        return torch.outer(torch.arange(num_tokens).float(), self._base**-steps)[:, None]


class Phi2Graph(_Graph):
    """The architecture ``phi2``: `rope` of the type NeoX, attention and MLP on the same normed stream."""

    def block(self, layer: int, x_BTD: Tensor) -> Tensor:
        """Return the residual stream behind a block."""
        name = f"blk.{layer}"
        h_BTD = self._norm(f"{name}.attn_norm", x_BTD)
        q, k, v = (self._heads(f"{name}.attn_{letter}", h_BTD, bias=True) for letter in "qkv")
        out_BTHC = causal_attention(self._rope(q), self._rope(k), v)
        attention_BTD = self._linear(f"{name}.attn_output", out_BTHC.flatten(2), bias=True)
        inner = F.gelu(self._linear(f"{name}.ffn_up", h_BTD, bias=True), approximate="tanh")
        return attention_BTD + self._linear(f"{name}.ffn_down", inner, bias=True) + x_BTD

    def logits(self, x_BTD: Tensor) -> Tensor:
        """Return the logits, [B, T, V]."""
        return self._linear("output", self._norm("output_norm", x_BTD), bias=True)

    def _rope(self, x_BTHC: Tensor) -> Tensor:
        angles = self._angles(x_BTHC.shape[1])
        half = self._rotary_dim // 2
        a, b, kept = x_BTHC[..., :half], x_BTHC[..., half : 2 * half], x_BTHC[..., 2 * half :]
        cosine, sine = angles.cos(), angles.sin()
        return torch.cat((a * cosine - b * sine, a * sine + b * cosine, kept), dim=-1)

    def _norm(self, name: str, x_BTD: Tensor) -> Tensor:
        weight, bias = self._weight(f"{name}.weight"), self._weight(f"{name}.bias")
        return F.layer_norm(x_BTD, weight.shape, weight, bias, self._number("attention.layer_norm_epsilon"))


class LlamaGraph(_Graph):
    """The architecture ``llama``: `rope` of the type NORM, which rotates neighbors."""

    def block(self, layer: int, x_BTD: Tensor) -> Tensor:
        """Return the residual stream behind a block."""
        name = f"blk.{layer}"
        h_BTD = self._norm(f"{name}.attn_norm", x_BTD)
        q, k, v = (self._heads(f"{name}.attn_{letter}", h_BTD, bias=False) for letter in "qkv")
        out_BTHC = causal_attention(self._rope(q), self._rope(k), v)
        x_BTD = x_BTD + self._linear(f"{name}.attn_output", out_BTHC.flatten(2), bias=False)
        h_BTD = self._norm(f"{name}.ffn_norm", x_BTD)
        gate = F.silu(self._linear(f"{name}.ffn_gate", h_BTD, bias=False))
        inner = gate * self._linear(f"{name}.ffn_up", h_BTD, bias=False)
        return x_BTD + self._linear(f"{name}.ffn_down", inner, bias=False)

    def logits(self, x_BTD: Tensor) -> Tensor:
        """Return the logits, [B, T, V]."""
        return self._linear("output", self._norm("output_norm", x_BTD), bias=False)

    def _rope(self, x_BTHC: Tensor) -> Tensor:
        angles = self._angles(x_BTHC.shape[1])
        a, b = x_BTHC[..., ::2], x_BTHC[..., 1::2]
        cosine, sine = angles.cos(), angles.sin()
        return torch.stack((a * cosine - b * sine, a * sine + b * cosine), dim=-1).flatten(-2)

    def _norm(self, name: str, x_BTD: Tensor) -> Tensor:
        epsilon = self._number("attention.layer_norm_rms_epsilon")
        return F.rms_norm(x_BTD, x_BTD.shape[-1:], self._weight(f"{name}.weight"), epsilon)


def gguf_forward(file: Path) -> Forward:
    """Return the forward pass of a GGUF file that `spanmix.interchange.gguf` wrote."""
    reader = open_gguf(file)
    architecture = reader.fields["general.architecture"].contents()
    graph = LlamaGraph if architecture == "llama" else Phi2Graph
    return graph(reader, architecture)
