"""Lay a decoder out as CTranslate2 does, with tensors that are read, turned and rounded only when written.

CTranslate2's specification says which variables a model has and writes ``model.bin``. What it is given here
are not arrays but objects that it asks for their bytes, one after the other.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from spanmix.errors import InputError
from spanmix.interchange import codegen
from spanmix.interchange.parity import Progress
from spanmix.interchange.sources import Source, native_shapes
from spanmix.interchange.target import WRITING
from spanmix.model.architecture import Architecture
from spanmix.model.finite import first_not_finite
from spanmix.model.llama import neighbors_to_halves

_TYPES = {"float16": torch.float16, "bfloat16": torch.bfloat16, "float32": torch.float32}
_CHUNK_ROWS = 4096


class _Meter:
    """Tells a `Progress` of the bytes written."""

    def __init__(self, progress: Progress) -> None:
        self.num_bytes, self._done, self._progress = 0, 0, progress

    def __call__(self, num_bytes: int) -> None:
        self._done += num_bytes
        self._progress(WRITING, self._done, self.num_bytes)


class _Native:
    """The tensors of a native folder, read from a source of any layout."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self.shapes = native_shapes(source.shape)
        self._moves = {
            move.writes: move for move in codegen.moves(list(self.shapes), source.num_groups, None)
        }

    def read(self, names: Sequence[str]) -> list[Tensor]:
        """Return tensors by their native names; see `Source.make`."""
        found: dict[str, Tensor] = {}
        for writes, move in self._moves.items():
            if set(writes) & set(names):
                found |= self._source.make(move)
        return [found[name] for name in names]


@dataclass(frozen=True)
class Variable:
    """A tensor of the source in the type that it is to be stored in.

    Args:
        name: for errors.
        shape: of the tensor.
        read: reads it.
        type: what it is rounded to.
        written: is told of its bytes.
    """

    name: str
    shape: tuple[int, ...]
    read: Callable[[], Tensor]
    type: torch.dtype
    written: Callable[[int], None]

    @property
    def dtype(self) -> str:
        """Name of the type."""
        return str(self.type).removeprefix("torch.")

    def num_bytes(self) -> int:
        """Return the size of what `to_bytes` returns."""
        return int(np.prod(self.shape)) * self.type.itemsize

    def to_bytes(self) -> bytes:
        """Return its numbers.

        Raises:
            InputError: they are too large for the type.
        """
        rounded = self.read().to(self.type)
        if first_not_finite({self.name: rounded}):
            raise InputError(
                f"{self.name} holds numbers that {self.dtype} cannot; use bfloat16, int8_bfloat16 or float32"
            )
        self.written(self.num_bytes())
        return rounded.contiguous().view(torch.uint8).numpy().tobytes()


class Int8Variable:
    """A matrix in int8: each row times its scale, 127 over its largest number, rounded (arXiv 1609.08144).

    Args:
        shape: of the matrix.
        read: reads it.
        written: is told of its bytes.
    """

    dtype = "int8"

    def __init__(
        self, shape: tuple[int, ...], read: Callable[[], Tensor], written: Callable[[int], None]
    ) -> None:
        self.shape = shape
        self._written = written
        self.scales: list[NDArray[np.float32]] = []
        self._read = read

    def num_bytes(self) -> int:
        """Return the size of what `to_bytes` returns."""
        return self.shape[0] * self.shape[1]

    def to_bytes(self) -> bytes:
        """Return its rounded numbers, and keep the scales."""
        matrix_ED = self._read()
        parts, self.scales = [], []
        for start in range(0, self.shape[0], _CHUNK_ROWS):
            rows = matrix_ED[start : start + _CHUNK_ROWS].float().numpy()
            self.scales.append(_scale(rows))
            parts.append(np.rint(rows * self.scales[-1][:, None]).astype(np.int8).tobytes())
        self._written(self.num_bytes())
        return b"".join(parts)


class Scale:
    """The scales of an `Int8Variable`, which CTranslate2 writes behind it."""

    dtype = "float32"

    def __init__(self, of: Int8Variable) -> None:
        self.shape = of.shape[:1]
        self._of = of

    def num_bytes(self) -> int:
        """Return the size of what `to_bytes` returns."""
        return 4 * self.shape[0]

    def to_bytes(self) -> bytes:
        """Return the scale of each row."""
        assert self._of.scales, "variables are written in the order of their names"
        return np.concatenate(self._of.scales).tobytes()


def _scale(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    largest = np.abs(rows).max(axis=1)
    largest[largest == 0] = 127
    # Or the scale of a row of tiny numbers would be infinite.
    scale: NDArray[np.float32] = np.float32(127) / np.maximum(
        largest, np.float32(127) / np.finfo(np.float32).max
    )
    return scale


class Layout:
    """Fills a specification of CTranslate2 with the tensors of a source.

    Args:
        source: the checkpoint.
        quantization: one of the types of ``ctranslate2`` in `spanmix.interchange.layouts`. With ``int8``
            biases and norms stay what they are in the source.
        progress: is told of the bytes written.

    Raises:
        InputError: the source's weights are stored in several types, and ``int8`` does not say which.
    """

    def __init__(self, source: Source, quantization: str, progress: Progress) -> None:
        self._native = _Native(source)
        self._meter = _Meter(progress)
        self._shape = source.shape
        self._int8 = quantization.startswith("int8")
        self._others = source.dtype if quantization == "int8" else _TYPES[quantization.removeprefix("int8_")]

    def fill(self, spec: Any) -> None:
        """Set every variable of the decoder's specification."""
        decoder = spec.decoder
        decoder.scale_embeddings = False
        _FORMS[self._shape.form](self, decoder)

    def codegen(self, decoder: Any) -> None:
        """Set the variables of the form ``codegen``."""
        self._matrix(decoder.embeddings, "transformer.wte.weight")
        for number, layer in enumerate(decoder.layer):
            block = f"transformer.h.{number}"
            self._norm(layer.shared_layer_norm, f"{block}.ln_1")
            qkv, out = layer.self_attention.linear
            self._matrix(qkv, *(f"{block}.attn.{letter}_proj.weight" for letter in "qkv"))
            self._matrix(out, f"{block}.attn.out_proj.weight")
            self._linear(layer.ffn.linear_0, f"{block}.mlp.fc_in")
            self._linear(layer.ffn.linear_1, f"{block}.mlp.fc_out")
        self._norm(decoder.layer_norm, "transformer.ln_f")
        self._linear(decoder.projection, "lm_head")

    def llama(self, decoder: Any) -> None:
        """Set the variables of the form ``llama``."""
        self._matrix(decoder.embeddings, "model.embed_tokens.weight")
        for number, layer in enumerate(decoder.layer):
            block = f"model.layers.{number}"
            self._vector(layer.self_attention.layer_norm, "gamma", f"{block}.input_layernorm.weight")
            self._vector(layer.ffn.layer_norm, "gamma", f"{block}.post_attention_layernorm.weight")
            qkv, out = layer.self_attention.linear
            self._matrix(qkv, *(f"{block}.self_attn.{letter}_proj.weight" for letter in "qkv"))
            self._matrix(out, f"{block}.self_attn.o_proj.weight")
            self._matrix(layer.ffn.linear_0, f"{block}.mlp.gate_proj.weight")
            self._matrix(layer.ffn.linear_0_noact, f"{block}.mlp.up_proj.weight")
            self._matrix(layer.ffn.linear_1, f"{block}.mlp.down_proj.weight")
        self._vector(decoder.layer_norm, "gamma", "model.norm.weight")
        self._matrix(decoder.projection, "lm_head.weight")

    def _norm(self, spec: Any, name: str) -> None:
        self._vector(spec, "gamma", f"{name}.weight")
        self._vector(spec, "beta", f"{name}.bias")

    def _linear(self, spec: Any, name: str) -> None:
        self._matrix(spec, f"{name}.weight")
        self._vector(spec, "bias", f"{name}.bias")

    def _vector(self, spec: Any, field: str, name: str) -> None:
        shape = self._native.shapes[name]
        self._set(spec, field, name, shape, lambda: self._native.read([name])[0])

    def _matrix(self, spec: Any, *names: str) -> None:
        """Set the weight of a linear map or an embedding: one matrix, or queries, keys and values as one."""
        shapes = [self._native.shapes[name] for name in names]
        shape = (sum(rows for rows, _ in shapes), shapes[0][1])

        def read() -> Tensor:
            parts = self._native.read(names)
            if len(parts) == 1:
                return parts[0]
            q, k, v = parts
            return torch.cat([_turned(q, self._shape), _turned(k, self._shape), v])

        if self._int8:
            spec.weight = Int8Variable(shape, read, self._meter)
            spec.weight_scale = Scale(spec.weight)
            self._meter.num_bytes += spec.weight.num_bytes()
        else:
            self._set(spec, "weight", names[0], shape, read)

    def _set(
        self, spec: Any, field: str, name: str, shape: tuple[int, ...], read: Callable[[], Tensor]
    ) -> None:
        variable = Variable(name, shape, read, self._others, self._meter)
        self._meter.num_bytes += variable.num_bytes()
        setattr(spec, field, variable)


_FORMS: dict[str, Callable[[Layout, Any], None]] = {"codegen": Layout.codegen, "llama": Layout.llama}


def _turned(rows_ED: Tensor, shape: Architecture) -> Tensor:
    """Order the rows of each head as CTranslate2 rotates them: in halves, as Llama's are already."""
    if shape.form == "llama":
        return rows_ED
    heads_HCD = rows_ED.view(-1, shape.head_dim, rows_ED.shape[-1])
    rotated = heads_HCD[:, : shape.rotary_dim].reshape(-1, rows_ED.shape[-1])
    halves_HRD = neighbors_to_halves(rotated, shape.rotary_dim).view(-1, shape.rotary_dim, rows_ED.shape[-1])
    return torch.cat([halves_HRD, heads_HCD[:, shape.rotary_dim :]], dim=1).reshape(rows_ED.shape)
