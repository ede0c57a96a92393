"""Translate a decoder to GPT-J and back: the names of its tensors, and ``config.json``.

The CodeGen decoder is mathematically GPT-J. Ours differs in one thing: queries, keys and values are one
matrix ``qkv_proj`` of [3 D, D], rows grouped by head, which is cut in three on the way out and joined on
the way in.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
from pydantic import Field
from torch import Tensor

from spanmix.config import MODEL_FOLDER_VERSION
from spanmix.errors import InputError
from spanmix.files import read_json
from spanmix.model.architecture import Architecture
from spanmix.model.decoder import by_head, by_kind
from spanmix.text.tokenizer import Tokenizer

_ARCHITECTURE = "GPTJForCausalLM"
_Size = Annotated[int, Field(ge=1, lt=2**31)]


@dataclass(frozen=True)
class _Format:
    format_version: int = MODEL_FOLDER_VERSION


@dataclass(frozen=True)
class _Family:
    """What says whether the rest of a ``config.json`` is for us."""

    architectures: tuple[str, ...] | None = None
    spanmix: _Format = _Format()


@dataclass(frozen=True)
class _Config:
    """The fields of a GPT-J ``config.json`` that decide what is computed; some have one value only."""

    n_layer: _Size
    n_embd: _Size
    n_head: _Size
    rotary_dim: _Size
    n_positions: _Size
    vocab_size: _Size
    layer_norm_epsilon: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 1e-5
    n_inner: int | None = None
    activation_function: Literal["gelu_new"] = "gelu_new"
    tie_word_embeddings: Literal[False] = False


def read_config(file: Path) -> Architecture:
    """Read the shape of the decoder from a ``config.json``.

    Raises:
        InputError: it is missing or broken, of another format version, or of a form that we do not have.
    """
    family = read_json(file, _Family)
    if family.spanmix.format_version != MODEL_FOLDER_VERSION:
        raise InputError(
            f"{file} has model folder version {family.spanmix.format_version}; this Spanmix reads version "
            f"{MODEL_FOLDER_VERSION}"
        )
    named = (family.architectures or ("none",))[0]
    if named != _ARCHITECTURE:
        raise InputError(
            f"{file} names the architecture {named}; this version of Spanmix opens {_ARCHITECTURE} only"
        )
    config = read_json(file, _Config)
    if config.n_inner not in (None, 4 * config.n_embd):
        raise InputError(f"{file} has n_inner {config.n_inner}; the decoder has only {4 * config.n_embd}")
    try:
        return Architecture(
            num_layers=config.n_layer,
            dim=config.n_embd,
            num_heads=config.n_head,
            rotary_dim=config.rotary_dim,
            context_tokens=config.n_positions,
            vocab_size=config.vocab_size,
            layer_norm_epsilon=config.layer_norm_epsilon,
        )
    except InputError as error:
        raise InputError(f"{file}: {error}") from error


def config_json(shape: Architecture, tokenizer: Tokenizer, dtype: str) -> dict[str, Any]:
    """Return the content of ``config.json``."""
    return {
        "architectures": [_ARCHITECTURE],
        "model_type": "gptj",
        "activation_function": "gelu_new",
        "tie_word_embeddings": False,
        "n_inner": None,
        "vocab_size": shape.vocab_size,
        "n_positions": shape.context_tokens,
        "n_ctx": shape.context_tokens,
        "n_embd": shape.dim,
        "n_layer": shape.num_layers,
        "n_head": shape.num_heads,
        "rotary_dim": shape.rotary_dim,
        "layer_norm_epsilon": shape.layer_norm_epsilon,
        "initializer_range": 0.02,
        "attn_pdrop": 0.0,
        "embd_pdrop": 0.0,
        "resid_pdrop": 0.0,
        "scale_attn_weights": True,
        "use_cache": True,
        "bos_token_id": tokenizer.control.eot,
        "eos_token_id": tokenizer.control.eot,
        "pad_token_id": tokenizer.control.pad,
        # transformers 4 reads torch_dtype, transformers 5 dtype.
        "torch_dtype": dtype,
        "dtype": dtype,
        "spanmix": {"format_version": MODEL_FOLDER_VERSION},
    }


def to_gptj(state: Mapping[str, Tensor], architecture: Architecture) -> dict[str, Tensor]:
    """Rename a decoder's tensors to GPT-J's, and cut `qkv_proj` [3 D, D] into three of [D, D].

    >>> state = {"h.0.attn.qkv_proj.weight": torch.arange(12.0).view(6, 2), "head.bias": torch.zeros(5)}
    >>> renamed = to_gptj(state, Architecture(1, 2, 1, 2, 8, 5))
    >>> [(name, tuple(tensor.shape)) for name, tensor in renamed.items()]  # doctest: +NORMALIZE_WHITESPACE
    [('transformer.h.0.attn.q_proj.weight', (2, 2)), ('transformer.h.0.attn.k_proj.weight', (2, 2)),
     ('transformer.h.0.attn.v_proj.weight', (2, 2)), ('lm_head.bias', (5,))]
    """
    renamed: dict[str, Tensor] = {}
    for name, tensor in state.items():
        if name.startswith("head."):
            renamed[f"lm_{name}"] = tensor
        elif name.endswith("qkv_proj.weight"):
            for letter, part in zip("qkv", by_kind(tensor, architecture.head_dim).chunk(3), strict=True):
                renamed["transformer." + name.replace("qkv_proj", f"{letter}_proj")] = part
        else:
            renamed[f"transformer.{name}"] = tensor
    return renamed


def from_gptj(state: Mapping[str, Tensor], architecture: Architecture) -> dict[str, Tensor]:
    """Undo `to_gptj`: give GPT-J's tensors the decoder's names, and join queries, keys and values."""
    ours = {name.removeprefix("transformer.").removeprefix("lm_"): tensor for name, tensor in state.items()}
    for layer in range(architecture.num_layers):
        parts = [ours.pop(f"h.{layer}.attn.{letter}_proj.weight") for letter in "qkv"]
        ours[f"h.{layer}.attn.qkv_proj.weight"] = by_head(torch.cat(parts), architecture.head_dim)
    return ours
