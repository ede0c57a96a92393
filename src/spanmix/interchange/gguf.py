"""Export a model as one GGUF file for llama.cpp, tensor by tensor, and check that it still computes the same.

Nothing of the model is in memory but the matrix that is being written. The file appears when its logits have
been compared with the original's, and not before.
"""

from __future__ import annotations

import fcntl
import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from spanmix.errors import InputError, SpanmixError
from spanmix.files import flush, follow, full_disk_named
from spanmix.interchange import codegen
from spanmix.interchange.gguf_packing import Packing, packing_of
from spanmix.interchange.gguf_weights import ARCHITECTURES, gguf_name, turned, zero_biases
from spanmix.interchange.sources import Source, native_shapes, open_source
from spanmix.model.finite import first_not_finite

if TYPE_CHECKING:
    import gguf

SUFFIX = ".gguf"


def export_gguf(source_folder: Path, dest: Path, kind: str) -> list[str]:
    """Write a GGUF file.

    Args:
        source_folder: a model folder in any layout that `spanmix.interchange.sources` opens.
        dest: the file, ``NAME.gguf``; a GGUF file that is there is replaced.
        kind: ``f32``, ``f16``, ``bf16`` or ``q8_0``. llama.cpp's own ``llama-quantize`` makes smaller ones of
            an f32, f16 or bf16 file.

    Returns:
        Sentences on what was put right, what should be looked at, and how well the two agree.

    Raises:
        InputError: the source or `dest` cannot be used, there is no such kind or it cannot hold the weights,
            or ``gguf`` is not installed.
        SpanmixError: what was written does not compute what the source computes, or the disk is full. What
            was at `dest` is still there then.
    """
    packing = packing_of(kind)
    from spanmix.interchange.gguf_check import compare

    dest = _require_place(dest)
    source = open_source(str(source_folder))
    for width in (source.shape.dim, source.shape.hidden_dim):
        packing.require_width(width)
    with _whole_file(dest) as file:
        sentences = _write(source, file, packing, source_folder.name)
        agreement = compare(source, file, packing)
        if failures := agreement.failures(kind):
            raise SpanmixError(
                f"{dest} is not written, because it would not be the same model as {source.path}: "
                f"{'; '.join(failures)}"
            )
    return [*source.corrections, *source.warnings, *sentences, agreement.sentence(kind)]


def _require_place(dest: Path) -> Path:
    """Return `dest`, links followed."""
    if dest.suffix != SUFFIX:
        raise InputError(f"{dest} does not end in {SUFFIX}; a GGUF is one file, name it NAME{SUFFIX}")
    real = follow(dest)
    if real.is_dir():
        raise InputError(f"{dest} is a folder; a GGUF is one file, name another place")
    if real.is_file() and real.stat().st_size and not _begins_as_gguf(real):
        raise InputError(f"{dest} is there and is not a GGUF file; name another place")
    return real


def _begins_as_gguf(file: Path) -> bool:
    with file.open("rb") as stream:
        return stream.read(4) == b"GGUF"


@contextmanager
def _whole_file(path: Path) -> Iterator[Path]:
    """Give a file aside to write; when the block ends without an error, put it in the place of `path`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.spanmix-partial")
    with full_disk_named(path), aside.open("ab") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InputError(
                f"{path} is being written by another process; wait for it, or choose another file"
            ) from None
        try:
            yield aside
            flush(aside)
            aside.replace(path)
            flush(path.parent)
        finally:
            aside.unlink(missing_ok=True)


def _write(source: Source, file: Path, packing: Packing, name: str) -> list[str]:
    """Write the file; return what its user must know."""
    import gguf

    from spanmix.interchange.gguf_metadata import add_metadata

    logging.getLogger("gguf.gguf_writer").setLevel(logging.WARNING)
    shape = source.shape
    writer = gguf.GGUFWriter(file, ARCHITECTURES[shape.form])
    try:
        sentences = add_metadata(writer, source, name, packing.file_type)
        if packing.kind == "q8_0":
            writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
        announced = _announce(writer, source, packing)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_ti_data_to_file()
        _take_room(writer, announced, file)
        for written, tensor in _tensors(source):
            packing.require_held(written, tensor)
            array = packing.pack(tensor)
            assert array.nbytes == announced[written], written
            writer.write_tensor_data(array)
    finally:
        writer.close()
    return sentences


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
        read = {name: source.tensors.read(name) for name in move.reads}
        if bad := first_not_finite(read):
            raise InputError(
                f"{source.path}: the tensor {bad} holds NaN or infinite numbers, so the model is of no use"
            )
        for native, tensor in zip(move.writes, move.change(list(read.values())), strict=True):
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
