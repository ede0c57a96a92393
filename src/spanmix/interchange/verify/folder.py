"""Verify a folder of weights: CodeGen's own layout, GPT-J, Llama, or CTranslate2's.

Nothing of it is in memory but a matrix at a time, and every matrix is read once for the losses and, of a few
layers, once for its norms.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from spanmix.errors import InputError
from spanmix.files import read_json
from spanmix.generate.asked import read_asked
from spanmix.generate.ctranslate2_file import read_header
from spanmix.generate.ctranslate2_folder import MODEL_FILE, is_ctranslate2_folder
from spanmix.interchange import codegen
from spanmix.interchange.ctranslate2.source import CTranslate2Tensors
from spanmix.interchange.forward import published_forward
from spanmix.interchange.grouping import published_groups
from spanmix.interchange.hub import source_folder
from spanmix.interchange.sources import native_shapes
from spanmix.interchange.tensors import TensorFolder, Tensors
from spanmix.interchange.verify.ctranslate2 import check_ctranslate2
from spanmix.interchange.verify.grouping import (
    Origin,
    Reading,
    ReadingsForward,
    check_grouping,
    hear,
    readings,
)
from spanmix.interchange.verify.result import Check, Verification, cannot_tell, convert_command, ok, wrong
from spanmix.interchange.verify.sample import SAMPLE, Budget, Measured, check_loss, measure, sample_ids
from spanmix.interchange.verify.token_ids import check_files
from spanmix.interchange.verify.tokenizer import check_tokenizer
from spanmix.interchange.verify.weights import WatchedTensors, check_finite, check_weights
from spanmix.model import gptj, native
from spanmix.model.architecture import Architecture
from spanmix.text.tokenizer import Tokenizer

_CONFIG, _CLASS = "config.json", "transformers"
_CTRANSLATE2 = "CTranslate2"


@dataclass(frozen=True)
class _Opened:
    """A folder whose parts are not yet known to fit.

    Args:
        path: where it is.
        source: the same, as it was named.
        layout: the architecture that its config names.
        shape: as its config says.
        declared: groups of `qkv_proj`, as its config says; None for three matrices.
        tensors: what is there.
    """

    path: Path
    source: str
    layout: str
    shape: Architecture
    declared: int | None
    tensors: Tensors


@dataclass(frozen=True)
class _Family:
    architectures: tuple[str, ...] | None = None


def verify_folder(
    name: str, seconds: float, progress: Callable[[str], None] = lambda stage: None
) -> Verification:
    """Verify a model folder, a run or a hub model.

    Args:
        name: which.
        seconds: what the losses may take.
        progress: is told what is done now.

    Raises:
        InputError: it cannot be opened: it is not there, cut short, or of another architecture.
    """
    path = Path(name)
    if not is_ctranslate2_folder(path):  # which may be without config.json
        progress("find the folder")
        path = source_folder(name)
    if _layout_of(path) == _CTRANSLATE2:
        return _verify_ctranslate2(path, name, seconds, progress)
    opened, checks = _open(path, name)
    is_llama, shape = opened.shape.form == "llama", opened.shape
    tokenizer, about_tokenizer = check_tokenizer(path, name, shape.vocab_size, is_llama)
    checks += [*_check_tensors(opened, tokenizer, seconds, progress), *about_tokenizer, _check_class(opened)]
    if tokenizer is not None:
        checks += check_files(path, name, tokenizer, _can_infill(path, tokenizer), shape.context_tokens)
    return Verification(name, opened.layout, tuple(checks))


def _verify_ctranslate2(
    path: Path, name: str, seconds: float, progress: Callable[[str], None]
) -> Verification:
    embedding = read_header(path / MODEL_FILE).get("decoder/embeddings/weight")
    if embedding is None:
        raise InputError(f"{path / MODEL_FILE} has no decoder/embeddings/weight; it is no decoder")
    tokenizer, about_tokenizer = check_tokenizer(path, name, embedding.shape[0], is_llama=False)
    try:
        tensors = CTranslate2Tensors(path)
        opened = _Opened(path, name, _CTRANSLATE2, tensors.shape, None, tensors)
        checks = _check_tensors(opened, tokenizer, seconds, progress)
    except InputError as error:
        checks = [cannot_tell("qkv grouping", str(error))]
    progress("run the folder")
    checks += [*about_tokenizer, *check_ctranslate2(path, name, tokenizer)]
    return Verification(name, _CTRANSLATE2, tuple(checks))


def _layout_of(path: Path) -> str:
    """Return the architecture that the config names; CTranslate2's does not name one."""
    file = path / _CONFIG
    named = read_json(file, _Family).architectures if file.is_file() else None
    return named[0] if named else _CTRANSLATE2 if is_ctranslate2_folder(path) else "none"


def _open(path: Path, source: str) -> tuple[_Opened, list[Check]]:
    """Open a folder; contradictions in its config become findings."""
    if (layout := _layout_of(path)) == codegen.ARCHITECTURE:
        return _open_codegen(path, source)
    return _Opened(path, source, layout, native.read_config(path / _CONFIG), None, TensorFolder(path)), []


def _check_tensors(
    opened: _Opened, tokenizer: Tokenizer | None, seconds: float, progress: Callable[[str], None]
) -> list[Check]:
    check = _check_weights(opened)
    if check.result == "wrong":
        return [check, check_loss(None)]
    progress("read the weights")
    return [check, *_check_numbers(opened, tokenizer, seconds)]


def _open_codegen(path: Path, source: str) -> tuple[_Opened, list[Check]]:
    file = path / _CONFIG
    config = read_json(file, codegen.CodeGenConfig)
    try:
        shape = gptj.shape_of(config)
    except InputError as error:
        raise InputError(f"{file}: {error}") from error
    by_key = codegen.GROUPS_TRANSFORMERS if config.head_dim is None else codegen.GROUPS_EIGHT
    declared = config.spanmix.qkv_groups or by_key
    if shape.num_heads % declared:
        raise InputError(
            f"{file} has {shape.num_heads} heads, which {declared} groups of qkv_proj cannot hold; it is of "
            "another model"
        )
    check = _check_head_dim(config, shape, declared, source)
    opened = _Opened(path, source, codegen.ARCHITECTURE, shape, declared, TensorFolder(path))
    return opened, [check]


def _check_head_dim(config: codegen.CodeGenConfig, shape: Architecture, declared: int, source: str) -> Check:
    """Look whether the key that says how rows are grouped fits to the rest."""
    name = "head_dim"
    known = published_groups(shape)
    numbers = {"head_dim": config.head_dim, "n_embd / n_head": shape.head_dim, "groups": declared}
    if config.head_dim not in (None, shape.head_dim):
        detail = f"head_dim is {config.head_dim}, and n_embd / n_head is {shape.head_dim}"
        groups = known[1] if known else codegen.GROUPS_EIGHT
        command = convert_command(source, num_groups=groups)
        mend = f'set "head_dim": {shape.head_dim} in config.json, then {command}'
        return wrong(name, detail, mend, **numbers)
    if known is not None and known[1] != declared:
        has = "no head_dim" if config.head_dim is None else "a head_dim"
        detail = (
            f"config.json has {has}, which means {declared} groups of qkv_proj rows, but it has the size of "
            f"{known[0]}, which has {known[1]}"
        )
        return wrong(name, detail, convert_command(source, num_groups=known[1]), **numbers)
    return ok(
        name, f"what config.json says means {declared} groups, and nothing in it contradicts", **numbers
    )


def _check_weights(opened: _Opened) -> Check:
    held = sum(math.prod(found.shape) for found in opened.tensors.stored.values())
    # A damaged config may name ten million layers; such a decoder is not laid out.
    if opened.shape.num_layers > len(opened.tensors.stored):
        detail = (
            f"config.json asks for {opened.shape.num_parameters:,} parameters in {opened.shape.num_layers:,} "
            f"layers, and there are {held:,} numbers in {len(opened.tensors.stored)} tensors"
        )
        return wrong(
            "weights", detail, "fetch the whole folder again; a file was lost, or config.json is another's"
        )
    return check_weights(opened.tensors, _expected(opened))


def _expected(opened: _Opened) -> dict[str, tuple[int, ...]]:
    shapes = native_shapes(opened.shape)
    return shapes if opened.declared is None else codegen.layout_shapes(shapes, 1)


def _check_numbers(opened: _Opened, tokenizer: Tokenizer | None, seconds: float) -> list[Check]:
    """Look at the numbers of the weights: are they finite, in order, and do they know code?"""
    watched = WatchedTensors(opened.tensors)
    ways = readings(opened.shape, opened.declared) if opened.shape.form == "codegen" else []
    measured = _measure(opened, watched, ways, tokenizer, seconds)
    checks = []
    if ways:
        heard = hear(watched, opened.shape, opened.declared is not None, ways)
        checks.append(check_grouping(ways, measured, heard, opened.shape, _origin(opened)))
    else:
        checks.append(ok("qkv grouping", "queries, keys and values are three matrices, as Llama's are"))
    checks.append(check_loss(measured))
    return [check_finite(watched, len(_expected(opened))), *checks]


def _measure(
    opened: _Opened, watched: WatchedTensors, ways: list[Reading], tokenizer: Tokenizer | None, seconds: float
) -> Measured | None:
    if tokenizer is None:
        return None
    shape = opened.shape
    start = read_asked(opened.path, tokenizer).start_ids if _has_config(opened) else ()
    ids_1T = sample_ids(tokenizer.encode(SAMPLE), start, shape.context_tokens)
    is_fused = opened.declared is not None
    forward = (
        ReadingsForward(watched, shape, is_fused, ways) if ways else published_forward(watched, shape, None)
    )
    return measure(forward, ids_1T, max(1, len(ways)), shape.num_layers, shape.vocab_size, Budget(seconds))


def _has_config(opened: _Opened) -> bool:
    return (opened.path / _CONFIG).is_file()


def _can_infill(path: Path, tokenizer: Tokenizer) -> bool:
    return tokenizer.controls_trained and read_asked(path, tokenizer).infill is not None


def _origin(opened: _Opened) -> Origin:
    if opened.declared is not None:
        return Origin(opened.source, "config.json", is_fused=True)
    to = "ctranslate2" if opened.layout == _CTRANSLATE2 else "native"
    return Origin(opened.source, "three matrices", is_fused=False, to=to)


def _check_class(opened: _Opened) -> Check:
    """Say what transformers' own class makes of the folder."""
    if opened.declared in (None, codegen.GROUPS_TRANSFORMERS):
        return ok(_CLASS, f"{opened.layout} of transformers reads this layout")
    if opened.declared == codegen.GROUPS_EIGHT:
        detail = (
            "transformers' own CodeGenForCausalLM reads the 8 groups of qkv_proj as 4 without a word, and "
            "the model answers nonsense (codegen2-1B has a loss of 8.93 instead of 0.34)"
        )
        return wrong(_CLASS, detail, convert_command(opened.source, num_groups=opened.declared))
    detail = f"transformers' own class reads 4 groups only, and config.json says {opened.declared}"
    return cannot_tell(_CLASS, detail)
