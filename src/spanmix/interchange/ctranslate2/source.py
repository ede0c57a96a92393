"""Read a folder that CTranslate2 runs, such as michaelfeil's ct2fast-codegen2-*, as a checkpoint again.

A decoder of the form ``codegen`` has one matrix [3 D, D] of queries, keys and values in this order. The rows
of each head that are rotated together are not neighbors as in GPT-J, but lie half the rotated channels
apart. The folder does not say how long a context may be.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from spanmix.errors import InputError
from spanmix.files import read_json
from spanmix.generate.ctranslate2_file import FileVariable, read_header
from spanmix.generate.ctranslate2_folder import CONTEXT_TOKENS, MODEL_FILE
from spanmix.interchange.forward import CodeGenForward
from spanmix.interchange.tensors import Stored
from spanmix.model.architecture import Architecture

_QKV = "self_attention/linear_0/weight"
_NAMES = {
    "attn.out_proj.weight": "self_attention/linear_1/weight",
    "ln_1.weight": "shared_layer_norm/gamma",
    "ln_1.bias": "shared_layer_norm/beta",
    "mlp.fc_in.weight": "ffn/linear_0/weight",
    "mlp.fc_in.bias": "ffn/linear_0/bias",
    "mlp.fc_out.weight": "ffn/linear_1/weight",
    "mlp.fc_out.bias": "ffn/linear_1/bias",
}
_OUTER = {
    "transformer.wte.weight": "decoder/embeddings/weight",
    "transformer.ln_f.weight": "decoder/layer_norm/gamma",
    "transformer.ln_f.bias": "decoder/layer_norm/beta",
    "lm_head.weight": "decoder/projection/weight",
    "lm_head.bias": "decoder/projection/bias",
}


@dataclass(frozen=True)
class _Config:
    layer_norm_epsilon: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    n_positions: Annotated[int, Field(ge=1, lt=2**31)] | None = None


class CTranslate2Tensors:
    """The tensors of ``model.bin``, by GPT-J's names.

    Args:
        path: the folder.

    Raises:
        InputError: the file is missing or cut short, or is no decoder of the form ``codegen``.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = path / MODEL_FILE
        self._variables = read_header(self._file)
        if (
            _of_layer(0, _QKV) not in self._variables
            or _of_layer(0, "shared_layer_norm/gamma") not in self._variables
        ):
            raise InputError(
                f"{self._file} is no CodeGen; of CTranslate2's models convert reads CodeGen only"
            )
        if any(variable.dtype in (torch.int8, torch.int16) for variable in self._matrices()):
            raise InputError(
                f"{self._file} holds weights rounded to integers, from which the model does not come back; "
                "take the float16 or float32 folder"
            )
        self._require_whole()
        self.stored: Mapping[str, Stored] = self._as_gptj()

    @property
    def corrections(self) -> list[str]:
        """A sentence on what the folder does not say."""
        if read_json(self.path / "config.json", _Config).n_positions is not None:
            return []
        return [
            f"the folder does not say how long a context may be; it is given CodeGen's, {CONTEXT_TOKENS:,}"
        ]

    @property
    def shape(self) -> Architecture:
        """The decoder's shape.

        Raises:
            InputError: the numbers do not fit together.
        """
        config = read_json(self.path / "config.json", _Config)
        vocab_size, dim = self._variables["decoder/embeddings/weight"].shape
        return Architecture(
            num_layers=self._num_layers,
            dim=dim,
            num_heads=self._scalar("decoder/num_heads"),
            rotary_dim=self._scalar(_of_layer(0, "self_attention/rotary_dim")),
            context_tokens=config.n_positions or CONTEXT_TOKENS,
            vocab_size=vocab_size,
            layer_norm_epsilon=config.layer_norm_epsilon or 1e-5,
        )

    def read(self, name: str) -> Tensor:
        """Return a tensor by its GPT-J name."""
        stem, _, kind = name.removesuffix("_proj.weight").rpartition(".")
        if kind not in ("q", "k", "v"):
            return self.read_variable(_variable_of(name))
        part = self.read_variable(_of_layer(int(stem.split(".")[2]), _QKV)).chunk(3)["qkv".index(kind)]
        return part if kind == "v" else self._neighbors(part)

    def read_variable(self, name: str) -> Tensor:
        """Return a tensor by CTranslate2's own name, as it is stored."""
        variable = self._variables[name]
        numbers = np.fromfile(self._file, np.uint8, variable.num_bytes, offset=variable.start)
        return torch.from_numpy(numbers).view(variable.dtype).reshape(variable.shape)

    def _neighbors(self, rows_ED: Tensor) -> Tensor:
        """Put rows that are rotated together side by side."""
        shape = self.shape
        heads_HCD = rows_ED.view(shape.num_heads, shape.head_dim, -1)
        halves, kept = heads_HCD[:, : shape.rotary_dim], heads_HCD[:, shape.rotary_dim :]
        pairs = halves.reshape(shape.num_heads, 2, shape.rotary_dim // 2, -1).transpose(1, 2)
        return torch.cat((pairs.flatten(1, 2), kept), dim=1).reshape(rows_ED.shape)

    def _require_whole(self) -> None:
        """Raise `InputError` if a layer is left out, or a variable that is cut here has another form."""
        for layer in range(self._num_layers):
            found = self._variables.get(_of_layer(layer, _QKV))
            if found is None or len(found.shape) != 2 or found.shape[0] % 3:
                shape = "is missing" if found is None else f"has shape {list(found.shape)}"
                raise InputError(f"{self._file}: {_of_layer(layer, _QKV)} {shape}; it is no whole CodeGen")
        embeddings = self._variables.get(_OUTER["transformer.wte.weight"])
        if embeddings is None or len(embeddings.shape) != 2:
            raise InputError(f"{self._file} has no matrix of embeddings; it is no whole CodeGen")

    def _as_gptj(self) -> dict[str, Stored]:
        names = [*_OUTER]
        for layer in range(self._num_layers):
            names += [f"transformer.h.{layer}.{name}" for name in _NAMES]
        found = {name: self._variables.get(_variable_of(name)) for name in names}
        stored = {n: Stored(self._file, v.shape, v.dtype) for n, v in found.items() if v is not None}
        for layer in range(self._num_layers):
            qkv = self._variables[_of_layer(layer, _QKV)]
            part = Stored(self._file, (qkv.shape[0] // 3, *qkv.shape[1:]), qkv.dtype)
            stored |= {f"transformer.h.{layer}.attn.{letter}_proj.weight": part for letter in "qkv"}
        return stored

    @property
    def _num_layers(self) -> int:
        return sum(name.endswith(f"/{_QKV}") for name in self._variables)

    def _matrices(self) -> list[FileVariable]:
        return [variable for name, variable in self._variables.items() if name.endswith("/weight")]

    def _scalar(self, name: str) -> int:
        if name not in self._variables or math.prod(self._variables[name].shape) != 1:
            raise InputError(
                f"{self._file} has no number {name}; it is no CodeGen, or of a version not known here"
            )
        return int(self.read_variable(name).item())


class CTranslate2Forward(CodeGenForward):
    """The forward pass as CTranslate2 computes it: fused queries, keys and values, rotated in halves."""

    _tensors: CTranslate2Tensors

    def _attention(self, name: str, h_BTD: Tensor) -> Tensor:
        layer = int(name.split(".")[2])
        fused = self._rounded(self._tensors.read_variable(_of_layer(layer, _QKV)))
        q, k, v = (self._heads(part) for part in torch.nn.functional.linear(h_BTD, fused).chunk(3, dim=-1))
        return self._attend(name, q, k, v)

    def _rotate(self, x_BTHC: Tensor) -> Tensor:
        rotary_dim = self._shape.rotary_dim
        angles = self._angles(x_BTHC.shape[1]).repeat(1, 2)[:, None]
        turned, kept = x_BTHC[..., :rotary_dim], x_BTHC[..., rotary_dim:]
        first, second = turned.chunk(2, dim=-1)
        halves = torch.cat((-second, first), dim=-1)
        return torch.cat((turned * angles.cos() + halves * angles.sin(), kept), dim=-1)


def _of_layer(layer: int, name: str) -> str:
    return f"decoder/layer_{layer}/{name}"


def _variable_of(name: str) -> str:
    if name in _OUTER:
        return _OUTER[name]
    _, _, layer, part = name.split(".", 3)
    return _of_layer(int(layer), _NAMES[part])
