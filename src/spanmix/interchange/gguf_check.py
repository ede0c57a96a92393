"""Check that a GGUF file computes what its source computes, and say how much rounding has moved it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from spanmix.interchange.forward import Forward, published_forward
from spanmix.interchange.gguf_forward import gguf_forward
from spanmix.interchange.gguf_packing import Packing
from spanmix.interchange.parity import LEAST_AGREEMENT, TOLERANCE, make_prompts
from spanmix.interchange.sources import Source
from spanmix.interchange.tensors import Stored, Tensors

MOST_Q8_0_DIFFERENCE = 0.5
"""Nats that the log-probability of the original's likeliest token may move by, on average."""


@dataclass(frozen=True)
class Agreement:
    """How alike the two are, given the same tokens before.

    Args:
        exact: the largest difference of two logits, the original's matrices rounded as they were stored.
        tolerance: what `exact` may be.
        moved: the largest difference of any token's log-probability from the original as it is.
        likeliest_moved: of the original's likeliest token alone, on average.
        greedy: for each kind of prompt, the share of positions with the same likeliest token as the rounded
            original.
    """

    exact: float
    tolerance: float
    moved: float
    likeliest_moved: float
    greedy: dict[str, float]

    def failures(self, kind: str) -> list[str]:
        """Return a sentence for everything that is wrong. Written so that NaN fails."""
        failures = []
        if not self.exact <= self.tolerance:
            failures.append(f"logits differ by up to {self.exact:.3g}, and {self.tolerance:.3g} is allowed")
        if not all(share >= LEAST_AGREEMENT for share in self.greedy.values()):
            failures.append(f"the same token is likeliest at {self._shares()} only")
        if kind == "q8_0" and not self.likeliest_moved <= MOST_Q8_0_DIFFERENCE:
            failures.append(
                f"rounding to q8_0 moves the likeliest token's log-probability by {self.likeliest_moved:.3g} "
                f"on average, and {MOST_Q8_0_DIFFERENCE} is allowed; use f16"
            )
        return failures

    def sentence(self, kind: str) -> str:
        """Say how well they agree."""
        return (
            f"beside the source, by llama.cpp's graph in float32: log-probabilities differ by up to "
            f"{self.moved:.3g} with the rounding to {kind}, and logits by up to {self.exact:.3g} without it; "
            f"the same token is likeliest at {self._shares()}"
        )

    def _shares(self) -> str:
        return " and ".join(f"{share:.1%} of {kind} prompts" for kind, share in self.greedy.items())


@dataclass(frozen=True)
class _Rounded:
    """The tensors of a source, each as it comes back from a file."""

    tensors: Tensors
    packing: Packing

    @property
    def path(self) -> Path:
        """Where they are."""
        return self.tensors.path

    @property
    def stored(self) -> Mapping[str, Stored]:
        """What there is, by name."""
        return self.tensors.stored

    def read(self, name: str) -> Tensor:
        """Return a tensor."""
        return self.packing.rounded(self.tensors.read(name))


@torch.inference_mode()
def compare(source: Source, file: Path, packing: Packing) -> Agreement:
    """Run random prompts through both.

    Args:
        source: the original.
        file: what was written.
        packing: how its matrices are stored.
    """
    prompts = make_prompts(source.shape, source.tokenizer, source.prompting.infill is not None)
    ids_BT = torch.cat(list(prompts.values()))
    rounded = published_forward(_Rounded(source.tensors, packing), source.shape, source.num_groups)
    original = published_forward(source.tensors, source.shape, source.num_groups)
    layers = source.shape.num_layers
    ours, reference, theirs = (
        _logits(forward, ids_BT, layers) for forward in (original, rounded, gguf_forward(file))
    )
    same = (reference.argmax(-1) == theirs.argmax(-1)).float()
    shares = torch.split(same, [len(ids) for ids in prompts.values()])
    difference_BTV = (ours.log_softmax(-1) - theirs.log_softmax(-1)).abs()
    likeliest = difference_BTV.gather(-1, ours.argmax(-1, keepdim=True))
    return Agreement(
        exact=float((reference - theirs).abs().max()),
        tolerance=TOLERANCE * max(1.0, float(ours.abs().max())),
        moved=float(difference_BTV.max()),
        likeliest_moved=float(likeliest.mean()),
        greedy={kind: float(share.mean()) for kind, share in zip(prompts, shares, strict=True)},
    )


def _logits(forward: Forward, ids_BT: Tensor, num_layers: int) -> Tensor:
    x_BTD = forward.embed(ids_BT)
    for layer in range(num_layers):
        x_BTD = forward.block(layer, x_BTD)
    return forward.logits(x_BTD)
