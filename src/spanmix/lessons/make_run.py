"""Do one run of a suite: train, measure, fine-tune if asked, and write down what was measured.

A job may end at any moment and be given again: training goes on from its newest checkpoint, bit for bit;
what is measured is written whole or not at all, and not measured again. Checkpoints go when all is written.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np

from spanmix.config import Recipe
from spanmix.errors import InputError, SpanmixError, StoppedEarlyError
from spanmix.evaluate.measured_on import measured_on
from spanmix.generate.asked import read_asked
from spanmix.lessons.curve import CURVE_KIND, curve_hooks
from spanmix.lessons.job import Job
from spanmix.lessons.measure import chosen_files, file_bits, middle_bits, middle_kinds
from spanmix.lessons.reading import Reading, ReadingEngine
from spanmix.lessons.records import RunRecord, TaskRecord, run_file, task_file, write_record
from spanmix.lessons.unique import unique_corpus
from spanmix.model.folder import load_model_folder
from spanmix.recipes import recipe_from_fields
from spanmix.text.corpus import Corpus, CorpusSource
from spanmix.train import machine
from spanmix.train.loop import Report
from spanmix.train.metrics import read_metrics
from spanmix.train.run import StopWatch, train
from spanmix.train.run_folder import checkpoints_folder

Progress = Callable[[str, int, int], None]


def do_job(job: Job, stop: StopWatch, report: Report, progress: Progress) -> None:
    """Make the run, and write all of its records.

    Args:
        job: which.
        stop: as of `spanmix.train.run.train`.
        report: called after every training step.
        progress: called with (stage, units done, units in all).

    Raises:
        StoppedEarlyError: it was asked to stop, and what is done of it is saved.
    """
    missing = job.missing()
    if not missing:
        return
    whole = Corpus.open(Path(job.corpus))
    if whole.fingerprint != job.fingerprint:
        raise InputError(f"corpus {job.corpus} has changed since the suite was started; start it again")
    recipe, folder = _recipe(job, whole), Path(job.out)
    record_name = run_file(job.key, job.seed)
    with stop as should_stop:
        model = folder / "model"
        if record_name in missing or not model.is_dir():
            hooks = curve_hooks(whole, job.measuring)
            watch = nullcontext(should_stop)  # entered already
            try:
                model = train(recipe, folder, hooks, report, stop=watch, warn=_quiet, tell=_quiet)
            except StoppedEarlyError:
                raise
            except SpanmixError as error:
                # What depends on the recipe and its seed alone would be met again; a full disk would not.
                if isinstance(error, InputError) or "finite" not in str(error) or record_name not in missing:
                    raise
                write_record(Path(job.metrics), _record(job, recipe, failed=str(error)))
                shutil.rmtree(folder, ignore_errors=True)
                return
        if record_name in missing:
            write_record(Path(job.metrics), _measured(job, recipe, whole, model, progress))
        for key, task, seen in job.tasks():
            if task_file(key, job.seed, task, seen) in missing:
                if should_stop():
                    raise StoppedEarlyError(
                        f"{job.name}: stopped before a fine-tuning; the same command goes on"
                    )
                write_record(Path(job.metrics), _tuned(job, whole, model, key, task, seen, progress))
    shutil.rmtree(checkpoints_folder(folder), ignore_errors=True)


def _quiet(text: str) -> None:
    """Say nothing: what befell a run stands in its ``events.jsonl``."""


def _recipe(job: Job, whole: Corpus) -> Recipe:
    """Return the run's recipe, and make the corpus of fewer tokens if it needs one."""
    recipe = recipe_from_fields(job.recipe, f"of {job.name}")
    if job.unique_tokens is None:
        return recipe
    weights = {source.name: source.weight for source in recipe.data.sources}
    total = sum(weights.values())
    tokens = {name: round(job.unique_tokens * weight / total) for name, weight in weights.items()}
    amounts = "-".join(f"{name}{number}" for name, number in sorted(tokens.items()))
    folder = Path(job.corpora) / f"{amounts}-seed{job.seed}"
    corpus = unique_corpus(whole, folder, tokens, job.seed)
    fields = {**job.recipe, "corpus": {**job.recipe["corpus"], "path": str(corpus.path)}}
    return recipe_from_fields(fields, f"of {job.name}")


def _record(job: Job, recipe: Recipe, **figures: Any) -> RunRecord:
    data, steps = recipe.data, recipe.run.num_steps
    return RunRecord(
        scale=job.scale,
        arm=job.arm,
        kind=job.kind,
        key=job.key,
        seed=job.seed,
        corpus=job.fingerprint,
        learning_rate=recipe.optimizer.learning_rate,
        steps=steps,
        positions=steps * data.global_batch_rows * data.row_tokens,
        machine=measured_on(),
        **figures,
    )


def _measured(job: Job, recipe: Recipe, whole: Corpus, folder: Path, progress: Progress) -> RunRecord:
    begun = time.monotonic()
    resolved = machine.resolve(recipe)
    machine.prepare_process(resolved.run.num_threads)
    decoder, tokenizer = load_model_folder(folder)
    reading = Reading.of(recipe.objectives)
    dtype, device = machine.compute_dtype(resolved), resolved.run.device
    engine = ReadingEngine(decoder.to(device), dtype, reading, whole.tokenizer.control.sep)
    asked, context = job.measuring, job.measuring.context_tokens
    held_out = {}
    for name, source in whole.held_out.items():
        files = chosen_files(source, asked.file_tokens, asked.source_tokens)
        held_out[name] = file_bits(
            engine, whole, name, asked.file_tokens, files, context, _named(progress, f"bits of {name}")
        )
    infill = read_asked(folder, tokenizer).infill
    middles = {
        kind.name: middle_bits(
            engine, whole, infill, kind, number, context, _named(progress, f"{kind.name} middles")
        )
        for kind, number in middle_kinds(asked)
    }
    run_folder = Path(job.out)
    lines = read_metrics(run_folder / "metrics.jsonl")
    row, rows = recipe.data.row_tokens, recipe.run.num_steps * recipe.data.global_batch_rows
    shape = decoder.architecture
    return _record(
        job,
        recipe,
        tokens=max(int(line["tokens"]) for line in lines),
        flops=shape.training_flops(rows * row, rows * row * (row + 1) // 2),
        parameters=shape.num_parameters,
        epochs=_epochs(recipe, _own_corpus(recipe, whole)),
        held_out=held_out,
        middles=middles,
        curve=_curve(lines),
        seconds={"train": _train_seconds(lines, recipe), "measure": round(time.monotonic() - begun, 1)},
    )


def _named(progress: Progress, stage: str) -> Callable[[int, int], None]:
    return lambda done, total: progress(stage, done, total)


def _epochs(recipe: Recipe, corpus: Corpus) -> dict[str, float]:
    """Return about how often each source was read: its share of the positions over its tokens."""
    total = sum(source.weight for source in recipe.data.sources)
    positions = recipe.run.num_steps * recipe.data.global_batch_rows * recipe.data.row_tokens
    return {
        source.name: round(positions * source.weight / total / _tokens_of(corpus.train[source.name]), 3)
        for source in recipe.data.sources
    }


def _own_corpus(recipe: Recipe, whole: Corpus) -> Corpus:
    """Return the corpus that a run was trained on."""
    return whole if recipe.corpus.path == str(whole.path) else Corpus.open(Path(recipe.corpus.path))


def _tokens_of(source: CorpusSource) -> int:
    return source.num_tokens + len(source)


def _curve(lines: list[dict[str, Any]]) -> list[dict[str, float]]:
    points: dict[int, dict[str, float]] = {}
    for line in lines:
        if line["kind"] == CURVE_KIND:
            point = points.setdefault(line["step"], {"step": line["step"], "tokens": line["tokens"]})
            point[line["name"]] = round(line["value"], 4)
    return [points[step] for step in sorted(points)]


def _train_seconds(lines: list[dict[str, Any]], recipe: Recipe) -> float:
    """Return what training takes at the run's median speed, however often it was interrupted."""
    speeds = sorted(line["value"] for line in lines if line["name"] == "tokens_per_second")
    if not speeds:
        return 0.0
    positions = recipe.run.num_steps * recipe.data.global_batch_rows * recipe.data.row_tokens
    return round(float(positions / speeds[len(speeds) // 2]), 1)


def _tuned(
    job: Job, whole: Corpus, folder: Path, key: str, task: str, seen: str, progress: Progress
) -> TaskRecord:
    from spanmix.evaluate.understanding.examples import limited
    from spanmix.evaluate.understanding.measure import measure
    from spanmix.evaluate.understanding.readers import READERS
    from spanmix.evaluate.understanding.settings import TuningSettings

    asked = job.understanding
    assert asked is not None
    resolved = machine.resolve(recipe_from_fields(job.recipe, f"of {job.name}"))
    machine.prepare_process(resolved.run.num_threads)
    settings = TuningSettings(
        epochs=asked.epochs,
        learning_rate=asked.learning_rate,
        batch_size=asked.batch_size,
        max_tokens=asked.max_tokens,
        seed=job.seed,
    )
    # The same examples for every seed: what differs between seeds shall be the run and the tuning alone.
    examples = limited(READERS[task](Path(job.sets) / task), asked.most, 0)
    begun = time.monotonic()
    found = measure(
        lambda: load_model_folder(folder)[0],
        whole.tokenizer,
        examples,
        seen,
        settings,
        lambda stage, done, total: progress(f"{task}, {seen}: {stage}", done, total),
    )
    labels_N = np.array([example.label for example in examples.test])
    names, group_of_N = np.unique([example.group for example in examples.test], return_inverse=True)
    right_C = np.bincount(group_of_N, weights=found.predicted_N == labels_N, minlength=len(names))
    figures = found.figures
    return TaskRecord(
        scale=job.scale,
        arm=job.arm,
        key=key,
        run_key=job.key,
        seed=job.seed,
        corpus=job.fingerprint,
        task=task,
        representation=seen,
        groups=tuple(range(len(names))),
        examples=tuple(np.bincount(group_of_N, minlength=len(names)).tolist()),
        right=tuple(right_C.astype(int).tolist()),
        accuracy=round(figures.accuracy.value, 6),
        majority=round(figures.majority.value, 6),
        surface=round(figures.surface.value, 6),
        seconds=round(time.monotonic() - begun, 1),
        machine=measured_on(),
    )
