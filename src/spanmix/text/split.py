"""Decide which documents are held out, so that near-copies and added files never move a document across."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from spanmix import seeding


def held_out_documents(
    content_keys: Sequence[int],
    source_ids: Sequence[int],
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
    if share == 0 or not content_keys:
        return np.zeros(len(content_keys), np.bool_)
    smallest: dict[int, int] = {}
    groups_of_source: dict[int, set[int]] = {}
    for key, source, group in zip(content_keys, source_ids, groups.tolist(), strict=True):
        smallest[group] = min(smallest.get(group, key), key)
        groups_of_source.setdefault(source, set()).add(group)
    keys = list(smallest.values())
    words = seeding.draw(seed, "held_out", 0, 0, keys, 1)[:, 0].tolist()
    # Equal words are next to impossible; the group's number makes the order total all the same.
    rank = {group: (word, group) for group, word in zip(smallest, words, strict=True)}
    limit = int(share * 2**64)
    chosen = {group for group, word in zip(smallest, words, strict=True) if word < limit}
    for members in groups_of_source.values():
        if len(members) > 1 and not members & chosen:
            chosen.add(min(members, key=rank.__getitem__))
    for members in groups_of_source.values():
        if members <= chosen:
            chosen.remove(max(members, key=rank.__getitem__))
    return np.isin(groups, list(chosen))
