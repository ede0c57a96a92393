"""Make the tokenizers of the CodeGen family, byte for byte, without the network and without remote code.

All of them are GPT-2's 50,257 entries with others behind them, 51,200 in all::

    ids            CodeGen2                       CodeGen2.5
    0 .. 50256     GPT-2's, <|endoftext|> last    the same
    50257 ..       runs of 31 .. 2 spaces         the same runs, but as entries that merges make
    50287 ..       runs of 9 .. 2 tabs
    50295 ..       <dummy_0> .. <dummy_3>         StarCoder's 18, then <dummy_0> .. <dummy_3>
    50299 / 50317  <sep> <eom>                    <sep> <eom>
    .. 51199       <mask_899> .. <mask_1>         <mask_881> .. <mask_1>

CodeGen's (the first generation's) ends with the runs (``multi``, ``mono``) or with GPT-2's entries
(``nl``); the embedding has 51,200 rows all the same. The rows behind are given CodeGen2's controls, so that
the model can be taught to infill; until then they are suppressed (`Tokenizer.controls_trained`).

**Blank runs.** CodeGen2 takes the longest run off a text before anything else is split, and leaves the word
behind it without its blank. CodeGen2.5 splits by GPT-2's rule first, which leaves the last blank of a run
with the word, and then merges. Its own program is tiktoken: of all neighbors whose union is an entry it joins
those of the lowest rank, leftmost first, and the rank of a run falls with its length. So a run grows from its
left end by one blank at a time, up to the longest. The merges (n, 1) -> n + 1, the longest first, say the
same: no entry but a run holds two blanks in a row, and every run ranks behind all of GPT-2's entries, so no
other pair can ever be joined with a run. For GPT-2's own entries the two ways agree anyway: when an entry's
turn comes, all merges of lower rank inside of it are done, so its two parts are those of its own merge.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import tokenizers

from spanmix.errors import InputError, SpanmixError
from spanmix.files import read_json
from spanmix.text.byte_level import byte_alphabet, byte_level_bpe
from spanmix.text.tokenizer import MODEL_MAX_LENGTH, TOKENIZER_CLASS, Tokenizer
from spanmix.text.tokenizer_files import (
    STARCODER_CONTROLS,
    has_tokenizer,
    is_of_model_without_infill,
    open_tokenizer,
    open_tokenizer_file,
)
from spanmix.text.tokenizer_training import BLANK_RUNS, EOM, EOT, SEP, UNUSED_PREFIX, mask_name

VOCAB_SIZE = 51_200
"""Rows of the embedding of every published CodeGen, CodeGen2 and CodeGen2.5."""

_GPT2_MERGES = Path(__file__).parent / "gpt2" / "vocab.bpe"
_GPT2_SHA256 = "1ce1664773c50f3e0cc8842619a93edc4624525b728b188a9e0be33b7726adc5"
_DUMMIES = tuple(f"<dummy_{i}>" for i in range(4))
_NUM_GPT2 = 50_257
_OPENED = "Spanmix opens the tokenizers of CodeGen, CodeGen2 and CodeGen2.5, and those that it trained"


def codegen2_tokenizer() -> Tokenizer:
    """Return CodeGen2's tokenizer, the same for all its sizes; PAD is ``<dummy_0>``."""
    return Tokenizer(_behind_gpt2(dict.fromkeys(BLANK_RUNS, False) | _codegen2_controls()))


def codegen1_tokenizer(kind: Literal["nl", "multi", "mono"]) -> Tokenizer:
    """Return CodeGen's tokenizer with CodeGen2's controls at CodeGen2's ids, none of which were trained.

    Args:
        kind: ``"multi"`` and ``"mono"`` have the blank runs. ``"nl"`` was trained with GPT-2's entries
            alone; fillers stand for the runs.
    """
    fillers = [f"{UNUSED_PREFIX}{i}>" for i in range(len(BLANK_RUNS))]
    runs = dict.fromkeys(fillers, True) if kind == "nl" else dict.fromkeys(BLANK_RUNS, False)
    return Tokenizer(_behind_gpt2(runs | _codegen2_controls()), controls_trained=False)


def codegen25_tokenizer() -> Tokenizer:
    """Return CodeGen2.5's tokenizer, the same for all its models; PAD is ``<fim_pad>``."""
    ids, merges = _gpt2()
    character = {byte: letter for letter, byte in byte_alphabet().items()}
    for run in BLANK_RUNS:
        blank = character[ord(run[0])]
        ids[blank * len(run)] = len(ids)
        merges.append((blank * (len(run) - 1), blank))
    masks = [mask_name(n) for n in range(881, 0, -1)]
    controls = [EOT, *STARCODER_CONTROLS, *_DUMMIES, SEP, EOM, *masks]
    return Tokenizer(byte_level_bpe(ids, merges, dict.fromkeys(controls, True)))


def tokenizer_for(folder: Path, vocab_size: int) -> tuple[Tokenizer, list[str]]:
    """Return the tokenizer of a model folder that others wrote.

    Args:
        folder: with the tokenizer's files. A folder without any gets the family's own: CodeGen2.5's if its
            model is a Llama or it names CodeGen2.5's program, else CodeGen2's.
        vocab_size: rows of the model's embedding.

    Returns:
        The tokenizer, and a sentence for each thing that it does otherwise than the folder says.

    Raises:
        InputError: a file is broken, or the tokenizer is of another family or another size than the model.
    """
    if not has_tokenizer(folder):
        tokenizer, corrections = _built_in(folder)
    else:
        inner, ordinary = open_tokenizer(folder)
        kind = _codegen1_kind(inner) if vocab_size == VOCAB_SIZE else None
        if kind is not None:
            tokenizer, corrections = codegen1_tokenizer(kind), [_codegen1_sentence(inner)]
        else:
            tokenizer, corrections = _of_files(folder, inner), _special_sentences(ordinary)
    if tokenizer.vocab_size != vocab_size:
        raise InputError(
            f"{folder}: the tokenizer has {tokenizer.vocab_size:,} entries and the model's embedding "
            f"{vocab_size:,} rows; they must be equal, so put the model's own tokenizer there"
        )
    return tokenizer, [*corrections, *_limit_sentences(folder), *_config_sentences(folder, tokenizer)]


def _gpt2() -> tuple[dict[str, int], list[tuple[str, str]]]:
    """GPT-2's vocabulary and merges: its ids are the bytes, what each merge makes, and ``<|endoftext|>``."""
    content = _GPT2_MERGES.read_bytes()
    if hashlib.sha256(content).hexdigest() != _GPT2_SHA256:
        raise SpanmixError(f"{_GPT2_MERGES} is not GPT-2's list of merges any more; install Spanmix again")
    pairs = [line.split(" ") for line in content.decode("utf-8").splitlines()[1:]]
    entries = [*byte_alphabet(), *(left + right for left, right in pairs), EOT]
    return {text: i for i, text in enumerate(entries)}, [(left, right) for left, right in pairs]


def _behind_gpt2(added: dict[str, bool]) -> tokenizers.Tokenizer:
    return byte_level_bpe(*_gpt2(), {EOT: True} | added)


def _codegen2_controls() -> dict[str, bool]:
    masks = [mask_name(n) for n in range(899, 0, -1)]
    return dict.fromkeys([*_DUMMIES, SEP, EOM, *masks], True)


def _codegen1_kind(inner: tokenizers.Tokenizer) -> Literal["nl", "multi"] | None:
    """Return which of CodeGen's two tokenizers `inner` is, if it is one."""
    found = inner.get_vocab(with_added_tokens=True)
    nl = _gpt2()[0]
    if found == nl:
        return "nl"
    return "multi" if found == nl | {run: _NUM_GPT2 + i for i, run in enumerate(BLANK_RUNS)} else None


def _of_files(folder: Path, inner: tokenizers.Tokenizer) -> Tokenizer:
    try:
        return Tokenizer(inner, controls_trained=not is_of_model_without_infill(folder))
    except InputError as error:
        raise InputError(f"tokenizer {folder}: {error}. It is of another family; {_OPENED}") from None


@dataclass(frozen=True)
class _ModelConfig:
    model_type: str | None = None


@dataclass(frozen=True)
class _TokenizerConfig:
    tokenizer_class: str | None = None
    model_max_length: int | float | None = None
    pad_token: Any = None


def _read_tokenizer_config(folder: Path) -> _TokenizerConfig:
    file = folder / "tokenizer_config.json"
    return read_json(file, _TokenizerConfig) if file.is_file() else _TokenizerConfig()


def _built_in(folder: Path) -> tuple[Tokenizer, list[str]]:
    if (folder / "tokenizer.model").is_file():
        raise InputError(
            f"tokenizer {folder / 'tokenizer.model'} is sentencepiece's, so of another family; {_OPENED}"
        )
    named = _read_tokenizer_config(folder).tokenizer_class
    config = folder / "config.json"
    is_llama = config.is_file() and read_json(config, _ModelConfig).model_type == "llama"
    if is_llama or named == "CodeGen25Tokenizer":
        tokenizer, name = codegen25_tokenizer(), "CodeGen2.5"
    else:
        tokenizer, name = codegen2_tokenizer(), "CodeGen2"
    return tokenizer, [
        f"The folder has no tokenizer files; it is given {name}'s, with its {VOCAB_SIZE:,} ids."
    ]


def _codegen1_sentence(inner: tokenizers.Tokenizer) -> str:
    return (
        f"The tokenizer has {inner.get_vocab_size():,} entries and the model's embedding {VOCAB_SIZE:,} "
        "rows; the others are given CodeGen2's controls. They were never trained: generation suppresses them."
    )


def _special_sentences(ordinary: list[str]) -> list[str]:
    if not ordinary:
        return []
    return [
        f"{len(ordinary):,} control tokens ({ordinary[0]} to {ordinary[-1]}) were ordinary tokens; they are "
        "special now, so that a text which contains such a string stays text."
    ]


def _limit_sentences(folder: Path) -> list[str]:
    """Say whether ``tokenizer.json`` cuts long texts or fills up short ones, as it was last used."""
    file = folder / "tokenizer.json"
    if not file.is_file():
        return []
    inner = open_tokenizer_file(file)
    sentences = []
    if inner.truncation:
        sentences.append(
            f"tokenizer.json cut texts at {inner.truncation['max_length']:,} tokens; none is cut now."
        )
    if inner.padding:
        sentences.append("tokenizer.json filled up short texts with padding; none is filled up now.")
    return sentences


def _config_sentences(folder: Path, tokenizer: Tokenizer) -> list[str]:
    """Say what ``tokenizer_config.json`` says otherwise than `Tokenizer.save`."""
    config = _read_tokenizer_config(folder)
    sentences = []
    pad = next(text for text, i in tokenizer.special_ids.items() if i == tokenizer.control.pad)
    given = config.pad_token.get("content") if isinstance(config.pad_token, dict) else config.pad_token
    if given != pad:
        sentences.append(f"The padding token was {given or 'not set'}; it is {pad} now, which no text holds.")
    length = config.model_max_length
    if length is not None and length != MODEL_MAX_LENGTH:
        sentences.append(
            f"model_max_length was {length:,}; the tokenizer sets no limit now, the model's context does."
        )
    if config.tokenizer_class not in (None, TOKENIZER_CLASS):
        sentences.append(
            f"tokenizer_class was {config.tokenizer_class}; it is {TOKENIZER_CLASS} now, which transformers "
            "4 and 5 open without remote code."
        )
    return sentences
