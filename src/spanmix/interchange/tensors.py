"""Read the tensors of anyone's checkpoint one at a time, whatever files they are in.

Names, shapes and types are known before a single number is read, and what `read` returns is backed by the
file: it takes memory only while it is held, and the system may take that back.
"""

from __future__ import annotations

import pickle
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from spanmix.errors import InputError
from spanmix.model.weights import WEIGHT_TYPES, WEIGHTS, weight_files

PICKLED = "pytorch_model.bin"
_TYPES = {"F32": torch.float32, "BF16": torch.bfloat16, "F16": torch.float16}


@dataclass(frozen=True)
class Stored:
    """A tensor in a file: its shape, and its type, None if that is not one of `WEIGHT_TYPES`."""

    file: Path
    shape: tuple[int, ...]
    dtype: torch.dtype | None


class Tensors(Protocol):
    """Named tensors that are read one at a time."""

    @property
    def path(self) -> Path:
        """Where they are."""
        ...

    @property
    def stored(self) -> Mapping[str, Stored]:
        """What there is, by name."""
        ...

    def read(self, name: str) -> Tensor:
        """Return a tensor; raises `InputError` if it cannot be read."""
        ...


class TensorFolder:
    """The tensors of a folder: ``model.safetensors``, else ``pytorch_model.bin``, each single or in shards.

    Raises:
        InputError: a file is missing, cut short, or of another kind; or a pickle holds anything but tensors,
            which is never run.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.stored: dict[str, Stored] = {}
        for file in _files(path):
            self.stored |= _in_pickle(file) if file.suffix == ".bin" else _in_safetensors(file)

    def read(self, name: str) -> Tensor:
        """Return a tensor; raises `InputError` if it cannot be read."""
        file = self.stored[name].file
        if file.suffix == ".bin":
            tensor: Tensor = _open_pickle(file)[name]
            return tensor.detach()
        try:
            with safe_open(file, framework="pt") as tensors:
                stored: Tensor = tensors.get_tensor(name)
                return stored
        except (OSError, SafetensorError) as error:
            raise InputError(f"{file} cannot be read as safetensors: {error}") from error


def require_tensors(tensors: Tensors, shapes: Mapping[str, tuple[int, ...]]) -> list[str]:
    """Check that all of `shapes` are there, in types that can be used.

    Returns:
        What is stored besides.

    Raises:
        InputError: one is missing, or has another shape or type.
    """
    missing = sorted(shapes.keys() - tensors.stored.keys())
    if missing:
        raise InputError(
            f"{tensors.path}: {len(missing)} tensors are missing from the weights, first {missing[0]}; a "
            "file was lost, or config.json is that of another model"
        )
    for name, shape in shapes.items():
        found = tensors.stored[name]
        if found.shape != shape:
            raise InputError(
                f"{found.file}: the tensor {name} has shape {list(found.shape)}, but config.json asks for "
                f"{list(shape)}"
            )
        if found.dtype is None:
            raise InputError(
                f"{found.file}: the tensor {name} is stored in a type that cannot be converted; store the "
                f"weights as one of {', '.join(WEIGHT_TYPES.values())}"
            )
    return sorted(tensors.stored.keys() - shapes.keys())


def common_type(tensors: Tensors, names: Iterable[str]) -> torch.dtype:
    """Return the type that all of these are stored in.

    Raises:
        InputError: there are several.
    """
    types = {tensors.stored[name].dtype for name in names}
    if len(types) > 1:
        named = " and ".join(sorted(WEIGHT_TYPES[dtype] for dtype in types if dtype))
        raise InputError(f"{tensors.path}: the weights are stored as {named}; name the type to write")
    (dtype,) = types
    assert dtype is not None, "require_tensors was asked first"
    return dtype


def _files(path: Path) -> list[Path]:
    kinds = (WEIGHTS, PICKLED)
    for single in kinds:
        if (path / single).is_file() or (path / f"{single}.index.json").is_file():
            return weight_files(path, single)
    raise InputError(
        f"{path} has no weights: neither {' nor '.join(kinds)}, nor the index of several such files"
    )


def _in_safetensors(file: Path) -> dict[str, Stored]:
    found = {}
    try:
        with safe_open(file, framework="pt") as tensors:
            for name in tensors.keys():  # noqa: SIM118 - not a dictionary
                part = tensors.get_slice(name)
                found[name] = Stored(file, tuple(part.get_shape()), _TYPES.get(part.get_dtype()))
    except (OSError, SafetensorError) as error:
        raise InputError(f"{file} cannot be read as safetensors: {error}") from error
    return found


def _in_pickle(file: Path) -> dict[str, Stored]:
    return {
        name: Stored(file, tuple(tensor.shape), tensor.dtype if tensor.dtype in WEIGHT_TYPES else None)
        for name, tensor in _open_pickle(file).items()
    }


def _open_pickle(file: Path) -> dict[str, Tensor]:
    """Map a file of ``torch.save`` into memory; its numbers are read when they are used."""
    if not zipfile.is_zipfile(file):
        raise InputError(
            f"{file} was cut short, or is a plain pickle from before PyTorch 1.6, which can hold code and is "
            "not opened; fetch it again, or take the model's safetensors files"
        )
    try:
        found = torch.load(file, map_location="cpu", weights_only=True, mmap=True)
    except pickle.UnpicklingError as error:
        raise InputError(
            f"{file} holds more than tensors, such as code that would run when it is opened, so it is not "
            "opened; take the model's safetensors files, or its weights from whoever made them"
        ) from error
    except Exception as error:  # the library raises RuntimeError, EOFError, ValueError and others
        reason = str(error).strip().split("\n")[0] or type(error).__name__
        raise InputError(f"{file} cannot be read as weights: {reason}") from error
    tensors = found if isinstance(found, dict) else {}
    if not tensors or not all(isinstance(tensor, Tensor) for tensor in tensors.values()):
        raise InputError(f"{file} holds no dictionary of tensors; name the folder of a whole model")
    return tensors
