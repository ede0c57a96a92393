"""Drop inputs of LoRA's additions out, by chance that belongs to the row."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from spanmix import seeding


class RowKeys:
    """A number for each row that goes through a decoder: a hash of its token ids.

    Args:
        model: the decoder; the numbers of its newest rows are kept.
    """

    def __init__(self, model: nn.Module) -> None:
        self.of_rows: Sequence[int] = ()
        model.register_forward_pre_hook(self._note)

    def _note(self, module: nn.Module, args: tuple[Any, ...]) -> None:
        rows = args[0].cpu().numpy()
        digests = [hashlib.sha256(row.tobytes()).digest() for row in rows]
        self.of_rows = [int.from_bytes(digest[:8], "little") for digest in digests]


class RowDropout(nn.Module):
    """Set a share of the inputs of one layer to 0, and scale the others up, while gradients are made.

    Which ones depends on the run's seed, the layer and the row's token ids alone. So they are the same
    in whatever process or micro-batch the row is, after a resume, and when activations are computed again.

    Args:
        share: of the inputs that are set to 0.
        seed: the run's.
        layer: the layer's name.
        keys: of the rows.
    """

    def __init__(self, share: float, seed: int, layer: str, keys: RowKeys) -> None:
        super().__init__()
        self._share, self._seed = share, seed
        self._layer = seeding.name_key(layer)
        self._keys = keys

    def forward(self, x_BTD: Tensor) -> Tensor:
        """Return the inputs with some set to 0, [B, T, D]; all as they are where no gradient is made."""
        if not torch.is_grad_enabled():
            return x_BTD
        generator = torch.Generator(device=x_BTD.device)
        kept_BTD = torch.empty_like(x_BTD)
        for row, key in zip(kept_BTD, self._keys.of_rows, strict=True):
            stream = seeding.stream_key(self._seed, "lora_dropout", self._layer, key)
            row.bernoulli_(1 - self._share, generator=generator.manual_seed(stream & (2**63 - 1)))
        return x_BTD * kept_BTD / (1 - self._share)
