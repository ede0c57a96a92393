"""The decoder's blocks, in two forms.

    codegen   h = ln_1(x);  x = x + attention(h) + mlp(h)               LayerNorm, GELU
    llama     x = x + attention(ln_1(x));  x = x + mlp(ln_2(x))         RMSNorm, SwiGLU

The first is CodeGen's and CodeGen2's (arXiv 2203.13474, 2305.02309), mathematically GPT-J: rotary positions
on the first channels of each head, no bias in attention, biases in norm and MLP. The second is CodeGen2.5's,
Llama (arXiv 2302.13971): rotary positions on whole heads, and no bias at all. Attention is the same.
"""

from __future__ import annotations

from typing import Protocol

from torch import Tensor, nn

from spanmix.model.architecture import Architecture
from spanmix.model.attention import attend, attend_cached
from spanmix.model.layers import MLP, GatedMLP, LayerNorm, Linear, RMSNorm
from spanmix.model.masks import AttentionMask
from spanmix.model.rotary import rotate


def columns(x_BTD: Tensor, only_B: Tensor) -> Tensor:
    """Return one column of each row, [B, 1, D].

    >>> import torch
    >>> columns(torch.arange(6).view(2, 3, 1), torch.tensor([2, 0])).tolist()
    [[[2]], [[3]]]
    """
    return x_BTD.take_along_dim(only_B[:, None, None], dim=1)


class KVCache(Protocol):
    """Keys and values of earlier positions, for generation: slot s of a row holds its position s."""

    def extend(
        self, layer: int, k_BHTC: Tensor, v_BHTC: Tensor, positions_BT: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Store a layer's new keys and values; return those of all slots, [B, H, S, C]."""
        ...


def by_head(qkv_ED: Tensor, head_dim: int) -> Tensor:
    """Group rows [3, H, C], queries, keys and values one behind the other, by head: [H, 3, C].

    >>> import torch
    >>> by_head(torch.arange(6)[:, None], head_dim=1)[:, 0].tolist()
    [0, 2, 4, 1, 3, 5]
    """
    grouped = qkv_ED.view(3, -1, head_dim, qkv_ED.shape[-1]).transpose(0, 1)
    return grouped.reshape(qkv_ED.shape)


def by_kind(qkv_ED: Tensor, head_dim: int) -> Tensor:
    """Undo `by_head`."""
    grouped = qkv_ED.view(-1, 3, head_dim, qkv_ED.shape[-1]).transpose(0, 1)
    return grouped.reshape(qkv_ED.shape)


class Attention(nn.Module):
    """Multi-head attention with rotary positions and no biases.

    The rows of `qkv_proj` are grouped by head, [H, 3, C]: each head's query, key and value lie together, so
    a shard of the rows is a number of whole heads.
    """

    def __init__(self, architecture: Architecture, layer: int) -> None:
        super().__init__()
        dim = architecture.dim
        self.head_dim = architecture.head_dim
        self.layer = layer
        self.qkv_proj = Linear(dim, 3 * dim, bias=False)
        self.out_proj = Linear(dim, dim, bias=False)

    def forward(
        self,
        h_BTD: Tensor,
        table_BTR2: Tensor,
        positions_BT: Tensor,
        mask: AttentionMask | None,
        cache: KVCache | None,
        only_B: Tensor | None = None,
    ) -> Tensor:
        """Return the attention's addition to the residual stream, [B, T, D], or [B, 1, D] of `only_B`."""
        num_rows, num_tokens, _ = h_BTD.shape
        # H are the heads that are here: all of them, or a tensor-parallel rank's.
        qkv_BTH3C = self.qkv_proj(h_BTD).view(num_rows, num_tokens, -1, 3, self.head_dim)
        qk_BTH2C = rotate(qkv_BTH3C[..., :2, :], table_BTR2[:, :, None])
        q_BHTC, k_BHTC = qk_BTH2C.permute(3, 0, 2, 1, 4).unbind()
        v_BHTC = qkv_BTH3C[..., 2, :].transpose(1, 2)
        if cache is not None:
            keys, values = cache.extend(self.layer, k_BHTC, v_BHTC, positions_BT)
            if only_B is not None:
                q_BHTC = q_BHTC.take_along_dim(only_B[:, None, None, None], dim=2)
                positions_BT = positions_BT.gather(1, only_B[:, None])
            out_BHTC = attend_cached(q_BHTC, keys, values, positions_BT)
        else:
            assert mask is not None, "without a cache the decoder needs a mask"
            out_BHTC = attend(q_BHTC, k_BHTC, v_BHTC, mask)
        projected: Tensor = self.out_proj(out_BHTC.transpose(1, 2).flatten(2))
        return projected


class ParallelBlock(nn.Module):
    """A block of the form ``codegen``: attention and MLP side by side, behind one norm."""

    def __init__(self, architecture: Architecture, layer: int) -> None:
        super().__init__()
        self.ln_1 = LayerNorm(architecture.dim, eps=architecture.layer_norm_epsilon)
        self.attn = Attention(architecture, layer)
        self.mlp = MLP(architecture)

    def forward(
        self,
        x_BTD: Tensor,
        table_BTR2: Tensor,
        positions_BT: Tensor,
        mask: AttentionMask | None,
        cache: KVCache | None,
        only_B: Tensor | None = None,
    ) -> Tensor:
        """Return the residual stream after this block."""
        h_BTD = self.ln_1(x_BTD)
        y_BTD: Tensor = self.attn(h_BTD, table_BTR2, positions_BT, mask, cache, only_B)
        if only_B is not None:
            x_BTD, h_BTD = columns(x_BTD, only_B), columns(h_BTD, only_B)
        y_BTD = y_BTD + self.mlp(h_BTD)
        return x_BTD + y_BTD


class SequentialBlock(nn.Module):
    """A block of the form ``llama``: attention, then MLP, each behind a norm of its own."""

    def __init__(self, architecture: Architecture, layer: int) -> None:
        super().__init__()
        self.ln_1 = RMSNorm(architecture.dim, eps=architecture.layer_norm_epsilon)
        self.attn = Attention(architecture, layer)
        self.ln_2 = RMSNorm(architecture.dim, eps=architecture.layer_norm_epsilon)
        self.mlp = GatedMLP(architecture)

    def forward(
        self,
        x_BTD: Tensor,
        table_BTR2: Tensor,
        positions_BT: Tensor,
        mask: AttentionMask | None,
        cache: KVCache | None,
        only_B: Tensor | None = None,
    ) -> Tensor:
        """Return the residual stream after this block."""
        y_BTD: Tensor = self.attn(self.ln_1(x_BTD), table_BTR2, positions_BT, mask, cache, only_B)
        x_BTD = (x_BTD if only_B is None else columns(x_BTD, only_B)) + y_BTD
        z_BTD: Tensor = self.mlp(self.ln_2(x_BTD))
        return x_BTD + z_BTD
