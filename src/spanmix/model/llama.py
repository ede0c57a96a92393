"""Translate a decoder of the form ``llama`` to transformers' and back: its tensors, and its ``config.json``.

Ours differs in two things. Queries, keys and values are one matrix ``qkv_proj`` of [3 D, D], rows grouped by
head. And rotary positions turn neighbors, channels 2i and 2i + 1, where Llama turns i and i + C / 2 of a
head's C; so the rows of queries and keys are in another order in each head. Both are exact.

transformers' weights are in that order already: it permuted Meta's, whose rotation is ours.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import torch
from pydantic import Field
from torch import Tensor

from spanmix.errors import InputError
from spanmix.model.architecture import Architecture
from spanmix.model.blocks import by_head, by_kind

ARCHITECTURE = "LlamaForCausalLM"
QKV = "qkv_proj.weight"
_ROPE_BASE = 10000.0
_Size = Annotated[int, Field(ge=1, lt=2**31)]

_BLOCK_NAMES = {
    "ln_1": "input_layernorm",
    "ln_2": "post_attention_layernorm",
    "attn.out_proj": "self_attn.o_proj",
    "mlp.fc_gate": "mlp.gate_proj",
    "mlp.fc_in": "mlp.up_proj",
    "mlp.fc_out": "mlp.down_proj",
}
_OUTER_NAMES = {
    "wte.weight": "model.embed_tokens.weight",
    "ln_f.weight": "model.norm.weight",
    "head.weight": "lm_head.weight",
}


@dataclass(frozen=True)
class _Rope:
    """Rotary positions, as transformers 5 (``rope_parameters``) and 4 (``rope_scaling``) describe them."""

    rope_theta: float = _ROPE_BASE
    rope_type: str = "default"
    type: str = "default"


@dataclass(frozen=True)
class Config:
    """The fields of a Llama ``config.json`` that decide what is computed; some have one value only."""

    num_hidden_layers: _Size
    hidden_size: _Size
    intermediate_size: _Size
    num_attention_heads: _Size
    vocab_size: _Size
    max_position_embeddings: _Size = 2048
    rms_norm_eps: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 1e-6
    num_key_value_heads: int | None = None
    head_dim: int | None = None
    rope_theta: float = _ROPE_BASE
    rope_scaling: _Rope | None = None
    rope_parameters: _Rope | None = None
    hidden_act: Literal["silu"] = "silu"
    attention_bias: Literal[False] = False
    mlp_bias: Literal[False] = False
    tie_word_embeddings: Literal[False] = False


def shape_of(config: Config) -> Architecture:
    """Return the decoder's shape.

    Raises:
        InputError: a field has a value that the decoder does not have.
    """
    heads = config.num_attention_heads
    _require_own_keys(config)
    _require_plain_rope(config)
    if config.head_dim not in (None, config.hidden_size // heads):
        raise InputError(
            f"head_dim is {config.head_dim}; the decoder has hidden_size / num_attention_heads, "
            f"{config.hidden_size} / {heads}"
        )
    return Architecture(
        num_layers=config.num_hidden_layers,
        dim=config.hidden_size,
        num_heads=heads,
        rotary_dim=config.hidden_size // heads,
        context_tokens=config.max_position_embeddings,
        vocab_size=config.vocab_size,
        layer_norm_epsilon=config.rms_norm_eps,
        form="llama",
        hidden_dim=config.intermediate_size,
    )


def _require_own_keys(config: Config) -> None:
    if config.num_key_value_heads not in (None, config.num_attention_heads):
        raise InputError(
            f"num_key_value_heads is {config.num_key_value_heads} and num_attention_heads "
            f"{config.num_attention_heads}; in this decoder each head has keys and values of its own, so "
            "models with grouped queries cannot be opened"
        )


def _require_plain_rope(config: Config) -> None:
    ropes = [rope for rope in (config.rope_scaling, config.rope_parameters) if rope is not None]
    for kind in (kind for rope in ropes for kind in (rope.rope_type, rope.type) if kind != "default"):
        raise InputError(f"rotary positions are of the type {kind!r}; the decoder has plain ones only")
    for base in (base for base in (config.rope_theta, *(r.rope_theta for r in ropes)) if base != _ROPE_BASE):
        raise InputError(f"rope_theta is {base:g}; the decoder has {_ROPE_BASE:g} only")


def shape_json(shape: Architecture) -> dict[str, Any]:
    """Return the fields of ``config.json`` that are Llama's own."""
    return {
        "architectures": [ARCHITECTURE],
        "model_type": "llama",
        "hidden_act": "silu",
        "tie_word_embeddings": False,
        "attention_bias": False,
        "mlp_bias": False,
        "vocab_size": shape.vocab_size,
        "max_position_embeddings": shape.context_tokens,
        "hidden_size": shape.dim,
        "intermediate_size": shape.hidden_dim,
        "num_hidden_layers": shape.num_layers,
        "num_attention_heads": shape.num_heads,
        "num_key_value_heads": shape.num_heads,
        "head_dim": shape.head_dim,
        "rms_norm_eps": shape.layer_norm_epsilon,
        "rope_theta": _ROPE_BASE,
        "rope_scaling": None,
        "initializer_range": 0.02,
        "attention_dropout": 0.0,
    }


def to_native(name: str, tensor: Tensor, architecture: Architecture) -> Iterator[tuple[str, Tensor]]:
    """Yield what a tensor of the decoder is in Llama: itself, or `qkv_proj` [3 D, D] cut in three.

    >>> shape = Architecture(1, 4, 1, 4, 8, 5, form="llama", hidden_dim=8)
    >>> rows = torch.arange(12.0)[:, None].expand(12, 4)
    >>> for name, part in to_native("h.0.attn.qkv_proj.weight", rows, shape):
    ...     print(name, part[:, 0].tolist())
    model.layers.0.self_attn.q_proj.weight [0.0, 2.0, 1.0, 3.0]
    model.layers.0.self_attn.k_proj.weight [4.0, 6.0, 5.0, 7.0]
    model.layers.0.self_attn.v_proj.weight [8.0, 9.0, 10.0, 11.0]
    """
    parts = [tensor]
    if name.endswith(QKV):
        q, k, v = by_kind(tensor, architecture.head_dim).chunk(3)
        parts = [*(neighbors_to_halves(rows, architecture.head_dim) for rows in (q, k)), v]
    yield from zip(_names(name), parts, strict=True)


def from_native(name: str, read: Callable[[str], Tensor], architecture: Architecture) -> Tensor:
    """Return a tensor of the decoder, made of Llama's; undoes `to_native`.

    Args:
        name: of the decoder's tensor.
        read: gives a tensor of Llama by its name.
        architecture: the decoder's shape.
    """
    parts = [read(native) for native in _names(name)]
    if not name.endswith(QKV):
        return parts[0]
    q, k, v = parts
    turned = (halves_to_neighbors(rows, architecture.head_dim) for rows in (q, k))
    return by_head(torch.cat([*turned, v]), architecture.head_dim)


def halves_to_neighbors(rows_ED: Tensor, head_dim: int) -> Tensor:
    """Put rows i and i + C / 2 of each head, which Llama rotates together, side by side.

    >>> halves_to_neighbors(torch.arange(4)[:, None], head_dim=4)[:, 0].tolist()
    [0, 2, 1, 3]
    """
    halves = rows_ED.view(-1, 2, head_dim // 2, rows_ED.shape[-1])
    return halves.transpose(1, 2).reshape(rows_ED.shape)


def neighbors_to_halves(rows_ED: Tensor, head_dim: int) -> Tensor:
    """Undo `halves_to_neighbors`."""
    neighbors = rows_ED.view(-1, head_dim // 2, 2, rows_ED.shape[-1])
    return neighbors.transpose(1, 2).reshape(rows_ED.shape)


def _names(name: str) -> list[str]:
    if name in _OUTER_NAMES:
        return [_OUTER_NAMES[name]]
    _, layer, rest = name.split(".", 2)
    if rest.endswith(QKV):
        return [f"model.layers.{layer}.self_attn.{letter}_proj.weight" for letter in "qkv"]
    return [f"model.layers.{layer}.{_BLOCK_NAMES[rest.removesuffix('.weight')]}.weight"]
