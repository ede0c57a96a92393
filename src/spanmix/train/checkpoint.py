"""Save and load everything a run needs to go on, bit for bit: weights, optimizer, place in the data.

A checkpoint is a folder ``step-N``, written by PyTorch's distributed checkpoint, which is whole or
absent. It is for the machine that wrote it: its checksums are verified before anything is read, and it
is not a format to take from strangers (the model folder is).

    __0_0.distcp  .metadata    the tensors
    state.json                 the integers
    SHA256SUMS                 the checksums of all three
"""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import torch
from pydantic import Field
from torch import nn
from torch.distributed.checkpoint.api import CheckpointException
from torch.distributed.checkpoint.state_dict import get_state_dict, set_state_dict
from torch.distributed.checkpoint.state_dict_loader import load as load_tensors
from torch.distributed.checkpoint.state_dict_saver import save as save_tensors

from spanmix.config import RUN_FORMAT_VERSION
from spanmix.data.loader import LoaderState
from spanmix.errors import InputError, SpanmixError
from spanmix.files import read_versioned, whole_folder, write_json
from spanmix.train.checksums import CHECKSUMS, read_checksums, verify, write_checksums

_STATE = "state.json"
_Count = Annotated[int, Field(ge=0, lt=2**63)]


@dataclass(frozen=True)
class Progress:
    """How far a run is, in integers.

    Args:
        step: optimizer steps done.
        tokens: tokens that carried loss so far.
        loader: where the next row lies.
    """

    step: int
    tokens: int
    loader: LoaderState


class Checkpoints:
    """The checkpoints of one run.

    Args:
        folder: where they lie.
        keep: how many of the newest stay.
    """

    def __init__(self, folder: Path, keep: int) -> None:
        self.folder = folder
        self.keep = keep

    def newest(self) -> Path | None:
        """Return the newest checkpoint, if there is one."""
        found = self._all()
        return found[-1] if found else None

    def save(self, progress: Progress, model: nn.Module, optimizer: torch.optim.Optimizer) -> Path:
        """Write a checkpoint, then delete the oldest beyond `keep`.

        Raises:
            SpanmixError: it could not be written, as when the disk is full; the older ones stay.
        """
        path = self.folder / f"step-{progress.step}"
        with whole_folder(path) as aside:
            _write(aside, progress, model, optimizer)
        for old in self._all()[: -self.keep]:
            shutil.rmtree(old)
        return path

    def progress(self, path: Path) -> Progress:
        """Read how far a checkpoint was, without its tensors; raises `InputError` as `load` does."""
        with self._way_out(path):
            listed = _checksums(path)
            verify(path, {name: listed[name] for name in listed if name == _STATE})
            state = read_versioned(path / _STATE, _State, RUN_FORMAT_VERSION)
            return Progress(state.step, state.tokens, LoaderState.from_json(asdict(state.loader)))

    def load(self, path: Path, model: nn.Module, optimizer: torch.optim.Optimizer) -> Progress:
        """Load a checkpoint into model and optimizer, and return how far it was.

        Raises:
            InputError: a file is missing, or its checksum is not the one that was saved.
        """
        progress = self.progress(path)
        with self._way_out(path):
            verify(path, _checksums(path))
            _read_tensors(path, model, optimizer)
        return progress

    def _all(self) -> list[Path]:
        steps = {path: path.name.removeprefix("step-") for path in self.folder.glob("step-*")}
        whole = [path for path, step in steps.items() if step.isdecimal()]
        return sorted(whole, key=lambda path: int(steps[path]))

    @contextmanager
    def _way_out(self, path: Path) -> Iterator[None]:
        """Add to what is wrong with a checkpoint how the run can go on without it."""
        try:
            yield
        except InputError as error:
            others = [other.name for other in self._all() if other != path]
            start = others[-1] if others else "its first step"
            raise InputError(
                f"{error}. If this cannot be repaired, remove the folder {path}; the run then goes on "
                f"from {start}"
            ) from error


@dataclass(frozen=True)
class _Loader:
    fingerprint: str
    next_row: _Count
    window: _Count
    row_in_window: _Count
    positions: tuple[tuple[_Count, _Count, _Count], ...]
    stage: _Count = 0


@dataclass(frozen=True)
class _State:
    """What ``state.json`` holds; `files` are the checksums in checkpoints from before SHA256SUMS."""

    step: _Count
    tokens: _Count
    loader: _Loader
    files: dict[str, str] | None = None


def _checksums(path: Path) -> dict[str, str]:
    if not (path / CHECKSUMS).exists():
        earlier = read_versioned(path / _STATE, _State, RUN_FORMAT_VERSION).files
        if earlier is not None:
            return earlier
    return read_checksums(path)


def _write(folder: Path, progress: Progress, model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    model_state, optimizer_state = get_state_dict(model, optimizer)
    tensors = {"model": model_state, "optimizer": optimizer_state}
    with _unwrapped(SpanmixError(f"the checkpoint of step {progress.step} could not be written")):
        save_tensors(tensors, checkpoint_id=folder, no_dist=True)
    state = {
        "format_version": RUN_FORMAT_VERSION,
        "step": progress.step,
        "tokens": progress.tokens,
        "loader": progress.loader.to_json(),
    }
    write_json(folder / _STATE, state)
    write_checksums(folder)


def _read_tensors(path: Path, model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    model_state, optimizer_state = get_state_dict(model, optimizer)
    tensors: dict[str, Any] = {"model": model_state, "optimizer": optimizer_state}
    with _unwrapped(InputError(f"checkpoint {path} does not hold the tensors of this model")):
        load_tensors(tensors, checkpoint_id=path, no_dist=True)
    set_state_dict(model, optimizer, model_state_dict=tensors["model"], optim_state_dict=tensors["optimizer"])


@contextmanager
def _unwrapped(otherwise: SpanmixError) -> Iterator[None]:
    """Raise what the system or the user said inside PyTorch's checkpoint functions, or else `otherwise`.

    PyTorch raises a `CheckpointException`, which is no `Exception`, around what it was doing when, say,
    the disk was full.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # says that one process is enough, which is what we want
            yield
    except CheckpointException as failed:
        error: BaseException | None = next(iter(failed.failures.values()))[0]
        while error is not None:
            if isinstance(error, OSError | KeyboardInterrupt):
                raise error from None
            error = error.__context__
        raise otherwise from failed
