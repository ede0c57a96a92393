"""Add up what steps measured until it is time to write it down."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from spanmix.model.architecture import Architecture
from spanmix.train.metrics import Metric
from spanmix.train.step import StepLosses
from spanmix.types import Batch


@dataclass(frozen=True)
class Unreported:
    """What was added up since the last report, so that a run goes on with it.

    Args:
        sums: (objective, source, sum of losses in nats, sum of weights), in the order they were first met.
        positions: of all rows.
        packed: positions that are no padding.
    """

    sums: tuple[tuple[int, int, float, float], ...] = ()
    positions: int = 0
    packed: int = 0


class Meter:
    """Losses per objective and per source, and speed, over the steps since the last report.

    Args:
        objectives: names, by the index that examples carry.
        sources: names, by the index that examples carry.
        architecture: for counting operations.
        peak_flops: measures the speed of matrix products, in operations a second. The highest is kept: it is
            measured once, and again where a report passes it, as it does if the machine was busy before.
        unreported: where a checkpoint left it.
        frozen: whether the matrices are not trained, but additions to them.
    """

    def __init__(
        self,
        objectives: Sequence[str],
        sources: Sequence[str],
        architecture: Architecture,
        peak_flops: Callable[[], float],
        unreported: Unreported,
        frozen: bool = False,
    ) -> None:
        self.objectives = objectives
        self.sources = sources
        self.architecture = architecture
        self._measure_peak = peak_flops
        self._peak_flops = peak_flops()
        self.frozen = frozen
        self._begin(unreported)

    def _begin(self, unreported: Unreported) -> None:
        self._sums = defaultdict(float, {(i, j): loss for i, j, loss, _ in unreported.sums})
        self._weights = defaultdict(float, {(i, j): weight for i, j, _, weight in unreported.sums})
        self._grad_norm = 0.0
        self._positions, self._packed = unreported.positions, unreported.packed
        self._flops, self._packed_before = 0, unreported.packed  # speed is of this process alone
        self._since = time.perf_counter()

    @property
    def unreported(self) -> Unreported:
        """What to go on with."""
        sums = tuple((*key, loss, self._weights[key]) for key, loss in self._sums.items())
        return Unreported(sums, self._positions, self._packed)

    def update(self, batch: Batch, losses: StepLosses) -> None:
        """Add a step."""
        for segment, loss, weight in zip(losses.segments, losses.sums, losses.weights, strict=True):
            self._sums[segment.objective, segment.ref.source] += loss
            self._weights[segment.objective, segment.ref.source] += weight
        self._grad_norm = losses.grad_norm
        self._positions += batch.token_ids.size
        self._packed += sum(segment.length for segment in batch.segments)
        pairs = sum(segment.length * (segment.length + 1) // 2 for segment in batch.segments)
        self._flops += self.architecture.training_flops(batch.token_ids.size, pairs, self.frozen)

    def report(self, learning_rate: float) -> list[Metric]:
        """Return the figures since the last report, and start again."""
        seconds = time.perf_counter() - self._since
        metrics = [Metric("train", "loss", self._mean(self._sums))]
        for i, name in enumerate(self.objectives):
            chosen = [key for key in self._sums if key[0] == i and self._weights[key]]
            if chosen:
                metrics.append(Metric("train", "loss", self._mean(chosen), objective=name))
        for i, name in enumerate(self.sources):
            chosen = [key for key in self._sums if key[1] == i and self._weights[key]]
            if chosen:
                metrics.append(Metric("train", "loss", self._mean(chosen), source=name))
        metrics += [
            Metric("train", "grad_norm", self._grad_norm),
            Metric("train", "learning_rate", learning_rate),
            Metric("train", "padding_share", 1 - self._packed / self._positions),
            Metric("speed", "tokens_per_second", (self._packed - self._packed_before) / seconds),
            Metric("speed", "mfu", self._share_of_peak(self._flops / seconds)),
        ]
        self._begin(Unreported())
        return metrics

    def _share_of_peak(self, flops: float) -> float:
        """Return which share of the peak so many operations a second are, at most 1."""
        if flops > self._peak_flops:
            self._peak_flops = max(self._peak_flops, self._measure_peak(), flops)
        return flops / self._peak_flops

    def _mean(self, keys: Sequence[tuple[int, int]] | dict[tuple[int, int], float]) -> float:
        """Nats per token over the chosen (objective, source) pairs."""
        return sum(self._sums[key] for key in keys) / sum(self._weights[key] for key in keys)
