"""Notice a step whose loss stands far above those before it. Nothing is done about it but to say so.

A loss is a spike if it exceeds the running mean by more than 6 running standard deviations. Both weigh the
newest step with 1/50 (with 1/n in the first 50), and no loss is judged before 50 have been seen. While the
loss falls fast the deviation is large, so in the first hundreds of steps only a large spike is one. A spike
enters as no more than the bound that it broke, so that one does not hide the next, and a loss that stays
high is soon the usual one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from spanmix.train.events import EventLog
from spanmix.train.step import StepLosses
from spanmix.types import Segment

DEVIATIONS = 6.0
MEMORY_STEPS = 50
LEAST_STEPS = 50


@dataclass(frozen=True)
class LossTrend:
    """The running mean and variance of the losses of the steps so far.

    Worked example, of losses that go to and fro between 2 and 3:

    >>> trend = LossTrend()
    >>> for step in range(50):
    ...     trend = trend.after(2.0 + step % 2)
    >>> round(trend.mean, 6), round(trend.deviation, 6), trend.is_spike(5.4), trend.is_spike(5.6)
    (2.5, 0.5, False, True)
    """

    steps: int = 0
    mean: float = 0.0
    variance: float = 0.0

    @property
    def deviation(self) -> float:
        """The running standard deviation."""
        return math.sqrt(self.variance)

    @property
    def bound(self) -> float:
        """Above it a loss is a spike; infinite while too few have been seen."""
        return self.mean + DEVIATIONS * self.deviation if self.steps >= LEAST_STEPS else math.inf

    def is_spike(self, loss: float) -> bool:
        """Whether the next loss is a spike."""
        return loss > self.bound

    def after(self, loss: float) -> LossTrend:
        """Return the trend with one more loss."""
        share = 1 / min(self.steps + 1, MEMORY_STEPS)
        gap = min(loss, self.bound) - self.mean
        return LossTrend(
            self.steps + 1,
            self.mean + share * gap,
            (1 - share) * (self.variance + share * gap * gap),
        )


class SpikeWatch:
    """Follows the losses of a run, and records its spikes.

    Args:
        trend: where a checkpoint left it.
        describe: names the documents of examples.
        events: where spikes are recorded.
    """

    def __init__(
        self, trend: LossTrend, describe: Callable[[Sequence[Segment]], str], events: EventLog
    ) -> None:
        self.trend = trend
        self._describe = describe
        self._events = events

    def update(self, step: int, first_row: int, losses: StepLosses) -> None:
        """Take the losses of a step, and say so if it is a spike."""
        loss, trend = losses.mean, self.trend
        self.trend = trend.after(loss)
        if trend.is_spike(loss):
            self._events.warn(
                step,
                "loss_spike",
                f"the loss of step {step} is {loss:.4f}: the steps before it have a running mean of "
                f"{trend.mean:.4f} with a standard deviation of {trend.deviation:.4f}, and more than "
                f"{DEVIATIONS:g} of these above it is reported. Its rows begin with {first_row}; documents: "
                f"{self._describe(losses.segments)}. Training goes on",
            )
