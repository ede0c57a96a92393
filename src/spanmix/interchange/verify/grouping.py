"""Find out whether queries, keys and values are in the order that a folder says they are in.

Each way that the rows may lie is a *reading*: an order that brings them into that of the heads. The text of
`spanmix.interchange.verify.sample` is measured in all of them at once, and the weights are heard
(`spanmix.interchange.grouping`). A model that has learned nothing says nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from spanmix.interchange.codegen import GROUPS_EIGHT, GROUPS_TRANSFORMERS, split_qkv
from spanmix.interchange.forward import CodeGenForward
from spanmix.interchange.grouping import MOST_LAYERS, clear_winner, likeness
from spanmix.interchange.tensors import Tensors
from spanmix.interchange.verify.result import Check, Number, cannot_tell, convert_command, ok, wrong
from spanmix.interchange.verify.sample import Measured
from spanmix.model.architecture import Architecture

NAME = "qkv grouping"


@dataclass(frozen=True)
class Reading:
    """A way that the rows may lie.

    Args:
        label: for people.
        order_E: of the stored rows [3 D], so that the queries of all heads come first, then keys, then
            values.
        num_groups: that the rows are in; for a folder of three matrices that of the model it was made of;
            None where that is not known.
        made_as: for a folder of three matrices, the groups that its maker cut the original into; None if
            it was cut in another way.
    """

    label: str
    order_E: Tensor
    num_groups: int | None
    made_as: int | None = None


@dataclass(frozen=True)
class Origin:
    """Where the first reading comes from.

    Args:
        source: the folder, as it was named.
        said_by: what says that the rows lie so.
        is_fused: whether queries, keys and values are one matrix.
        to: the layout that a right one should be written in.
    """

    source: str
    said_by: str
    is_fused: bool
    to: str = "native"


class ReadingsForward(CodeGenForward):
    """The forward pass of a CodeGen or GPT-J checkpoint, row c of a batch in reading c; float32.

    Args:
        tensors: the checkpoint.
        shape: its architecture.
        is_fused: whether queries, keys and values are one matrix.
        readings: one for each row, or more.
    """

    def __init__(
        self, tensors: Tensors, shape: Architecture, is_fused: bool, readings: Sequence[Reading]
    ) -> None:
        super().__init__(tensors, shape, None)
        self._is_fused, self._readings = is_fused, readings

    def _attention(self, name: str, h_BTD: Tensor) -> Tensor:
        letters = ["qkv"] if self._is_fused else list("qkv")
        rows_CTE = torch.cat([self._linear(f"{name}.{letter}_proj", h_BTD) for letter in letters], dim=-1)
        pairs = zip(rows_CTE, self._readings, strict=False)
        ordered_CTE = torch.stack([row_TE[:, reading.order_E] for row_TE, reading in pairs])
        q, k, v = (self._heads(part) for part in ordered_CTE.chunk(3, dim=-1))
        return self._attend(name, q, k, v)


def readings(shape: Architecture, declared: int | None) -> list[Reading]:
    """Return the ways that the rows may lie, the one that the folder says first.

    Args:
        shape: the decoder's.
        declared: the groups of its `qkv_proj`, as the folder says; None for three matrices.
    """
    groups = [n for n in (GROUPS_TRANSFORMERS, GROUPS_EIGHT) if shape.num_heads % n == 0]
    if declared is not None:
        numbers = dict.fromkeys((declared, *groups, 1))
        found = [Reading(f"{n} groups", _order(shape, n), n) for n in numbers]
    else:
        plain = torch.arange(3 * shape.dim)
        found = [Reading("as stored", plain, None)]
        for made_as in groups:
            undo = _order(shape, made_as).argsort()
            for n in groups:
                label = f"{n} groups that were cut as {made_as}"
                found.append(Reading(label, undo[_order(shape, n)], n, made_as))
        found += [Reading(f"{n} groups that were cut in thirds", _order(shape, n), n) for n in groups]
        q, k, v = plain.chunk(3)
        found.append(Reading("keys and values exchanged", torch.cat((q, v, k)), None))
    return _without_copies(found)


def hear(tensors: Tensors, shape: Architecture, is_fused: bool, readings: Sequence[Reading]) -> list[float]:
    """Return how alike channels have grown that would be partners, for each reading; see `likeness`.

    Reads the matrices of attention of at most four layers.
    """
    layers = range(0, shape.num_layers, -(-shape.num_layers // MOST_LAYERS))
    letters = ["qkv"] if is_fused else list("qkv")
    sums = [0.0] * len(readings)
    for layer in layers:
        name = f"transformer.h.{layer}.attn"
        rows_E = torch.cat([_norms(tensors, f"{name}.{letter}_proj.weight", 1) for letter in letters])
        columns_D = _norms(tensors, f"{name}.out_proj.weight", 0)
        for way, reading in enumerate(readings):
            q_D, k_D, v_D = rows_E[reading.order_E].chunk(3)
            sums[way] += likeness(q_D, k_D, v_D, columns_D)
    return [total / len(layers) for total in sums]


def check_grouping(
    readings: Sequence[Reading],
    measured: Measured | None,
    heard: Sequence[float],
    shape: Architecture,
    origin: Origin,
) -> Check:
    """Decide by the losses, and else by the weights.

    Args:
        readings: what was measured, the folder's own first.
        measured: how well each does; None if it could not be measured.
        heard: what the weights say of each, by `hear`.
        shape: the decoder's.
        origin: of the first reading.
    """
    own = f"{readings[0].label} ({origin.said_by})"
    numbers: dict[str, Number] = {
        f"likeness, {reading.label}": round(value, 3) for reading, value in zip(readings, heard, strict=True)
    }
    losses = measured.losses if measured else []
    numbers |= {f"loss, {readings[way].label}": round(loss, 3) for way, loss in enumerate(losses)}
    best = measured.winner() if measured else None
    if best is not None:
        next_best = min(loss for way, loss in enumerate(losses) if way != best)
        evidence = f"its loss on code is {losses[best]:.2f}, and {next_best:.2f} read in the next best way"
    else:
        best = clear_winner(dict(enumerate(heard)), shape)
        evidence = "the norms of channels that belong together speak for it"
    if best is None:
        detail = f"{own}; neither losses nor weights decide, as with a model that is untrained"
        return cannot_tell(NAME, detail, **numbers)
    if best == 0:
        return ok(NAME, f"{own}: {evidence}", **numbers)
    was = f"; as it is the loss is {losses[0]:.2f}" if losses else ""
    detail = f"it is {own}, but should be {readings[best].label}: {evidence}{was}"
    return wrong(NAME, detail, _remedy(readings[best], origin), **numbers)


def _remedy(truth: Reading, origin: Origin) -> str:
    """Return the commands that give the right model.

    Three matrices go back into the one that they were cut from, which is exact, and are cut again.
    """
    if origin.is_fused:
        return convert_command(origin.source, origin.to, truth.num_groups)
    if truth.made_as is None:
        return f"{convert_command('ORIGINAL', origin.to, truth.num_groups)}, from what it was made of"
    layout = "codegen2" if truth.made_as == GROUPS_EIGHT else "codegen"
    first = convert_command(origin.source, layout).replace("DEST", "FUSED")
    return f"{first} && {convert_command('FUSED', origin.to, truth.num_groups)}"


def _norms(tensors: Tensors, name: str, dim: int) -> Tensor:
    norms: Tensor = tensors.read(name).float().norm(dim=dim)
    return norms


def _order(shape: Architecture, num_groups: int) -> Tensor:
    return torch.cat(split_qkv(torch.arange(3 * shape.dim), num_groups))


def _without_copies(found: Sequence[Reading]) -> list[Reading]:
    kept: list[Reading] = []
    for reading in found:
        if not any(reading.order_E.equal(other.order_E) for other in kept):
            kept.append(reading)
    return kept
