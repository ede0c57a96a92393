"""Turn the ids of any tokenizer of the ``tokenizers`` library back into the text that they stand for.

A byte-level tokenizer (GPT-2's kind) is decoded with a table of each entry's bytes. The others are decoded by
the library; of those that fall back to bytes (Llama's kind) the bytes are checked first. So an id cut off
inside a character is an error, never U+FFFD, and text that holds U+FFFD stays as it is.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import tokenizers
from numpy.typing import NDArray

from spanmix.errors import InputError
from spanmix.text.byte_level import byte_alphabet
from spanmix.text.tokenizer_files import open_tokenizer_file

Ids = NDArray[np.integer[Any]]

_BLOCK = 4096
_LEAST_HALF = 8  # the ids of fewer may be given back by chance


_MOST_IDS = 1 << 24


class SourceTokenizer:
    """A tokenizer that others used on a source; its ids are only ever read.

    Args:
        inner: the library's tokenizer.
        name: what it is called in messages.

    Raises:
        InputError: its text cannot be had byte for byte.
    """

    def __init__(self, inner: tokenizers.Tokenizer, name: str) -> None:
        inner.no_truncation()
        inner.no_padding()
        inner.encode_special_tokens = True  # the ids that it is compared with hold none
        self.name = name
        self._inner = inner
        vocabulary = inner.get_vocab(with_added_tokens=True)
        self.size = max(vocabulary.values(), default=-1) + 1
        if self.size > _MOST_IDS:
            raise InputError(
                f"tokenizer {name} has the id {self.size - 1:,} among {len(vocabulary):,} entries; ids up to "
                f"{_MOST_IDS:,} are read"
            )
        # Not the dictionary turned round: two ids may have one string.
        entries = [inner.id_to_token(i) for i in range(self.size)]
        self._has_entry = np.array([entry is not None for entry in entries], dtype=np.bool_)
        self._is_special = np.zeros(self.size, dtype=np.bool_)
        added = inner.get_added_tokens_decoder()
        self._is_special[[i for i, token in added.items() if token.special]] = True
        self._decode = _decoder(inner, [entry or "" for entry in entries], set(added), name)

    def find_unknown(self, ids: Ids) -> int | None:
        """Return the first of `ids` that is not in the vocabulary, or None."""
        if not len(ids):
            return None
        if int(ids.min()) < 0 or int(ids.max()) >= self.size:
            return int(ids[np.argmax((ids < 0) | (ids >= self.size))])
        if self._has_entry.all() or (known := self._has_entry[ids]).all():
            return None
        return int(ids[np.argmin(known)])

    def strip(self, ids: Ids) -> Ids:
        """Return `ids` without the special tokens in front and behind."""
        ids = ids[self._num_leading(ids) :]
        return ids[: len(ids) - self._num_leading(ids[::-1])]

    def _num_leading(self, ids: Ids) -> int:
        for start in range(0, len(ids), _BLOCK):
            is_text = ~self._is_special[ids[start : start + _BLOCK]]
            if is_text.any():
                return start + int(np.argmax(is_text))
        return len(ids)

    def has_special(self, ids: Ids) -> bool:
        """Return whether there is a special token among `ids`."""
        return bool(self._is_special[ids].any())

    def decode(self, ids: Ids) -> str:
        """Return exactly the text of `ids`, none of which is special.

        Raises:
            UnicodeDecodeError: they stand for bytes that are not UTF-8.
        """
        return self._decode(ids.tolist())

    def agrees(self, text: str, ids: Ids) -> bool:
        """Return whether this tokenizer makes `ids` of `text`, or, if they are many, one half of them.

        Where a long document was cut into pieces, the tokens beside the cut may be others.
        """
        made = self._inner.encode(text, add_special_tokens=False).ids
        given = ids.tolist()
        half = len(given) // 2
        if half < _LEAST_HALF:
            return bool(made == given)
        return bool(made[:half] == given[:half] or made[-half:] == given[-half:])

    @classmethod
    def load(cls, name: str) -> SourceTokenizer:
        """Open a ``tokenizer.json``, or a folder that holds one.

        Raises:
            InputError: it is missing or broken.
        """
        return cls(open_tokenizer_file(_find(name)), name)


def hash_source_tokenizer(name: str) -> str:
    """Return the SHA-256, in hex, of the ``tokenizer.json`` that `SourceTokenizer.load` opens.

    Raises:
        InputError: it is missing.
    """
    return hashlib.sha256(_find(name).read_bytes()).hexdigest()


def _find(name: str) -> Path:
    path = Path(name) / "tokenizer.json" if Path(name).is_dir() else Path(name)
    if not path.is_file():
        raise InputError(
            f"corpus.sources.tokenizer: {path} does not exist; name the tokenizer.json, or a folder that "
            "holds it"
        )
    return path


def _decoder(
    inner: tokenizers.Tokenizer, entries: list[str], added: set[int], name: str
) -> Callable[[list[int]], str]:
    kinds = set(_kinds(json.loads(inner.to_str()).get("decoder")))
    if "ByteLevel" in kinds:
        if others := kinds - {"ByteLevel", "Fuse"}:
            raise InputError(
                f"tokenizer {name}: its decoder has {', '.join(sorted(others))} beside ByteLevel, so its "
                "tokens have no bytes of their own; such files cannot be read"
            )
        plain = (entry.encode() if i in added else _bytes(entry) for i, entry in enumerate(entries))
        return _ByteLevel(list(plain))
    return _Library(inner, _fallback_bytes(entries) if "ByteFallback" in kinds else {})


def _kinds(decoder: dict[str, Any] | None) -> Iterator[str]:
    if decoder is None:
        return
    if decoder["type"] == "Sequence":
        for part in decoder["decoders"]:
            yield from _kinds(part)
    else:
        yield decoder["type"]


class _ByteLevel:
    def __init__(self, token_bytes: list[bytes]) -> None:
        self._token_bytes = token_bytes

    def __call__(self, ids: list[int]) -> str:
        return b"".join(map(self._token_bytes.__getitem__, ids)).decode("utf-8")


_BYTE_OF = byte_alphabet()


def _bytes(entry: str) -> bytes:
    # An entry outside the alphabet stands for itself, as it does in the library.
    if all(character in _BYTE_OF for character in entry):
        return bytes(_BYTE_OF[character] for character in entry)
    return entry.encode()


class _Library:
    def __init__(self, inner: tokenizers.Tokenizer, fallback_bytes: dict[int, int]) -> None:
        self._inner = inner
        self._byte = fallback_bytes

    def __call__(self, ids: list[int]) -> str:
        for is_byte, run in groupby(ids, self._byte.__contains__) if self._byte else ():
            if is_byte:
                bytes(self._byte[i] for i in run).decode("utf-8")  # the library writes U+FFFD for an error
        text: str = self._inner.decode(ids, skip_special_tokens=False)
        return text


def _fallback_bytes(entries: list[str]) -> dict[int, int]:
    """Return the byte of each id whose entry is one, such as ``<0x0A>``."""
    byte_of = {f"<0x{byte:02X}>": byte for byte in range(256)}
    return {i: byte_of[entry] for i, entry in enumerate(entries) if entry in byte_of}
