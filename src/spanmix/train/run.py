"""Build the parts of a run from its recipe, train, and leave a model folder."""

from __future__ import annotations

import logging
import platform
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack, closing, nullcontext
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from spanmix import __version__
from spanmix.config import Recipe
from spanmix.data.build import build_loader
from spanmix.data.loader import Loader
from spanmix.data.prefetch import prefetch
from spanmix.errors import InputError, StoppedEarlyError
from spanmix.model.architecture import Architecture
from spanmix.model.decoder import Decoder
from spanmix.text.corpus import Corpus
from spanmix.train import machine
from spanmix.train.bad_batches import BadBatches
from spanmix.train.base import Start, build_architecture, find_start
from spanmix.train.checkpoint import Checkpoints, Whole, read_tensors
from spanmix.train.documents import describer
from spanmix.train.events import EventLog, SilentEvents
from spanmix.train.float8 import require_float8, use_float8
from spanmix.train.hooks import Hook
from spanmix.train.loop import Parts, Report, train_loop
from spanmix.train.lora import add_adapters, require_trainable, targets_of
from spanmix.train.meter import Meter
from spanmix.train.metrics import SilentLog
from spanmix.train.mixture_watch import MixtureWatch
from spanmix.train.optimizer import build_optimizers
from spanmix.train.parallel import gathered, spread
from spanmix.train.progress import Progress
from spanmix.train.ranks import Layout, Ranks, joined, lost_named, num_restarts, world_size
from spanmix.train.result import Result, require_places, save_result
from spanmix.train.run_folder import (
    adopt,
    check_corpus,
    checkpoints_folder,
    is_run,
    locked,
    recorded_base,
    run_place,
    write_facts,
)
from spanmix.train.saver import Saver
from spanmix.train.spikes import SpikeWatch
from spanmix.train.step import TrainStep
from spanmix.train.watch import open_log, require_watchable, watched

_PREFETCH_BATCHES = 2
HookMaker = Callable[[Recipe, Corpus], Sequence[Hook]]
StopWatch = AbstractContextManager[Callable[[], bool]]
"""Entered before the run's folder is touched; what it gives is asked before the first step and after every
one whether the run should stop there."""
NEVER: StopWatch = nullcontext(lambda: False)
_LOGGED = logging.getLogger(__name__).warning
_NOTED = logging.getLogger(__name__).info


@dataclass(frozen=True)
class _Given:
    """What the caller passes in beside recipe and folder; see `train`."""

    make_hooks: HookMaker
    report: Report
    should_stop: Callable[[], bool]
    warn: Callable[[str], None]
    tell: Callable[[str], None]


def train(
    recipe: Recipe,
    out: Path,
    make_hooks: HookMaker = lambda recipe, corpus: (),
    report: Report = lambda done, total, metrics: None,
    check: Callable[[str, int, int], None] = lambda stage, done, total: None,
    stop: StopWatch = NEVER,
    warn: Callable[[str], None] = _LOGGED,
    tell: Callable[[str], None] = _NOTED,
) -> Path:
    """Train a recipe in the folder `out`, or go on with the run that is there.

    Args:
        recipe: the whole run.
        out: the run's folder; after a crash the same call goes on from the newest checkpoint that is whole.
        make_hooks: builds what the loop calls now and then, from recipe and corpus.
        report: called after every step.
        check: called with (stage, bytes done, bytes in all) while a large corpus is checked.
        stop: entered before the folder is touched; what it gives is asked on the way to the first step, and
            after every step, whether to stop there.
        warn: called with a paragraph about what befell the run and did not end it.
        tell: called with a sentence about what was written beside the figures.

    Returns:
        The model folder of the finished run.

    Raises:
        InputError: corpus, recipe and run do not fit together, or no checkpoint of the run is whole; nothing
            has been written then.
        SpanmixError: the loss or a weight is not finite, or the disk is full; what was saved before stays.
        StoppedEarlyError: the run was asked to stop, and is saved.
    """
    out = run_place(out)
    require_places(out, recipe)
    corpus = Corpus.open(Path(recipe.corpus.path), check)
    corpus.check_recipe(recipe)
    if is_run(out):
        check_corpus(out, corpus.fingerprint)
        recipe = adopt(out, recipe)
    recipe = machine.resolve(recipe)
    require_watchable(recipe)
    require_trainable(recipe)
    require_float8(recipe)
    loader = build_loader(recipe, corpus)
    goes_on = Checkpoints(checkpoints_folder(out), recipe.run.keep_checkpoints).newest() is not None
    start = find_start(recipe.model, corpus, recorded_base(out), goes_on)
    architecture = build_architecture(recipe, corpus.tokenizer, start.base)
    if recipe.model.lora is not None:
        targets_of(recipe.model.lora, architecture)  # what the model does not have is refused here
    layout = Layout.of(recipe.parallel, world_size(), architecture, recipe.data.global_batch_rows)
    with joined(layout, recipe.run.device) as ranks, ExitStack() as stack:
        # Not before all have met: who waits for a process that is gone has to end with a signal.
        given = _Given(make_hooks, report, stack.enter_context(stop), warn, tell)
        ranks.wait()  # all have read what the first one writes next
        with lost_named():
            ranks.from_first(lambda: stack.enter_context(locked(out)))
            return _train_locked(recipe, out, corpus, loader, start, ranks, given)


def _train_locked(
    recipe: Recipe,
    out: Path,
    corpus: Corpus,
    loader: Loader,
    start: Start,
    ranks: Ranks,
    given: _Given,
) -> Path:
    run = recipe.run
    checkpoints = Checkpoints(
        checkpoints_folder(out), run.keep_checkpoints, run.keep_every_steps, ranks.apart()
    )
    saved = checkpoints.newest_whole()
    progress = saved.progress if saved else Progress(0, 0, loader.start())
    _check_length(recipe, progress)
    machine.prepare_process(run.num_threads)
    ranks.from_first(lambda: write_facts(out, recipe, corpus.fingerprint, _versions(), start.base))
    events = EventLog(out, progress.step, given.warn, given.tell) if ranks.is_first else SilentEvents()
    _record_start(saved, run.num_steps, events, given.tell if ranks.is_first else lambda text: None)
    should_stop = given.should_stop
    _stop_if_asked(progress, run.num_steps, events, ranks, should_stop)
    assert saved or start.base is None or start.decoder, "the weights of the base were not read"
    model = _spread_model(recipe, corpus, start, ranks)
    optimizers = build_optimizers(model, recipe.optimizer)
    if saved:
        read_tensors(saved.path, model, optimizers, alone=ranks.mesh is None)
    _stop_if_asked(progress, run.num_steps, events, ranks, should_stop)
    log = open_log(recipe, out, progress.step, events) if ranks.is_first else SilentLog()
    rows = recipe.data.global_batch_rows
    ahead = prefetch(loader.batches(progress.loader, rows), _PREFETCH_BATCHES)
    watch = watched(recipe, out, progress.step, ranks, events, given.report)
    saving = Saver(checkpoints, run.async_checkpoints, run.device)
    with closing(log), closing(ahead) as batches, watch as report, saving as saver:
        dtype = machine.compute_dtype(recipe)
        sources = loader.mixture.names
        describe = describer(sources, corpus.train)
        micro_batch_rows = recipe.parallel.micro_batch_rows
        parts = Parts(
            model=model,
            optimizers=optimizers,
            train_step=TrainStep(model, optimizers, dtype, micro_batch_rows, recipe.optimizer, ranks),
            batches=batches,
            bad_batches=BadBatches(run.skip_bad_batches, progress.skipped, describe, events, recipe.model),
            meter=_meter(recipe, loader, model.architecture, progress),
            spikes=SpikeWatch(progress.trend, describe, events),
            mixture=MixtureWatch(loader, progress.loader, events),
            log=log,
            saver=saver,
            hooks=given.make_hooks(recipe, corpus),
            report=report,
        )
        if ranks.is_first and progress.step < run.num_steps:
            given.tell(_beginning(recipe, model.architecture, out, progress.step))
        # Where a save has failed all stop together, and the save at that stop raises why.
        progress = train_loop(recipe, parts, progress, lambda: ranks.any(should_stop() or saver.failed))
    _require_end(progress, run.num_steps, events)
    result = Result(recipe, model.architecture, gathered(model), start.base, corpus.fingerprint, progress)
    return ranks.from_first(lambda: save_result(out, result, corpus.tokenizer))


def _record_start(saved: Whole | None, num_steps: int, events: EventLog, tell: Callable[[str], None]) -> None:
    """Say what this start goes on from, and what befell the one before."""
    step = saved.progress.step if saved else 0
    for text in saved.set_aside if saved else ():
        events.warn(step, "damaged_checkpoint", text)
    if restarts := num_restarts():
        text = f"a process of the run had ended, and torchrun started all of them again (restart {restarts})"
        events.warn(step, "restarted", text)
    if 0 < step < num_steps:
        tell(f"goes on from step {step:,} of {num_steps:,}")


def _beginning(recipe: Recipe, architecture: Architecture, out: Path, step: int) -> str:
    """Say what is trained, on what, for how many steps, and where."""
    run, data = recipe.run, recipe.data
    return (
        f"trains {out}: {architecture.num_parameters:,} parameters on {run.device}, steps {step + 1:,} to "
        f"{run.num_steps:,}, each of {data.global_batch_rows:,} rows of {data.row_tokens:,} positions"
    )


def _meter(recipe: Recipe, loader: Loader, architecture: Architecture, progress: Progress) -> Meter:
    dtype, device = machine.compute_dtype(recipe), recipe.run.device
    return Meter(
        objectives=loader.objectives.names,
        sources=loader.mixture.names,
        architecture=architecture,
        peak_flops=lambda: machine.matmul_peak_flops(dtype, device) * world_size(),
        unreported=progress.unreported,
        frozen=recipe.model.lora is not None,
    )


def _spread_model(recipe: Recipe, corpus: Corpus, start: Start, ranks: Ranks) -> Decoder:
    """Return the decoder with its first weights, on its device, or this process's part of it."""
    model = _first_model(recipe, corpus, start)
    if ranks.mesh is None:  # a spread one goes there in parts
        model.to(recipe.run.device)
    how, dtype = recipe.parallel.checkpointing, machine.compute_dtype(recipe)
    spread(model, ranks, how, dtype, machine.compiler(recipe))
    return model


def _first_model(recipe: Recipe, corpus: Corpus, start: Start) -> Decoder:
    """Return the decoder with the weights that a run begins with, on the CPU."""
    architecture = build_architecture(recipe, corpus.tokenizer, start.base)
    model = start.decoder or Decoder(architecture, seed=recipe.run.seed)
    model.architecture = architecture  # the rows may be longer than those that the base was trained on
    if recipe.model.lora is not None:
        add_adapters(model, recipe.model.lora, recipe.run.seed)
    if recipe.run.precision == "float8":
        use_float8(model)
    return model


def _stop_if_asked(
    progress: Progress, num_steps: int, events: EventLog, ranks: Ranks, should_stop: Callable[[], bool]
) -> None:
    """Raise `StoppedEarlyError` if the run was asked to stop before it makes its first step."""
    if ranks.any(should_stop()):
        _require_end(progress, num_steps, events)


def _require_end(progress: Progress, num_steps: int, events: EventLog) -> None:
    """Raise `StoppedEarlyError` if the loop ended before the run's last step."""
    if progress.step < num_steps:
        text = f"stopped after step {progress.step:,} of {num_steps:,}, as it was asked to, and saved; "
        if not progress.step:
            text = "stopped before the first step, as it was asked to; nothing was lost, "
        text += "the same command goes on"
        events.record(progress.step, "stopped", text)
        raise StoppedEarlyError(text)


def _check_length(recipe: Recipe, progress: Progress) -> None:
    if progress.step > recipe.run.num_steps:
        raise InputError(
            f"run.num_steps is {recipe.run.num_steps}, but the run is already at step {progress.step}; "
            "use at least as many"
        )


def _versions() -> dict[str, str]:
    names = ("torch", "numpy", "tokenizers")
    return {
        "spanmix": __version__,
        "python": platform.python_version(),
        **{name: version(name) for name in names},
    }
