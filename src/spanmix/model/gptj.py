"""Translate a decoder of the form ``codegen`` to GPT-J and back: its tensors, and its ``config.json``.

It is mathematically GPT-J. Ours differs in one thing: queries, keys and values are one
matrix ``qkv_proj`` of [3 D, D], rows grouped by head, which is cut in three on the way out and joined on
the way in.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import torch
from pydantic import Field
from torch import Tensor

from spanmix.model.architecture import Architecture
from spanmix.model.blocks import by_head, by_kind

ARCHITECTURE = "GPTJForCausalLM"
QKV = "qkv_proj.weight"
_Size = Annotated[int, Field(ge=1, lt=2**31)]


@dataclass(frozen=True)
class Config:
    """The fields of a GPT-J ``config.json`` that decide what is computed; some have one value only."""

    n_layer: _Size
    n_embd: _Size
    n_head: _Size
    rotary_dim: _Size
    n_positions: _Size
    vocab_size: _Size
    layer_norm_epsilon: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 1e-5
    n_inner: _Size | None = None
    activation_function: Literal["gelu_new"] = "gelu_new"
    tie_word_embeddings: Literal[False] = False


def shape_of(config: Config) -> Architecture:
    """Return the decoder's shape.

    Raises:
        InputError: a field has a value that the decoder does not have.
    """
    return Architecture(
        num_layers=config.n_layer,
        dim=config.n_embd,
        num_heads=config.n_head,
        rotary_dim=config.rotary_dim,
        context_tokens=config.n_positions,
        vocab_size=config.vocab_size,
        layer_norm_epsilon=config.layer_norm_epsilon,
        hidden_dim=config.n_inner or 0,
    )


def shape_json(shape: Architecture) -> dict[str, Any]:
    """Return the fields of ``config.json`` that are GPT-J's own."""
    return {
        "architectures": [ARCHITECTURE],
        "model_type": "gptj",
        "activation_function": "gelu_new",
        "tie_word_embeddings": False,
        "n_inner": None if shape.hidden_dim == 4 * shape.dim else shape.hidden_dim,
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
    }


def to_native(name: str, tensor: Tensor, architecture: Architecture) -> Iterator[tuple[str, Tensor]]:
    """Yield what a tensor of the decoder is in GPT-J: itself, or `qkv_proj` [3 D, D] cut in three.

    >>> shape = Architecture(1, 2, 1, 2, 8, 5)
    >>> parts = to_native("h.0.attn.qkv_proj.weight", torch.arange(12.0).view(6, 2), shape)
    >>> [(name, tuple(tensor.shape)) for name, tensor in parts]  # doctest: +NORMALIZE_WHITESPACE
    [('transformer.h.0.attn.q_proj.weight', (2, 2)), ('transformer.h.0.attn.k_proj.weight', (2, 2)),
     ('transformer.h.0.attn.v_proj.weight', (2, 2))]
    >>> [name for name, _ in to_native("head.bias", torch.zeros(5), shape)]
    ['lm_head.bias']
    """
    parts = by_kind(tensor, architecture.head_dim).chunk(3) if name.endswith(QKV) else (tensor,)
    yield from zip(_names(name), parts, strict=True)


def from_native(name: str, read: Callable[[str], Tensor], architecture: Architecture) -> Tensor:
    """Return a tensor of the decoder, made of GPT-J's; undoes `to_native`.

    Args:
        name: of the decoder's tensor.
        read: gives a tensor of GPT-J by its name.
        architecture: the decoder's shape.
    """
    parts = [read(native) for native in _names(name)]
    return by_head(torch.cat(parts), architecture.head_dim) if name.endswith(QKV) else parts[0]


def _names(name: str) -> list[str]:
    if name.startswith("head."):
        return [f"lm_{name}"]
    if name.endswith(QKV):
        return [f"transformer.{name.removesuffix(QKV)}{letter}_proj.weight" for letter in "qkv"]
    return [f"transformer.{name}"]
