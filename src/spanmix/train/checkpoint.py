"""Save and load everything a run needs to go on, bit for bit: weights, optimizer, place in the data.

A checkpoint is a folder ``step-N``, written by PyTorch's distributed checkpoint, which is whole or
absent. It is for the machine that wrote it: its checksums are verified before anything is read, and it
is not a format to take from strangers (the model folder is).
"""

from __future__ import annotations

import hashlib
import json
import shutil
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.distributed.checkpoint.state_dict import get_state_dict, set_state_dict
from torch.distributed.checkpoint.state_dict_loader import load as load_tensors
from torch.distributed.checkpoint.state_dict_saver import save as save_tensors

from spanmix.config import RUN_FORMAT_VERSION
from spanmix.data.loader import LoaderState
from spanmix.errors import InputError
from spanmix.files import whole_folder, write_json

_STATE = "state.json"


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
        """Write a checkpoint, then delete the oldest beyond `keep`."""
        path = self.folder / f"step-{progress.step}"
        with whole_folder(path) as aside:
            _write(aside, progress, model, optimizer)
        for old in self._all()[: -self.keep]:
            shutil.rmtree(old)
        return path

    def load(self, path: Path, model: nn.Module, optimizer: torch.optim.Optimizer) -> Progress:
        """Load a checkpoint into model and optimizer, and return how far it was.

        Raises:
            InputError: a file is missing, or its checksum is not the one that was saved.
        """
        state = read_state(path)
        for name, expected in state["files"].items():
            if _checksum(path / name) != expected:
                raise InputError(
                    f"checkpoint {path}: {name} is damaged (its checksum differs from the saved one); "
                    "delete this checkpoint folder to go on from the one before"
                )
        model_state, optimizer_state = get_state_dict(model, optimizer)
        tensors: dict[str, Any] = {"model": model_state, "optimizer": optimizer_state}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # says that one process is enough, which is what we want
            load_tensors(tensors, checkpoint_id=path, no_dist=True)
        set_state_dict(
            model, optimizer, model_state_dict=tensors["model"], optim_state_dict=tensors["optimizer"]
        )
        return Progress(state["step"], state["tokens"], LoaderState.from_json(state["loader"]))

    def _all(self) -> list[Path]:
        steps = {path: path.name.removeprefix("step-") for path in self.folder.glob("step-*")}
        whole = [path for path, step in steps.items() if step.isdigit()]
        return sorted(whole, key=lambda path: int(steps[path]))


def read_state(path: Path) -> dict[str, Any]:
    """Read the integers of a checkpoint, without its tensors."""
    try:
        state: dict[str, Any] = json.loads((path / _STATE).read_text())
    except (OSError, json.JSONDecodeError):
        raise InputError(f"checkpoint {path}: {_STATE} is missing or not JSON; delete this folder") from None
    if state["format_version"] != RUN_FORMAT_VERSION:
        raise InputError(
            f"checkpoint {path} has format version {state['format_version']}, this program reads "
            f"{RUN_FORMAT_VERSION}; use the version of spanmix that wrote it"
        )
    return state


def _write(folder: Path, progress: Progress, model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    model_state, optimizer_state = get_state_dict(model, optimizer)
    tensors = {"model": model_state, "optimizer": optimizer_state}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        save_tensors(tensors, checkpoint_id=folder, no_dist=True)
    files = {path.name: _checksum(path) for path in sorted(folder.iterdir())}
    state = {
        "format_version": RUN_FORMAT_VERSION,
        "step": progress.step,
        "tokens": progress.tokens,
        "loader": progress.loader.to_json(),
        "files": files,
    }
    write_json(folder / _STATE, state)


def _checksum(path: Path) -> str:
    if not path.is_file():
        raise InputError(f"checkpoint {path.parent}: {path.name} is missing; delete this checkpoint folder")
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
