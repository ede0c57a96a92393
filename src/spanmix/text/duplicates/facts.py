"""What is remembered of the documents of one partition to find copies: a folder of arrays, mapped when read.

========================  =========================  ==================================================
``digests.npy``           uint64 [documents, 2]      128 bits of each one's SHA-256
``hashes.npy``            uint32 [documents, hashes]  signatures
``keys.npy``              uint64 [1 + bands, documents]  keys of each band, sorted
``order.npy``             uint32 [1 + bands, documents]  whose those keys are, from 0 in the partition
``num_bytes.npy``         int64 [documents]
``stars.npy``             int64 [documents]          of its repository, -1 if unknown
========================  =========================  ==================================================

That is about 800 bytes a document with 128 hashes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spanmix.corpus_configs.duplicates import DuplicatesConfig
from spanmix.text.duplicates.signatures import band_keys, sign

_BATCH_CHARACTERS = 8_000_000


class FactsWriter:
    """Take documents one by one; keeps their signatures in memory, and no more than 8 MB of their texts."""

    def __init__(self, config: DuplicatesConfig) -> None:
        self._config = config
        self._waiting: list[str] = []
        self._num_waiting = 0
        self._digests: list[bytes] = []
        self._num_bytes: list[int] = []
        self._stars: list[int] = []
        self._hashes: list[NDArray[np.uint32]] = []
        self._keys: list[NDArray[np.uint64]] = []

    def add(self, text: str, stars: int | None) -> None:
        """Take one document."""
        data = text.encode()
        self._digests.append(hashlib.sha256(data).digest()[:16])
        self._num_bytes.append(len(data))
        self._stars.append(-1 if stars is None else stars)
        self._waiting.append(text)
        self._num_waiting += len(text)
        if self._num_waiting >= _BATCH_CHARACTERS:
            self._sign()

    def save(self, folder: Path) -> None:
        """Write the arrays into `folder`."""
        self._sign()
        keys = np.concatenate([np.zeros((self._num_keys, 0), np.uint64), *self._keys], axis=1)
        order = np.argsort(keys, axis=1, kind="stable")
        arrays = {
            "digests": _digests(self._digests),
            "hashes": np.concatenate([np.zeros((0, self._config.num_hashes), np.uint32), *self._hashes]),
            "keys": np.take_along_axis(keys, order, axis=1),
            "order": order.astype(np.uint32),
            "num_bytes": np.array(self._num_bytes, np.int64),
            "stars": np.array(self._stars, np.int64),
        }
        for name, array in arrays.items():
            np.save(folder / f"{name}.npy", array)

    @property
    def _num_keys(self) -> int:
        none = sign([], self._config)
        return len(band_keys(none, np.zeros(0, np.uint64), self._config))

    def _sign(self) -> None:
        if not self._waiting:
            return
        signatures = sign(self._waiting, self._config)
        digests = _digests(self._digests[-len(self._waiting) :])[:, 0]
        self._hashes.append(signatures.hashes)
        self._keys.append(band_keys(signatures, digests, self._config))
        self._waiting, self._num_waiting = [], 0


@dataclass(frozen=True)
class Facts:
    """The facts of all partitions as one: documents are numbered through, in the order of the partitions.

    Args:
        folders: one for each partition.
        starts: number of the first document of each partition, and of all documents at the end.
    """

    folders: tuple[str, ...]
    starts: tuple[int, ...]

    @classmethod
    def of(cls, folders: Sequence[Path], counts: Sequence[int]) -> Facts:
        """Number the documents of partitions that hold so many each."""
        starts = np.concatenate([[0], np.cumsum(counts, dtype=np.int64)])
        return cls(tuple(map(str, folders)), tuple(starts.tolist()))

    @property
    def num_documents(self) -> int:
        """Documents in all partitions."""
        return self.starts[-1]

    def partition(self, number: int, name: str) -> Any:
        """Return an array of one partition, mapped."""
        if self.starts[number] == self.starts[number + 1]:
            return np.load(f"{self.folders[number]}/{name}.npy")  # nothing can be mapped of an empty one
        return np.load(f"{self.folders[number]}/{name}.npy", mmap_mode="r")

    def whole(self, name: str) -> Any:
        """Return the array `name` of all documents, in memory; for those with one number a document."""
        return np.concatenate([self.partition(i, name) for i in range(len(self.folders))])

    def rows(self, name: str, documents: NDArray[np.int64]) -> Any:
        """Return rows of the array `name`, those of `documents` and in their order."""
        owners = np.searchsorted(self._bounds, documents, side="right") - 1
        first = self.partition(0, name)
        found = np.empty((len(documents), *first.shape[1:]), first.dtype)
        for owner in np.unique(owners).tolist():
            mine = owners == owner
            found[mine] = self.partition(owner, name)[documents[mine] - self.starts[owner]]
        return found

    @cached_property
    def _bounds(self) -> NDArray[np.int64]:
        return np.array(self.starts, np.int64)


def _digests(digests: Sequence[bytes]) -> NDArray[np.uint64]:
    return np.frombuffer(b"".join(digests), "<u8").reshape(-1, 2).astype(np.uint64)
