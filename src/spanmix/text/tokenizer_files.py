"""Open the tokenizer files of a folder, with its control tokens made special.

CodeGen2's own files hold ``<mask_1>``, ``<sep>`` and ``<eom>`` as ordinary tokens: a text that only contains
such a string would yield the control. So a file with controls that are not special is taken apart and put
together again.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tokenizers

from spanmix.errors import InputError
from spanmix.files import read_json
from spanmix.text.byte_level import byte_level_bpe
from spanmix.text.tokenizer_training import EOT

STARCODER_CONTROLS = (
    *("<fim_prefix>", "<fim_middle>", "<fim_suffix>", "<fim_pad>", "<filename>", "<gh_stars>"),
    *("<issue_start>", "<issue_comment>", "<issue_closed>"),
    *("<jupyter_start>", "<jupyter_text>", "<jupyter_code>", "<jupyter_output>", "<empty_output>"),
    *("<commit_before>", "<commit_msg>", "<commit_after>", "<reponame>"),
)
"""The 18 tokens that CodeGen2.5 has from StarCoder, in the order of their ids."""

_MOST_IDS = 2**31
_NUMBERED = re.compile(r"<(mask|dummy|unused)_\d+>")
_NAMED = {EOT, "<sep>", "<eom>", "<pad>", *STARCODER_CONTROLS}


def open_tokenizer_file(path: Path) -> tokenizers.Tokenizer:
    """Open a ``tokenizer.json`` of the ``tokenizers`` library, as it is.

    Raises:
        InputError: the library cannot read it.
    """
    try:
        return tokenizers.Tokenizer.from_file(str(path))
    except Exception as error:  # the library raises bare Exception
        raise InputError(f"tokenizer {path} cannot be read: {error}") from None


def has_tokenizer(folder: Path) -> bool:
    """Return whether `open_tokenizer` finds its files in `folder`."""
    return (folder / "tokenizer.json").is_file() or (folder / "vocab.json").is_file()


def open_tokenizer(folder: Path) -> tuple[tokenizers.Tokenizer, list[str]]:
    """Open ``tokenizer.json``, or else ``vocab.json``, ``merges.txt`` and ``added_tokens.json``.

    Returns:
        The tokenizer, and the control tokens that were ordinary ones in its files.

    Raises:
        InputError: a file is missing or broken, or the tokenizer would have to be put right and is not of
            GPT-2's form.
    """
    path = folder / "tokenizer.json"
    if path.is_file():
        inner = open_tokenizer_file(path)
        added = inner.get_added_tokens_decoder().values()
        ordinary = [token.content for token in added if not token.special and is_control(token.content)]
        return (_put_right(inner, path), ordinary) if ordinary else (inner, [])
    if not (folder / "vocab.json").is_file():
        raise InputError(
            f"tokenizer {folder}: there is no {path.name} in it; name a folder that holds one. A CodeGen "
            "model of others gets one by `spanmix convert MODEL FOLDER --to native`"
        )
    ids = read_json(folder / "vocab.json", dict[str, int])
    added_file = folder / "added_tokens.json"
    added_ids = read_json(added_file, dict[str, int]) if added_file.is_file() else {}
    if EOT in ids:
        added_ids = {EOT: ids[EOT], **added_ids}
    inner = _assemble(ids, _read_merges(folder / "merges.txt"), added_ids, (), folder / "vocab.json")
    ordinary = [text for text in added_ids if text != EOT and is_control(text)]
    return inner, sorted(ordinary, key=added_ids.__getitem__)


@dataclass(frozen=True)
class _Prompting:
    infill: Any = True


@dataclass(frozen=True)
class _Config:
    spanmix: _Prompting = _Prompting()


def is_of_model_without_infill(folder: Path) -> bool:
    """Return whether `folder` is a model folder whose ``config.json`` says ``"infill": null``.

    Raises:
        InputError: its ``config.json`` is broken.
    """
    config = folder / "config.json"
    return config.is_file() and read_json(config, _Config).spanmix.infill is None


def is_control(text: str) -> bool:
    """Return whether a token of this name is a control in the tokenizers of this family."""
    return text in _NAMED or _NUMBERED.fullmatch(text) is not None


def _put_right(inner: tokenizers.Tokenizer, path: Path) -> tokenizers.Tokenizer:
    spec = json.loads(inner.to_str())
    model, split = spec["model"], spec["pre_tokenizer"] or {}
    plain = ("dropout", "continuing_subword_prefix", "end_of_word_suffix", "byte_fallback", "ignore_merges")
    options = [name for name in plain if model.get(name)]
    if spec["normalizer"]:
        options.append("normalizer")
    if (split.get("type"), split.get("add_prefix_space"), split.get("use_regex", True)) != (
        "ByteLevel",
        False,
        True,
    ):
        options.append("pre_tokenizer")
    if any(token["lstrip"] or token["rstrip"] or token["single_word"] for token in spec["added_tokens"]):
        options.append("added_tokens")
    if model["type"] != "BPE" or options:
        raise InputError(
            f"tokenizer {path}: its control tokens are ordinary ones, which texts could yield. That cannot "
            f"be put right, since it differs from GPT-2's form in {', '.join(options or ['model'])}"
        )
    added = {token["content"]: token["id"] for token in spec["added_tokens"]}
    special = {token["content"] for token in spec["added_tokens"] if token["special"]}
    return _assemble(model["vocab"], [tuple(pair) for pair in model["merges"]], added, special, path)


def _assemble(
    ids: dict[str, int],
    merges: list[tuple[str, str]],
    added_ids: dict[str, int],
    special: Iterable[str],
    path: Path,
) -> tokenizers.Tokenizer:
    if outside := [text for text, i in ids.items() if not 0 <= i < _MOST_IDS]:
        raise InputError(
            f"tokenizer {path}: the entry {outside[0]!r} has the id {ids[outside[0]]}, and ids run from 0 "
            "without gaps"
        )
    for left, right in merges:
        if lost := [text for text in (left, right, left + right) if text not in ids]:
            raise InputError(
                f"tokenizer {path}: it joins {left!r} and {right!r}, and has no entry for {lost[0]!r}"
            )
    names = sorted(added_ids, key=added_ids.__getitem__)
    inner = byte_level_bpe(ids, merges, {text: text in special or is_control(text) for text in names})
    if moved := [text for text in names if inner.token_to_id(text) != added_ids[text]]:
        raise InputError(
            f"tokenizer {path}: the added token {moved[0]!r} has the id {added_ids[moved[0]]}, where "
            f"{inner.token_to_id(moved[0])} is next; ids need no gaps"
        )
    return inner


def _read_merges(path: Path) -> list[tuple[str, str]]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        raise InputError(f"tokenizer {path} is missing; it belongs to vocab.json beside it") from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"tokenizer {path} cannot be read: {error}") from None
    merges = []
    for number, line in enumerate(lines, start=1):
        if number == 1 and line.startswith("#version"):
            continue
        left, space, right = line.partition(" ")
        if not (left and space and right) or " " in right:
            raise InputError(f"tokenizer {path}: line {number} is {line!r}, which is not a pair of entries")
        merges.append((left, right))
    return merges
