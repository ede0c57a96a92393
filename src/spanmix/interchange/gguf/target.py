"""Write a model as one GGUF file for llama.cpp, tensor by tensor."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import torch
from torch import Tensor

from spanmix.interchange import codegen
from spanmix.interchange.gguf.packing import Packing, packing_of
from spanmix.interchange.gguf.place import require_place, whole_file
from spanmix.interchange.gguf.weights import ARCHITECTURES, gguf_name, turned, zero_biases
from spanmix.interchange.layouts import LAYOUTS
from spanmix.interchange.parity import Progress, Sides
from spanmix.interchange.sources import Source, native_shapes
from spanmix.interchange.target import WRITING, Options, Written

if TYPE_CHECKING:
    import gguf


class GGUFTarget:
    """See `spanmix.interchange.target.Target`.

    llama.cpp's own ``llama-quantize`` makes smaller files of one in ``f32``, ``f16`` or ``bf16``.
    """

    is_file: ClassVar[bool] = True

    def __init__(self, source: Source, options: Options) -> None:
        self._source, self._name = source, options.name
        self.stored_as = options.stored_as or LAYOUTS["gguf"][0]
        self._packing = packing_of(self.stored_as)
        for width in (source.shape.dim, source.shape.hidden_dim):
            self._packing.require_width(width)

    @staticmethod
    def require_place(dest: Path) -> None:
        """Raise `InputError` if `dest` is no place for a GGUF file."""
        require_place(dest)

    @staticmethod
    def whole(dest: Path) -> AbstractContextManager[Path]:
        """Give a file aside; see `spanmix.interchange.gguf.place`."""
        return whole_file(dest)

    def write(self, place: Path, progress: Progress) -> Written:
        """Write the file."""
        import gguf

        from spanmix.interchange.gguf.metadata import add_metadata

        source, packing = self._source, self._packing
        logging.getLogger("gguf.gguf_writer").setLevel(logging.WARNING)
        writer = gguf.GGUFWriter(place, ARCHITECTURES[source.shape.form])
        try:
            sentences = add_metadata(writer, source, self._name, packing.file_type)
            if self.stored_as == "q8_0":
                writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
            announced = _announce(writer, source, packing)
            writer.write_header_to_file()
            writer.write_kv_data_to_file()
            writer.write_ti_data_to_file()
            _take_room(writer, announced, place)
            done, num_bytes = 0, sum(announced.values())
            for name, tensor in _tensors(source):
                progress(WRITING, done, num_bytes)
                packing.require_held(name, tensor)
                array = packing.pack(tensor)
                assert array.nbytes == announced[name], name
                writer.write_tensor_data(array)
                done += array.nbytes
            progress(WRITING, done, num_bytes)
        finally:
            writer.close()
        return Written(place.stat().st_size, tuple(sentences))

    def sides(self, place: Path) -> Sides:
        """Return the models to compare; the file's by llama.cpp's own graph."""
        from spanmix.interchange.gguf.forward import gguf_forward

        is_exact = self.stored_as == "f32"
        return Sides(
            original=self._source.forward(),
            rounded=None if is_exact else self._source.forward(self._packing.rounded),
            converted=gguf_forward(place),
            eight_bits=self.stored_as == "q8_0",
        )


def _announce(writer: gguf.GGUFWriter, source: Source, packing: Packing) -> dict[str, int]:
    """Tell the writer of every tensor, in the order that they will come in; return the bytes of each."""
    announced = {}
    for name, shape in _plan(source).items():
        announced[name] = packing.num_bytes(shape)
        stored = packing.type if len(shape) == 2 else packing.vector_type
        writer.add_tensor_info(name, shape, np.dtype(np.float32), announced[name], raw_dtype=stored)
    return announced


def _plan(source: Source) -> dict[str, tuple[int, ...]]:
    """Return name and shape of every tensor, in the order of `_tensors`."""
    shapes = native_shapes(source.shape)
    order = [name for move in codegen.moves(shapes, source.num_groups, None) for name in move.writes]
    learned = {gguf_name(name, source.shape.form): shapes[name] for name in order}
    return learned | zero_biases(source.shape)


def _tensors(source: Source) -> Iterator[tuple[str, Tensor]]:
    """Yield every tensor as llama.cpp has it, float32."""
    shape = source.shape
    for move in codegen.moves(native_shapes(shape), source.num_groups, None):
        for native, tensor in source.make(move).items():
            name = gguf_name(native, shape.form)
            yield name, turned(name, tensor, shape).float()
    for name, size in zero_biases(shape).items():
        yield name, torch.zeros(size)


def _take_room(writer: gguf.GGUFWriter, announced: Mapping[str, int], file: Path) -> None:
    """Let a full disk show at once."""
    assert writer.fout is not None, "the header is written"
    padded = sum(writer.ggml_pad(size, writer.data_alignment) for size in announced.values())
    start = writer.ggml_pad(writer.fout[0].tell(), writer.data_alignment)
    try:
        os.posix_fallocate(writer.fout[0].fileno(), 0, start + padded)
    except OSError as error:
        error.filename = str(file)
        raise
