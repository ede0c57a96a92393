"""The loop: take a batch, make a step, write down what was measured, save now and then."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch

from spanmix.config import Recipe
from spanmix.data.loader import LoaderState
from spanmix.model.decoder import Decoder
from spanmix.train.checkpoint import Checkpoints, Progress
from spanmix.train.hooks import Hook
from spanmix.train.meter import Meter
from spanmix.train.metrics import Metric, MetricsLog
from spanmix.train.optimizer import learning_rate
from spanmix.train.step import TrainStep, require_finite_weights
from spanmix.types import Batch

Report = Callable[[int, int, Sequence[Metric]], None]
"""Called with (steps done, steps in all, newest figures) after every step."""


@dataclass(frozen=True)
class Parts:
    """What the loop works with; built outside and passed in."""

    model: Decoder
    optimizer: torch.optim.Optimizer
    train_step: TrainStep
    batches: Iterator[tuple[Batch, LoaderState]]
    meter: Meter
    log: MetricsLog
    checkpoints: Checkpoints
    hooks: Sequence[Hook]
    report: Report


def train_loop(recipe: Recipe, parts: Parts, progress: Progress) -> Progress:
    """Train from `progress` to the recipe's last step and return where that is.

    The last step is always saved. Everything that is written down is written after the step's update
    and before its checkpoint, so a run that goes on from a checkpoint repeats no line. Weights that are
    not finite are neither measured nor saved.

    Raises:
        SpanmixError: the loss or a weight is not finite.
    """
    run = recipe.run
    step, tokens = progress.step, progress.tokens
    while step < run.num_steps:
        batch, loader_state = next(parts.batches)
        rate = learning_rate(step, run.num_steps, recipe.optimizer.learning_rate, recipe.schedule)
        losses = parts.train_step(batch, rate)
        step += 1
        tokens += round(sum(losses.weights))
        parts.meter.update(batch, losses)

        last = step == run.num_steps
        saves = last or step % run.save_every_steps == 0
        hooks = [hook for hook in parts.hooks if last or step % hook.every_steps == 0]
        if saves or hooks:
            require_finite_weights(parts.model, step)
        metrics: list[Metric] = []
        if last or step % run.log_every_steps == 0:
            metrics += parts.meter.report(rate)
        for hook in hooks:
            figures = hook.run(parts.model, step)
            metrics += [Metric(hook.kind, name, value) for name, value in figures.items()]
        parts.log.write(metrics, step, loader_state.next_row, tokens)
        parts.report(step, run.num_steps, metrics)

        progress = Progress(step, tokens, loader_state)
        if saves:
            parts.checkpoints.save(progress, parts.model, parts.optimizer)
    return progress
