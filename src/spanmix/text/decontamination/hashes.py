"""Hash every window of some words of a text, at some hundred megabytes a second.

A word's hash is a polynomial over its bytes, modulo 2**64: the differences of one running sum give it for
all words of a block at once. A window's is a polynomial over the hashes of its words. Equal windows have
equal hashes; whoever finds a hash compares the words.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from functools import cache

import numpy as np
from numpy.typing import NDArray

Hashes = NDArray[np.uint64]

_SPACE = 0x20
_BLOCK_BYTES = 1 << 16
_LONG_WORD = _BLOCK_BYTES // 2
"""Longer words are hashed by themselves, whichever block they are in."""
_BYTE_BASE = 0x9E3779B97F4A7C15
_WORD_BASE = 0xD1342543DE82EF95
_MIX = np.uint64(0xBF58476D1CE4E5B9)
_ALL = (1 << 64) - 1


def _powers(base: int, length: int) -> Hashes:
    values = np.full(length, base, np.uint64)
    values[0] = 1
    return np.multiply.accumulate(values)


_POWERS = _powers(_BYTE_BASE, _BLOCK_BYTES + 1)
_INVERSES = _powers(pow(_BYTE_BASE, -1, 1 << 64), _BLOCK_BYTES + 1)


def word_hashes(blanked: bytes) -> Hashes:
    """Hash the words of a text that `normal_form.blanked` gave, in their order.

    Returns:
        uint64 [words].

    >>> a, b, c = word_hashes(b" one  two one ")
    >>> bool(a == c), bool(a == b)
    (True, False)
    """
    data = np.frombuffer(blanked, np.uint8)
    if len(data) <= _BLOCK_BYTES:
        return _block_hashes(data)
    return np.concatenate([_block_hashes(data[start:end]) for start, end in _blocks(blanked)])


def _blocks(blanked: bytes) -> Iterator[tuple[int, int]]:
    """Cut at spaces; a word that is longer than a block is one by itself."""
    start, length = 0, len(blanked)
    while start < length:
        end = start + _BLOCK_BYTES
        if end < length:
            cut = blanked.rfind(b" ", start, end)
            if cut <= start:  # no space, or only the first byte
                cut = blanked.find(b" ", start + 1)
            end = cut if cut > 0 else length
        end = min(end, length)
        yield start, end
        start = end


def _block_hashes(data: NDArray[np.uint8]) -> Hashes:
    inside = np.empty(len(data) + 2, np.bool_)
    inside[0] = inside[-1] = False
    np.not_equal(data, _SPACE, out=inside[1:-1])
    edges = (inside[1:] != inside[:-1]).nonzero()[0]
    starts, ends = edges[::2], edges[1::2]
    if len(data) > _BLOCK_BYTES:
        return np.array(
            [_long_hash(data[s:e].tobytes()) for s, e in zip(starts, ends, strict=True)], np.uint64
        )
    sums = np.zeros(len(data) + 1, np.uint64)
    np.cumsum(np.multiply(data, _POWERS[: len(data)], dtype=np.uint64), out=sums[1:])
    hashes: Hashes = (sums[ends] - sums[starts]) * _INVERSES[starts]
    # Polynomials of both kinds are sums: without this, moving a byte from word to word could cancel out.
    hashes ^= hashes >> np.uint64(29)
    hashes *= _MIX
    hashes ^= hashes >> np.uint64(32)
    if len(data) <= _LONG_WORD:
        return hashes
    for index in np.flatnonzero(ends - starts > _LONG_WORD):
        hashes[index] = _long_hash(data[starts[index] : ends[index]].tobytes())
    return hashes


def _long_hash(word: bytes) -> int:
    return int.from_bytes(hashlib.blake2b(word, digest_size=8).digest(), "little")


def window_hashes(hashes: Hashes, num_words: int) -> Hashes:
    """Hash each window of some words.

    Args:
        hashes: uint64 [words], from `word_hashes`.
        num_words: words in a window, from 1.

    Returns:
        uint64 [words - num_words + 1], or none if there are fewer words.

    >>> w = window_hashes(word_hashes(b"a b c d a b c"), 3)
    >>> len(w), bool(w[0] == w[4]), len(set(w.tolist()))
    (5, True, 4)
    """
    length = len(hashes) - num_words + 1
    if length < 1:
        return np.zeros(0, np.uint64)
    # Windows of 1, 2, 4, … words, each made of two of those before; those that add up are joined.
    whole: Hashes | None = None
    taken, size, part = 0, 1, hashes
    while True:
        if num_words & size:
            piece = part[taken : taken + length]
            whole = piece.copy() if whole is None else whole * _power(size) + piece
            taken += size
        if 2 * size > num_words:
            assert whole is not None and taken == num_words
            return whole
        part = part[:-size] * _power(size) + part[size:]
        size *= 2


@cache
def _power(exponent: int) -> np.uint64:
    return np.uint64(pow(_WORD_BASE, exponent, 1 << 64))
