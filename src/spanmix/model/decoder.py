"""The decoder, in the form that its architecture names.

    x = wte(token ids);  x = block(x) for each block;  logits = head(ln_f(x))

Head and embedding are not tied. `spanmix.model.blocks` says what a block computes. There is no loss and no
parallelism here. Parameters keep their own type; the work is done in the type that `forward` is asked for.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from spanmix import seeding
from spanmix.model.architecture import Architecture
from spanmix.model.attention import prepare
from spanmix.model.blocks import KVCache, ParallelBlock, SequentialBlock, by_head
from spanmix.model.layers import LayerNorm, Linear, RMSNorm
from spanmix.model.masks import AttentionMask
from spanmix.model.rotary import rotary_table


class Decoder(nn.Module):
    """Token ids to hidden states; `head` maps these to logits.

    Args:
        architecture: the shape.
        seed: keys the first weights; ``None`` leaves them uninitialised (they will be loaded).
    """

    def __init__(self, architecture: Architecture, seed: int | None = None) -> None:
        super().__init__()
        self.architecture = architecture
        is_llama = architecture.form == "llama"
        block, norm = (SequentialBlock, RMSNorm) if is_llama else (ParallelBlock, LayerNorm)
        self.wte = nn.Embedding(architecture.vocab_size, architecture.dim)
        self.h = nn.ModuleList(block(architecture, layer) for layer in range(architecture.num_layers))
        self.ln_f = norm(architecture.dim, eps=architecture.layer_norm_epsilon)
        self.head = Linear(architecture.dim, architecture.vocab_size, bias=not is_llama)
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
        only_B: Tensor | None = None,
    ) -> Tensor:
        """Return hidden states after the last norm, [B, T, D], or [B, 1, D] if `only_B` is given.

        Args:
            token_ids_BT: int [B, T].
            positions_BT: int [B, T], from 0 in each segment.
            mask: who sees whom in a packed batch; needed without a cache.
            cache: earlier keys and values; the new ones are added to it.
            dtype: what to compute in; that of the parameters if not given.
            only_B: with a cache, the column of each row that is wanted. The last block then computes keys and
                values of all columns and the rest of this one alone: most of a block less for a prompt.
        """
        x_BTD = self.wte(token_ids_BT)
        if dtype is not None:
            x_BTD = x_BTD.to(dtype)
        table_BTR2 = rotary_table(self.architecture.rotary_dim, positions_BT)
        if mask is not None:
            prepare(mask, x_BTD.device.type, x_BTD.dtype)
        for block in self.h:
            only = only_B if block is self.h[-1] else None
            x_BTD = block(x_BTD, table_BTR2, positions_BT, mask, cache, only)
        hidden_BTD: Tensor = self.ln_f(x_BTD)
        return hidden_BTD
