"""Name one run of a suite that is to be made: what is trained, what is measured, and where all of it lies."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spanmix.lessons.configurations import understanding_key
from spanmix.lessons.parts import Measuring, Understanding
from spanmix.lessons.records import run_file, task_file


@dataclass(frozen=True)
class Job:
    """One run that is to be made.

    Args:
        scale, arm, kind, key, seed: which one.
        corpus: folder of the whole corpus.
        fingerprint: its fingerprint.
        recipe: the run's, as plain fields.
        unique_tokens: different tokens that it may see; None is no bound.
        out: folder of the run.
        corpora: folder for corpora of fewer tokens.
        metrics: folder of the records.
        measuring: what is measured.
        understanding: what is fine-tuned, if this run's model is.
        sets: folder of the fine-tuning's sets.
    """

    scale: str
    arm: str
    kind: str
    key: str
    seed: int
    corpus: str
    fingerprint: str
    recipe: dict[str, Any]
    unique_tokens: int | None
    out: str
    corpora: str
    metrics: str
    measuring: Measuring
    understanding: Understanding | None
    sets: str

    @property
    def name(self) -> str:
        """What people read."""
        rate = (
            f", learning rate {self.recipe['optimizer']['learning_rate']:g}" if self.kind == "sweep" else ""
        )
        return f"{self.arm}{rate}, seed {self.seed}"

    def tasks(self) -> list[tuple[str, str, str]]:
        """Return key, task and representation of what is fine-tuned."""
        asked = self.understanding
        if asked is None:
            return []
        pairs = [(task, seen) for task in asked.tasks for seen in asked.representations]
        return [(understanding_key(self.key, asked, *pair), *pair) for pair in pairs]

    def missing(self) -> list[str]:
        """Return the names of the records that are not there yet."""
        names = [run_file(self.key, self.seed)]
        names += [task_file(key, self.seed, task, seen) for key, task, seen in self.tasks()]
        return [name for name in names if not (Path(self.metrics) / name).is_file()]
