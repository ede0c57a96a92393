"""Plan a suite before anything is done: which runs there are, which are done, how long the others take."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spanmix.lessons.collected import collect, sweep_seed
from spanmix.lessons.configurations import (
    Configuration,
    main_configuration,
    scale_recipe,
    sweep_configurations,
)
from spanmix.lessons.job import Job
from spanmix.lessons.parts import Scale
from spanmix.lessons.records import RunRecord, read_runs
from spanmix.lessons.suite import Suite
from spanmix.recipes import to_fields
from spanmix.train.machines import Machine
from spanmix.train.plan import make_plan

_FORWARD_SHARE = 0.45
"""Time of scoring a position over that of training on one: measured with the demo's preset on a CPU. It is a
third of the operations."""
_SMALL_ON_CPU = 1.7
"""How much slower than planned the demo's preset trains in one thread on a CPU, its matrices being small:
measured, 3,425 tokens a second of a core of two, which other work disturbed."""
_WINDOWS = 1.8
"""Positions that are scored for each token of a file, in overlapping windows."""


@dataclass(frozen=True)
class Folders:
    """Where a suite works.

    Args:
        out: runs, corpora and sets.
        metrics: records of the scale.
        corpus: the whole corpus.
    """

    out: Path
    metrics: Path
    corpus: Path


@dataclass(frozen=True)
class PlannedRun:
    """A run with what is known of it before it is made.

    Args:
        configuration: what is trained.
        seed: of the run.
        is_done: whether all of its records are there.
        seconds: it takes.
        basis: ``measured`` or ``estimated``.
    """

    configuration: Configuration
    seed: int
    is_done: bool
    seconds: float
    basis: str


@dataclass(frozen=True)
class SuitePlan:
    """All runs of a suite, in the order in which they are made.

    Args:
        scale: its name.
        runs: the trials of learning rates first.
        num_workers: runs at once.
        device: on what.
        learning_rate: None until the sweep is done.
        dollars_per_hour: of one device.
    """

    scale: str
    runs: tuple[PlannedRun, ...]
    num_workers: int
    device: str
    learning_rate: float | None
    dollars_per_hour: float = 0.0

    @property
    def left(self) -> list[PlannedRun]:
        """Runs that are still to be made."""
        return [run for run in self.runs if not run.is_done]

    @property
    def hours_left(self) -> float:
        """Of all workers side by side."""
        return self._hours(self.left)

    @property
    def hours(self) -> float:
        """Of the whole suite."""
        return self._hours(self.runs)

    @property
    def dollars_left(self) -> float:
        """What the devices cost for the runs that are left."""
        return self.hours_left * self.num_workers * self.dollars_per_hour

    def _hours(self, runs: Sequence[PlannedRun]) -> float:
        return sum(run.seconds for run in runs) / 3600 / max(1, self.num_workers)

    def to_json(self) -> dict[str, Any]:
        """Return it as plain values."""
        return {
            "scale": self.scale,
            "device": self.device,
            "workers": self.num_workers,
            "learning_rate": self.learning_rate,
            "runs": len(self.runs),
            "done": len(self.runs) - len(self.left),
            "left": len(self.left),
            "hours": round(self.hours, 3),
            "hours_left": round(self.hours_left, 3),
            "dollars_left": round(self.dollars_left, 2),
        }


def arms_of(suite: Suite, scale: Scale, only: tuple[int, ...]) -> list[str]:
    """Return the arms of a scale that some lessons need, or all, in the scale's order."""
    needed = {arm for lesson in suite.of(only) for arm in lesson.arms}
    return [arm for arm in scale.arms if not only or arm in needed]


def sweep_jobs(suite: Suite, scale: Scale, fingerprint: str, folders: Folders) -> list[Job]:
    """Return the trials of learning rates, done ones too."""
    return [
        _job(scale, one, sweep_seed(scale), fingerprint, folders)
        for one in sweep_configurations(suite, scale)
    ]


def main_jobs(
    suite: Suite, scale: Scale, only: tuple[int, ...], rate: float, fingerprint: str, folders: Folders
) -> list[Job]:
    """Return the runs of all arms that are asked for, done ones too, seed by seed."""
    return [
        _job(scale, main_configuration(suite, scale, arm, rate), seed, fingerprint, folders)
        for seed in scale.seeds
        for arm in arms_of(suite, scale, only)
    ]


def _job(scale: Scale, configuration: Configuration, seed: int, fingerprint: str, folders: Folders) -> Job:
    key = configuration.key(fingerprint, scale.measuring)
    asked = scale.understanding
    tuned = asked if asked and configuration.kind == "main" and configuration.arm in asked.arms else None
    return Job(
        scale=scale.name,
        arm=configuration.arm,
        kind=configuration.kind,
        key=key,
        seed=seed,
        corpus=str(folders.corpus),
        fingerprint=fingerprint,
        recipe=to_fields(configuration.run_recipe(seed, str(folders.corpus))),
        unique_tokens=configuration.unique_tokens,
        out=str(folders.out / "runs" / f"{configuration.arm}-{key}-seed{seed}"),
        corpora=str(folders.out / "corpora" / fingerprint[:12]),
        metrics=str(folders.metrics),
        measuring=scale.measuring,
        understanding=tuned,
        sets=str(folders.out / "sets" / fingerprint[:12]),
    )


def plan_suite(
    suite: Suite,
    scale: Scale,
    only: tuple[int, ...],
    fingerprint: str,
    folders: Folders,
    machine: Machine,
    num_workers: int,
) -> SuitePlan:
    """Plan a scale's runs.

    Args:
        suite, scale: what can be run, and how large.
        only: numbers of lessons; empty means all.
        fingerprint: of the corpus, or ``""`` where there is none yet.
        folders: where the suite works.
        machine: for the estimate; that of the CPU is of all its cores together.
        num_workers: runs at once.
    """
    collected = collect(suite, scale, folders.metrics, fingerprint)
    known = _known_seconds(folders.metrics)
    rate = collected.learning_rate
    jobs = sweep_jobs(suite, scale, fingerprint, folders)
    assumed = rate if rate is not None else scale_recipe(scale).optimizer.learning_rate
    jobs += main_jobs(suite, scale, only, assumed, fingerprint, folders)
    configurations = [(one, sweep_seed(scale)) for one in sweep_configurations(suite, scale)]
    configurations += [
        (main_configuration(suite, scale, arm, assumed), seed)
        for seed in scale.seeds
        for arm in arms_of(suite, scale, only)
    ]
    # The cores of a CPU are one machine of the list, shared by the workers; each GPU is one of its own.
    slowdown = num_workers if machine.device == "cpu" else 1
    runs = []
    for job, (configuration, seed) in zip(jobs, configurations, strict=True):
        seconds, basis = _seconds(job, configuration, scale, machine, known, slowdown)
        undecided = job.kind == "main" and rate is None
        runs.append(PlannedRun(configuration, seed, not undecided and not job.missing(), seconds, basis))
    return SuitePlan(scale.name, tuple(runs), num_workers, machine.name, rate, machine.dollars_per_hour)


def _known_seconds(metrics: Path) -> Mapping[tuple[str, int], float]:
    """Return the median seconds of measured runs, by arm and steps, and by ``""`` per position of any."""
    found: dict[tuple[str, int], list[float]] = {}
    records: list[RunRecord] = [one for one in read_runs(metrics) if not one.failed and one.seconds]
    for record in records:
        total = sum(record.seconds.values())
        found.setdefault((record.arm, record.steps), []).append(total)
        found.setdefault(("", 0), []).append(total / record.positions)
    return {name: sorted(values)[len(values) // 2] for name, values in found.items()}


def _seconds(
    job: Job,
    configuration: Configuration,
    scale: Scale,
    machine: Machine,
    known: Mapping[tuple[str, int], float],
    slowdown: int,
) -> tuple[float, str]:
    steps = configuration.recipe.run.num_steps
    if (configuration.arm, steps) in known:
        seconds, basis = known[configuration.arm, steps], "measured"
    elif ("", 0) in known:
        seconds, basis = known["", 0] * configuration.num_positions, "measured"
    else:
        seconds, basis = _estimate(configuration, scale, machine) * slowdown, "estimated"
    step = configuration.recipe.data.global_batch_rows * configuration.recipe.data.row_tokens
    per_token = seconds / (steps * step)
    return seconds + per_token * _tuning_tokens(job), basis


def _estimate(configuration: Configuration, scale: Scale, machine: Machine) -> float:
    """Return the seconds of training and measuring on a whole machine, from the operations they need."""
    recipe, asked = configuration.recipe, scale.measuring
    plan = make_plan(recipe, recipe.tokenizer.vocab_size, 1, machine)
    sources = len(scale_recipe(scale).data.sources)
    spans = asked.single_line_spans + asked.multi_line_spans
    curve = sources * asked.curve_points * asked.curve_files * asked.curve_file_tokens
    scored = _WINDOWS * (sources * asked.source_tokens + curve) + 2 * spans * asked.context_tokens
    seconds = recipe.run.num_steps * plan.step_seconds + _FORWARD_SHARE * scored / plan.tokens_per_second
    return seconds * (_SMALL_ON_CPU if machine.device == "cpu" else 1)


def _tuning_tokens(job: Job) -> float:
    """Return the tokens of a job's fine-tunings, as training steps would take as long for; rows are full."""
    asked = job.understanding
    if asked is None:
        return 0.0
    most = asked.most or 20_000
    rows = len(job.tasks()) * most * (asked.epochs + 2 * _FORWARD_SHARE)
    return rows * asked.max_tokens


def plan_fields(plan: SuitePlan) -> list[dict[str, Any]]:
    """Return each run of a plan as plain values."""
    return [
        {
            "arm": run.configuration.arm,
            "kind": run.configuration.kind,
            "seed": run.seed,
            "done": run.is_done,
            "seconds": round(run.seconds, 1),
            "basis": run.basis,
        }
        for run in plan.runs
    ]
