"""The CodeGen decoder: one LayerNorm a block, attention and MLP side by side.

    x = x + attention(h) + mlp(h),  h = ln_1(x)          logits = head(ln_f(x))

This is the model of CodeGen and CodeGen2 (arXiv 2203.13474, 2305.02309), mathematically GPT-J: rotary
positions on the first channels of each head, no bias in attention, biases in the MLP and in the head,
head and embedding not tied. There is no loss and no parallelism here. Parameters keep their own type;
the work is done in the type that `forward` is asked for.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from spanmix import seeding
from spanmix.model.architecture import Architecture
from spanmix.model.attention import attend, attend_cached, prepare
from spanmix.model.masks import AttentionMask
from spanmix.model.rotary import rotary_table, rotate


class KVCache:
    """Keys and values of earlier positions, for generation: slot s of a row holds its position s.

    Args:
        architecture: the decoder's shape.
        num_rows: sequences side by side.
        num_slots: longest sequence.
        dtype: element type.
    """

    def __init__(self, architecture: Architecture, num_rows: int, num_slots: int, dtype: torch.dtype) -> None:
        shape = (architecture.num_layers, num_rows, architecture.num_heads, num_slots, architecture.head_dim)
        self.keys_LBHSC = torch.zeros(shape, dtype=dtype)
        self.values_LBHSC = torch.zeros(shape, dtype=dtype)

    def extend(
        self, layer: int, k_BHTC: Tensor, v_BHTC: Tensor, positions_BT: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Store new keys and values at their positions; return all slots up to the last one in use."""
        rows_B1 = torch.arange(positions_BT.shape[0])[:, None]
        self.keys_LBHSC[layer].transpose(1, 2)[rows_B1, positions_BT] = k_BHTC.transpose(1, 2)
        self.values_LBHSC[layer].transpose(1, 2)[rows_B1, positions_BT] = v_BHTC.transpose(1, 2)
        stop = int(positions_BT.max()) + 1
        return self.keys_LBHSC[layer][:, :, :stop], self.values_LBHSC[layer][:, :, :stop]


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


def by_head(qkv_ED: Tensor, head_dim: int) -> Tensor:
    """Group rows [3, H, C], queries, keys and values one behind the other, by head: [H, 3, C].

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
    """Multi-head attention with partial rotary positions and no biases.

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
    ) -> Tensor:
        """Return the attention's addition to the residual stream, [B, T, D]."""
        num_rows, num_tokens, _ = h_BTD.shape
        # H are the heads that are here: all of them, or a tensor-parallel rank's.
        qkv_BTH3C = self.qkv_proj(h_BTD).view(num_rows, num_tokens, -1, 3, self.head_dim)
        qk_BTH2C = rotate(qkv_BTH3C[..., :2, :], table_BTR2[:, :, None])
        q_BHTC, k_BHTC = qk_BTH2C.permute(3, 0, 2, 1, 4).unbind()
        v_BHTC = qkv_BTH3C[..., 2, :].transpose(1, 2)
        if cache is not None:
            keys, values = cache.extend(self.layer, k_BHTC, v_BHTC, positions_BT)
            out_BHTC = attend_cached(q_BHTC, keys, values, positions_BT)
        else:
            assert mask is not None, "without a cache the decoder needs a mask"
            out_BHTC = attend(q_BHTC, k_BHTC, v_BHTC, mask)
        projected: Tensor = self.out_proj(out_BHTC.transpose(1, 2).reshape(num_rows, num_tokens, -1))
        return projected


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


class Block(nn.Module):
    """One decoder block."""

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
    ) -> Tensor:
        """Return the residual stream after this block."""
        h_BTD = self.ln_1(x_BTD)
        y_BTD: Tensor = self.attn(h_BTD, table_BTR2, positions_BT, mask, cache) + self.mlp(h_BTD)
        return x_BTD + y_BTD


class Decoder(nn.Module):
    """Token ids to hidden states; `head` maps these to logits.

    Args:
        architecture: the shape.
        seed: keys the first weights; ``None`` leaves them uninitialised (they will be loaded).
    """

    def __init__(self, architecture: Architecture, seed: int | None = None) -> None:
        super().__init__()
        self.architecture = architecture
        self.wte = nn.Embedding(architecture.vocab_size, architecture.dim)
        self.h = nn.ModuleList(Block(architecture, layer) for layer in range(architecture.num_layers))
        self.ln_f = LayerNorm(architecture.dim, eps=architecture.layer_norm_epsilon)
        self.head = Linear(architecture.dim, architecture.vocab_size)
        if seed is not None:
            self.initialize(seed)

    def initialize(self, seed: int) -> None:
        """Draw the first weights: normal with deviation 0.02, the maps into the residual stream
        divided by sqrt(2 L) (Radford et al. 2019); biases 0, norms 1."""
        generator = seeding.torch_generator(seed, "init")
        residual_std = 0.02 / (2 * self.architecture.num_layers) ** 0.5
        with torch.no_grad():
            for name, parameter in self.named_parameters():
                if parameter.ndim == 2:
                    into_residual = name.endswith(("out_proj.weight", "fc_out.weight"))
                    parameter.normal_(0.0, residual_std if into_residual else 0.02, generator=generator)
                    if name.endswith("qkv_proj.weight"):  # drawn as all queries, all keys, all values
                        parameter.copy_(by_head(parameter.clone(), self.architecture.head_dim))
                elif name.endswith("bias"):
                    parameter.zero_()
                else:
                    parameter.fill_(1.0)

    def forward(
        self,
        token_ids_BT: Tensor,
        positions_BT: Tensor,
        mask: AttentionMask | None = None,
        cache: KVCache | None = None,
        dtype: torch.dtype | None = None,
    ) -> Tensor:
        """Return hidden states after the last norm, [B, T, D].

        Args:
            token_ids_BT: int [B, T].
            positions_BT: int [B, T], from 0 in each segment.
            mask: who sees whom in a packed batch; needed without a cache.
            cache: earlier keys and values; the new ones are added to it.
            dtype: what to compute in; that of the parameters if not given.
        """
        x_BTD = self.wte(token_ids_BT)
        if dtype is not None:
            x_BTD = x_BTD.to(dtype)
        table_BTR2 = rotary_table(self.architecture.rotary_dim, positions_BT)
        if mask is not None:
            prepare(mask, x_BTD.device.type, x_BTD.dtype)
        for block in self.h:
            x_BTD = block(x_BTD, table_BTR2, positions_BT, mask, cache)
        hidden_BTD: Tensor = self.ln_f(x_BTD)
        return hidden_BTD
