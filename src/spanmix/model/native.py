"""Choose how a decoder is stored, by its form: as GPT-J or as Llama, which transformers opens as they are."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from torch import Tensor

from spanmix.config import MODEL_FOLDER_VERSION
from spanmix.errors import InputError
from spanmix.files import read_json
from spanmix.model import gptj, llama
from spanmix.model.architecture import Architecture
from spanmix.model.prompting import OURS, Prompting
from spanmix.text.tokenizer import Tokenizer


class _Form(Protocol):
    """What `spanmix.model.gptj` and `spanmix.model.llama` have."""

    ARCHITECTURE: str
    Config: type[Any]

    def shape_of(self, config: Any, /) -> Architecture: ...
    def shape_json(self, shape: Architecture, /) -> dict[str, Any]: ...
    def to_native(
        self, name: str, tensor: Tensor, shape: Architecture, /
    ) -> Iterator[tuple[str, Tensor]]: ...
    def from_native(self, name: str, read: Callable[[str], Tensor], shape: Architecture, /) -> Tensor: ...


_BY_FORM: dict[str, _Form] = {"codegen": gptj, "llama": llama}
_BY_NAME = {module.ARCHITECTURE: module for module in _BY_FORM.values()}


@dataclass(frozen=True)
class _Format:
    format_version: int = MODEL_FOLDER_VERSION


@dataclass(frozen=True)
class _Family:
    """What says whether the rest of a ``config.json`` is for us."""

    architectures: tuple[str, ...] | None = None
    spanmix: _Format = _Format()


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
    if named not in _BY_NAME:
        raise InputError(
            f"{file} names the architecture {named}, and here {' and '.join(_BY_NAME)} are opened; `spanmix "
            f"convert {file.parent} FOLDER --to native` makes such a folder of other layouts that it knows"
        )
    form = _BY_NAME[named]
    config = read_json(file, form.Config)
    try:
        return form.shape_of(config)
    except InputError as error:
        raise InputError(f"{file}: {error}") from error


def config_json(
    shape: Architecture, tokenizer: Tokenizer, dtype: str, prompting: Prompting = OURS
) -> dict[str, Any]:
    """Return the content of ``config.json``.

    Args:
        shape: the decoder's.
        tokenizer: the model's.
        dtype: what the weights are stored in, such as ``bfloat16``.
        prompting: how the model is asked.
    """
    return {
        **_BY_FORM[shape.form].shape_json(shape),
        "use_cache": True,
        "bos_token_id": tokenizer.control.eot,
        "eos_token_id": tokenizer.control.eot,
        "pad_token_id": tokenizer.control.pad,
        # transformers 4 reads torch_dtype, transformers 5 dtype.
        "torch_dtype": dtype,
        "dtype": dtype,
        "spanmix": prompting.section(),
    }


def to_native(name: str, tensor: Tensor, architecture: Architecture) -> Iterator[tuple[str, Tensor]]:
    """Yield name and content of each tensor that a tensor of the decoder is stored as."""
    yield from _BY_FORM[architecture.form].to_native(name, tensor, architecture)


def from_native(name: str, read: Callable[[str], Tensor], architecture: Architecture) -> Tensor:
    """Return a tensor of the decoder from those that it is stored as; undoes `to_native`.

    Args:
        name: of the decoder's tensor.
        read: gives a stored tensor by its name.
        architecture: the decoder's shape.
    """
    return _BY_FORM[architecture.form].from_native(name, read, architecture)
