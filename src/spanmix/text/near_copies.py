"""Find documents that are near-copies of each other, so that a split can keep them on one side.

MinHash over the set of five-word windows, in bands (Broder, 1997; Leskovec, Rajaraman and Ullman,
*Mining of Massive Datasets*, section 3.4). Two documents that share 90 % of their windows fall into one
group with probability 0.999, at 80 % with 0.87, at 50 % with 0.03. Groups are closed: copies of copies belong
together.
"""

from __future__ import annotations

import re
import zlib

import numpy as np
import rensa  # type: ignore[import-untyped]
from numpy.typing import NDArray

_BANDS, _ROWS = 14, 9
_WINDOW_WORDS = 5
_MAX_BYTES = 2_000_000
"""Only this much of a document is looked at: longer ones with the same beginning count as near-copies."""
_BATCH_WINDOWS = 1 << 22
_SEED = 1
_WORD = re.compile(rb"\w+")
_FACTOR = np.uint64(0x9E3779B97F4A7C15)


class NearCopies:
    """Take documents one by one, then say which belong together; keeps 504 bytes for each."""

    def __init__(self) -> None:
        self._waiting: list[NDArray[np.uint64]] = []
        self._num_waiting = 0
        self._signatures: list[NDArray[np.uint32]] = []

    def add(self, data: bytes) -> None:
        """Take one document, as UTF-8."""
        windows = _windows(data)
        self._waiting.append(windows)
        self._num_waiting += len(windows)
        if self._num_waiting >= _BATCH_WINDOWS:
            self._sign()

    def groups(self) -> NDArray[np.int64]:
        """Return for each document, in the order of `add`, the number of the first document of its group."""
        self._sign()
        if not self._signatures:
            return np.zeros(0, np.int64)
        signatures = np.concatenate(self._signatures)
        parents = list(range(len(signatures)))
        for band in range(_BANDS):
            keys = np.ascontiguousarray(signatures[:, band * _ROWS : (band + 1) * _ROWS])
            first_with: dict[bytes, int] = {}
            for i, key in enumerate(keys):
                _join(parents, i, first_with.setdefault(key.tobytes(), i))
        return np.array([_root(parents, i) for i in range(len(parents))], dtype=np.int64)

    def _sign(self) -> None:
        if not self._waiting:
            return
        offsets = np.cumsum([0] + [len(windows) for windows in self._waiting], dtype=np.uint64)
        hashes = np.concatenate(self._waiting)
        matrix = rensa.RMinHash.digest_matrix_from_flat_token_hashes(hashes, offsets, _BANDS * _ROWS, _SEED)
        self._signatures.append(np.array(matrix.to_rows(), dtype=np.uint32))
        self._waiting, self._num_waiting = [], 0


def _windows(data: bytes) -> NDArray[np.uint64]:
    """Hash every window of five words; a document with fewer words has one window."""
    words = _WORD.findall(data, 0, _MAX_BYTES)
    if len(words) < _WINDOW_WORDS:
        return np.array([zlib.crc32(data)], dtype=np.uint64)
    hashes = np.fromiter(map(zlib.crc32, words), dtype=np.uint64, count=len(words))
    count = len(words) - _WINDOW_WORDS + 1
    windows = hashes[:count].copy()
    for k in range(1, _WINDOW_WORDS):
        windows = windows * _FACTOR + hashes[k : k + count]
    return np.unique(windows)


def _root(parents: list[int], i: int) -> int:
    while parents[i] != i:
        parents[i] = parents[parents[i]]
        i = parents[i]
    return i


def _join(parents: list[int], i: int, j: int) -> None:
    a, b = _root(parents, i), _root(parents, j)
    parents[max(a, b)] = min(a, b)
