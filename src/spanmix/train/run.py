"""Build the parts of a run from its recipe, train, and leave a model folder."""

from __future__ import annotations

import platform
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path

from spanmix import __version__
from spanmix.config import Recipe
from spanmix.data.build import build_loader
from spanmix.data.loader import Loader
from spanmix.data.prefetch import prefetch
from spanmix.errors import InputError
from spanmix.model.architecture import Architecture, preset
from spanmix.model.decoder import Decoder
from spanmix.model.folder import require_place, save_model_folder
from spanmix.text.corpus import Corpus
from spanmix.text.tokenizer import Tokenizer
from spanmix.train import machine
from spanmix.train.checkpoint import Checkpoints, Progress
from spanmix.train.hooks import Hook
from spanmix.train.loop import Parts, Report, train_loop
from spanmix.train.meter import Meter
from spanmix.train.metrics import MetricsLog
from spanmix.train.optimizer import build_adamw
from spanmix.train.run_folder import adopt, check_corpus, is_run, locked, run_place, write_facts
from spanmix.train.step import TrainStep

_MODEL = "model"
_PREFETCH_BATCHES = 2
HookMaker = Callable[[Recipe, Corpus], Sequence[Hook]]


def train(
    recipe: Recipe,
    out: Path,
    make_hooks: HookMaker = lambda recipe, corpus: (),
    report: Report = lambda done, total, metrics: None,
    check: Callable[[str, int, int], None] = lambda stage, done, total: None,
) -> Path:
    """Train a recipe in the folder `out`, or go on with the run that is there.

    Args:
        recipe: the whole run.
        out: the run's folder; after a crash the same call goes on from the newest checkpoint.
        make_hooks: builds what the loop calls now and then, from recipe and corpus.
        report: called after every step.
        check: called with (stage, bytes done, bytes in all) while a large corpus is checked.

    Returns:
        The model folder of the finished run.

    Raises:
        InputError: corpus, recipe and run do not fit together; nothing has been written then.
        SpanmixError: the loss or a weight is not finite, or the disk is full; what was saved before stays.
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
    with locked(out):
        return _train_locked(recipe, out, corpus, loader, architecture, make_hooks, report)


def _train_locked(
    recipe: Recipe,
    out: Path,
    corpus: Corpus,
    loader: Loader,
    architecture: Architecture,
    make_hooks: HookMaker,
    report: Report,
) -> Path:
    checkpoints = Checkpoints(out / "checkpoints", recipe.run.keep_checkpoints)
    newest = checkpoints.newest()
    if newest is not None:
        _check_length(recipe, checkpoints.progress(newest))
    machine.prepare_process(recipe.run.num_threads)
    write_facts(out, recipe, corpus.fingerprint, _versions())
    model = Decoder(architecture, seed=recipe.run.seed).to(recipe.run.device)
    optimizer = build_adamw(model, recipe.optimizer)
    progress = Progress(0, 0, loader.start())
    if newest is not None:
        progress = checkpoints.load(newest, model, optimizer)
    dtype = machine.compute_dtype(recipe)
    step = TrainStep(model, optimizer, dtype, recipe.parallel.micro_batch_rows, recipe.optimizer)
    batches = prefetch(loader.batches(progress.loader, recipe.data.global_batch_rows), _PREFETCH_BATCHES)
    log = MetricsLog(out, progress.step)
    try:
        peak = machine.matmul_peak_flops(dtype, recipe.run.device)
        meter = Meter(loader.objectives.names, loader.mixture.names, architecture, peak)
        hooks = make_hooks(recipe, corpus)
        parts = Parts(model, optimizer, step, batches, meter, log, checkpoints, hooks, report)
        progress = train_loop(recipe, parts, progress)
    finally:
        log.close()
    return save_model_folder(
        out / _MODEL, model.cpu(), corpus.tokenizer, _card_facts(recipe, corpus, progress)
    )


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
