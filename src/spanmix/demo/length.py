"""Turn minutes of training into a number of steps, once; from then on the run is exact."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from spanmix.config import Recipe
from spanmix.data.build import build_loader
from spanmix.errors import InputError
from spanmix.files import read_json, write_json
from spanmix.model.decoder import Decoder
from spanmix.text.corpus import Corpus
from spanmix.train import machine
from spanmix.train.base import build_architecture
from spanmix.train.metrics import read_metrics
from spanmix.train.optimizer import build_optimizers
from spanmix.train.step import TrainStep

Progress = Callable[[str, int, int], None]
"""Called with the stage, units done and units in all."""

_WARM_UP, _TIMED = 3, 9
_MOST_MINUTES = 525_600


def require_minutes(minutes: float) -> None:
    """Raise `InputError` unless so many minutes can be trained. To be asked before long work."""
    if not 0 < minutes <= _MOST_MINUTES:
        raise InputError(
            f"--minutes is {minutes:g}; use a number above 0 and up to {_MOST_MINUTES:,}, which is a year"
        )


def steps_for(recipe: Recipe, corpus: Corpus, out: Path, minutes: float, progress: Progress) -> Recipe:
    """Return the recipe with `num_steps` for so many minutes, warm-up and saving in proportion.

    The first time, a few steps of a throw-away model are timed; later, the run's own speed is taken.
    The answer is kept in ``length.json``, so that the same call after a crash is the same run.

    Raises:
        InputError: `minutes` is out of its range, or the run is already longer than that.
    """
    require_minutes(minutes)
    path = out / "length.json"
    kept = read_json(path, dict[str, int]) if path.exists() else {}
    asked = f"{minutes:g}"
    if asked not in kept:
        rate = _measured_rate(recipe, out) or _timed_rate(recipe, corpus, progress)
        kept[asked] = max(30, int(60 * minutes * rate))
        longest = max(kept.values())
        if kept[asked] < longest:
            raise InputError(
                f"--minutes {asked} is about {kept[asked]} steps, but this demo was already set to train "
                f"{longest}; give more minutes, or another --out"
            )
        write_json(path, kept)
    num_steps = kept[asked]
    every = max(50, num_steps // 12)
    run = replace(recipe.run, num_steps=num_steps, save_every_steps=every)
    return replace(recipe, run=run, evaluate=replace(recipe.evaluate, every_steps=every))


def _timed_rate(recipe: Recipe, corpus: Corpus, progress: Progress) -> float:
    """Return steps per second of a throw-away model."""
    recipe = machine.resolve(recipe)
    machine.prepare_process(recipe.run.num_threads)
    loader = build_loader(recipe, corpus)
    model = Decoder(build_architecture(recipe, corpus.tokenizer), seed=0).to(recipe.run.device)
    optimizers = build_optimizers(model, recipe.optimizer)
    step = TrainStep(
        model, optimizers, machine.compute_dtype(recipe), recipe.parallel.micro_batch_rows, recipe.optimizer
    )
    batches = loader.batches(loader.start(), recipe.data.global_batch_rows)
    seconds = []
    for i in range(_WARM_UP + _TIMED):
        progress("measure this machine", i, _WARM_UP + _TIMED)
        batch = next(batches)[0]
        start = time.monotonic()
        step(batch, 1e-4)
        seconds.append(time.monotonic() - start)
    progress("measure this machine", _WARM_UP + _TIMED, _WARM_UP + _TIMED)
    return 1 / sorted(seconds[_WARM_UP:])[_TIMED // 2]


def _measured_rate(recipe: Recipe, out: Path) -> float | None:
    """Return the run's own steps per second, if it has come as far as to write them down."""
    path = out / "run" / "metrics.jsonl"
    metrics = read_metrics(path) if path.is_file() else []
    speeds = [metric["value"] for metric in metrics if metric["name"] == "tokens_per_second"]
    if not speeds:
        return None
    tokens_per_step = recipe.data.global_batch_rows * recipe.data.row_tokens
    return float(sorted(speeds)[len(speeds) // 2] / tokens_per_step)
