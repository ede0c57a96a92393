"""Write safetensors files whose tensors arrive one at a time, in any order.

What the files will hold is known beforehand, so they are laid out first: a full disk shows before any work
is done. They are the same bytes as those of `spanmix.model.weights.write_weights`.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from spanmix.model.weights import shard_files, write_index

_CODES = {torch.float32: "F32", torch.bfloat16: "BF16", torch.float16: "F16"}
_ALIGNMENT = 8


class ShardWriter:
    """Files of named tensors, all of one type.

    Args:
        folder: where the files are made.
        shapes: every tensor that will be written, in the order that decides which file it is in.
        dtype: float32, bfloat16 or float16.
        max_shard_bytes: a new file is begun wherever this would be passed.

    Raises:
        OSError: there is no room.
    """

    def __init__(
        self, folder: Path, shapes: Mapping[str, tuple[int, ...]], dtype: torch.dtype, max_shard_bytes: int
    ) -> None:
        self._shapes, self._dtype = dict(shapes), dtype
        sizes = {name: math.prod(shape) * dtype.itemsize for name, shape in shapes.items()}
        shards = shard_files(sizes, max_shard_bytes)
        self._places: dict[str, tuple[Path, int]] = {}
        self._left = set(shapes)
        self.num_bytes = sum(sizes.values())
        for file_name, names in shards.items():
            self._lay_out(folder / file_name, sorted(names), sizes)
        write_index(folder, shards, self.num_bytes)

    def write(self, name: str, tensor: Tensor) -> None:
        """Write a tensor, which is given in the type and shape that were announced."""
        assert name in self._left, f"{name} was not announced, or is written twice"
        assert tensor.dtype == self._dtype and tuple(tensor.shape) == self._shapes[name], name
        file, start = self._places[name]
        with file.open("r+b") as stream:
            stream.seek(start)
            stream.write(tensor.contiguous().view(-1).view(torch.uint8).numpy().data)
        self._left.remove(name)

    def close(self) -> None:
        """Make sure that nothing was forgotten."""
        assert not self._left, f"never written: {sorted(self._left)}"

    def _lay_out(self, file: Path, names: list[str], sizes: Mapping[str, int]) -> None:
        """Write the header and take the room; the library sorts tensors of one type by name."""
        entries: dict[str, object] = {"__metadata__": {"format": "pt"}}
        end = 0
        for name in names:
            offsets = [end, end := end + sizes[name]]
            entries[name] = {
                "dtype": _CODES[self._dtype],
                "shape": list(self._shapes[name]),
                "data_offsets": offsets,
            }
        header = json.dumps(entries, separators=(",", ":"), ensure_ascii=False).encode()
        header += b" " * (-len(header) % _ALIGNMENT)
        data = 8 + len(header)
        for name in names:
            start, _ = entries[name]["data_offsets"]  # type: ignore[index]
            self._places[name] = (file, data + start)
        with file.open("wb") as stream:
            stream.write(len(header).to_bytes(8, "little") + header)
            stream.flush()
            _take_room(stream.fileno(), data + end, file)


def _take_room(handle: int, num_bytes: int, file: Path) -> None:
    try:
        os.posix_fallocate(handle, 0, num_bytes)
    except OSError as error:
        error.filename = str(file)
        raise
