"""What generation and evaluation ask of a tokenizer, whoever made it: `TextTokenizer`."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property

import numpy as np
import tokenizers

from spanmix.errors import InputError
from spanmix.text.bulk_encoding import BulkEncoder, bulk_encoder
from spanmix.types import IntArray, TextControls

BULK_CHARACTERS = 1 << 12
"""Texts of so many in all go to a `BulkEncoder`, if there is one; it would be slower with a short prompt."""

CHUNK_CHARACTERS = 1 << 18
"""Longer texts are given to the library in chunks, because one huge word makes byte-pair merging slow."""

_BOUNDARY_SEARCH = 1 << 14
GPT2_WORD_START = re.compile(r"(?<=\S)[ \t\n]")
"""A blank behind a non-blank always starts a new word of GPT-2's rule, whatever else stands around it."""


class TextTokenizer:
    """Turns text into token ids and back, byte for byte, so that no text ever yields a control id.

    Args:
        inner: a tokenizer of the ``tokenizers`` library.
        control: the controls that the model's use depends on.
        control_strings: the string of each control, by its id.
        token_bytes: the bytes that each id stands for; none for controls.
        end_ids: ids any one of which ends a text.
        suppressed_ids: ids that are never to be generated, whatever is asked.
    """

    control: TextControls
    _word_start = GPT2_WORD_START

    def __init__(
        self,
        inner: tokenizers.Tokenizer,
        control: TextControls,
        control_strings: Mapping[int, str],
        token_bytes: list[bytes],
        end_ids: frozenset[int],
        suppressed_ids: frozenset[int],
    ) -> None:
        inner.no_truncation()
        inner.no_padding()
        # Not part of tokenizer.json; it is what makes "<mask_1>" in a text ordinary tokens.
        inner.encode_special_tokens = True
        self._inner = inner
        self.control = control
        self._control_strings = dict(control_strings)
        self.vocab_size = len(token_bytes)
        self.token_bytes = token_bytes
        self.end_ids = end_ids
        self.suppressed_ids = suppressed_ids
        self.num_bytes = np.array([len(piece) for piece in token_bytes], dtype=np.int32)
        self.ends_line = np.array([piece.endswith(b"\n") for piece in token_bytes], dtype=np.bool_)
        self.is_control = np.zeros(self.vocab_size, dtype=np.bool_)
        self.is_control[list(self._control_strings)] = True

    @property
    def special_ids(self) -> dict[str, int]:
        """Ids of all special tokens by their strings."""
        return {text: i for i, text in self._control_strings.items()}

    def encode(self, text: str) -> list[int]:
        """Return the ids of plain text; control strings in it become ordinary tokens.

        Raises:
            InputError: the text holds a lone surrogate, which no UTF-8 file can hold.
        """
        return self.encode_batch([text])[0]

    def encode_inside(self, text: str) -> list[int]:
        """Return the ids of a text that stands behind other tokens, such as the suffix of an infill.

        To a tokenizer that puts a blank in front of every text that is another thing than `encode`; see
        `spanmix.text.published_tokenizer`.
        """
        ids: list[int] = self._encode_arrays([text], inside=True)[0].tolist()
        return ids

    def encode_batch(self, texts: Sequence[str]) -> list[list[int]]:
        """Return the ids of each text; see `encode`."""
        return [ids.tolist() for ids in self.encode_arrays(texts)]

    def encode_arrays(self, texts: Sequence[str]) -> list[IntArray]:
        """Return the ids of each text as int32 arrays, a ninth of a list's memory; see `encode`."""
        return self._encode_arrays(texts, inside=False)

    def decode(self, ids: Iterable[int]) -> str:
        """Return the text of `ids`, with controls as their strings and bytes that are not UTF-8 as U+FFFD."""
        pieces = [
            self._control_strings[i].encode() if self.is_control[i] else self.token_bytes[i] for i in ids
        ]
        return b"".join(pieces).decode("utf-8", errors="replace")

    def decode_bytes(self, ids: Iterable[int]) -> bytes:
        """Return exactly the bytes that plain `ids` stand for; controls stand for none."""
        return b"".join(self.token_bytes[i] for i in ids)

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256, in hex, of all that decides how text is encoded."""
        spec = json.loads(self._inner.to_str())
        deciding = [spec.get(key) for key in ("model", "added_tokens", "normalizer", "pre_tokenizer")]
        return hashlib.sha256(json.dumps(deciding, sort_keys=True).encode()).hexdigest()

    @cached_property
    def _bulk(self) -> BulkEncoder | None:
        return self._make_bulk()

    def _make_bulk(self) -> BulkEncoder | None:
        return bulk_encoder(self._inner, self.num_bytes)

    def _encode_arrays(self, texts: Sequence[str], inside: bool) -> list[IntArray]:
        for text in texts:
            _require_unicode(text)
        if sum(map(len, texts)) >= BULK_CHARACTERS and self._bulk is not None:
            return self._bulk.encode(texts)
        parts: list[list[IntArray]] = [[] for _ in texts]
        for owners, starts, chunks in _batches(texts, self._word_start):
            found = self._encode_chunks(chunks, [start and not inside for start in starts])
            for owner, ids in zip(owners, found, strict=True):
                parts[owner].append(ids)
        return [part[0] if len(part) == 1 else np.concatenate(part) for part in parts]

    def _encode_chunks(self, chunks: list[str], at_start: Sequence[bool]) -> Iterable[IntArray]:
        """Return the ids of each chunk; `at_start` says which stand at the beginning of all tokens."""
        del at_start  # byte-level tokens are the same everywhere
        return encode_chunks(self._inner, chunks)


def _require_unicode(text: str) -> None:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise InputError(
            f"text holds a lone surrogate at character {error.start}; it is not Unicode"
        ) from None


def encode_chunks(inner: tokenizers.Tokenizer, chunks: list[str]) -> Iterator[IntArray]:
    """Yield the ids of each chunk, as one tokenizer of the library makes them."""
    for encoding in inner.encode_batch_fast(chunks, add_special_tokens=False):
        yield np.array(encoding.ids, dtype=np.int32)


def _batches(
    texts: Sequence[str], word_start: re.Pattern[str]
) -> Iterator[tuple[list[int], list[bool], list[str]]]:
    """Cut texts into chunks, in batches of a few MB so that the library's objects stay few.

    Yields whose the chunks are, whether each is its text's first, and the chunks.
    """
    owners: list[int] = []
    starts: list[bool] = []
    batch: list[str] = []
    size = 0
    for owner, text in enumerate(texts):
        for number, chunk in enumerate(split_text(text, word_start)):
            owners.append(owner)
            starts.append(number == 0)
            batch.append(chunk)
            size += len(chunk)
            if size >= 16 * CHUNK_CHARACTERS:
                yield owners, starts, batch
                owners, starts, batch, size = [], [], [], 0
    if batch:
        yield owners, starts, batch


def split_text(text: str, word_start: re.Pattern[str] = GPT2_WORD_START) -> Iterator[str]:
    """Yield `text` in chunks of at most `CHUNK_CHARACTERS`, cut where a word starts.

    Such a cut changes no token. Only where no word starts in 16,384 characters is it made at the full
    length; the tokens beside it may then differ, and still stand for exactly the same bytes.
    """
    start = 0
    while len(text) - start > CHUNK_CHARACTERS:
        full = start + CHUNK_CHARACTERS
        cut = full
        for found in word_start.finditer(text, full - _BOUNDARY_SEARCH, full):
            cut = found.start()
        yield text[start:cut]
        start = cut
    yield text[start:]
