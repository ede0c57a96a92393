"""Keep what a run measured: one JSON file for each, whole or absent, from which every figure is made.

``METRICS/<key>-seed<N>.json`` is a run, ``METRICS/<key>-seed<N>-<task>-<representation>.json`` the
fine-tuning of its model, and ``METRICS/<key>.yaml`` the recipe of the runs of a key. A file that is there is
never made again.
"""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from spanmix.errors import InputError
from spanmix.files import read_versioned, write_text
from spanmix.lessons.measure import FileBits, MiddleBits

T = TypeVar("T", "RunRecord", "TaskRecord")

RECORD_VERSION = 1
_RUN = re.compile(r"[0-9a-f]{12}-seed-?\d+\.json")
_TASK = re.compile(r"[0-9a-f]{12}-seed-?\d+-[a-z]+-[a-z]+\.json")


@dataclass(frozen=True)
class RunRecord:
    """What one run measured.

    Args:
        scale, arm, kind, key, seed: which run it was.
        corpus: fingerprint of the whole corpus.
        learning_rate: the peak.
        steps, positions: how long it was; positions are those of all rows, padding too.
        tokens: targets that carried loss.
        flops: operations of forward and backward, of full rows.
        epochs: how often each source was read.
        failed: why there is no figure; ``""`` if there are.
        held_out: bits of held-out files by source.
        middles: bits of hidden middles by kind.
        curve: held-out bits per byte on the way: {tokens, source: bits per byte} each.
        parameters: learned numbers of the model.
        seconds: of training and measuring, as far as they are known.
        machine: on what, and with which versions.
    """

    scale: str
    arm: str
    kind: str
    key: str
    seed: int
    corpus: str
    learning_rate: float
    steps: int
    positions: int
    failed: str = ""
    tokens: int = 0
    flops: int = 0
    parameters: int = 0
    epochs: dict[str, float] = field(default_factory=dict)
    held_out: dict[str, FileBits] = field(default_factory=dict)
    middles: dict[str, MiddleBits] = field(default_factory=dict)
    curve: list[dict[str, float]] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)
    machine: dict[str, Any] = field(default_factory=dict)

    @property
    def file_name(self) -> str:
        """Its name among the metrics."""
        return run_file(self.key, self.seed)


@dataclass(frozen=True)
class TaskRecord:
    """What the fine-tuning of one run's model measured.

    Args:
        scale, arm, key, seed: which; the key is that of the fine-tuning.
        run_key: the key of the run.
        corpus: fingerprint of the corpus that the set is made of, and the run was trained on.
        task, representation: see `spanmix.evaluate.understanding`.
        groups, examples, right: of the test part, group by group: its number, how many examples it has, and
            how many of them were told right.
        accuracy, majority, surface: shares of right answers: of the model, of always saying the same, and of
            what can be counted without reading.
        seconds: it took.
        machine: on what.
    """

    scale: str
    arm: str
    key: str
    run_key: str
    seed: int
    corpus: str
    task: str
    representation: str
    groups: tuple[int, ...]
    examples: tuple[int, ...]
    right: tuple[int, ...]
    accuracy: float
    majority: float
    surface: float
    seconds: float
    machine: dict[str, Any] = field(default_factory=dict)

    @property
    def file_name(self) -> str:
        """Its name among the metrics."""
        return task_file(self.key, self.seed, self.task, self.representation)


def run_file(key: str, seed: int) -> str:
    """Return the name of a run's file."""
    return f"{key}-seed{seed}.json"


def task_file(key: str, seed: int, task: str, representation: str) -> str:
    """Return the name of a fine-tuning's file."""
    return f"{key}-seed{seed}-{task}-{representation}.json"


def recipe_file(key: str) -> str:
    """Return the name of the recipe of a key."""
    return f"{key}.yaml"


def write_record(folder: Path, record: RunRecord | TaskRecord) -> None:
    """Write a record, whole or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    fields = {"format_version": RECORD_VERSION, **asdict(record)}
    write_text(folder / record.file_name, _lines(fields) + "\n")


def _lines(value: Any, depth: int = 0) -> str:
    """Write JSON with a line for each field, and lists of numbers on one line."""
    if not isinstance(value, dict) or not value:
        return json.dumps(value, ensure_ascii=False, allow_nan=False)
    inner = "  " * (depth + 1)
    parts = [f"{inner}{json.dumps(name)}: {_lines(item, depth + 1)}" for name, item in value.items()]
    return "{\n" + ",\n".join(parts) + "\n" + "  " * depth + "}"


def read_runs(folder: Path) -> list[RunRecord]:
    """Read every run's record in a folder, in the order of their names; none if there is no folder.

    Raises:
        InputError: a file is damaged, or its name is not that of what it holds.
    """
    return _read_all(folder, _RUN, RunRecord)


def read_tasks(folder: Path) -> list[TaskRecord]:
    """Read every fine-tuning's record in a folder; see `read_runs`."""
    return _read_all(folder, _TASK, TaskRecord)


def _read_all(folder: Path, name: re.Pattern[str], kind: type[T]) -> list[T]:
    files = sorted(folder.iterdir()) if folder.is_dir() else []
    found = []
    for file in files:
        if name.fullmatch(file.name):
            record = read_versioned(file, kind, RECORD_VERSION)
            if record.file_name != file.name:
                raise InputError(f"{file} holds what belongs in {record.file_name}; rename it, or remove it")
            found.append(record)
    return found
