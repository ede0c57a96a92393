"""Save and load everything a run needs to go on, bit for bit: weights, optimizer, place in the data.

A checkpoint is a folder ``step-N``, written by PyTorch's distributed checkpoint, which is whole or
absent. It is for the machine that wrote it: its checksums are verified before anything is read, and it
is not a format to take from strangers (the model folder is).

    __0_0.distcp  .metadata    the tensors
    state.json                 the numbers
    SHA256SUMS                 the checksums of all three
"""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed.checkpoint.api import CheckpointException
from torch.distributed.checkpoint.filesystem import FileSystemReader
from torch.distributed.checkpoint.metadata import TensorStorageMetadata
from torch.distributed.checkpoint.state_dict import StateDictOptions, get_state_dict, set_state_dict
from torch.distributed.checkpoint.state_dict_loader import load as load_tensors
from torch.distributed.checkpoint.state_dict_saver import save as save_tensors

from spanmix.errors import InputError, SpanmixError
from spanmix.files import whole_folder
from spanmix.train.checksums import CHECKSUMS, read_checksums, verify, write_checksums
from spanmix.train.progress import STATE, Progress, read_progress, write_progress
from spanmix.train.ranks import Layout, Ranks

State = dict[str, Any]
"""What `training_state` returns."""
Optimizers = Sequence[torch.optim.Optimizer]
"""Those of a model: each updates parameters of its own."""
# An optimizer's groups differ with the number of processes; its state is kept by the parameters' names.
_BY_NAME = StateDictOptions(flatten_optimizer_state_dict=True)
_WEIGHTS = "model."
_INDEX = ".metadata"
_DAMAGED = "damaged-"
_LEFTOVERS = ".step-*.spanmix-partial"
"""What a process that was killed while it saved or deleted has left; see `spanmix.files.whole_folder`."""


@dataclass(frozen=True)
class Whole:
    """A checkpoint that passed its checks.

    Args:
        path: its folder.
        progress: how far the run was.
        set_aside: a paragraph for each newer one that did not pass.
    """

    path: Path
    progress: Progress
    set_aside: tuple[str, ...]


class Checkpoints:
    """The checkpoints of one run.

    Args:
        folder: where they lie.
        keep: how many of the newest stay.
        keep_every_steps: those whose step is a multiple of it stay too; 0 keeps none.
        ranks: the processes of the run. All save and load together; the first one alone looks after folders.
            With `Ranks.apart` they may save in a thread while another speaks to other processes too.
    """

    def __init__(
        self, folder: Path, keep: int, keep_every_steps: int = 0, ranks: Ranks | None = None
    ) -> None:
        self.folder = folder
        self._ranks = ranks or Ranks(Layout())
        self.keep = keep
        self.keep_every_steps = keep_every_steps

    def paths(self) -> list[Path]:
        """Return all checkpoints, the newest last, unchecked."""
        return sorted((path for path in self.folder.glob("step-*") if _step(path) >= 0), key=_step)

    def newest(self) -> Path | None:
        """Return the newest checkpoint, if there is one, unchecked."""
        found = self.paths()
        return found[-1] if found else None

    def newest_whole(self) -> Whole | None:
        """Return the newest checkpoint whose every file is as it was saved, if the run has saved any.

        Newer ones that are damaged are set aside as ``damaged-step-N``, and never loaded.

        Raises:
            InputError: all of them are damaged, and then nothing was moved; or this one is of another
                format version.
        """
        return self._ranks.from_first(self._newest_whole)

    def _newest_whole(self) -> Whole | None:
        for leftover in self.folder.glob(_LEFTOVERS):
            shutil.rmtree(leftover)
        damaged: list[tuple[Path, str]] = []
        for path in reversed(self.paths()):
            try:
                verify(path, _checksums(path))
            except (InputError, OSError) as error:
                damaged.append((path, str(error)))
                continue
            progress = read_progress(path)
            return Whole(path, progress, tuple(_set_aside(*found, path) for found in damaged))
        earlier = [(path, "set aside before") for path in sorted(self.folder.glob(f"{_DAMAGED}*"))]
        if damaged or earlier:
            listed = "; ".join(f"{path}: {why}" for path, why in damaged + earlier)
            raise InputError(
                f"no checkpoint of this run is whole, so it cannot go on. {listed}. Restore one of them from "
                f"a copy, as step-N; or remove the folder {self.folder}, and the run begins again at its "
                "first step"
            )
        return None

    def save(self, progress: Progress, state: State) -> Path:
        """Write a checkpoint, then delete the oldest beyond `keep`.

        Args:
            progress: how far the run is.
            state: see `training_state`; it must not change meanwhile.

        Raises:
            SpanmixError: it could not be written, as when the disk is full; the older ones stay.
        """
        path = self.folder / f"step-{progress.step}"
        with ExitStack() as stack:
            aside = Path(self._ranks.from_first(lambda: str(stack.enter_context(whole_folder(path)))))
            _write_tensors(aside, progress.step, state, self._ranks)
            self._ranks.from_first(lambda: _write_rest(aside, progress))
            self._ranks.from_first(lambda: stack.pop_all().close())
        self._ranks.from_first(self._delete_old)
        return path

    def _delete_old(self) -> None:
        for old in self.paths()[: -self.keep]:
            if not self.keep_every_steps or _step(old) % self.keep_every_steps:
                _delete(old)

    def progress(self, path: Path) -> Progress:
        """Read how far a checkpoint was; raises `InputError` if the file that says so is not as saved."""
        verify(path, {name: known for name, known in _checksums(path).items() if name == STATE})
        return read_progress(path)

    def load(self, path: Path, model: nn.Module, optimizers: Optimizers) -> Progress:
        """Load a checkpoint into model and optimizers, and return how far it was.

        Raises:
            InputError: a file is missing, its checksum is not the one that was saved, or the tensors are
                those of another model.
        """
        progress = read_whole(path)
        read_tensors(path, model, optimizers, alone=self._ranks.mesh is None)
        return progress


def _step(path: Path) -> int:
    """The step in a checkpoint's name; -1 if it has none."""
    step = path.name.removeprefix("step-")
    return int(step) if step.isdecimal() else -1


def _delete(path: Path) -> None:
    """Delete a checkpoint; what is called step-N is whole at any moment."""
    aside = path.with_name(f".{path.name}.spanmix-partial")
    path.rename(aside)
    shutil.rmtree(aside)


def _set_aside(path: Path, why: str, loaded: Path) -> str:
    """Give a damaged checkpoint a name under which it is never loaded, and say so."""
    aside = path.with_name(f"{_DAMAGED}{path.name}")
    number = 1
    while aside.exists():
        number += 1
        aside = path.with_name(f"{_DAMAGED}{path.name}-{number}")
    path.rename(aside)
    return (
        f"the checkpoint {path} is damaged and was not loaded ({why}). It is kept as {aside.name}; the run "
        f"goes on from {loaded.name}, which is whole, and makes the steps behind it again"
    )


def _checksums(path: Path) -> dict[str, str]:
    listed = read_checksums(path)
    ours = {STATE, _INDEX, *(file.name for file in path.glob("*.distcp"))}
    if unlisted := sorted(ours - listed.keys()):
        raise InputError(f"{path / CHECKSUMS} is damaged: it does not list {unlisted[0]}")
    return listed


def _write_tensors(folder: Path, step: int, state: State, ranks: Ranks) -> None:
    with _unwrapped(SpanmixError(f"the checkpoint of step {step} could not be written")):
        alone = ranks.mesh is None
        save_tensors(state, checkpoint_id=folder, no_dist=alone, process_group=ranks.group)


def _write_rest(folder: Path, progress: Progress) -> None:
    write_progress(folder, progress)
    write_checksums(folder)


def read_whole(path: Path) -> Progress:
    """Check every file of a checkpoint, and return how far it was.

    Raises:
        InputError: a file is missing, or its checksum is not the one that was saved; or it is of another
            format version.
    """
    verify(path, _checksums(path))
    return read_progress(path)


def read_tensors(path: Path, model: nn.Module, optimizers: Optimizers, alone: bool = True) -> None:
    """Load what a checkpoint that was checked holds, however it was and is spread over processes.

    Args:
        path: the checkpoint.
        model, optimizers: take it in.
        alone: whether this is the only process of the run.

    Raises:
        InputError: it is of another model.
    """
    tensors = training_state(model, optimizers)
    with _unwrapped(InputError(f"checkpoint {path} does not hold the tensors of this model")):
        load_tensors(tensors, checkpoint_id=path, no_dist=alone)
    set_state_dict(
        model,
        optimizers,
        model_state_dict=tensors["model"],
        optim_state_dict=tensors["optimizer"],
        options=_BY_NAME,
    )


def read_model(path: Path) -> dict[str, Tensor]:
    """Return the weights that a checkpoint that was checked holds, each whole, however they were spread.

    They have the names of the decoder's own, additions of LoRA included. The optimizer's state is not read.
    """
    stored = FileSystemReader(path).read_metadata().state_dict_metadata
    weights = {
        name.removeprefix(_WEIGHTS): torch.empty(tensor.size, dtype=tensor.properties.dtype)
        for name, tensor in stored.items()
        if name.startswith(_WEIGHTS) and isinstance(tensor, TensorStorageMetadata)
    }
    with _unwrapped(InputError(f"checkpoint {path} cannot be read")):
        load_tensors({"model": weights}, checkpoint_id=path, no_dist=True)
    return weights


def training_state(model: nn.Module, optimizers: Optimizers) -> State:
    """Return what a checkpoint holds of model and optimizers: their own tensors, by name, not copied."""
    model_state, optimizer_state = get_state_dict(model, optimizers, options=_BY_NAME)
    return {"model": model_state, "optimizer": optimizer_state}


@contextmanager
def _unwrapped(otherwise: SpanmixError) -> Iterator[None]:
    """Raise what the system or the user said inside PyTorch's checkpoint functions, or else `otherwise`.

    PyTorch raises a `CheckpointException`, which is no `Exception`, around what it was doing when, say,
    the disk was full.
    """
    # It warns that one process is enough, which is what we want. `catch_warnings` is not for threads.
    warnings.filterwarnings("ignore", message=r"torch\.distributed is disabled")
    try:
        yield
    except CheckpointException as failed:
        error: BaseException | None = next(iter(failed.failures.values()))[0]
        while error is not None:
            if isinstance(error, OSError | KeyboardInterrupt):
                raise error from None
            error = error.__context__
        raise otherwise from failed
