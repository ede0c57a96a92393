"""CodeGen's own layout: its tensors, its ``config.json``, and the grouping of its queries, keys and values.

A checkpoint of CodeGen or CodeGen2 keeps them in one matrix ``qkv_proj`` of [3 D, D]. Its rows lie in
`num_groups` groups, one for each core that the model was trained on, and inside a group come the queries of
its heads, then their *values*, then their keys:

    [ Q V K of heads 0 .. H/G-1 | Q V K of the next H/G heads | ... ]

Nothing in the matrix says what `num_groups` is, and a wrong number gives a model that runs and answers
nonsense. All other tensors are GPT-J's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field
from torch import Tensor, cat

from spanmix.errors import InputError
from spanmix.files import read_json
from spanmix.model import gptj
from spanmix.model.architecture import Architecture

ARCHITECTURE = "CodeGenForCausalLM"
GROUPS_TRANSFORMERS = 4
"""All that transformers' own class reads; that of CodeGen, and of CodeGen2's 7B and 16B."""

GROUPS_EIGHT = 8
"""CodeGen2's 1B and 3.7B. The ``config.json`` of these has a field ``head_dim``, and no other has."""


_CTRANSLATE2_HEAD_DIMS = (128, 256)


@dataclass(frozen=True)
class Marks:
    """What Spanmix adds to its section of a config in this layout."""

    qkv_groups: Annotated[int, Field(ge=1, lt=2**31)] | None = None


@dataclass(frozen=True)
class CodeGenConfig(gptj.Config):
    """The fields of a ``config.json`` that decide what is computed: GPT-J's, and those about groups."""

    head_dim: int | None = None
    spanmix: Marks = Marks()


def read_config(file: Path) -> tuple[Architecture, CodeGenConfig]:
    """Read the shape of the decoder from a ``config.json`` of this layout.

    Raises:
        InputError: it is missing or broken, or of a form that we do not have.
    """
    config = read_json(file, CodeGenConfig)
    try:
        shape = gptj.shape_of(config)
    except InputError as error:
        raise InputError(f"{file}: {error}") from error
    if config.head_dim not in (None, shape.head_dim):
        raise InputError(
            f"{file} has head_dim {config.head_dim}, but n_embd / n_head is {shape.head_dim}; one of the "
            "three is wrong"
        )
    return shape, config


def config_json(native: Mapping[str, Any], shape: Architecture, num_groups: int) -> dict[str, Any]:
    """Return the content of ``config.json`` for this layout, from that of a native folder.

    ``head_dim`` is what CTranslate2's converter and FauxPilot know eight groups by.
    """
    config = {**native, "architectures": [ARCHITECTURE], "model_type": "codegen"}
    config["spanmix"] = {**native["spanmix"], "qkv_groups": num_groups}
    if num_groups == GROUPS_EIGHT:
        config["head_dim"] = shape.head_dim
    return config


def traps(shape: Architecture, num_groups: int) -> list[str]:
    """Return what someone who opens a folder of this layout has to know."""
    if num_groups == GROUPS_TRANSFORMERS:
        return []
    sentences = [
        f"transformers' own class opens {num_groups} groups as {GROUPS_TRANSFORMERS} without a word, and the "
        "model answers nonsense; to run it, make a native folder of it with `spanmix convert`"
    ]
    if shape.head_dim not in _CTRANSLATE2_HEAD_DIMS:
        sentences.append(
            f"CTranslate2's converter knows {GROUPS_EIGHT} groups by a head_dim of 128 or 256, and this "
            f"model has {shape.head_dim}; give it the native folder"
        )
    return sentences


def card(shape: Architecture, num_groups: int, facts: Mapping[str, object]) -> str:
    """Return the text of README.md for a folder of this layout."""
    lines = [
        "# A code model in CodeGen's own layout",
        "",
        f"- parameters: {shape.num_parameters:,}",
        f"- layout: {ARCHITECTURE}, the rows of qkv_proj in {num_groups} groups",
        *(f"- {name}: {value}" for name, value in facts.items()),
        *(f"- **take care**: {sentence}" for sentence in traps(shape, num_groups)),
        "",
        "Made with Spanmix; `spanmix convert FOLDER DEST --to native` makes a folder that opens everywhere.",
        "",
    ]
    return "\n".join(lines)


def require_whole_heads(shape: Architecture, num_groups: int) -> None:
    """Raise `InputError` unless the heads can be cut into so many groups."""
    if shape.num_heads % num_groups:
        fitting = [n for n in range(1, shape.num_heads + 1) if shape.num_heads % n == 0]
        raise InputError(
            f"{shape.num_heads} heads cannot be put into {num_groups} groups of qkv_proj rows, but into "
            f"{', '.join(map(str, fitting))}"
        )


def split_qkv(qkv_ED: Tensor, num_groups: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return queries, keys and values, each [D, ...] with its heads in order, of grouped rows [3 D, ...].

    >>> import torch
    >>> [part.tolist() for part in split_qkv(torch.arange(6), num_groups=2)]
    [[0, 3], [2, 5], [1, 4]]
    """
    grouped = qkv_ED.reshape(num_groups, 3, -1, *qkv_ED.shape[1:])
    q, v, k = (part.flatten(0, 1) for part in grouped.unbind(1))
    return q, k, v


def join_qkv(q_DD: Tensor, k_DD: Tensor, v_DD: Tensor, num_groups: int) -> Tensor:
    """Undo `split_qkv`.

    >>> import torch
    >>> join_qkv(*split_qkv(torch.arange(12), 4), 4).equal(torch.arange(12))
    True
    """
    parts = [part.reshape(num_groups, 1, -1, *part.shape[1:]) for part in (q_DD, v_DD, k_DD)]
    return cat(parts, dim=1).flatten(0, 2)


@dataclass(frozen=True)
class Move:
    """Some tensors of one folder, and those of another that are made of them.

    Args:
        reads: names in the first folder.
        writes: names in the second.
        change: makes the one from the other; both lists are in the order of the names.
    """

    reads: tuple[str, ...]
    writes: tuple[str, ...]
    change: Callable[[list[Tensor]], list[Tensor]]


def moves(native_names: Iterable[str], source_groups: int | None, groups: int | None) -> Iterator[Move]:
    """Yield what makes one folder from another.

    Args:
        native_names: the tensors of a native folder, in its order.
        source_groups: how `qkv_proj` is grouped in the folder that is read; None for three matrices, as in a
            native folder.
        groups: the same, for the folder that is written.
    """
    for name in native_names:
        if not name.endswith("attn.q_proj.weight"):
            if not name.endswith(("attn.k_proj.weight", "attn.v_proj.weight")):
                yield Move((name,), (name,), list)
            continue
        three = tuple(name.replace("q_proj", f"{letter}_proj") for letter in "qkv")
        fused = (name.replace("q_proj", "qkv_proj"),)
        yield Move(
            reads=three if source_groups is None else fused,
            writes=three if groups is None else fused,
            change=_regroup(source_groups, groups),
        )


def layout_shapes(
    native_shapes: Mapping[str, tuple[int, ...]], num_groups: int | None
) -> dict[str, tuple[int, ...]]:
    """Return name and shape of every tensor of a layout, in order, from those of a native folder."""
    shapes: dict[str, tuple[int, ...]] = {}
    for move in moves(native_shapes, None, num_groups):
        for name in move.writes:
            first = native_shapes[move.reads[0]]
            fused = len(move.writes) < len(move.reads)
            shapes[name] = (3 * first[0], *first[1:]) if fused else native_shapes[name]
    return shapes


def _regroup(source_groups: int | None, groups: int | None) -> Callable[[list[Tensor]], list[Tensor]]:
    def change(tensors: list[Tensor]) -> list[Tensor]:
        parts = tensors if source_groups is None else list(split_qkv(tensors[0], source_groups))
        return parts if groups is None else [join_qkv(parts[0], parts[1], parts[2], groups)]

    return change
