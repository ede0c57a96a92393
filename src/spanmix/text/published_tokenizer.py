"""Encode text as the models of others do, byte for byte: `PublishedTokenizer`.

There are two kinds. *Byte-level* tokenizers (StarCoder, Qwen, DeepSeek-Coder) differ from ours in how they
cut words. *SentencePiece's kind* (CodeLlama, CodeGemma, Codestral) writes a space as ``▁`` and a character it
does not know as bytes, and some put one more ``▁`` in front of every text, so that a first word is that of
any other place::

    encode("def f")         ▁def ▁f      the beginning of a prompt, as in training
    encode_inside("def f")  def ▁f       behind other tokens: a suffix, or what is filled in

That blank is no part of the text: it is made for the first token of a prompt, where nothing is read back, and
never at a cursor. What a model writes is always read back with all its blanks, so the bytes of prefix, middle
and suffix are those of the file. (A prefix that is too long loses its first tokens, the blank among them.)

Two things are changed on the way in. Qwen's tokenizer composes characters (NFC); the model sees ``é`` as one
character however it is written. And a ``▁`` that really stands in a text becomes its three bytes, where
SentencePiece would make a space of it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import tokenizers

from spanmix.errors import InputError
from spanmix.text.bulk_encoding import BulkEncoder
from spanmix.text.byte_level import byte_alphabet
from spanmix.text.published_files import BLANK, NEVER_IN_UTF8, PublishedFile, byte_of_piece
from spanmix.text.text_tokenizer import TextTokenizer, encode_chunks
from spanmix.types import IntArray, TextControls

# GPT-2's rule does not hold for all: Qwen's has one word of ":\n". A letter at a line's beginning starts one.
_WORD_START = re.compile(r"(?<=\n)(?=[^\W\d])")
_PROBE = "def f(x):\n\treturn  x + 1  # ü 中 😀\r\n\n"


class PublishedTokenizer(TextTokenizer):
    """The tokenizer of a published model.

    Ids run over all rows of the model's embedding. Rows that have no entry are controls without a name, and
    so are never asked for nor generated.

    Args:
        file: what was read.
        num_rows: of the embedding. Controls behind it do not belong to the model and are left out.
        end_ids: ids any one of which ends a text, the usual one first.

    Raises:
        InputError: an entry of the vocabulary is behind the embedding or cannot be read, or a text does not
            come back from its tokens.
    """

    _word_start = _WORD_START

    def __init__(self, file: PublishedFile, num_rows: int, end_ids: Sequence[int]) -> None:
        file.require_rows(num_rows)
        inside = file.build(file.inside_spec)
        inside.encode_special_tokens = True
        self._start = inside if file.spec == file.inside_spec else file.build(file.spec)
        self._start.encode_special_tokens = True
        strings = {i: text for text, i in file.control_ids.items() if i < num_rows}
        token_bytes = _token_bytes(file, inside, num_rows)
        missing = [i for i, piece in enumerate(token_bytes) if not piece and i not in strings]
        strings |= {i: f"<row {i}>" for i in missing}
        self._nameless = frozenset(missing)
        super().__init__(
            inside,
            TextControls(end_ids[0]),
            strings,
            token_bytes,
            end_ids=frozenset(end_ids),
            suppressed_ids=self._nameless,
        )
        self._blank_ids = [] if file.is_byte_level else _byte_ids(file, BLANK.encode())
        self._check(file)

    @property
    def special_ids(self) -> dict[str, int]:
        """Ids of all special tokens by their strings."""
        return {text: i for i, text in self._control_strings.items() if i not in self._nameless}

    def _make_bulk(self) -> BulkEncoder | None:
        return super()._make_bulk() if self._start is self._inner else None

    def _encode_chunks(self, chunks: list[str], at_start: Sequence[bool]) -> Iterable[IntArray]:
        # What stands between two BLANKs is encoded for itself; few texts have any.
        cut = [chunk.split(BLANK) if self._blank_ids else [chunk] for chunk in chunks]
        first: list[str] = []
        others: list[str] = []
        for pieces, start in zip(cut, at_start, strict=True):
            (first if start else others).append(pieces[0])
            others += pieces[1:]
        start_ids = encode_chunks(self._start, first)
        inside_ids = encode_chunks(self._inner, others)
        between = np.array(self._blank_ids, dtype=np.int32)
        for pieces, start in zip(cut, at_start, strict=True):
            found = [next(start_ids if start else inside_ids)]
            for _ in pieces[1:]:
                found += [between, next(inside_ids)]
            yield np.concatenate(found)

    def _check(self, file: PublishedFile) -> None:
        if self.decode_bytes(self.encode_inside(_PROBE)) != _PROBE.encode():
            raise InputError(f"tokenizer {file.path} does not give back a line of code as it was written")
        for name, control in self.special_ids.items():
            if self.is_control[self.encode_inside(name)].any() or self.is_control[self.encode(name)].any():
                raise InputError(
                    f"tokenizer {file.path} makes controls of the plain text {name!r} (id {control}); texts "
                    "could steer the model with it"
                )


def _token_bytes(file: PublishedFile, inner: tokenizers.Tokenizer, num_rows: int) -> list[bytes]:
    table = [b""] * num_rows
    added = {i for i, token in inner.get_added_tokens_decoder().items() if not token.special}
    byte_of = byte_alphabet()
    for text, i in inner.get_vocab(with_added_tokens=True).items():
        if text in file.control_ids or (i >= num_rows and i in added):
            continue
        if not file.is_byte_level:
            byte = byte_of_piece(text)
            table[i] = text.replace(BLANK, " ").encode() if byte is None else bytes([byte])
        elif i in added:
            table[i] = text.encode()
        elif all(character in byte_of for character in text):
            table[i] = bytes(byte_of[character] for character in text)
        else:
            raise InputError(f"tokenizer {file.path}: entry {i} is {text!r}, which is not byte-level")
    single = {piece[0] for piece in table if len(piece) == 1}
    if lost := set(range(256)) - NEVER_IN_UTF8 - single:
        raise InputError(
            f"tokenizer {file.path} has no entry for the byte 0x{min(lost):02X}; texts with it would be lost"
        )
    return table


def _byte_ids(file: PublishedFile, data: bytes) -> list[int]:
    vocab: dict[str, Any] = file.spec["model"]["vocab"]
    return [int(vocab[f"<0x{byte:02X}>"]) for byte in data]
