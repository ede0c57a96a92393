"""Run the whole road, small: gather, prepare, train, evaluate, report."""

from __future__ import annotations

import platform
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from spanmix.config import Recipe
from spanmix.demo.corpus import demo_corpus
from spanmix.demo.length import Progress, require_minutes, steps_for
from spanmix.evaluate.compressors import XzAfterTraining, XzAfterTrainingJob, xz_per_file
from spanmix.evaluate.held_out import make_hooks
from spanmix.evaluate.infill_match import InfillFigures, measure_infill
from spanmix.evaluate.infill_spans import MULTI_LINE, SINGLE_LINE, SpanKind
from spanmix.evaluate.losses import bits_per_byte
from spanmix.evaluate.report import write_report
from spanmix.evaluate.results import SourceResult, gather, write_results
from spanmix.files import read_json, write_json
from spanmix.generate.engine import Engine
from spanmix.generate.formats import codegen2_format
from spanmix.generate.torch_engine import TorchEngine
from spanmix.model.folder import load_model_folder
from spanmix.recipes import load_recipe
from spanmix.text.corpus import Corpus
from spanmix.train.loop import Report
from spanmix.train.metrics import read_metrics
from spanmix.train.run import NEVER, StopWatch, train

_INFILL = ((SINGLE_LINE, 1200, 240), (MULTI_LINE, 240, 60))
"""Kind of spans, how many are scored, and how many of these are filled in."""


def run_demo(
    out: Path,
    minutes: float,
    progress: Progress = lambda stage, done, total: None,
    report: Report = lambda done, total, metrics: None,
    stop: StopWatch = NEVER,
) -> dict[str, Any]:
    """Make a corpus of this machine's own sources, train the demo preset, and measure it.

    The same call goes on after an interruption; a call with more minutes trains the same model longer.
    Everything lies under `out`: ``sources/``, ``corpus/``, ``run/``, ``results.json``, ``report.html``.

    Args:
        out: the demo's folder.
        minutes: minutes of training in all, on this machine.
        progress: called by all stages but training.
        report: called after every training step.
        stop: as of `spanmix.train.run.train`.

    Returns:
        The content of ``results.json``.

    Raises:
        InputError: `minutes` is out of its range, or what lies under `out` cannot be gone on with.
        StoppedEarlyError: training was asked to stop, and is saved.
    """
    require_minutes(minutes)
    seconds: dict[str, float] = {}
    base = load_recipe("demo")
    base = replace(base, corpus=replace(base.corpus, path=str(out / "corpus")))
    with _timed(seconds, "prepare"):
        corpus = demo_corpus(out, base, progress)
    recipe = steps_for(base, corpus, out, minutes, progress)
    with _timed(seconds, "train"):
        model_folder = train(recipe, out / "run", make_hooks, report, stop=stop)
    metrics = read_metrics(out / "run" / "metrics.jsonl")
    engine = TorchEngine(load_model_folder(model_folder)[0], pack=True)
    with _timed(seconds, "bits per byte"):
        sources = [_source_result(engine, corpus, name, recipe, progress) for name in corpus.held_out]
    with _timed(seconds, "infill"):
        infill = [
            _infill(engine, corpus, kind, scored, generated, recipe, progress)
            for kind, scored, generated in _INFILL
        ]
    with _timed(seconds, "xz"):
        after = _xz_after_training(out, corpus, progress)
        sources = [replace(s, xz_after_training=after.get(s.loss.source)) for s in sources]
    results = gather(
        title="Spanmix demo",
        seed=recipe.run.seed,
        sources=sources,
        infill=infill,
        facts=_facts(recipe, corpus, metrics),
        seconds={name: round(value, 1) for name, value in seconds.items()},
    )
    write_results(out / "results.json", results)
    write_report(out / "report.html", results, metrics, infill)
    return results


@contextmanager
def _timed(seconds: dict[str, float], phase: str) -> Iterator[None]:
    start = time.monotonic()
    yield
    seconds[phase] = time.monotonic() - start


def _source_result(
    engine: Engine, corpus: Corpus, name: str, recipe: Recipe, progress: Progress
) -> SourceResult:
    held_out = corpus.held_out[name]
    label = f"bits per byte of {name}"
    start = corpus.tokenizer.control.eot
    loss = bits_per_byte(
        engine, held_out, start, seed=recipe.run.seed, progress=lambda d, t: progress(label, d, t)
    )
    files = [held_out.text(i).encode() for i in range(held_out.num_documents)]
    label_xz = f"xz -9e of {name}, file by file"
    xz = xz_per_file(files, seed=recipe.run.seed, progress=lambda d, t: progress(label_xz, d, t))
    return SourceResult(loss, xz)


def _infill(
    engine: Engine,
    corpus: Corpus,
    kind: SpanKind,
    num_scored: int,
    num_generated: int,
    recipe: Recipe,
    progress: Progress,
) -> InfillFigures:
    label = f"{kind.name.replace('_', ' ')} infill"
    return measure_infill(
        engine,
        corpus.tokenizer,
        corpus.held_out["code"],
        codegen2_format(corpus.tokenizer.control),
        seed=recipe.run.seed,
        kind=kind,
        num_spans=num_scored,
        num_generated=num_generated,
        progress=lambda phase, done, total: progress(f"{label}, {phase}", done, total),
    )


@dataclass(frozen=True)
class _KeptXz:
    """What ``xz.json`` holds: the result of each source, and the corpus it is of."""

    fingerprint: str
    sources: dict[str, XzAfterTraining]


def _xz_after_training(out: Path, corpus: Corpus, progress: Progress) -> dict[str, XzAfterTraining]:
    """Compress training and held-out files together; kept, as it depends on the corpus alone."""
    path = out / "xz.json"
    if path.exists():
        kept = read_json(path, _KeptXz)
        if kept.fingerprint == corpus.fingerprint:
            return kept.sources
    source, held_out = corpus.train["code"], corpus.held_out["code"]

    def training_files() -> Iterator[bytes]:
        return (source.text(i).encode() for i in range(source.num_documents))

    files = [held_out.text(i).encode() for i in range(held_out.num_documents)]
    with XzAfterTrainingJob(
        training_files,
        files,
        progress=lambda done, total: progress("xz -9e behind the training files", done, total),
        total_bytes=source.num_bytes,
    ) as job:
        kept = _KeptXz(corpus.fingerprint, {"code": job.result()})
    write_json(path, asdict(kept))
    return kept.sources


def _facts(recipe: Recipe, corpus: Corpus, metrics: list[dict[str, Any]]) -> dict[str, str | int | float]:
    import torch

    from spanmix import __version__

    speeds = sorted(m["value"] for m in metrics if m["name"] == "tokens_per_second")
    shares = sorted(m["value"] for m in metrics if m["name"] == "mfu")
    report = corpus.report.sources
    return {
        "model": f"preset {recipe.model.preset}",
        "steps": recipe.run.num_steps,
        "tokens trained on": max(m["tokens"] for m in metrics),
        "tokens per second (median)": round(speeds[len(speeds) // 2]),
        "share of the bf16 peak (median)": round(shares[len(shares) // 2], 3),
        "training files": sum(s.train.documents for s in report.values()),
        "training tokens in one epoch": sum(s.train.tokens for s in report.values()),
        "held-out files": sum(s.held_out.documents for s in report.values()),
        "corpus fingerprint": corpus.fingerprint,
        "seed": recipe.run.seed,
        "spanmix": __version__,
        "torch": torch.__version__,
        "python": platform.python_version(),
    }
