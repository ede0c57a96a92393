"""Say what the held-out side of each source consists of, while the groups that were drawn are known."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from spanmix.text.duplicates.decide import HELD_OUT, TRAIN
from spanmix.text.preparation.copies import Copies
from spanmix.text.report import HeldOutDraw


def held_out_draws(num_sources: int, copies: Copies) -> list[HeldOutDraw]:
    """Return what was drawn of each source; 20 bytes of memory a document, and the names of repositories."""
    documents, fates = copies.documents, copies.decisions.fates
    num_bytes = copies.facts.whole("num_bytes")
    names, repositories = _repositories(copies.facts.folders)
    draws = []
    for source in range(num_sources):
        mine = documents.sources == source
        held_out, train = (np.flatnonzero(mine & (fates == side)) for side in (HELD_OUT, TRAIN))
        groups = _sums(documents.together[held_out], num_bytes[held_out])
        of_held_out, of_train = (
            _shares(repositories[side], num_bytes[side], len(names)) for side in (held_out, train)
        )
        largest = int(of_held_out.argmax())
        draws.append(
            HeldOutDraw(
                len(groups),
                round(effective_number(groups), 1),
                names[largest] if of_held_out[largest] else "",
                round(float(of_held_out[largest]), 4),
                round(float(of_train[largest]), 4),
            )
        )
    return draws


def effective_number(sizes: NDArray[np.int64]) -> float:
    """Return how many things of equal size would say as much as things of these sizes.

    >>> effective_number(np.array([5, 5, 5])), effective_number(np.array([1000, 1])) < 1.01
    (3.0, True)
    """
    weights = sizes.astype(np.float64)
    squares = float((weights**2).sum())
    return float(weights.sum()) ** 2 / squares if squares else 0.0


def _sums(labels: NDArray[np.int64], num_bytes: NDArray[np.int64]) -> NDArray[np.int64]:
    """Add up the bytes of each label that occurs."""
    _, place = np.unique(labels, return_inverse=True)
    return np.bincount(place, num_bytes).astype(np.int64)


def _shares(codes: NDArray[np.int32], num_bytes: NDArray[np.int64], num_names: int) -> NDArray[np.float64]:
    """Return the share of all bytes of each name, 0 for documents without one: float64 [names]."""
    sums = np.bincount(codes, num_bytes, num_names)
    total = sums.sum()
    sums[0] = 0
    return np.asarray(sums / (total or 1), np.float64)


def _repositories(folders: Sequence[str | Path]) -> tuple[list[str], NDArray[np.int32]]:
    """Return the names of all repositories, ``""`` first, and for each document the number of its own."""
    import pyarrow.parquet

    numbers = {"": 0}
    parts = [np.zeros(0, np.int32)]
    for folder in folders:
        path = Path(folder) / "documents.parquet"
        table = pyarrow.parquet.read_table(path, columns=["repository"], read_dictionary=["repository"])
        column = table["repository"].combine_chunks()
        here = [numbers.setdefault(name, len(numbers)) for name in column.dictionary.to_pylist()]
        parts.append(np.array(here, np.int32)[column.indices.to_numpy()])
    return list(numbers), np.concatenate(parts)
