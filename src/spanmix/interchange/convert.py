"""Convert a checkpoint into another layout, tensor by tensor, and prove that it still computes the same.

The memory it takes is that of a few matrices, whatever the size of the model. The new folder appears when
its logits have been compared with the original's, and not before.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from spanmix import __version__
from spanmix.errors import InputError, SpanmixError
from spanmix.files import one_writer, whole_folder, write_json
from spanmix.interchange import codegen
from spanmix.interchange.forward import published_forward
from spanmix.interchange.grouping import Grouping
from spanmix.interchange.native_forward import NativeForward
from spanmix.interchange.parity import Parity, Progress, Sides, check
from spanmix.interchange.sources import Source, native_shapes, open_source, require_apart
from spanmix.interchange.tensors import TensorFolder, common_type
from spanmix.interchange.writer import ShardWriter
from spanmix.model import native
from spanmix.model.card import model_card
from spanmix.model.finite import first_not_finite
from spanmix.model.folder import MAX_SHARD_BYTES, require_place, write_beside_weights
from spanmix.model.weights import WEIGHT_TYPES

REPORT = "export_report.json"
REPORT_VERSION = 1
LAYOUTS = {
    "native": None,
    "codegen": codegen.GROUPS_TRANSFORMERS,
    "codegen2": codegen.GROUPS_EIGHT,
}
"""What can be written, with the number of groups of `qkv_proj`; None for three matrices."""

TYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


@dataclass(frozen=True)
class Report:
    """What a conversion has done; ``export_report.json`` holds it.

    Args:
        source: as it was named.
        source_layout: what it is, for people.
        grouping: of its `qkv_proj`, and how that is known; None where it has none.
        to: the layout that was written.
        dtype: of the weights that were written.
        num_parameters: of the model.
        num_bytes: of its weights.
        corrections: a sentence for everything that was wrong in the source, or left out.
        warnings: a sentence for everything that should be looked at.
        parity: the comparison with the source.
    """

    source: str
    source_layout: str
    grouping: Grouping | None
    to: str
    dtype: str
    num_parameters: int
    num_bytes: int
    corrections: tuple[str, ...]
    warnings: tuple[str, ...]
    parity: Parity

    def to_json(self) -> dict[str, Any]:
        """Return the content of ``export_report.json``."""
        return {"format_version": REPORT_VERSION, "spanmix": __version__, **asdict(self)}


def convert(
    source_name: str,
    dest: Path,
    to: str,
    mp_num: int | None = None,
    dtype_name: str | None = None,
    max_shard_bytes: int = MAX_SHARD_BYTES,
    progress: Progress = lambda stage, done, total: None,
) -> Report:
    """Convert a checkpoint.

    Args:
        source_name: a folder, a run or a hub model; see `spanmix.interchange.sources`.
        dest: the folder to make; a model folder that is there is replaced.
        to: one of `LAYOUTS`.
        mp_num: how many groups the rows of the source's `qkv_proj` are in; None finds it out.
        dtype_name: one of `TYPES`; None keeps what the weights are stored in.
        max_shard_bytes: larger models are cut into several files.
        progress: is told of the bytes written and of the blocks compared.

    Raises:
        InputError: the source or `dest` cannot be used, or the layout or the type cannot hold the model.
        SpanmixError: the written model does not compute what the source computes, or the disk is full.
            Nothing is at `dest` then, or what was there before.
    """
    require_place(dest)
    source = open_source(source_name, mp_num)
    require_apart(source, dest)
    groups = _groups_for(source, to)
    dtype = TYPES[dtype_name] if dtype_name else common_type(source.tensors, source.shapes)
    with one_writer(dest), whole_folder(dest) as folder:
        num_bytes = _write_weights(source, folder, groups, dtype, max_shard_bytes, progress)
        warnings = [*source.warnings, *_write_papers(source, folder, groups, dtype)]
        parity = _compare(source, folder, groups, dtype, progress)
        if parity.failures:
            raise SpanmixError(
                f"{dest} is not written, because it would not be the same model as {source.path}: "
                f"{'; '.join(parity.failures)}. {_how_it_was_read(source)}"
            )
        report = Report(
            source=source_name,
            source_layout=source.layout,
            grouping=source.grouping,
            to=to,
            dtype=WEIGHT_TYPES[dtype],
            num_parameters=source.shape.num_parameters,
            num_bytes=num_bytes,
            corrections=source.corrections,
            warnings=tuple(warnings),
            parity=parity,
        )
        write_json(folder / REPORT, report.to_json())
    return report


def _groups_for(source: Source, to: str) -> int | None:
    groups = LAYOUTS[to]
    if groups is None:
        return None
    if source.shape.form != "codegen":
        raise InputError(
            f"{source.path} is a model of the form {source.shape.form}, which the layout {to} cannot hold; "
            "use --to native"
        )
    codegen.require_whole_heads(source.shape, groups)
    return groups


def _write_weights(
    source: Source,
    folder: Path,
    groups: int | None,
    dtype: torch.dtype,
    max_shard_bytes: int,
    progress: Progress,
) -> int:
    """Write all tensors and return how many bytes they are."""
    names = native_shapes(source.shape)
    writer = ShardWriter(folder, codegen.layout_shapes(names, groups), dtype, max_shard_bytes)
    done = 0
    for move in codegen.moves(names, source.num_groups, groups):
        progress("write the weights, bytes", done, writer.num_bytes)
        read = {name: source.tensors.read(name) for name in move.reads}
        if bad := first_not_finite(read):
            raise InputError(
                f"{source.path}: the tensor {bad} holds NaN or infinite numbers, so the model is of no use"
            )
        made = {
            name: tensor.to(dtype)
            for name, tensor in zip(move.writes, move.change(list(read.values())), strict=True)
        }
        if bad := first_not_finite(made):
            raise InputError(
                f"{source.path}: the tensor {bad} holds numbers that {WEIGHT_TYPES[dtype]} cannot; use "
                "--dtype bf16 or fp32"
            )
        for name, tensor in made.items():
            writer.write(name, tensor)
            done += tensor.nbytes
    writer.close()
    progress("write the weights, bytes", done, writer.num_bytes)
    return done


def _write_papers(source: Source, folder: Path, groups: int | None, dtype: torch.dtype) -> list[str]:
    """Write all files but the weights; return what the user of the folder must know."""
    config = native.config_json(source.shape, source.tokenizer, WEIGHT_TYPES[dtype], source.prompting)
    facts = {"converted from": source.layout}
    if groups is None:
        card = model_card(source.shape, source.tokenizer, facts, source.prompting)
        warnings = []
    else:
        config = codegen.config_json(config, source.shape, groups)
        card = codegen.card(source.shape, groups, facts)
        warnings = codegen.traps(source.shape, groups)
    write_beside_weights(folder, config, source.tokenizer, card)
    return warnings


def _compare(
    source: Source, folder: Path, groups: int | None, dtype: torch.dtype, progress: Progress
) -> Parity:
    shape, tensors, written = source.shape, source.tensors, TensorFolder(folder)
    exact = dtype == torch.float32 or all(tensors.stored[name].dtype == dtype for name in source.shapes)
    converted = NativeForward(written, shape) if groups is None else published_forward(written, shape, groups)
    sides = Sides(
        original=source.forward(),
        rounded=None if exact else source.forward(dtype),
        converted=converted,
    )
    return check(sides, source, folder, progress)


def _how_it_was_read(source: Source) -> str:
    if source.grouping is None:
        return f"It was read as {source.layout}"
    return f"It was read as {source.layout}, by {source.grouping.decided_by}"
