"""Store named tensors as safetensors files, in shards with an index where they are large."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from spanmix.errors import InputError, SpanmixError
from spanmix.files import read_json, write_json
from spanmix.model.finite import first_not_finite

WEIGHT_TYPES = {torch.float32: "float32", torch.bfloat16: "bfloat16", torch.float16: "float16"}
WEIGHTS = "model.safetensors"
_LEAST_BYTES = 2
"""Of one weight, in any type that we read."""


def write_weights(folder: Path, state: Mapping[str, Tensor], max_shard_bytes: int) -> None:
    """Write the tensors into a folder, a new file wherever `max_shard_bytes` would be passed."""
    shards = shard_files({name: tensor.nbytes for name, tensor in state.items()}, max_shard_bytes)
    for file_name, names in shards.items():
        write_file(folder / file_name, {name: state[name] for name in names})
    write_index(folder, shards, sum(tensor.nbytes for tensor in state.values()))


def shard_files(sizes: Mapping[str, int], max_shard_bytes: int) -> dict[str, list[str]]:
    """Return the files of tensors of so many bytes, with the names of those in each.

    >>> shard_files({"a": 6, "b": 3, "c": 2}, max_shard_bytes=9)
    {'model-00001-of-00002.safetensors': ['a', 'b'], 'model-00002-of-00002.safetensors': ['c']}
    >>> shard_files({"a": 6, "b": 3}, max_shard_bytes=9)
    {'model.safetensors': ['a', 'b']}
    """
    shards: list[list[str]] = [[]]
    filled = 0
    for name, size in sizes.items():
        if shards[-1] and filled + size > max_shard_bytes:
            shards.append([])
            filled = 0
        shards[-1].append(name)
        filled += size
    if len(shards) == 1:
        return {WEIGHTS: shards[0]}
    return {f"model-{i + 1:05}-of-{len(shards):05}.safetensors": names for i, names in enumerate(shards)}


def write_index(folder: Path, shards: Mapping[str, list[str]], num_bytes: int) -> None:
    """Write which of several files each tensor is in; one file needs no index."""
    if len(shards) > 1:
        weight_map = {name: file for file, names in shards.items() for name in names}
        index = {"metadata": {"total_size": num_bytes}, "weight_map": weight_map}
        write_json(folder / f"{WEIGHTS}.index.json", index)


def require_enough_bytes(path: Path, num_parameters: int) -> None:
    """Raise `InputError` if a folder's weights cannot hold so many parameters.

    To be asked before a decoder is built: a damaged ``config.json`` may name ten million layers.
    """
    held = sum(file.stat().st_size for file in weight_files(path))
    if held < _LEAST_BYTES * num_parameters:
        raise InputError(
            f"{path / 'config.json'} asks for {num_parameters:,} parameters, but the weights beside it are "
            f"{held:,} bytes; the two are not of one model, or the weights were cut short"
        )


def weights_checksum(path: Path) -> str:
    """Return SHA-256, in hex, of a folder's weights.

    That is the checksum of the one file; of several it is that of what ``sha256sum`` prints for them.

    Raises:
        InputError: a file is missing or cannot be read.
    """
    digests = []
    for file in weight_files(path):
        try:
            with file.open("rb") as stream:
                digests.append((hashlib.file_digest(stream, "sha256").hexdigest(), file.name))
        except OSError as error:
            raise InputError(f"{file} cannot be read: {error.strerror}") from None
    if len(digests) == 1:
        return digests[0][0]
    return hashlib.sha256("".join(f"{digest}  {name}\n" for digest, name in digests).encode()).hexdigest()


def read_weights(path: Path, expected: Mapping[str, tuple[int, ...]]) -> dict[str, Tensor]:
    """Read the tensors of a folder.

    Args:
        path: the folder.
        expected: name and shape of every tensor to read; others are passed over.

    Raises:
        InputError: a file or a tensor is missing or broken, or has another shape or type, or the numbers
            are not finite.
    """
    state: dict[str, Tensor] = {}
    for file in weight_files(path):
        try:
            state |= _read_shard(file, expected)
        except (OSError, SafetensorError) as error:
            raise InputError(f"{file} cannot be read as safetensors: {error}") from error
    missing = sorted(expected.keys() - state.keys())
    if missing:
        raise InputError(f"{path}: {len(missing)} tensors are missing from the weights, first {missing[0]}")
    types = sorted({WEIGHT_TYPES[tensor.dtype] for tensor in state.values()})
    if len(types) > 1:
        raise InputError(f"{path}: the weights are stored as {' and '.join(types)}; use one type for all")
    if bad := first_not_finite(state):
        raise InputError(
            f"{path}: the tensor {bad} holds NaN or infinite numbers, so the model is of no use; train it "
            "again with a lower learning rate, or take a copy from before"
        )
    return state


def write_file(file: Path, tensors: Mapping[str, Tensor]) -> None:
    """Write tensors into one file, which whoever may read the user's other files may read too.

    Raises:
        OSError, SpanmixError: it could not be written.
    """
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    file.touch()
    mode = file.stat().st_mode  # the library makes another in its place, for its owner alone
    try:
        save_file(tensors, file, metadata={"format": "pt"})
        file.chmod(mode)
    except SafetensorError as error:
        # The library tells what the system said in its text alone: "… (os error 28)".
        if found := re.search(r"os error (\d+)", str(error)):
            code = int(found[1])
            raise OSError(code, os.strerror(code), str(file)) from error
        raise SpanmixError(f"{file} could not be written: {error}") from error


def _read_shard(file: Path, expected: Mapping[str, tuple[int, ...]]) -> dict[str, Tensor]:
    shard: dict[str, Tensor] = {}
    with safe_open(file, framework="pt") as tensors:
        for name in sorted(set(tensors.keys()) & expected.keys()):
            found = tuple(tensors.get_slice(name).get_shape())
            if found != expected[name]:
                raise InputError(
                    f"{file}: the tensor {name} has shape {list(found)}, but config.json "
                    f"asks for {list(expected[name])}"
                )
            shard[name] = tensors.get_tensor(name)
            if (dtype := shard[name].dtype) not in WEIGHT_TYPES:
                raise InputError(
                    f"{file}: the tensor {name} is stored as {str(dtype).removeprefix('torch.')}; "
                    f"convert the weights to one of {', '.join(WEIGHT_TYPES.values())}"
                )
    return shard


@dataclass(frozen=True)
class _Index:
    weight_map: dict[str, str]


def weight_files(path: Path, single: str = WEIGHTS) -> list[Path]:
    """Return the files that hold a folder's weights: `single`, or those that its index names.

    Raises:
        InputError: there is neither, or a file that the index names is missing.
    """
    index = f"{single}.index.json"
    if (path / single).is_file():
        return [path / single]
    if not (path / index).is_file():
        raise InputError(f"{path} has neither {single} nor {index}; it is not a whole model folder")
    names = sorted(set(read_json(path / index, _Index).weight_map.values()))
    for name in names:
        # The index comes from whoever made the folder: a name may not lead out of it.
        if Path(name).name != name:
            raise InputError(f"{path / index} names the file {name!r}, which is not in the folder")
        if not (path / name).is_file():
            raise InputError(f"{path / name} is missing; {index} names it")
    return [path / name for name in names]
