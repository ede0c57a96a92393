"""Decide which documents are held out, so that near-copies and added files never move a document across."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from spanmix import seeding


def held_out_documents(
    content_keys: Sequence[int] | NDArray[np.integer],
    source_ids: Sequence[int] | NDArray[np.integer],
    groups: NDArray[np.int64],
    share: float,
    seed: int,
) -> NDArray[np.bool_]:
    """Choose whole groups of near-copies to hold out, each with probability `share`.

    The draw is keyed by the smallest key of the group, so it does not depend on file names, on order or on
    other documents. Two corrections keep small sources usable: a source of several groups has at least one
    group held out (if `share` is above 0), and every source keeps at least one for training.

    Args:
        content_keys: 63 bits of a hash of each document's bytes.
        source_ids: number of the source of each document.
        groups: int64 [documents], the group of each document.
        share: probability that a group is held out, from 0 to below 1.
        seed: decides which.

    Returns:
        bool [documents], true where the document is held out.
    """
    if share == 0 or not len(content_keys):
        return np.zeros(len(content_keys), np.bool_)
    numbers, group_of = np.unique(groups, return_inverse=True)
    smallest = np.full(len(numbers), np.iinfo(np.int64).max)
    np.minimum.at(smallest, group_of, np.asarray(content_keys, np.int64))
    words = seeding.draw(seed, "held_out", 0, 0, smallest, 1)[:, 0]
    chosen = words < np.uint64(int(share * 2**64))
    # Equal words are next to impossible; the group's number makes the order total all the same.
    rank = np.empty(len(numbers), np.int64)
    rank[np.lexsort((numbers, words))] = np.arange(len(numbers))
    members = _groups_of_sources(np.asarray(source_ids, np.int64), group_of)
    for mine in members:
        if len(mine) > 1 and not chosen[mine].any():
            chosen[mine[rank[mine].argmin()]] = True
    for mine in members:
        if chosen[mine].all():
            chosen[mine[rank[mine].argmax()]] = False
    return np.asarray(chosen[group_of], np.bool_)


def _groups_of_sources(source_ids: NDArray[np.int64], group_of: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """Return the groups of each source that has documents."""
    return [np.unique(group_of[source_ids == source]) for source in np.unique(source_ids)]
