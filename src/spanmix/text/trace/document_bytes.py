"""Turn the ids of training documents back into the bytes that they stand for, many documents at a time."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from spanmix.text.token_store import IndexedFiles
from spanmix.text.tokenizer import Tokenizer
from spanmix.text.trace.layout import FIRST_FOREIGN, SEPARATOR
from spanmix.text.trace.sampling import ByteArray

_BLOCK = 1 << 20


class DocumentBytes:
    """The bytes of documents, with one separator for each control id, EOD among them.

    Args:
        files: the documents' ids.
        tokenizer: what made them.
    """

    def __init__(self, files: IndexedFiles, tokenizer: Tokenizer) -> None:
        self._ids = files.ids
        self._bounds = files.bounds
        controls = np.flatnonzero(tokenizer.is_control).tolist()
        pieces = list(tokenizer.token_bytes)
        for i in controls:
            pieces[i] = bytes([SEPARATOR])
        self._lengths = np.array([len(piece) for piece in pieces], np.int64)
        self._starts = np.cumsum(self._lengths) - self._lengths
        self._flat = np.frombuffer(b"".join(pieces), np.uint8).copy()
        self._flat[self._flat >= FIRST_FOREIGN] = SEPARATOR

    def sizes(self) -> NDArray[np.int64]:
        """Bytes of each document with its separator: int64 [documents]."""
        totals = np.zeros(len(self._bounds), np.int64)
        done = 0
        bounds = self._bounds
        for start in range(0, int(bounds[-1]), _BLOCK):
            stop = min(start + _BLOCK, int(bounds[-1]))
            ends = done + np.cumsum(self._lengths[self._ids[start:stop]])
            inside = slice(*np.searchsorted(bounds, [start + 1, stop + 1]).tolist())
            totals[inside] = ends[bounds[inside] - start - 1]
            done = int(ends[-1])
        # A document without ids ends where the one before it does, also at the start of a block.
        return np.diff(np.maximum.accumulate(totals))

    def fill(self, first: int, stop: int, into: ByteArray) -> None:
        """Write the bytes of the documents from `first` to before `stop`; `into` has just room for them."""
        done = 0
        for start in range(int(self._bounds[first]), int(self._bounds[stop]), _BLOCK):
            ids: NDArray[Any] = self._ids[start : min(start + _BLOCK, int(self._bounds[stop]))]
            lengths = self._lengths[ids]
            ends = np.cumsum(lengths)
            total = int(ends[-1])
            shifts = np.repeat(self._starts[ids] - (ends - lengths), lengths)
            shifts += np.arange(total)
            np.take(self._flat, shifts, out=into[done : done + total])
            done += total
        assert done == len(into), "the sizes are those of other documents"
