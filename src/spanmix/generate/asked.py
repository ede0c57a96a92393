"""Read from a model folder how its model is asked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from spanmix.config import MODEL_FOLDER_VERSION
from spanmix.errors import InputError
from spanmix.files import read_json
from spanmix.generate.formats import InfillFormat
from spanmix.model.prompting import CODEGEN2_CARD, NO_INFILL, OURS, InfillPrompting, Prompting
from spanmix.text.text_tokenizer import TextTokenizer
from spanmix.text.tokenizer import Tokenizer
from spanmix.text.tokenizer_training import mask_name


@dataclass(frozen=True)
class Asked:
    """How a model is asked, in token ids.

    Args:
        start_ids: in front of a text that it continues.
        infill: how it is asked to infill; None if it was not trained to.
    """

    start_ids: tuple[int, ...]
    infill: InfillFormat | None


@dataclass(frozen=True)
class _Infill(InfillPrompting):
    """The same, checked: a ``config.json`` comes from whoever made the folder."""

    end: Annotated[tuple[str, ...], Field(min_length=1)]
    order: Literal["psm", "spm"]
    lead_tokens: Annotated[int, Field(ge=0, lt=2**31)]


@dataclass(frozen=True)
class StatedPrompting:
    """The section ``spanmix`` of a ``config.json``: as `Prompting`, but a start may be left out."""

    format_version: int = MODEL_FOLDER_VERSION
    start: tuple[str, ...] | None = None
    infill: _Infill | None = None


@dataclass(frozen=True)
class _Config:
    spanmix: StatedPrompting | None = None


def stated_prompting(folder: Path) -> StatedPrompting | None:
    """Read what the ``config.json`` of a folder says of how its model is asked; None if it says nothing.

    Raises:
        InputError: it is broken, or of another format version.
    """
    file = folder / "config.json"
    section = read_json(file, _Config).spanmix
    if section is not None and section.format_version != MODEL_FOLDER_VERSION:
        raise InputError(
            f"{file} has model folder version {section.format_version}; this Spanmix reads version "
            f"{MODEL_FOLDER_VERSION}"
        )
    return section


def read_prompting(folder: Path, tokenizer: Tokenizer) -> Prompting:
    """Read how the model of a folder is asked, in strings; see `spanmix.model.prompting`.

    A folder that an earlier Spanmix wrote does not say: its model is one of ours. Nor does one that others
    wrote: it is asked as CodeGen2's card says if its tokenizer has CodeGen2's controls, and else not to
    infill.

    Args:
        folder: the model folder.
        tokenizer: its tokenizer.

    Raises:
        InputError: ``config.json`` is broken, or of another format version.
    """
    section = stated_prompting(folder)
    if section is None:
        return CODEGEN2_CARD if tokenizer.controls_trained else NO_INFILL
    return OURS if section.start is None else Prompting(section.start, section.infill)


def read_asked(folder: Path, tokenizer: Tokenizer) -> Asked:
    """Read how the model of a folder is asked, in token ids; see `read_prompting`.

    Raises:
        InputError: ``config.json`` is broken, or names a token that the tokenizer does not have.
    """
    prompting = read_prompting(folder, tokenizer)
    try:
        return in_ids(prompting, tokenizer)
    except InputError as error:
        file = folder / "config.json"
        raise InputError(f"{file}: {error}; the model and its tokenizer do not belong together") from None


def in_ids(prompting: Prompting, tokenizer: TextTokenizer) -> Asked:
    """Turn the strings of a prompting into ids; several cursors are asked for where sentinels end the prompt.

    Raises:
        InputError: the tokenizer has no such special token.
    """
    known = tokenizer.special_ids

    def ids_of(texts: tuple[str, ...]) -> tuple[int, ...]:
        for text in texts:
            if text not in known:
                raise InputError(
                    f"the model is asked with {text!r}, and its tokenizer has no such special token"
                )
        return tuple(known[text] for text in texts)

    start, infill = ids_of(prompting.start), prompting.infill
    if infill is None:
        return Asked(start, None)
    middle, masks = ids_of(infill.middle), _masks(known)
    several = infill.order == "psm" and middle[-1:] == masks[:1]
    format = InfillFormat(
        start=start,
        prefix=ids_of(infill.prefix),
        suffix=ids_of(infill.suffix),
        middle=middle,
        end=ids_of(infill.end),
        order=infill.order,
        sentinels=masks if several else (),
        lead_tokens=infill.lead_tokens,
    )
    return Asked(start, format)


def _masks(known: Mapping[str, int]) -> tuple[int, ...]:
    """Return the ids of ``<mask_1>``, ``<mask_2>``, … in this order."""
    masks: list[int] = []
    while (name := mask_name(len(masks) + 1)) in known:
        masks.append(known[name])
    return tuple(masks)
