"""Read the ``tokenizer.json`` of a model that others published, so that no text yields its controls.

Published files mark only some of their controls as special. Qwen2.5-Coder's ``<|fim_prefix|>``, CodeGemma's
and DeepSeek-Coder's infill tokens are ordinary added tokens there: a text that only names them would yield
them. So what is a control is decided here: what the file says is special, what has a name that its maker gave
to controls (``<|...|>``), and the names that the caller knows.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tokenizers

from spanmix.errors import InputError
from spanmix.text.tokenizer_files import open_tokenizer_file

BLANK = "▁"
"""What SentencePiece writes for a space (U+2581)."""

NEVER_IN_UTF8 = frozenset({0xC0, 0xC1, *range(0xF5, 0x100)})
"""Bytes that no text has. DeepSeek-Coder's vocabulary has none of them."""

_CONTROL = re.compile(r"<[|｜].+[|｜]>|<\[.+\]>|<unused_?\d+>")
_BYTE_PIECE = re.compile(r"<0x([0-9A-F]{2})>")
_FLAGS = ("single_word", "lstrip", "rstrip", "normalized")

Spec = dict[str, Any]


@dataclass(frozen=True)
class PublishedFile:
    """A tokenizer, in the library's own description.

    Args:
        path: the file.
        spec: all controls are special in it, and no merge makes one.
        inside_spec: the same without the blank that some put in front of every text.
        is_byte_level: whether its entries are bytes in GPT-2's alphabet; else they are text with `BLANK` for
            a space, and ``<0xNN>`` for single bytes.
        control_ids: id of each control.
    """

    path: Path
    spec: Spec
    inside_spec: Spec
    is_byte_level: bool
    control_ids: dict[str, int]

    def require_rows(self, num_rows: int) -> None:
        """Raise `InputError` if a plain entry is behind the rows of an embedding."""
        for text, i in self.spec["model"]["vocab"].items():
            if i >= num_rows and text not in self.control_ids:
                raise InputError(
                    f"tokenizer {self.path} has the entry {text!r} with the id {i}, and the model beside it "
                    f"{num_rows} rows; the two do not belong together"
                )

    def build(self, spec: Spec) -> tokenizers.Tokenizer:
        """Return a tokenizer of the library of `spec` or `inside_spec`."""
        return tokenizers.Tokenizer.from_str(json.dumps(spec))


def byte_of_piece(text: str) -> int | None:
    """Return the byte that an entry of SentencePiece's kind stands for, None if it stands for text.

    >>> byte_of_piece("<0x0A>"), byte_of_piece("▁x")
    (10, None)
    """
    found = _BYTE_PIECE.fullmatch(text)
    return int(found[1], 16) if found else None


def read_published(folder: Path, control_names: Collection[str]) -> PublishedFile:
    """Read the tokenizer of a folder.

    Args:
        folder: holds a ``tokenizer.json``.
        control_names: entries that are controls, whatever the file says of them.

    Raises:
        InputError: it is missing or broken, or of a kind that would not give back every byte of a text.
    """
    path = folder / "tokenizer.json"
    if not path.is_file():
        raise InputError(
            f"tokenizer {folder}: there is no {path.name} in it; write one with transformers: "
            "`AutoTokenizer.from_pretrained(FOLDER).save_pretrained(FOLDER)`"
        )
    spec: Spec = json.loads(open_tokenizer_file(path).to_str())
    model = spec["model"]
    if model["type"] != "BPE":
        raise InputError(f"tokenizer {path} is a {model['type']} model; only byte-pair encoding is opened")
    is_byte_level = any(_kinds(spec[part], "ByteLevel") for part in ("pre_tokenizer", "decoder"))
    if not is_byte_level and not model.get("byte_fallback"):
        raise InputError(
            f"tokenizer {path} is neither byte-level nor falls back to bytes; a text with characters that it "
            "does not know would be lost"
        )
    control_ids = _controls(spec, control_names)
    model["merges"] = [pair for pair in model["merges"] if not _makes_control(pair, control_ids)]
    inside_spec = {
        **spec,
        "normalizer": _without_blank(spec["normalizer"]),
        "pre_tokenizer": _without_blank(spec["pre_tokenizer"]),
    }
    _require_kept(path, inside_spec["normalizer"], is_byte_level)
    return PublishedFile(path, spec, inside_spec, is_byte_level, control_ids)


def _controls(spec: Spec, control_names: Collection[str]) -> dict[str, int]:
    """Make all controls special, and return their ids."""
    added = spec["added_tokens"]
    for token in added:
        token["special"] |= token["content"] in control_names or bool(_CONTROL.fullmatch(token["content"]))
        if not token["special"]:
            token["lstrip"] = token["rstrip"] = False  # they would swallow blanks
    known = {token["content"] for token in added}
    for name in sorted(set(control_names) & set(spec["model"]["vocab"]) - known):
        flags = dict.fromkeys(_FLAGS, False)
        added.append({"id": spec["model"]["vocab"][name], "content": name, "special": True, **flags})
    added.sort(key=lambda token: token["id"])
    return {token["content"]: token["id"] for token in added if token["special"]}


def _makes_control(pair: tuple[str, str], control_ids: Mapping[str, int]) -> bool:
    whole = pair[0] + pair[1]
    return whole in control_ids or byte_of_piece(whole) is not None


def _kinds(part: Any, kind: str) -> list[Spec]:
    """Return the steps of one kind in a normalizer, pre-tokenizer or decoder."""
    return [step for step in _steps(part) if step["type"] == kind]


def _steps(part: Any) -> list[Spec]:
    if part is None:
        return []
    for name in ("normalizers", "pretokenizers", "decoders"):
        if part["type"] == "Sequence" and name in part:
            return [step for inner in part[name] for step in _steps(inner)]
    return [part]


def _without_blank(part: Any) -> Any:
    """Return a normalizer or pre-tokenizer that puts no blank in front of a text."""
    if part is None or part["type"] == "Prepend":
        return None
    if part["type"] == "Sequence":
        name = "normalizers" if "normalizers" in part else "pretokenizers"
        return {**part, name: [step for step in map(_without_blank, part[name]) if step is not None]}
    if part["type"] == "Metaspace":
        kept = {key: value for key, value in part.items() if key != "add_prefix_space"}
        return {**kept, "prepend_scheme": "never"}
    if part["type"] == "ByteLevel":
        return {**part, "add_prefix_space": False}
    return part


def _require_kept(path: Path, normalizer: Any, is_byte_level: bool) -> None:
    for step in _steps(normalizer):
        blanks = {"type": "Replace", "pattern": {"String": " "}, "content": BLANK}
        if step["type"] != "NFC" and (is_byte_level or step != blanks):
            raise InputError(
                f"tokenizer {path} changes texts ({step['type']}) before it encodes them; what it gives back "
                "would not be what was written"
            )
