"""Join pairs into groups: the connected components of a graph whose edges do not fit in memory.

Every document points to one with a lower number, or to itself; an edge makes the higher of its two ends'
roots point to the lower one, and pointers are shortened until they all point to roots (Shiloach and
Vishkin, 1982). The pointers lie in a mapped file, 8 bytes a document; edges are read some at a time, as
often as something changes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

_AT_ONCE = 1 << 20

Edges = Callable[[], Iterable[NDArray[np.int64]]]
"""Gives all edges, int64 [n, 2] at a time, each time that it is called."""


def components(num_documents: int, edges: Edges, path: Path) -> Any:
    """Return for each document the lowest number in its group, as an array mapped from the file `path`.

    Args:
        num_documents: how many there are.
        edges: pairs that belong together.
        path: a file to write.

    Returns:
        int64 [documents].

    >>> import tempfile
    >>> pairs = [np.array([[3, 4], [1, 3]]), np.array([[0, 2]])]
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     components(6, lambda: pairs, Path(folder) / "groups").tolist()
    [0, 1, 0, 1, 1, 5]
    """
    if num_documents == 0:
        return np.zeros(0, np.int64)
    roots = np.lib.format.open_memmap(path, "w+", np.int64, (num_documents,))
    for start in range(0, num_documents, _AT_ONCE):
        end = min(start + _AT_ONCE, num_documents)
        roots[start:end] = np.arange(start, end)
    while _hook(roots, edges):
        _shorten(roots)
    return roots


def _hook(roots: Any, edges: Edges) -> bool:
    """Let the higher root of each edge point to the lower one; return whether any edge had two roots."""
    changed = False
    for some in edges():
        for start in range(0, len(some), _AT_ONCE):
            ends = roots[some[start : start + _AT_ONCE]]
            low, high = ends.min(axis=1), ends.max(axis=1)
            apart = low != high
            if apart.any():
                changed = True
                np.minimum.at(roots, high[apart], low[apart])
    return changed


def _shorten(roots: Any) -> None:
    changed = True
    while changed:
        changed = False
        for start in range(0, len(roots), _AT_ONCE):
            some = roots[start : start + _AT_ONCE]
            next_ones = roots[some]
            if (next_ones != some).any():
                changed = True
                roots[start : start + _AT_ONCE] = next_ones
