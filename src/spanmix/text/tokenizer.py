"""Turn text into token ids and back, byte for byte, so that no text ever yields a control id.

The layout of a trained tokenizer follows CodeGen2's, whose last ids are the sentinels in falling order::

    0 ..           256 bytes, then the merges      byte-level BPE with GPT-2's splitting rule
    next           <|endoftext|>
    next 30        runs of 31, 30, ..., 2 spaces
    next 8         runs of 9, 8, ..., 2 tabs
    next           <pad>, and any tokens that were asked for, such as <fim_prefix>
    next           <unused_0> ...                  fill the vocabulary up to exactly what was asked
    next 2         <sep>, <eom>
    last           <mask_N> ... <mask_2>, <mask_1> so the id of <mask_n> is vocab_size - n

Runs of blanks are plain text. The rest behind the base are controls: `Tokenizer.encode` never makes them
(law 9), not even from a file that holds the text ``<mask_1>``.

CodeGen2's and CodeGen2.5's tokenizers are opened too. They pad with another token and call their fillers
``<dummy_i>``; see `_KINDS`, and `spanmix.interchange.tokenizers` for their layouts.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import tokenizers
from tokenizers import AddedToken

from spanmix.errors import InputError
from spanmix.text import tokenizer_training
from spanmix.text.byte_level import byte_alphabet
from spanmix.text.text_tokenizer import TextTokenizer
from spanmix.text.tokenizer_files import is_of_model_without_infill, open_tokenizer
from spanmix.text.tokenizer_training import EOM, EOT, PAD, SEP, UNUSED_PREFIX, mask_name
from spanmix.types import ControlIds

TOKENIZER_CLASS = "PreTrainedTokenizerFast"
"""transformers 5 would write its own "TokenizersBackend", which transformers 4 does not know."""

MODEL_MAX_LENGTH = 1_000_000_000
"""No limit: the model's context is one, and stands in its ``config.json``."""

_KINDS = (
    (PAD, (UNUSED_PREFIX,)),  # trained here
    ("<fim_pad>", (UNUSED_PREFIX, "<dummy_")),  # CodeGen2.5's, which has a <dummy_0> too
    ("<dummy_0>", (UNUSED_PREFIX, "<dummy_")),  # CodeGen2's, and CodeGen's with CodeGen2's controls
)
"""The token that pads, and how fillers begin; the first kind whose PAD a tokenizer has is its kind."""


class Tokenizer(TextTokenizer):
    """A byte-level BPE tokenizer with control tokens that text cannot reach.

    Args:
        inner: a tokenizer of the ``tokenizers`` library that has ``<|endoftext|>``, ``<pad>``, ``<sep>``,
            ``<eom>`` and ``<mask_1>``, ``<mask_2>``, ... as special tokens; for PAD see `_KINDS`.
        controls_trained: whether its model was trained on the controls. If not, all but ``<|endoftext|>``
            are among `suppressed_ids`.

    Raises:
        InputError: a control token is missing or is not a special token, or the ids have gaps.
    """

    control: ControlIds

    def __init__(self, inner: tokenizers.Tokenizer, controls_trained: bool = True) -> None:
        vocab_size = inner.get_vocab_size(with_added_tokens=True)
        entries = {i: text for text, i in inner.get_vocab(with_added_tokens=True).items()}
        if gaps := set(range(vocab_size)) - set(entries):
            raise InputError(
                f"it has {vocab_size} entries, yet none with the id {min(gaps)}; ids need no gaps"
            )
        added = inner.get_added_tokens_decoder()
        strings = {i: token.content for i, token in added.items() if token.special}
        control, self._filler_prefixes = _find_controls({text: i for i, text in strings.items()})
        fillers = {i for i, text in strings.items() if text.startswith(self._filler_prefixes)}
        untrained = set() if controls_trained else set(strings) - {control.eot}
        super().__init__(
            inner,
            control,
            strings,
            _token_bytes(entries, added),
            end_ids=frozenset({control.eot}),
            suppressed_ids=frozenset(fillers | {control.pad} | untrained),
        )
        self.num_sentinels = len(control.masks)
        self.controls_trained = controls_trained

    def with_controls(self, trained: bool) -> Tokenizer:
        """Return the same tokenizer beside a model that was trained on the controls, or was not."""
        return Tokenizer(self._inner, controls_trained=trained)

    def save(self, folder: Path | str) -> None:
        """Write the tokenizer as transformers 4 and 5 open it, without remote code.

        Writes ``tokenizer.json``, ``tokenizer_config.json``, ``special_tokens_map.json``, ``vocab.json`` and
        ``merges.txt``. There, control strings in a text do become controls unless the caller passes
        ``split_special_tokens=True``.
        """
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        self._inner.save(str(folder / "tokenizer.json"))
        self._inner.model.save(str(folder))
        masks = [mask_name(n) for n in range(1, self.num_sentinels + 1)]
        pad = self._control_strings[self.control.pad]
        special = {"bos_token": EOT, "eos_token": EOT, "unk_token": EOT, "pad_token": pad}
        others = [t for t in self._control_strings.values() if not t.startswith(self._filler_prefixes)]
        extra = [text for text in others if text not in (EOT, pad, SEP, EOM, *masks)]
        names: dict[str, Any] = {**special, "additional_special_tokens": [SEP, EOM, *extra, *masks]}
        config = {
            "tokenizer_class": TOKENIZER_CLASS,
            "clean_up_tokenization_spaces": False,
            "model_max_length": MODEL_MAX_LENGTH,
            **names,
        }
        _write_json(folder / "tokenizer_config.json", config)
        _write_json(folder / "special_tokens_map.json", names)

    @classmethod
    def load(cls, folder: Path | str) -> Tokenizer:
        """Open a folder that `save` wrote, a model folder that holds one, or one with CodeGen2's own files.

        Raises:
            InputError: ``tokenizer.json`` is missing or broken, or lacks the control tokens.
        """
        folder = Path(folder)
        inner, _ = open_tokenizer(folder)
        try:
            return cls(inner, controls_trained=not is_of_model_without_infill(folder))
        except InputError as error:
            whole = folder / "tokenizer.json"
            file = whole if whole.is_file() else f"{folder / 'vocab.json'} (there is no tokenizer.json)"
            raise InputError(
                f"tokenizer {file}: {error}. If it is a CodeGen model's, "
                "`spanmix convert MODEL FOLDER --to native` adds what it lacks"
            ) from None

    @classmethod
    def train(
        cls, texts: Iterable[str], vocab_size: int, num_sentinels: int, extra_tokens: Sequence[str] = ()
    ) -> Tokenizer:
        """Train a tokenizer with exactly `vocab_size` entries; the same input gives the same tokenizer.

        Args:
            texts: training documents, read once, as a stream.
            vocab_size: all entries, controls and fillers included; a multiple of 64.
            num_sentinels: how many ``<mask_n>`` there are.
            extra_tokens: more special tokens, in this order.

        Raises:
            InputError: `vocab_size` has no room for the bytes and the controls.
        """
        return cls(tokenizer_training.train(texts, vocab_size, num_sentinels, extra_tokens))


def _find_controls(ids: dict[str, int]) -> tuple[ControlIds, tuple[str, ...]]:
    pad, filler_prefixes = next((kind for kind in _KINDS if kind[0] in ids), _KINDS[0])
    missing = [name for name in (EOT, SEP, EOM, pad, mask_name(1)) if name not in ids]
    if missing:
        raise InputError(
            f"it has no special token {', '.join(missing)}; files and spans are marked with them"
        )
    masks: list[int] = []
    while (name := mask_name(len(masks) + 1)) in ids:
        masks.append(ids[name])
    return ControlIds(ids[EOT], ids[SEP], ids[EOM], ids[pad], tuple(masks)), filler_prefixes


def _token_bytes(entries: dict[int, str], added: dict[int, AddedToken]) -> list[bytes]:
    """Undo the byte-level alphabet."""
    byte_of = byte_alphabet()
    table = []
    for i, text in sorted(entries.items()):
        if i in added:
            table.append(b"" if added[i].special else text.encode())
        elif all(character in byte_of for character in text):
            table.append(bytes(byte_of[character] for character in text))
        else:
            raise InputError(f"entry {i} is {text!r}, which is not byte-level; use byte-level BPE")
    return table


def _write_json(path: Path, value: object) -> None:
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
