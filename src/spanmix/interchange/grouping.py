"""Find out how many groups the rows of a checkpoint's `qkv_proj` are in.

Three things can say it: ``config.json``, the sizes of the published models, and the weights themselves. In
a trained model a query channel and the key channel it is multiplied with have grown alike, and so have a
value channel and the column of `out_proj` that reads it: under gradient descent the difference of their
squared norms hardly changes (Du et al., arXiv 1806.00900). The right grouping brings those pairs
together, a wrong one does not. Fresh random weights say nothing, and then nothing is concluded.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from spanmix.errors import InputError
from spanmix.interchange.codegen import (
    GROUPS_EIGHT,
    GROUPS_TRANSFORMERS,
    CodeGenConfig,
    require_whole_heads,
    split_qkv,
)
from spanmix.interchange.tensors import Tensors
from spanmix.model.architecture import Architecture

_PUBLISHED = {
    (20, 1024, 16): ("codegen-350M", 4),
    (32, 2560, 32): ("codegen-2B", 4),
    (33, 4096, 16): ("codegen-6B", 4),
    (34, 6144, 24): ("codegen-16B and codegen2-16B", 4),
    (16, 2048, 16): ("codegen2-1B", 8),
    (16, 4096, 16): ("codegen2-3_7B", 8),
    (32, 4096, 16): ("codegen2-7B", 4),
}
"""Number of groups by layers, width and heads."""

MOST_LAYERS = 4
"""That are looked at."""

_CLEAR = 0.1
_DEVIATIONS = 6.0


@dataclass(frozen=True)
class Grouping:
    """How `qkv_proj` is grouped.

    Args:
        num_groups: of its rows.
        decided_by: a sentence on how that is known.
        pairing: what the weights say: for each number of groups, the mean correlation of channels that
            would be paired.
        confirmed: whether the weights speak for `num_groups` (True), or for none (None).
    """

    num_groups: int
    decided_by: str
    pairing: dict[int, float]
    confirmed: bool | None


def find_grouping(
    tensors: Tensors, shape: Architecture, config: CodeGenConfig, forced: int | None
) -> tuple[Grouping, list[str]]:
    """Decide it, and hear the weights.

    Args:
        tensors: the checkpoint.
        shape: its architecture.
        config: its ``config.json``.
        forced: ``--mp-num``.

    Returns:
        The grouping, and warnings.

    Raises:
        InputError: what says it is contradictory, or the heads cannot be grouped so.
    """
    num_groups, decided_by = (forced, "--mp-num") if forced else _from_config(tensors, shape, config)
    require_whole_heads(shape, num_groups)
    candidates = {num_groups, GROUPS_TRANSFORMERS, GROUPS_EIGHT}
    pairing = pairings(tensors, shape, sorted(n for n in candidates if shape.num_heads % n == 0))
    heard = clear_winner(pairing, shape)
    grouping = Grouping(num_groups, decided_by, pairing, True if heard == num_groups else None)
    if heard in (None, num_groups):
        return grouping, []
    figures = ", ".join(f"{r:.3f} with {n} groups" for n, r in pairing.items())
    said = (
        f"{tensors.path}: {decided_by} says that qkv_proj has {num_groups} groups, but the weights look like "
        f"{heard} (the norms of channels that belong together correlate by {figures})"
    )
    if not forced:
        raise InputError(f"{said}; give --mp-num {heard} or --mp-num {num_groups} to say which is right")
    return grouping, [said]


def pairings(tensors: Tensors, shape: Architecture, candidates: Sequence[int]) -> dict[int, float]:
    """Return how well each number of groups pairs channels that have grown alike, from -1 to 1.

    Reads `qkv_proj` and `out_proj` of at most four layers.
    """
    step = -(-shape.num_layers // MOST_LAYERS)
    layers = range(0, shape.num_layers, step)
    sums = dict.fromkeys(candidates, 0.0)
    for layer in layers:
        name = f"transformer.h.{layer}.attn"
        rows = tensors.read(f"{name}.qkv_proj.weight").float().norm(dim=1)
        columns = tensors.read(f"{name}.out_proj.weight").float().norm(dim=0)
        for num_groups in candidates:
            q, k, v = split_qkv(rows, num_groups)
            sums[num_groups] += likeness(q, k, v, columns)
    return {num_groups: total / len(layers) for num_groups, total in sums.items()}


def likeness(q_D: Tensor, k_D: Tensor, v_D: Tensor, columns_D: Tensor) -> float:
    """Return how alike channels have grown that would be partners, from -1 to 1.

    Args:
        q_D: norm of the row of each query channel.
        k_D: of the key channel that it would be multiplied with.
        v_D: of each value channel.
        columns_D: of the column of `out_proj` that would read it.
    """
    return (_correlation(q_D, k_D) + _correlation(v_D, columns_D)) / 2


def published_groups(shape: Architecture) -> tuple[str, int] | None:
    """Return the name of the published model of this size, and its number of groups, if there is one."""
    return _PUBLISHED.get((shape.num_layers, shape.dim, shape.num_heads))


def _from_config(tensors: Tensors, shape: Architecture, config: CodeGenConfig) -> tuple[int, str]:
    if config.spanmix.qkv_groups is not None:
        return config.spanmix.qkv_groups, "config.json (spanmix.qkv_groups)"
    by_key = GROUPS_TRANSFORMERS if config.head_dim is None else GROUPS_EIGHT
    has = "has no head_dim" if config.head_dim is None else "has head_dim"
    known = published_groups(shape)
    if known is not None and known[1] != by_key:
        raise InputError(
            f"{tensors.path / 'config.json'} {has}, which means {by_key} groups of qkv_proj rows, but it has "
            f"the size of {known[0]}, which has {known[1]}; give --mp-num {by_key} or --mp-num {known[1]} to "
            "say which is right"
        )
    also = f", which is {known[0]}" if known else ""
    return by_key, f"config.json, which {has}{also}"


def clear_winner(pairing: Mapping[int, float], shape: Architecture) -> int | None:
    """Return the number of groups (or another key) that pairs clearly better than all others, if any does."""
    best, *others = sorted(pairing, key=lambda n: -pairing[n])
    num_channels = shape.dim * min(shape.num_layers, MOST_LAYERS)
    margin = max(_CLEAR, _DEVIATIONS / (2 * num_channels) ** 0.5)
    if not others or pairing[best] - pairing[others[0]] < margin:
        return None
    return best


def _correlation(a: Tensor, b: Tensor) -> float:
    stacked = torch.stack((a, b)).clamp_min(torch.finfo(torch.float32).tiny).log()
    value = torch.corrcoef(stacked)[0, 1]
    return 0.0 if value.isnan() else float(value)
