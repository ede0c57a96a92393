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
        InputError: a file is missing, cut short, or of another kind; a pickle holds anything but tensors,
            which is never run; or two files hold a tensor of the same name.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.stored: dict[str, Stored] = {}
        for file in _files(path):
            _require_readable(file)
            found = _in_pickle(file) if file.suffix == ".bin" else _in_safetensors(file)
            if twice := sorted(found.keys() & self.stored.keys()):
                raise InputError(
                    f"{self.stored[twice[0]].file} and {file.name} both hold the tensor {twice[0]}"
                    f"{_and_others(len(twice) - 1)}, so which is meant is not known; the files are not of "
                    "one model: fetch the whole folder again"
                )
            self.stored |= found

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
            raise _unreadable(file, error) from error


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


def _require_readable(file: Path) -> None:
    """Say why a file cannot be opened; the library calls every reason a missing file."""
    try:
        file.open("rb").close()
    except OSError as error:
        raise InputError(f"{file} cannot be read: {error.strerror}") from None


def _in_safetensors(file: Path) -> dict[str, Stored]:
    found = {}
    try:
        with safe_open(file, framework="pt") as tensors:
            for name in tensors.keys():  # noqa: SIM118 - not a dictionary
                part = tensors.get_slice(name)
                found[name] = Stored(file, tuple(part.get_shape()), _TYPES.get(part.get_dtype()))
    except (OSError, SafetensorError) as error:
        raise _unreadable(file, error) from error
    return found


def _unreadable(file: Path, error: Exception) -> InputError:
    return InputError(
        f"{file} cannot be read as safetensors ({error}): it was cut short or damaged, so fetch it again"
    )


def _and_others(number: int) -> str:
    return f" (and {number} others)" if number else ""


def _in_pickle(file: Path) -> dict[str, Stored]:
    _require_whole_zip(file)
    tensors = _open_pickle(file)
    return {name: Stored(file, tuple(tensor.shape), _type_of(tensor)) for name, tensor in tensors.items()}


def _require_whole_zip(file: Path) -> None:
    """PyTorch writes its numbers as they are, and takes them so from a file that somebody packed again."""
    try:
        with zipfile.ZipFile(file) as archive:
            packed = [entry for entry in archive.infolist() if entry.compress_type != zipfile.ZIP_STORED]
    except (zipfile.BadZipFile, NotImplementedError, UnicodeDecodeError) as error:
        raise InputError(
            f"{file} was cut short, or is a plain pickle from before PyTorch 1.6, which can hold code and is "
            "not opened; fetch it again, or take the model's safetensors files"
        ) from error
    if packed:
        raise InputError(
            f"{file} was compressed by another program than PyTorch, so its numbers cannot be read in place; "
            "take the file as it was published, or save it again with torch.save"
        )


def _type_of(tensor: Tensor) -> torch.dtype | None:
    """Return the type of a tensor; None if its numbers do not lie in the file one after the other."""
    plain = tensor.layout == torch.strided and tensor.device.type == "cpu" and not tensor.is_quantized
    return tensor.dtype if plain and tensor.dtype in WEIGHT_TYPES else None


def _open_pickle(file: Path) -> dict[str, Tensor]:
    """Map a file of ``torch.save`` into memory; its numbers are read when they are used."""
    try:
        found = torch.load(file, map_location="cpu", weights_only=True, mmap=True)
    except pickle.UnpicklingError as error:
        raise InputError(
            f"{file} holds more than tensors, such as code that would run when it is opened, so it is not "
            "opened; take the model's safetensors files, or its weights from whoever made them"
        ) from error
    except Exception as error:  # the library raises RuntimeError, EOFError, ValueError and others
        reason = str(error).strip().split("\n")[0] or type(error).__name__
        raise InputError(
            f"{file} cannot be read as weights ({reason}): it was cut short or damaged, so fetch it again"
        ) from error
    tensors = found if isinstance(found, dict) else {}
    named = all(isinstance(name, str) and isinstance(tensor, Tensor) for name, tensor in tensors.items())
    if not tensors or not named:
        raise InputError(
            f"{file} holds no dictionary of tensors by their names; name the folder of a whole model"
        )
    return tensors
