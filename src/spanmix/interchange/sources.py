"""Open a published checkpoint, in any of the layouts that are out there, and say what in it is wrong.

    CodeGenForCausalLM   CodeGen, CodeGen2 and what transformers' own class saves: `qkv_proj` in groups
    GPTJForCausalLM      models of ours, and CodeGen2 rewritten for FauxPilot: three matrices
    LlamaForCausalLM     models of ours, and CodeGen2.5
    model.bin            a CodeGen that was converted for CTranslate2

Nothing of the weights is read but a few matrices, to hear what they say of their grouping.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from spanmix.errors import InputError
from spanmix.files import read_json, replaceable
from spanmix.generate.asked import read_asked, read_prompting
from spanmix.generate.ctranslate2_folder import is_ctranslate2_folder
from spanmix.interchange import codegen
from spanmix.interchange.ctranslate2.source import CTranslate2Forward, CTranslate2Tensors
from spanmix.interchange.forward import Forward, Rounding, as_stored, published_forward
from spanmix.interchange.grouping import Grouping, find_grouping
from spanmix.interchange.hub import source_folder
from spanmix.interchange.tensors import TensorFolder, Tensors, common_type, require_tensors
from spanmix.interchange.tokenizers import tokenizer_for
from spanmix.model import gptj, llama, native
from spanmix.model.architecture import Architecture
from spanmix.model.decoder import Decoder
from spanmix.model.finite import first_not_finite
from spanmix.model.prompting import Prompting
from spanmix.text.tokenizer import Tokenizer

BUFFERS = ("attn.bias", "attn.masked_bias", "attn.causal_mask", "attn.embed_positions", "rotary_emb.inv_freq")
"""Ends of the names of tensors that are computed from the config and not learned."""

_Ids = int | tuple[int, ...] | None


@dataclass(frozen=True)
class Source:
    """A checkpoint that is ready to be read.

    Args:
        path: its folder.
        layout: what it is, for people.
        shape: the decoder's.
        grouping: of its `qkv_proj`; None where queries, keys and values are three matrices.
        shapes: name and shape of every learned tensor of its layout.
        tensors: reads them.
        tokenizer: its own, put right, or that of CodeGen2's layout.
        prompting: how the model is asked.
        corrections: a sentence for everything that was wrong or left out.
        warnings: a sentence for everything that should be looked at.
    """

    path: Path
    layout: str
    shape: Architecture
    grouping: Grouping | None
    shapes: Mapping[str, tuple[int, ...]]
    tensors: Tensors
    tokenizer: Tokenizer
    prompting: Prompting
    corrections: tuple[str, ...]
    warnings: tuple[str, ...]

    @property
    def num_groups(self) -> int | None:
        """Of `qkv_proj`; None for three matrices."""
        return self.grouping.num_groups if self.grouping else None

    @property
    def dtype(self) -> torch.dtype:
        """What the weights are stored in.

        Raises:
            InputError: in several types.
        """
        return common_type(self.tensors, self.shapes)

    def make(self, move: codegen.Move) -> dict[str, Tensor]:
        """Read what a move reads, and return what it writes, by name.

        Raises:
            InputError: the weights hold NaN or infinite numbers.
        """
        read = {name: self.tensors.read(name) for name in move.reads}
        if bad := first_not_finite(read):
            raise InputError(
                f"{self.path}: the tensor {bad} holds NaN or infinite numbers, so the model is of no use; "
                "fetch the weights again, or take an earlier checkpoint"
            )
        return dict(zip(move.writes, move.change(list(read.values())), strict=True))

    def forward(self, rounding: Rounding = as_stored) -> Forward:
        """Return the forward pass as its layout defines it, every weight through `rounding` first."""
        if isinstance(self.tensors, CTranslate2Tensors):
            return CTranslate2Forward(self.tensors, self.shape, None, rounding)
        return published_forward(self.tensors, self.shape, self.num_groups, rounding)


@dataclass(frozen=True)
class _Family:
    architectures: tuple[str, ...] | None = None


@dataclass(frozen=True)
class _TokenIds:
    bos_token_id: _Ids = None
    eos_token_id: _Ids = None
    pad_token_id: _Ids = None


def open_source(name: str, mp_num: int | None = None) -> Source:
    """Open a checkpoint.

    Args:
        name: a folder, a run or a hub model.
        mp_num: how many groups the rows of `qkv_proj` are in; None finds it out.

    Raises:
        InputError: there is no such model, it is not of a layout that we know, a part of it is missing or
            broken, its tokenizer is that of another model, or its grouping cannot be known.
    """
    path = source_folder(name)
    tensors, shape, config = _open(path)
    if mp_num and config is None:
        raise InputError(
            f"--mp-num is for folders of {codegen.ARCHITECTURE}; in {path} the queries, keys and values are "
            "not grouped, so there is nothing to regroup"
        )
    _require_enough(tensors, shape)
    native_names = native_shapes(shape)
    grouping, warnings = None, list[str]()
    shapes = codegen.layout_shapes(native_names, 1) if config else native_names
    buffers = _require_only_buffers(tensors, require_tensors(tensors, shapes))
    if config is not None:
        grouping, warnings = find_grouping(tensors, shape, config, mp_num)
    tokenizer, corrections = tokenizer_for(path, shape.vocab_size)
    read_asked(path, tokenizer)  # which refuses prompts with tokens that nobody has
    corrections += [*_token_id_corrections(path, tokenizer), *buffers]
    if isinstance(tensors, CTranslate2Tensors):
        corrections += tensors.corrections
    groups = f", qkv_proj in {grouping.num_groups} groups" if grouping else ""
    return Source(
        path=path,
        layout=f"{_layout_of(path)}{groups}",
        shape=shape,
        grouping=grouping,
        shapes=shapes,
        tensors=tensors,
        tokenizer=tokenizer,
        prompting=read_prompting(path, tokenizer),
        corrections=tuple(corrections),
        warnings=tuple(warnings),
    )


def require_apart(source: Source, dest: Path) -> None:
    """Raise `InputError` if a folder to be written is that of the source, or one lies in the other."""
    ours, theirs = replaceable(dest).resolve(), source.path.resolve()
    if ours.is_relative_to(theirs) or theirs.is_relative_to(ours):
        raise InputError(
            f"{dest} and the source {source.path} are one folder, or one lies in the other; name another "
            "place"
        )


def native_shapes(shape: Architecture) -> dict[str, tuple[int, ...]]:
    """Return name and shape of every tensor of a native folder, in its order."""
    with torch.device("meta"):
        decoder = Decoder(shape)
    return {
        name: tuple(part.shape)
        for ours, tensor in decoder.state_dict().items()
        for name, part in native.to_native(ours, tensor, shape)
    }


def _layout_of(path: Path) -> str:
    """Return the architecture that the config names; CTranslate2's does not name one."""
    named = read_json(path / "config.json", _Family).architectures
    return named[0] if named else "CTranslate2" if is_ctranslate2_folder(path) else "none"


def _open(path: Path) -> tuple[Tensors, Architecture, codegen.CodeGenConfig | None]:
    layout, file = _layout_of(path), path / "config.json"
    if layout == "CTranslate2":
        ours = CTranslate2Tensors(path)
        return ours, ours.shape, None
    if layout == codegen.ARCHITECTURE:
        shape, config = codegen.read_config(file)
        return TensorFolder(path), shape, config
    known = (codegen.ARCHITECTURE, gptj.ARCHITECTURE, llama.ARCHITECTURE)
    if layout not in known:
        raise InputError(
            f"{file} names the architecture {layout}; convert reads {', '.join(known)} and CTranslate2's "
            "model.bin"
        )
    return TensorFolder(path), native.read_config(file), None


def _require_enough(tensors: Tensors, shape: Architecture) -> None:
    """Stop before a decoder is laid out: a damaged config may name ten million layers."""
    held = sum(math.prod(found.shape) for found in tensors.stored.values())
    if held < shape.num_parameters:
        raise InputError(
            f"{tensors.path / 'config.json'} asks for {shape.num_parameters:,} parameters, but the weights "
            f"beside it hold {held:,} numbers; a file was lost, or the two are not of one model"
        )


def _require_only_buffers(tensors: Tensors, others: Iterable[str]) -> list[str]:
    """Return a sentence for each kind of buffer; a learned tensor too many means another kind of model."""
    kinds: Counter[str] = Counter()
    for name in others:
        if not name.endswith(BUFFERS):
            raise InputError(
                f"{tensors.stored[name].file} holds the tensor {name}, for which the decoder has no use: "
                "this is another kind of model, or an adapter has not been merged into it"
            )
        kinds[re.sub(r"\d+", "*", name)] += 1
    return [f"left out {count} buffers {kind}, which hold nothing learned" for kind, count in kinds.items()]


def _token_id_corrections(path: Path, tokenizer: Tokenizer) -> list[str]:
    control = tokenizer.control
    right = {
        "bos_token_id": (control.eot,),
        "eos_token_id": (control.eot, control.eom),
        "pad_token_id": (control.pad,),
    }
    sentences = []
    for file in ("config.json", "generation_config.json"):
        if not (path / file).is_file():
            continue
        ids = read_json(path / file, _TokenIds)
        for field, allowed in right.items():
            value = getattr(ids, field)
            found = value if isinstance(value, tuple) else () if value is None else (value,)
            # To end at <eom> alone would not end a text.
            if found and set(found) <= set(allowed) and allowed[0] in found:
                continue
            if found:
                was = " and ".join(_one(i, tokenizer) for i in found)
                sentences.append(f"{file}: {field} was {was}, now {_one(allowed[0], tokenizer)}")
    return sentences


def _one(i: int, tokenizer: Tokenizer) -> str:
    return f"{i} ({tokenizer.decode([i])!r})" if 0 <= i < tokenizer.vocab_size else f"{i} (no token)"
