"""How the published code models are asked to infill, and how their folders are recognized.

A family is recognized by the special tokens that its infill prompt needs, in the order of `FAMILIES`; the
architecture does not matter, since one format serves many (StarCoder's tokens are those of StarCoder2,
Granite-Code, StableCode and CodeQwen1.5). A model with none of them completes.

``config.json`` may say otherwise: its section ``spanmix`` (see `spanmix.model.prompting`) is what counts.

Each format is written down from what its maker published, which `Family.source` names. Not here, because what
was found of them is not enough: GLM-4.5 (only its tokens ``<|code_prefix|>`` are known, not what ends an
answer), CodeGeeX4 (needs code of its own to be opened), Granite 4, and the chat form in which Qwen3-Coder's
README wraps its prompt (the plain form is used).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tokenizers

from spanmix.errors import InputError
from spanmix.files import read_json
from spanmix.generate.asked import Asked, in_ids, stated_prompting
from spanmix.model.prompting import InfillPrompting, Prompting, Strings
from spanmix.text.published_files import PublishedFile, read_published
from spanmix.text.published_tokenizer import PublishedTokenizer


@dataclass(frozen=True)
class Family:
    """One way to ask for what stands between prefix and suffix.

    Args:
        name: the model that it is named after.
        start: tokens in front of every prompt; None if that is what the folder's tokenizer puts there.
        prefix: in front of the prefix; with `suffix` and `middle` what recognizes the family.
        suffix: in front of the suffix.
        middle: behind both.
        order: ``psm`` or ``spm``.
        infill_ends: what ends a middle, as far as the tokenizer has it.
        text_ends: what ends a text, as far as the tokenizer has it; the folder's own end is added.
        also: further tokens that recognize it.
        source: where the format is published.
    """

    name: str
    start: Strings | None
    prefix: Strings
    suffix: Strings
    middle: Strings
    infill_ends: Strings
    text_ends: Strings
    source: str
    order: str = "psm"
    also: Strings = ()

    @property
    def marks(self) -> Strings:
        """The tokens that recognize it."""
        return (*self.prefix, *self.suffix, *self.middle, *self.also)


_BIGCODE_ENDS = ("<|endoftext|>", "<file_sep>", "<repo_name>", "<filename>", "<reponame>")
_QWEN_FIM = ("<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>")

FAMILIES = (
    Family(
        name="SantaCoder",
        start=None,
        prefix=("<fim-prefix>",),
        suffix=("<fim-suffix>",),
        middle=("<fim-middle>",),
        infill_ends=("<|endoftext|>",),
        text_ends=("<|endoftext|>",),
        source="bigcode/santacoder README.md (Fill-in-the-middle)",
    ),
    Family(
        # Of StarCoder2 and Granite-Code too: the latter's README names StarCoder's tokenizer as its own.
        name="StarCoder",
        start=None,
        prefix=("<fim_prefix>",),
        suffix=("<fim_suffix>",),
        middle=("<fim_middle>",),
        infill_ends=_BIGCODE_ENDS,
        text_ends=_BIGCODE_ENDS,
        source="bigcode/tiny_starcoder_py README.md; ibm-granite/granite-code-models README.md (Pretraining)",
    ),
    Family(
        name="CodeGemma",
        start=("<bos>",),
        prefix=("<|fim_prefix|>",),
        suffix=("<|fim_suffix|>",),
        middle=("<|fim_middle|>",),
        also=("<|file_separator|>",),
        infill_ends=("<|file_separator|>", *_QWEN_FIM, "<eos>"),
        text_ends=("<eos>", "<|file_separator|>"),
        source="ai.google.dev/gemma/docs/codegemma/prompt-structure; google/codegemma-1.1-2b README.md",
    ),
    Family(
        name="Qwen2.5-Coder",
        start=(),
        prefix=("<|fim_prefix|>",),
        suffix=("<|fim_suffix|>",),
        middle=("<|fim_middle|>",),
        also=("<|fim_pad|>", "<|endoftext|>"),
        infill_ends=(
            *("<|endoftext|>", "<|fim_pad|>", "<|file_sep|>", "<|repo_name|>", "<|im_start|>", "<|im_end|>"),
            *_QWEN_FIM,
        ),
        text_ends=("<|endoftext|>", "<|file_sep|>", "<|repo_name|>", "<|im_end|>"),
        source="QwenLM/Qwen3-Coder README.md, examples/Qwen2.5-Coder-fim.py",
    ),
    Family(
        name="DeepSeek-Coder",
        start=("<｜begin▁of▁sentence｜>",),
        prefix=("<｜fim▁begin｜>",),
        suffix=("<｜fim▁hole｜>",),
        middle=("<｜fim▁end｜>",),
        infill_ends=("<｜end▁of▁sentence｜>", "<|EOT|>"),
        text_ends=("<｜end▁of▁sentence｜>", "<|EOT|>"),
        source="deepseek-ai/DeepSeek-Coder README.md, DeepSeek-Coder-V2 README.md (Code Insertion)",
    ),
    Family(
        name="CodeLlama",
        start=("<s>",),
        prefix=("▁<PRE>",),
        suffix=("▁<SUF>",),
        middle=("▁<MID>",),
        infill_ends=("▁<EOT>", "</s>"),
        text_ends=("</s>", "▁<EOT>"),
        source="meta-llama/codellama llama/generation.py (infilling_prompt_tokens), llama/tokenizer.py",
    ),
    Family(
        name="Codestral",
        start=("<s>",),
        prefix=("[PREFIX]",),
        suffix=("[SUFFIX]",),
        middle=(),
        infill_ends=("</s>", "[PREFIX]", "[SUFFIX]", "[MIDDLE]"),
        text_ends=("</s>",),
        order="spm",
        source="mistralai/mistral-common src/mistral_common/tokens/tokenizers/instruct.py (encode_fim)",
    ),
    Family(
        name="Seed-Coder",
        start=None,
        prefix=("<[fim-prefix]>",),
        suffix=("<[fim-suffix]>",),
        middle=("<[fim-middle]>",),
        infill_ends=("<[end▁of▁sentence]>",),
        text_ends=("<[end▁of▁sentence]>",),
        order="spm",
        source="arXiv 2506.03524, section on fill-in-the-middle; Seed-Coder-8B-Base special_tokens_map.json",
    ),
)
"""In the order in which they are tried."""

CONTROL_NAMES = frozenset(
    name for one in FAMILIES for name in (*one.marks, *one.infill_ends, *one.text_ends, *(one.start or ()))
) | {"<pad>", "<unk>", "<fim_pad>", "<fim-pad>", "<start_of_turn>", "<end_of_turn>", "[MIDDLE]"}
"""Entries that no text may yield, also where a ``tokenizer.json`` has them as ordinary ones."""


def family_of(special: Mapping[str, int]) -> Family | None:
    """Return the family of a tokenizer's special tokens, None if it is none that is known.

    >>> family_of({"<fim_prefix>": 1, "<fim_suffix>": 2, "<fim_middle>": 3}).name
    'StarCoder'
    """
    return next((one for one in FAMILIES if all(mark in special for mark in one.marks)), None)


def open_published(folder: Path, num_rows: int) -> tuple[PublishedTokenizer, Asked]:
    """Open the tokenizer of a published model, and say how the model is asked.

    Args:
        folder: the model folder.
        num_rows: rows of its embedding.

    Raises:
        InputError: the tokenizer cannot be opened (see `read_published`), nothing says what ends a text, or
            ``config.json`` names a token that there is not.
    """
    file = read_published(folder, CONTROL_NAMES)
    file.require_rows(num_rows)
    special = {name: i for name, i in file.control_ids.items() if i < num_rows}
    family = family_of(special)
    names = family.text_ends if family else ()
    ends = list(dict.fromkeys([*(special[name] for name in names if name in special), *_own_ends(folder)]))
    ends = [i for i in ends if i < num_rows]
    if not ends:
        raise InputError(
            f"{folder}: neither config.json nor generation_config.json names an eos_token_id, and the "
            "tokenizer has no token that is known to end a text"
        )
    tokenizer = PublishedTokenizer(file, num_rows, ends)
    plain = [i for i in ends if not tokenizer.is_control[i]]
    if plain:
        raise InputError(
            f"{folder}: eos_token_id is {plain[0]}, the plain text {tokenizer.decode(plain[:1])!r}; a text "
            "would end there, so name a special token"
        )
    try:
        return tokenizer, _asked(folder, file, family, tokenizer)
    except InputError as error:
        raise InputError(f"{folder / 'config.json'}: {error}") from None


def _asked(folder: Path, file: PublishedFile, family: Family | None, tokenizer: PublishedTokenizer) -> Asked:
    stated = stated_prompting(folder)
    start = _text_start(folder, file) if family is None or family.start is None else family.start
    if stated is not None:
        return in_ids(Prompting(start if stated.start is None else stated.start, stated.infill), tokenizer)
    if family is None:
        return in_ids(Prompting(start, None), tokenizer)
    known = tokenizer.special_ids
    ends = [name for name in family.infill_ends if name in known]
    own = [name for name, i in known.items() if i in tokenizer.end_ids and name not in ends]
    infill = InfillPrompting(
        prefix=family.prefix,
        suffix=family.suffix,
        middle=family.middle,
        end=(*ends, *own),
        order=family.order,
        lead_tokens=0,
    )
    return in_ids(Prompting(start, infill), tokenizer)


@dataclass(frozen=True)
class _Ends:
    eos_token_id: int | list[int] | None = None


@dataclass(frozen=True)
class _TokenizerConfig:
    add_bos_token: bool | None = None
    bos_token: Any = None


def _own_ends(folder: Path) -> list[int]:
    """Return the ids that the folder says end a text."""
    found: list[int] = []
    for name in ("generation_config.json", "config.json"):
        if (folder / name).is_file():
            ends = read_json(folder / name, _Ends).eos_token_id
            found += [ends] if isinstance(ends, int) else ends or []
    return found


def _text_start(folder: Path, file: PublishedFile) -> Strings:
    """Return what transformers puts in front of a text with this tokenizer."""
    path = folder / "tokenizer_config.json"
    config = read_json(path, _TokenizerConfig) if path.is_file() else _TokenizerConfig()
    bos = config.bos_token["content"] if isinstance(config.bos_token, dict) else config.bos_token
    if config.add_bos_token is not None and bos is not None:
        return (str(bos),) if config.add_bos_token else ()
    inner: tokenizers.Tokenizer = file.build(file.spec)
    bare = inner.encode("x", add_special_tokens=False).tokens
    whole = inner.encode("x").tokens
    return tuple(whole[: next(i for i in range(len(whole)) if whole[i : i + len(bare)] == bare)])
