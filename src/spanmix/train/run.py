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
from spanmix.model.architecture import Architecture, preset
from spanmix.model.decoder import Decoder
from spanmix.model.folder import require_place, save_model_folder
from spanmix.text.corpus import Corpus
from spanmix.text.tokenizer import Tokenizer
from spanmix.train import machine
from spanmix.train.bad_batches import BadBatches
from spanmix.train.checkpoint import Checkpoints, read_tensors
from spanmix.train.documents import describer
from spanmix.train.events import EventLog, SilentEvents
from spanmix.train.hooks import Hook
from spanmix.train.loop import Parts, Report, train_loop
from spanmix.train.meter import Meter
from spanmix.train.metrics import MetricsLog, SilentLog
from spanmix.train.mixture_watch import MixtureWatch
from spanmix.train.optimizer import build_adamw
from spanmix.train.parallel import Layout, Ranks, gathered, joined, spread, world_size
from spanmix.train.progress import Progress
from spanmix.train.run_folder import adopt, check_corpus, is_run, locked, run_place, write_facts
from spanmix.train.spikes import SpikeWatch
from spanmix.train.step import TrainStep
from spanmix.train.trackers import TensorBoard, Tolerated

_MODEL = "model"
_PREFETCH_BATCHES = 2
HookMaker = Callable[[Recipe, Corpus], Sequence[Hook]]
StopWatch = AbstractContextManager[Callable[[], bool]]
"""Entered around the loop; what it gives is asked after every step whether the run should stop there."""
_NEVER: StopWatch = nullcontext(lambda: False)
_LOGGED = logging.getLogger(__name__).warning


@dataclass(frozen=True)
class _Given:
    """What the caller passes in beside recipe and folder; see `train`."""

    make_hooks: HookMaker
    report: Report
    stop: StopWatch
    warn: Callable[[str], None]


def train(
    recipe: Recipe,
    out: Path,
    make_hooks: HookMaker = lambda recipe, corpus: (),
    report: Report = lambda done, total, metrics: None,
    check: Callable[[str, int, int], None] = lambda stage, done, total: None,
    stop: StopWatch = _NEVER,
    warn: Callable[[str], None] = _LOGGED,
) -> Path:
    """Train a recipe in the folder `out`, or go on with the run that is there.

    Args:
        recipe: the whole run.
        out: the run's folder; after a crash the same call goes on from the newest checkpoint that is whole.
        make_hooks: builds what the loop calls now and then, from recipe and corpus.
        report: called after every step.
        check: called with (stage, bytes done, bytes in all) while a large corpus is checked.
        stop: entered around the loop; what it gives is asked after every step whether to stop there.
        warn: called with a paragraph about what befell the run and did not end it.

    Returns:
        The model folder of the finished run.

    Raises:
        InputError: corpus, recipe and run do not fit together, or no checkpoint of the run is whole; nothing
            has been written then.
        SpanmixError: the loss or a weight is not finite, or the disk is full; what was saved before stays.
        StoppedEarlyError: the run was asked to stop, and is saved.
    """
    out = run_place(out)
    require_place(out / _MODEL)
    corpus = Corpus.open(Path(recipe.corpus.path), check)
    corpus.check_recipe(recipe)
    if is_run(out):
        check_corpus(out, corpus.fingerprint)
        recipe = adopt(out, recipe)
    recipe = machine.resolve(recipe)
    loader = build_loader(recipe, corpus)
    architecture = build_architecture(recipe, corpus.tokenizer)
    layout = Layout.of(recipe.parallel, world_size(), architecture, recipe.data.global_batch_rows)
    given = _Given(make_hooks, report, stop, warn)
    with joined(layout, recipe.run.device) as ranks, ExitStack() as stack:
        ranks.wait()  # all have read what the first one writes next
        ranks.from_first(lambda: stack.enter_context(locked(out)))
        return _train_locked(recipe, out, corpus, loader, architecture, ranks, given)


def _train_locked(
    recipe: Recipe,
    out: Path,
    corpus: Corpus,
    loader: Loader,
    architecture: Architecture,
    ranks: Ranks,
    given: _Given,
) -> Path:
    run = recipe.run
    checkpoints = Checkpoints(out / "checkpoints", run.keep_checkpoints, run.keep_every_steps, ranks)
    saved = checkpoints.newest_whole()
    progress = saved.progress if saved else Progress(0, 0, loader.start())
    _check_length(recipe, progress)
    machine.prepare_process(run.num_threads)
    ranks.from_first(lambda: write_facts(out, recipe, corpus.fingerprint, _versions()))
    events = EventLog(out, progress.step, given.warn) if ranks.is_first else SilentEvents()
    for text in saved.set_aside if saved else ():
        events.warn(progress.step, "damaged_checkpoint", text)
    model = Decoder(architecture, seed=run.seed).to(run.device)
    spread(model, ranks, recipe.parallel.checkpointing)
    optimizer = build_adamw(model, recipe.optimizer)
    if saved:
        read_tensors(saved.path, model, optimizer, alone=ranks.mesh is None)
    log = _open_log(out, progress.step, events) if ranks.is_first else SilentLog()
    rows = recipe.data.global_batch_rows
    ahead = prefetch(loader.batches(progress.loader, rows), _PREFETCH_BATCHES)
    with closing(log), closing(ahead) as batches, given.stop as should_stop:
        dtype = machine.compute_dtype(recipe)
        peak = machine.matmul_peak_flops(dtype, run.device) * world_size()
        sources = loader.mixture.names
        describe = describer(sources, corpus.train)
        micro_batch_rows = recipe.parallel.micro_batch_rows
        parts = Parts(
            model=model,
            optimizer=optimizer,
            train_step=TrainStep(model, optimizer, dtype, micro_batch_rows, recipe.optimizer, ranks),
            batches=batches,
            bad_batches=BadBatches(run.skip_bad_batches, progress.skipped, describe, events),
            meter=Meter(loader.objectives.names, sources, model.architecture, peak, progress.unreported),
            spikes=SpikeWatch(progress.trend, describe, events),
            mixture=MixtureWatch(loader, progress.loader, events),
            log=log,
            checkpoints=checkpoints,
            hooks=given.make_hooks(recipe, corpus),
            report=given.report if ranks.is_first else lambda done, total, metrics: None,
        )
        progress = train_loop(recipe, parts, progress, lambda: ranks.any(should_stop()))
    _require_end(progress, run.num_steps, events)
    facts = _card_facts(recipe, corpus, progress)
    whole = gathered(model)
    return ranks.from_first(lambda: save_model_folder(out / _MODEL, whole, corpus.tokenizer, facts))


def _open_log(out: Path, step: int, events: EventLog) -> MetricsLog:
    def failed(at: int, text: str) -> None:
        events.warn(at, "tracker_failed", text)

    board = Tolerated("TensorBoard", lambda: TensorBoard(out / "tensorboard", step), failed, step)
    return MetricsLog(out, step, [board])


def _require_end(progress: Progress, num_steps: int, events: EventLog) -> None:
    """Raise `StoppedEarlyError` if the loop ended before the run's last step."""
    if progress.step < num_steps:
        text = (
            f"stopped after step {progress.step:,} of {num_steps:,}, as it was asked to, and saved; the same "
            "command goes on"
        )
        events.record(progress.step, "stopped", text)
        raise StoppedEarlyError(text)


def build_architecture(recipe: Recipe, tokenizer: Tokenizer) -> Architecture:
    """Return the recipe's preset, with the tokenizer's vocabulary and at least the recipe's row length."""
    named = preset(recipe.model.preset)
    context = max(named.context_tokens, recipe.data.row_tokens)
    return preset(recipe.model.preset, tokenizer.vocab_size, context)


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


def _card_facts(recipe: Recipe, corpus: Corpus, progress: Progress) -> dict[str, object]:
    return {
        "preset": recipe.model.preset,
        "steps": progress.step,
        "training tokens": progress.tokens,
        "objectives": ", ".join(f"{o.name} ({o.weight:g})" for o in recipe.objectives),
        "sources": ", ".join(f"{s.name} ({s.weight:g})" for s in recipe.data.sources),
        "corpus fingerprint": corpus.fingerprint,
    }
