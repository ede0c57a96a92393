"""Compute a native folder's logits with the decoder that will run it, a block in memory at a time."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from spanmix.interchange.tensors import Tensors
from spanmix.model import native
from spanmix.model.architecture import Architecture
from spanmix.model.decoder import Decoder
from spanmix.model.masks import AttentionMask
from spanmix.model.rotary import rotary_table


class NativeForward:
    """The decoder that runs a native folder, in float32; see `spanmix.interchange.forward.Forward`."""

    def __init__(self, tensors: Tensors, shape: Architecture) -> None:
        self._tensors, self._shape = tensors, shape
        with torch.device("meta"):
            self._parts = Decoder(replace(shape, num_layers=1))

    def embed(self, ids_BT: Tensor) -> Tensor:
        """Return the residual stream in front of the first block, [B, T, D]."""
        return self._tensor("wte.weight")[ids_BT].float()

    def block(self, layer: int, x_BTD: Tensor) -> Tensor:
        """Return the residual stream behind a block."""
        block = self._parts.h[0]
        self._load(block, f"h.{layer}")
        num_rows, num_tokens, _ = x_BTD.shape
        positions_BT = torch.arange(num_tokens).expand(num_rows, -1)
        table = rotary_table(self._shape.rotary_dim, positions_BT)
        after_BTD: Tensor = block(
            x_BTD, table, positions_BT, AttentionMask.causal(num_rows, num_tokens), None
        )
        return after_BTD

    def logits(self, x_BTD: Tensor) -> Tensor:
        """Return the logits, [B, T, V]."""
        self._load(self._parts.ln_f, "ln_f")
        self._load(self._parts.head, "head")
        logits_BTV: Tensor = self._parts.head(self._parts.ln_f(x_BTD))
        return logits_BTV

    def _load(self, module: torch.nn.Module, name: str) -> None:
        module.to("meta")  # lets go of the block before
        state = {part: self._tensor(f"{name}.{part}").float() for part in module.state_dict()}
        module.load_state_dict(state, assign=True)

    def _tensor(self, name: str) -> Tensor:
        return native.from_native(name, self._tensors.read, self._shape)
