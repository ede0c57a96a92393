"""The loop: take a batch, make a step, write down what was measured, save now and then."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from spanmix.config import Recipe
from spanmix.data.loader import LoaderState
from spanmix.model.decoder import Decoder
from spanmix.train.bad_batches import BadBatches
from spanmix.train.checkpoint import Optimizers
from spanmix.train.hooks import Hook
from spanmix.train.meter import Meter
from spanmix.train.metrics import Metric, MetricsLog
from spanmix.train.mixture_watch import MixtureWatch
from spanmix.train.optimizer import learning_rate
from spanmix.train.progress import Progress
from spanmix.train.saver import Saver
from spanmix.train.spikes import SpikeWatch
from spanmix.train.step import NotFiniteError, TrainStep
from spanmix.types import Batch

Report = Callable[[int, int, Sequence[Metric]], None]
"""Called with (steps done, steps in all, newest figures) after every step."""


@dataclass(frozen=True)
class Parts:
    """What the loop works with; built outside and passed in."""

    model: Decoder
    optimizers: Optimizers
    train_step: TrainStep
    batches: Iterator[tuple[Batch, LoaderState]]
    bad_batches: BadBatches
    meter: Meter
    spikes: SpikeWatch
    mixture: MixtureWatch
    log: MetricsLog
    saver: Saver
    hooks: Sequence[Hook]
    report: Report


def train_loop(recipe: Recipe, parts: Parts, progress: Progress, should_stop: Callable[[], bool]) -> Progress:
    """Train from `progress` to the recipe's last step, or to where it is asked to stop; return where that is.

    The step at which it ends is always saved, though that save may still be in flight. Everything that is
    written down is written after the step's update and before its checkpoint, so a run that goes on from a
    checkpoint repeats no line. Weights that are not finite are neither measured nor saved. A batch that is
    skipped makes no step.

    Raises:
        SpanmixError: the loss or a weight is not finite, or a checkpoint could not be written.
    """
    run = recipe.run
    step, tokens = progress.step, progress.tokens
    stopped = should_stop()
    while step < run.num_steps and not stopped:
        batch, loader_state = next(parts.batches)
        rate = learning_rate(step, run.num_steps, recipe.optimizer.learning_rate, recipe.schedule)
        try:
            losses = parts.train_step(batch, rate)
        except NotFiniteError as bad:
            parts.bad_batches.skip(bad, step + 1)
            continue
        step += 1
        tokens += round(sum(losses.weights))
        parts.meter.update(batch, losses)
        parts.spikes.update(step, batch.first_row, losses)
        parts.mixture.update(step, loader_state)

        last = step == run.num_steps
        hooks = [hook for hook in parts.hooks if last or step % hook.every_steps == 0]
        if hooks:
            parts.train_step.require_finite_weights(step)
        metrics: list[Metric] = []
        if last or step % run.log_every_steps == 0:
            metrics += parts.meter.report(rate)
        for hook in hooks:
            figures = hook.run(parts.model, step)
            metrics += [Metric(hook.kind, name, value) for name, value in figures.items()]
        parts.log.write(metrics, step, loader_state.next_row, tokens)
        parts.report(step, run.num_steps, metrics)

        counted = parts.bad_batches.skipped, parts.spikes.trend, parts.meter.unreported
        progress = Progress(step, tokens, loader_state, *counted)
        stopped = should_stop()
        if last or stopped or step % run.save_every_steps == 0:
            parts.train_step.require_finite_weights(step)
            parts.saver.save(progress, parts.model, parts.optimizers)
    return progress
