"""Export the model of a checkpoint, on one process, whatever wrote it; the run may be training meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from torch import Tensor

from spanmix.errors import InputError
from spanmix.files import one_writer, replaceable, require_makable
from spanmix.model.folder import require_place
from spanmix.text.corpus import read_tokenizer
from spanmix.train.base import build_architecture
from spanmix.train.checkpoint import Checkpoints, read_model, read_whole
from spanmix.train.progress import Progress
from spanmix.train.result import Result, save_model
from spanmix.train.run_folder import check_corpus, checkpoints_folder, recorded_base, recorded_recipe

_Read = tuple[Progress, dict[str, Tensor]]


class _GoneError(Exception):
    """The checkpoint is not there any more, or another is in its place."""


def export_model(
    run: Path, out: Path, step: int | None = None, warn: Callable[[str], None] = lambda text: None
) -> int:
    """Write the model folder that a run would leave if it ended at a checkpoint.

    Args:
        run: the run's folder, which is only read.
        out: the folder to make; a model folder that is there is replaced.
        step: of the checkpoint; None takes the newest that is whole.
        warn: is told of newer ones that are damaged.

    Returns:
        The checkpoint's step.

    Raises:
        InputError: `run` is no run, or its corpus is not there; it has no such checkpoint, or that is
            damaged; or `out` cannot be written. Nothing has been written then.
        SpanmixError: a weight is not finite, or the disk is full.
    """
    recipe = recorded_recipe(run)
    require_makable(out)
    require_place(out)
    if replaceable(out).resolve().is_relative_to(run.resolve()):
        raise InputError(
            f"{out} lies in the run {run}, which writes there itself; name a folder outside of it"
        )
    report, tokenizer = read_tokenizer(Path(recipe.corpus.path))
    check_corpus(run, report.fingerprint)
    base = recorded_base(run)
    with one_writer(out):
        checkpoints = Checkpoints(checkpoints_folder(run), recipe.run.keep_checkpoints)
        if step is None:
            progress, state = _read_newest(checkpoints, run, warn)
        else:
            progress, state = _read_step(checkpoints, run, step)
        shape = build_architecture(recipe, tokenizer, base)
        save_model(out, Result(recipe, shape, state, base, report.fingerprint, progress), tokenizer)
    return progress.step


def _read_newest(checkpoints: Checkpoints, run: Path, warn: Callable[[str], None]) -> _Read:
    """Read the newest that is whole; newer ones may appear meanwhile, and old ones go."""
    damaged: dict[Path, str] = {}
    while left := [path for path in checkpoints.paths() if path not in damaged]:
        try:
            read = _read(left[-1])
        except _GoneError:
            continue
        except InputError as error:
            damaged[left[-1]] = str(error)
            continue
        for path, why in damaged.items():
            warn(f"the checkpoint {path} is damaged ({why}); the model is that of {left[-1].name}")
        return read
    if damaged:
        raise InputError(f"no checkpoint of the run {run} is whole: {'; '.join(damaged.values())}")
    raise InputError(f"the run {run} has no checkpoint yet; wait until it has saved one, or train it further")


def _read_step(checkpoints: Checkpoints, run: Path, step: int) -> _Read:
    path = checkpoints.folder / f"step-{step}"
    try:
        return _read(path)
    except _GoneError:
        there = ", ".join(found.name for found in checkpoints.paths()) or "none"
        raise InputError(
            f"the run {run} has no checkpoint of step {step}, or no longer: it has {there}. It keeps the "
            f"newest {checkpoints.keep} (run.keep_checkpoints), and those of run.keep_every_steps"
        ) from None


def _read(path: Path) -> _Read:
    """Read a checkpoint's numbers and weights, all of one and the same."""
    before = _identity(path)
    try:
        read = read_whole(path), read_model(path)
    except (InputError, OSError) as error:
        if before is not None and _identity(path) == before:
            raise InputError(str(error)) from error
        raise _GoneError from None
    if _identity(path) != before:
        raise _GoneError
    return read


def _identity(path: Path) -> int | None:
    """A number that tells a folder from another of its name; None if there is none."""
    try:
        return path.lstat().st_ino
    except FileNotFoundError:
        return None
