"""Encode many texts at once, each distinct word only once: `BulkEncoder`.

The library finds the words of a text with a pattern and looks up or merges each. A file of code has some
270,000 words a megabyte and few different ones, so here

1. the texts are joined, and where words start is found by arithmetic on arrays of bytes (`bulk_splitting`);
2. Arrow numbers the distinct words;
3. ids of words that were not met before are asked of the library, and remembered;
4. the ids of all words are gathered by their numbers.

Nothing is done for a single word or token in Python, and every word's ids are the library's own: the result
is what it gives for the whole text, whatever the order of its merges.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import cast

import numpy as np
import pyarrow as pa
import tokenizers
from numpy.typing import NDArray

from spanmix.text.bulk_rules import BulkRules, bulk_rules
from spanmix.text.bulk_splitting import END, word_starts
from spanmix.types import IntArray

BATCH_BYTES = 1 << 22
"""Texts of about so many bytes are joined. More find more words again, and leave the processor's caches."""

MAX_WORD_CHARACTERS = 1 << 22
"""A text is cut inside a word that is longer; the tokens beside the cut may then be other ones."""

MAX_KNOWN_WORDS = 1 << 18
"""So many are remembered, in some 50 MB. When they are more, those of the last batch stay."""

_KNOWN_WORD_BYTES = 64
_LIBRARY_WORDS = 512
_WORD_START = re.compile(r"(?<=\S)[ \t\n]|(?<=[A-Za-z])[0-9]|(?<=[0-9])[A-Za-z]")
"""A word starts here whatever else stands around it."""


class BulkEncoder:
    """Encodes texts with the words that it met before; safe to use from several threads.

    Args:
        inner: a tokenizer of the ``tokenizers`` library that takes special tokens' strings as text.
        rules: what it takes off a text.
        num_bytes: of each id.
    """

    def __init__(self, inner: tokenizers.Tokenizer, rules: BulkRules, num_bytes: IntArray) -> None:
        self._inner = inner
        self._rules = rules
        self._num_bytes = num_bytes
        self._known: dict[bytes, bytes] = {}

    def encode(self, texts: Sequence[str]) -> list[IntArray]:
        """Return the ids of each text, which hold no lone surrogate."""
        parts: list[list[IntArray]] = [[] for _ in texts]
        for owners, pieces in _batches(texts):
            for owner, ids in zip(owners, self._encode_joined(pieces), strict=True):
                parts[owner].append(ids)
        return [part[0] if len(part) == 1 else np.concatenate(part) for part in parts]

    def _encode_joined(self, pieces: list[bytes]) -> Iterator[IntArray]:
        data = END.join([b"", *pieces, b""])
        starts = word_starts(data, self._rules)
        bounds = np.append(starts, len(data)).astype(np.int32)
        buffers = [None, pa.py_buffer(bounds), pa.py_buffer(data)]
        words = pa.Array.from_buffers(pa.binary(), len(starts), buffers).dictionary_encode()
        found = self._look_up(words.dictionary.to_pylist())
        distinct_ids = np.frombuffer(b"".join(found), dtype=np.int32)
        distinct_counts = np.fromiter(map(len, found), dtype=np.int64, count=len(found)) // 4
        number = words.indices.to_numpy()
        counts = distinct_counts[number]
        stops = np.cumsum(counts)
        # Token i of a word that starts at token s is the word's first among the distinct ones, plus i - s.
        first = (np.cumsum(distinct_counts) - distinct_counts)[number]
        place = np.repeat(first - (stops - counts), counts) + np.arange(stops[-1])
        ids = distinct_ids[place]
        ends = stops[number == 0]  # the first word is an END
        for start, stop in pairwise(ends.tolist()):
            yield ids[start:stop].copy()

    def _look_up(self, words: list[bytes]) -> list[bytes]:
        """Return the ids of each word as int32 bytes; an `END` has none."""
        known = self._known
        found = [b"", *map(known.get, words[1:])]
        new = [place for place, ids in enumerate(found) if ids is None]
        asked = [words[place] for place in new]
        for place, ids in zip(new, self._ask_library(asked), strict=True):
            found[place] = ids
        ids_of = cast(list[bytes], found)
        if len(known) + len(new) > MAX_KNOWN_WORDS:
            new, known = list(range(1, len(words))), {}
        for place in new[:MAX_KNOWN_WORDS]:
            if len(words[place]) <= _KNOWN_WORD_BYTES:
                known[words[place]] = ids_of[place]
        self._known = known
        return ids_of

    def _ask_library(self, words: list[bytes]) -> Iterator[bytes]:
        texts = [word.decode("utf-8") for word in words]
        lists = [texts[at : at + _LIBRARY_WORDS] for at in range(0, len(texts), _LIBRARY_WORDS)]
        for at, encoding in enumerate(
            self._inner.encode_batch_fast(lists, is_pretokenized=True, add_special_tokens=False)
        ):
            ids = np.array(encoding.ids, dtype=np.int32)
            sizes = [len(word) for word in words[at * _LIBRARY_WORDS :][:_LIBRARY_WORDS]]
            yield from _cut(ids, np.cumsum(self._num_bytes[ids]), np.cumsum(sizes))


def _cut(ids: IntArray, token_stops: NDArray[np.int64], word_stops: NDArray[np.int64]) -> Iterator[bytes]:
    """Cut ids of words where the bytes of each word end."""
    stops = np.searchsorted(token_stops, word_stops) + 1
    assert np.array_equal(token_stops[stops - 1], word_stops), "a word's ids stand for other bytes"
    data = ids.tobytes()
    for start, stop in pairwise([0, *(4 * stops).tolist()]):
        yield data[start:stop]


def bulk_encoder(inner: tokenizers.Tokenizer, num_bytes: IntArray) -> BulkEncoder | None:
    """Return an encoder with exactly the ids of `inner`, or None if its rules are not `BulkRules`."""
    rules = bulk_rules(inner)
    return None if rules is None else BulkEncoder(inner, rules, num_bytes)


def _batches(texts: Sequence[str]) -> Iterator[tuple[list[int], list[bytes]]]:
    """Yield whose the pieces of a batch are, and the pieces."""
    owners: list[int] = []
    batch: list[bytes] = []
    size = 0
    for owner, text in enumerate(texts):
        for piece in _pieces(text):
            owners.append(owner)
            batch.append(piece.encode("utf-8"))
            size += len(batch[-1])
            if size >= BATCH_BYTES:
                yield owners, batch
                owners, batch, size = [], [], 0
    if batch:
        yield owners, batch


def _pieces(text: str) -> Iterator[str]:
    """Cut a long text where words start, which changes no token."""
    start = 0
    while len(text) - start > BATCH_BYTES:
        full = start + BATCH_BYTES
        found = _WORD_START.search(text, full, full + MAX_WORD_CHARACTERS)
        cut = found.start() if found else min(full + MAX_WORD_CHARACTERS, len(text))
        yield text[start:cut]
        start = cut
    yield text[start:]
