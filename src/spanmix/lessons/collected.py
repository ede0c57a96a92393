"""Gather the records that belong to one suite: of one corpus, and of the recipes as they are now.

Everything follows from the records alone, so that a report can be made again without a corpus or a run.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from spanmix.errors import InputError
from spanmix.lessons.configurations import (
    Configuration,
    main_configuration,
    scale_recipe,
    sweep_configurations,
    understanding_key,
)
from spanmix.lessons.parts import Scale
from spanmix.lessons.records import RunRecord, TaskRecord, read_runs, read_tasks
from spanmix.lessons.suite import Suite

TaskKey = tuple[str, int, str, str]
"""Arm, seed, task and representation."""


@dataclass(frozen=True)
class Trial:
    """A learning rate that was tried: the code bits per byte it came to, infinite if the run failed."""

    arm: str
    rate: float
    code: float
    key: str


@dataclass(frozen=True)
class Collected:
    """The records of one suite.

    Args:
        scale: what was asked for.
        corpus: fingerprint, or ``""`` where nothing was measured yet.
        learning_rate: that of all arms; None until the sweep is done.
        trials: of the sweep.
        configurations: of each arm, at that learning rate; none until there is one.
        keys: of each arm.
        runs: by arm and seed.
        tasks: by arm, seed, task and representation.
        left_out: records of this corpus that are of other recipes, by file name.
    """

    scale: Scale
    corpus: str
    learning_rate: float | None
    trials: tuple[Trial, ...]
    configurations: dict[str, Configuration]
    keys: dict[str, str]
    runs: dict[tuple[str, int], RunRecord]
    tasks: dict[TaskKey, TaskRecord]
    left_out: tuple[str, ...]

    def run_of(self, arm: str, seed: int) -> RunRecord | None:
        """Return the run of an arm and a seed if it has figures."""
        found = self.runs.get((arm, seed))
        return None if found is None or found.failed else found

    def seeds_of(self, arms: Sequence[str]) -> list[int]:
        """Return the seeds of which all these arms have figures."""
        return [seed for seed in self.scale.seeds if all(self.run_of(arm, seed) for arm in arms)]


def collect(suite: Suite, scale: Scale, metrics: Path, corpus: str | None = None) -> Collected:
    """Gather the records of a scale.

    Args:
        suite: what can be run.
        scale: what is asked for.
        metrics: the folder of the scale's records.
        corpus: fingerprint of the corpus; None takes that of the records, if it is one.

    Raises:
        InputError: a record is damaged, or there are records of several corpora and none was named.
    """
    runs, tasks = read_runs(metrics), read_tasks(metrics)
    if corpus is None:
        corpus = _only_corpus([record.corpus for record in runs], metrics)
    runs = [record for record in runs if record.corpus == corpus]
    by_file = {record.file_name: record for record in runs}
    used: set[str] = set()
    trials = _trials(suite, scale, corpus, by_file, used)
    rate = chosen_rate(scale, trials)
    configurations: dict[str, Configuration] = {}
    keys: dict[str, str] = {}
    found: dict[tuple[str, int], RunRecord] = {}
    for arm in scale.arms if rate is not None else ():
        assert rate is not None
        configurations[arm] = main_configuration(suite, scale, arm, rate)
        keys[arm] = configurations[arm].key(corpus, scale.measuring)
        for seed in scale.seeds:
            name = f"{keys[arm]}-seed{seed}.json"
            if name in by_file:
                found[arm, seed] = by_file[name]
                used.add(name)
    tuned = _tasks(scale, keys, [record for record in tasks if record.corpus == corpus])
    used |= {record.file_name for record in tuned.values()}
    names = [*by_file, *(record.file_name for record in tasks if record.corpus == corpus)]
    left_out = tuple(sorted(set(names) - used))
    return Collected(scale, corpus, rate, tuple(trials), configurations, keys, found, tuned, left_out)


def chosen_rate(scale: Scale, trials: Sequence[Trial]) -> float | None:
    """Return the rate with the fewest code bits of the deciding arm, the lower one of equals.

    None until all of that arm's rates were tried. Without a sweep it is the recipe's.

    Raises:
        InputError: every rate failed.
    """
    if scale.sweep is None:
        return scale_recipe(scale).optimizer.learning_rate
    tried = [trial for trial in trials if trial.arm == scale.sweep.arm]
    if len(tried) < len(scale.sweep.rates):
        return None
    best = min(tried, key=lambda trial: (trial.code, trial.rate))
    if math.isinf(best.code):
        raise InputError(f"every learning rate of the sweep failed: {scale.sweep.rates}; try lower ones")
    return best.rate


def sweep_seed(scale: Scale) -> int:
    """Return the seed of the sweep's runs: the first."""
    return scale.seeds[0]


def _trials(
    suite: Suite, scale: Scale, corpus: str, by_file: dict[str, RunRecord], used: set[str]
) -> list[Trial]:
    trials = []
    for configuration in sweep_configurations(suite, scale):
        key = configuration.key(corpus, scale.measuring)
        name = f"{key}-seed{sweep_seed(scale)}.json"
        record = by_file.get(name)
        if record is not None:
            used.add(name)
            code = math.inf if record.failed else record.held_out["code"].bits_per_byte
            trials.append(Trial(configuration.arm, configuration.learning_rate, code, key))
    return trials


def _tasks(scale: Scale, keys: dict[str, str], records: Sequence[TaskRecord]) -> dict[TaskKey, TaskRecord]:
    asked = scale.understanding
    if asked is None:
        return {}
    by_file = {record.file_name: record for record in records}
    found: dict[TaskKey, TaskRecord] = {}
    for arm in asked.arms:
        for task in asked.tasks if arm in keys else ():
            for representation in asked.representations:
                key = understanding_key(keys[arm], asked, task, representation)
                for seed in scale.seeds:
                    name = f"{key}-seed{seed}-{task}-{representation}.json"
                    if name in by_file:
                        found[arm, seed, task, representation] = by_file[name]
    return found


def _only_corpus(fingerprints: Sequence[str], metrics: Path) -> str:
    counts = Counter(fingerprints)
    if len(counts) > 1:
        listed = ", ".join(f"{number:,} of {name[:12]}" for name, number in sorted(counts.items()))
        raise InputError(
            f"{metrics} holds runs of several corpora: {listed}. Keep those of one there, and move the "
            "others to another --metrics"
        )
    return next(iter(counts), "")
