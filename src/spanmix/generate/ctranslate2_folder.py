"""Read what a CTranslate2 folder says of its model, and load it.

    model.bin  vocabulary.json (or .txt)  config.json  and the tokenizer's files

``config.json`` is CTranslate2's own. In a folder that Spanmix wrote it also has ``n_positions`` and how the
model is asked (see `spanmix.model.prompting`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import torch
from pydantic import Field

from spanmix.errors import InputError
from spanmix.files import read_json
from spanmix.generate.ctranslate2_file import FileVariable, read_header

MODEL_FILE = "model.bin"
CONTEXT_TOKENS = 2048
"""Of every published CodeGen, CodeGen2 and CodeGen2.5; taken where a folder does not say."""

_EMBEDDINGS = "decoder/embeddings/weight"
_LAYER = re.compile(r"decoder/layer_\d+/")
_QUANTIZED = "int8_float32"


@dataclass(frozen=True)
class CTranslate2Facts:
    """What is known of the model.

    Args:
        vocabulary: the string of each id.
        num_layers: decoder blocks.
        dim: width of the residual stream.
        weight_type: what the matrices are stored in.
        context_tokens: longest prompt plus completion.
    """

    vocabulary: tuple[str, ...]
    num_layers: int
    dim: int
    weight_type: torch.dtype
    context_tokens: int


@dataclass(frozen=True)
class _Config:
    n_positions: Annotated[int, Field(ge=1, lt=2**31)] = CONTEXT_TOKENS


def is_ctranslate2_folder(path: Path) -> bool:
    """Return whether a folder is CTranslate2's."""
    return (path / MODEL_FILE).is_file()


def read_facts(path: Path) -> CTranslate2Facts:
    """Read what there is to know of the model of a folder.

    Raises:
        InputError: a file is missing or broken, it is not a decoder's, or the vocabulary and the embedding
            differ in size.
    """
    variables = read_header(path / MODEL_FILE)
    embeddings = variables.get(_EMBEDDINGS)
    if embeddings is None or len(embeddings.shape) != 2:
        raise InputError(f"{path / MODEL_FILE} has no matrix {_EMBEDDINGS}; it is no decoder that can be run")
    vocab_size, dim = embeddings.shape
    vocabulary = _read_vocabulary(path)
    if len(vocabulary) != vocab_size:
        raise InputError(
            f"{path}: the vocabulary has {len(vocabulary)} entries and the model {vocab_size}; they must be "
            "equal, so take both from the same conversion"
        )
    num_layers = _num_layers(path / MODEL_FILE, variables)
    context_tokens = read_json(path / "config.json", _Config).n_positions
    return CTranslate2Facts(vocabulary, num_layers, dim, embeddings.dtype, context_tokens)


def load_generator(path: Path, facts: CTranslate2Facts, num_workers: int = 1) -> Any:
    """Load the model of a folder and return its ``ctranslate2.Generator``, on the CPU.

    It computes in int8 and float32 if it is stored in int8, else in float32: on a CPU this library has
    nothing faster. Each worker has as many threads as PyTorch, whose number is that of the processors this
    process may use, or ``OMP_NUM_THREADS``.

    Raises:
        InputError: ``ctranslate2`` is not installed, or refuses the folder.
    """
    try:
        import ctranslate2
    except ImportError:
        raise InputError(
            f"{path} is a CTranslate2 folder; to run it install `pip install 'spanmix[ctranslate2]'`"
        ) from None
    quantized = facts.weight_type == torch.int8 and _QUANTIZED in ctranslate2.get_supported_compute_types(
        "cpu"
    )
    try:
        return ctranslate2.Generator(
            str(path),
            compute_type=_QUANTIZED if quantized else "float32",
            inter_threads=num_workers,
            intra_threads=torch.get_num_threads(),
        )
    except (RuntimeError, ValueError, LookupError, MemoryError) as error:
        reason = str(error) or "there is not the memory"
        raise InputError(f"{path} cannot be opened by CTranslate2: {reason}") from error


def _num_layers(file: Path, variables: Mapping[str, FileVariable]) -> int:
    """Return the number of blocks, in all of which a variable has to have the same shape.

    The library itself believes the shapes, and multiplies what it finds. What is missing it says.
    """
    layers: set[str] = set()
    seen: dict[str, tuple[int, ...]] = {}
    for name, variable in variables.items():
        shape, found = variable.shape, _LAYER.match(name)
        if found:
            layers.add(found[0])
        part = name.removeprefix(found[0]) if found else name
        if 0 in shape or seen.setdefault(part, shape) != shape:
            raise InputError(
                f"{file}: {name} has shape {list(shape)}, which is empty or not that of other layers; the "
                "file is damaged, so take it from its conversion again"
            )
    return len(layers)


def _read_vocabulary(path: Path) -> tuple[str, ...]:
    """Return the strings by id, as CTranslate2 reads them."""
    file = next((path / name for name in _VOCABULARIES if (path / name).is_file()), None)
    if file is None:
        raise InputError(f"{path} has neither {' nor '.join(_VOCABULARIES)}; it is not a whole model folder")
    try:
        text = file.read_bytes().decode()
        entries = json.loads(text) if file.suffix == ".json" else text.removesuffix("\n").split("\n")
    except (OSError, ValueError) as error:
        raise InputError(f"{file} cannot be read: {error}") from None
    if not isinstance(entries, list) or not all(isinstance(entry, str) for entry in entries):
        raise InputError(f"{file} is not a list of strings, so it is not a vocabulary")
    if len(set(entries)) != len(entries):
        raise InputError(f"{file} has an entry twice; ids could not be told apart")
    return tuple(entries)


_VOCABULARIES = ("vocabulary.json", "vocabulary.txt")
