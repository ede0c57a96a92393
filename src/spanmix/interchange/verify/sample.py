"""Measure how well a model knows a short text of code, in several ways of reading it at once.

A model that is loaded right finds the text easy, most of it being said before. One whose attention is
scrambled does not: codegen2-1B has a loss of 0.34 nats a token on such a text, and 8.93 where its rows are
read in the wrong groups.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from spanmix.interchange.forward import Forward
from spanmix.interchange.verify.result import Check, cannot_tell, ok, wrong

SAMPLE = """\
class Box:
    def __init__(self, width, height, depth):
        self.width = width
        self.height = height
        self.depth = depth

    def get_width(self):
        return self.width

    def get_height(self):
        return self.height

    def get_depth(self):
        return self.depth

    def set_width(self, width):
        self.width = width

    def set_height(self, height):
        self.height = height
"""

KNOWS = 0.75
"""A model has learned something if its loss is below this share of that of a uniform guess."""

_LOSS = "loss on code"
_LEAST_GAP = 0.5
_DEVIATIONS = 5.0
_MOST_TOKENS = 192


@dataclass(frozen=True)
class Measured:
    """How hard the text was, for each way of reading the model.

    Args:
        losses_CN: nats of each token but the first, for each way that was measured.
        entropies_C: mean entropy of what was predicted, in nats.
        vocab_size: of the model.
    """

    losses_CN: Tensor
    entropies_C: Tensor
    vocab_size: int

    @property
    def uniform(self) -> float:
        """The loss of a uniform guess, in nats."""
        return math.log(self.vocab_size)

    @property
    def losses(self) -> list[float]:
        """The mean loss of each way that was measured, in nats a token."""
        return [float(loss) for loss in self.losses_CN.double().mean(1)]

    def knows(self, way: int) -> bool:
        """Return whether the model has learned something, read this way. Written so that NaN does not."""
        return self.losses[way] <= KNOWS * self.uniform

    def winner(self) -> int | None:
        """Return the way that is clearly better than all others, if one is and the model knows something."""
        losses = self.losses
        if len(losses) < 2 or not all(map(math.isfinite, losses)):
            return None
        best = min(range(len(losses)), key=losses.__getitem__)
        others = [way for way in range(len(losses)) if way != best]
        return best if self.knows(best) and all(self._beats(best, way) for way in others) else None

    def _beats(self, way: int, other: int) -> bool:
        gaps_N = (self.losses_CN[other] - self.losses_CN[way]).double()
        error = float(gaps_N.std()) / math.sqrt(len(gaps_N))
        return float(gaps_N.mean()) >= max(_LEAST_GAP, _DEVIATIONS * error)


class Budget:
    """So many seconds, from now.

    Args:
        seconds: how many.
        clock: what tells the time.
    """

    def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.seconds, self._clock = seconds, clock
        self._start = clock()

    @property
    def used(self) -> float:
        """Seconds since the beginning."""
        return self._clock() - self._start

    def holds(self, seconds: float) -> bool:
        """Return whether so many more are left."""
        return self.used + seconds <= self.seconds


def sample_ids(encoded: Sequence[int], start: Sequence[int], context_tokens: int) -> Tensor:
    """Return the ids [1, T] of the text behind what starts a prompt, as long as the context allows."""
    return torch.tensor([[*start, *encoded][: min(context_tokens, _MOST_TOKENS)]])


@torch.inference_mode()
def measure(
    forward: Forward, ids_1T: Tensor, num_ways: int, num_layers: int, vocab_size: int, budget: Budget
) -> Measured | None:
    """Run the text through a model, all ways side by side, a matrix in memory at a time.

    Where that would take too long, only the first two ways go on, then only the first, then none.

    Args:
        forward: computes row c of a batch in way c.
        ids_1T: the text.
        num_ways: of reading the model.
        num_layers: of the model.
        vocab_size: of the model.
        budget: when to give up.

    Returns:
        What was measured; None if there was no time for it.
    """
    x_CTD = forward.embed(ids_1T.expand(num_ways, -1))
    for layer in range(num_layers):
        began = budget.used
        x_CTD = forward.block(layer, x_CTD)
        a_row = (budget.used - began) / len(x_CTD)
        # The layers behind, and about as much as one again for the head.
        while len(x_CTD) and not budget.holds(a_row * len(x_CTD) * (num_layers - layer)):
            x_CTD = x_CTD[: min(2, len(x_CTD) - 1)]
        if not len(x_CTD):
            return None
    losses, entropies = [], []
    for logits_NV in forward.logits(x_CTD)[:, :-1]:  # one by one, as a vocabulary is large
        logprobs_NV = logits_NV.log_softmax(-1)
        losses.append(-logprobs_NV.gather(-1, ids_1T[0, 1:, None]).squeeze(-1))
        entropies.append(-(logprobs_NV.exp() * logprobs_NV).sum(-1).mean())
    return Measured(torch.stack(losses), torch.stack(entropies), vocab_size)


def check_loss(measured: Measured | None, way: int = 0) -> Check:
    """Say whether the model knows code.

    Args:
        measured: how hard the text was; None if there was no time for it.
        way: the one that is used.
    """
    if measured is None:
        return cannot_tell(_LOSS, "it was not measured: there was no time, or what it needs is missing")
    loss, entropy = measured.losses[way], float(measured.entropies_C[way])
    numbers = {"nats": round(loss, 3), "uniform": round(measured.uniform, 3), "entropy": round(entropy, 3)}
    if not math.isfinite(loss):
        return wrong(
            _LOSS, "the logits are not numbers", "fetch the weights again, or take an earlier checkpoint"
        )
    figures = f"{loss:.2f} nats a token on {measured.losses_CN.shape[1]} tokens of Python"
    if measured.knows(way):
        return ok(_LOSS, f"{figures}; a uniform guess has {measured.uniform:.2f}", **numbers)
    sure = " though it is sure of itself" if entropy < KNOWS * measured.uniform else ""
    detail = (
        f"{figures}, not clearly better than a uniform guess ({measured.uniform:.2f}){sure}: it is "
        "untrained, not a model of code, or loaded in a way that is not known here"
    )
    return cannot_tell(_LOSS, detail, **numbers)
