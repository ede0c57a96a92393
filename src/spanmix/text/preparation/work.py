"""The folder beside a corpus in which it is made, so that work that was interrupted goes on."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spanmix.amounts import count
from spanmix.errors import SpanmixError
from spanmix.files import follow, full_disk_named, is_full_disk
from spanmix.text.engine import Task, run_tasks
from spanmix.text.partition_tables import columns
from spanmix.text.preparation.clean_partition import Summary
from spanmix.text.preparation.encode_partition import Encoded
from spanmix.text.preparation.once import finished_folders

Advance = Callable[[int], None]
"""Called with the bytes of each piece of work that is done."""

KEPT_FROM_BYTES = 100_000_000
"""Work on less than this is not kept after an error: doing it again takes seconds."""

_VERSION = 5
"""Goes up when a task writes something else from the same job, but for other columns and fields."""

_FORM_FILE = "form"
_FORM = "form"
"""Stands in that file, among the libraries, for what Spanmix itself writes."""


class Work:
    """Finished tasks, each a folder that is named after all that decides what is in it.

    Args:
        folder: where they lie.
        workers: processes at once.
        cluster: address of a Ray cluster.
    """

    def __init__(self, folder: Path, workers: int, cluster: str | None) -> None:
        self.folder = folder
        self._workers = workers
        self._cluster = cluster

    def place(self, kind: str, deciding: Any) -> Path:
        """Return the folder of a task: the same for the same `deciding` values, and for no others."""
        text = json.dumps([_form(), kind, deciding], sort_keys=True)
        return self.folder / kind / hashlib.sha256(text.encode()).hexdigest()[:24]

    def save_fates(self, fates: NDArray[np.uint8]) -> Path:
        """Write what becomes of a partition's documents to a file that tasks can read; returns its path."""
        folder = self.folder / "fates"
        folder.mkdir(exist_ok=True)
        path = folder / f"{hash_fates(fates)[:24]}.npy"
        np.save(path, fates)
        return path

    def run(self, task: Task, jobs: Sequence[dict[str, Any]]) -> Iterator[str]:
        """Do tasks; yields what each answered, in order."""
        texts = [json.dumps(job) for job in jobs]
        return run_tasks(task, texts, self._workers, self._cluster)


def hash_fates(fates: NDArray[np.uint8]) -> str:
    """Return a hash of what becomes of documents, in hex."""
    return hashlib.sha256(fates.tobytes()).hexdigest()


def _form() -> str:
    """Return what stands for all that this version writes, and reads back, of the same job."""
    fields = [[field.name for field in dataclasses.fields(kind)] for kind in (Summary, Encoded)]
    text = json.dumps([_VERSION, *columns(), *fields])
    return hashlib.sha256(text.encode()).hexdigest()


@contextmanager
def work_folder(
    out: Path, num_bytes: int, libraries: Mapping[str, str], tell: Callable[[str], None]
) -> Iterator[Path]:
    """Give the folder in which `out` is made, with what is left from before; afterwards it goes.

    After an error it stays if there is much to do again and some of it is done. The error says so if it was
    done now, and an interruption always. What another version of Spanmix left, or
    one that had other libraries, is removed.

    Args:
        out: the corpus.
        num_bytes: how much text there is.
        libraries: versions of what does the steps, see `spanmix.text.preparation.steps_of.libraries`.
        tell: called with a sentence if something was removed.
    """
    out = follow(out)
    folder = out.with_name(f".{out.name}.spanmix-work")
    made_by = {_FORM: _form(), **libraries}
    others = _remove_others(folder, made_by, tell)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / _FORM_FILE).write_text(json.dumps({**others, **made_by}), encoding="utf-8")
    before = finished_folders(folder)
    try:
        with _disk_of(out), full_disk_named(out):
            yield folder
    except BaseException as error:
        finished = finished_folders(folder)
        if num_bytes < KEPT_FROM_BYTES or not finished:
            shutil.rmtree(folder, ignore_errors=True)
        elif isinstance(error, KeyboardInterrupt) or (isinstance(error, SpanmixError) and finished - before):
            error.add_note(
                f"what was done so far is kept in {folder}, and the same command goes on from there"
            )
        raise
    shutil.rmtree(folder, ignore_errors=True)


def _remove_others(folder: Path, made_by: Mapping[str, str], tell: Callable[[str], None]) -> dict[str, str]:
    """Remove work of other versions, which may have written other columns or followed other rules.

    Returns:
        The versions that what is left was done with, of libraries that are not asked for now, too.
    """
    finished = len(finished_folders(folder))
    there = _read_form(folder / _FORM_FILE)
    others = [name for name in made_by if there.get(name, made_by[name]) != made_by[name]]
    if not finished or (_FORM in there and not others):
        return there if finished else {}
    shutil.rmtree(folder)
    libraries = [f"{name} ({there[name]}, now {made_by[name]})" for name in others if name != _FORM]
    tell(
        f"{folder} held {count(finished, 'finished task')} of another version of "
        f"{', '.join(libraries) or 'Spanmix'}, which may have written something else from the same files; "
        "the folder was removed, and all is read again"
    )
    return {}


def _read_form(path: Path) -> dict[str, str]:
    """Return the versions that work was done with; none if that cannot be read, as of older versions."""
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return {str(name): str(value) for name, value in found.items()} if isinstance(found, dict) else {}


@contextmanager
def _disk_of(out: Path) -> Iterator[None]:
    """Say of a full disk that it is that of the corpus."""
    try:
        yield
    except SpanmixError as error:
        if error.__cause__ is not None and is_full_disk(error.__cause__):
            error.add_note(f"--out {out} is on that disk; it can be on another")
        raise


@contextmanager
def no_empty_parents(path: Path) -> Iterator[None]:
    """After an error, remove the folders above `path` that were not there before and hold nothing."""
    missing = [parent for parent in path.absolute().parents if not parent.exists()]
    try:
        yield
    except BaseException:
        for parent in missing:
            with suppress(OSError):
                parent.rmdir()
        raise
