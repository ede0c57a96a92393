"""Decide what becomes of every document: for training, held out, or dropped as a copy."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from spanmix.text.split import held_out_documents

TRAIN, HELD_OUT, EXACT_COPY, NEAR_COPY, KEPT_OUT = range(5)
"""What a document becomes; the last is a copy of one that `corpus.duplicates.against` keeps out."""

REASONS = {EXACT_COPY: "exact copy", NEAR_COPY: "near-copy", KEPT_OUT: "copy of what is kept out"}

_MOST_LEADERS = 4096
"""So many documents of a group are compared with all others in it; what is like none of them stays."""

Similarity = Callable[[NDArray[np.int64]], NDArray[np.float64]]
"""Estimates the share of windows that pairs of documents, int64 [n, 2], have in common."""


@dataclass(frozen=True)
class Documents:
    """What decides about documents, an entry each.

    Args:
        keys: int64, 63 bits of a hash of its bytes.
        sources: int64, number of its source; -1 in one that is only there to be kept out.
        stars: int64, of its repository; -1 if unknown.
        exact: int64, its group of exact copies: the number of the first of them.
        near: int64, its group of near-copies and of their near-copies, which holds whole groups of exact
            copies.
        together: int64, what goes to one side of the split: holds whole groups of near-copies.
    """

    keys: NDArray[np.int64]
    sources: NDArray[np.int64]
    stars: NDArray[np.int64]
    exact: NDArray[np.int64]
    near: NDArray[np.int64]
    together: NDArray[np.int64]


@dataclass(frozen=True)
class Decisions:
    """What becomes of documents: `fates`, uint8 [documents], and for a copy the number of what it copies."""

    fates: NDArray[np.uint8]
    copy_of: NDArray[np.int64]


@dataclass(frozen=True)
class Rules:
    """What decides beside the documents: whether near-copies are dropped, which they are, and the split."""

    drop_near: bool
    threshold: float
    held_out_share: float
    seed: int


def decide(documents: Documents, similarity: Similarity, rules: Rules) -> Decisions:
    """Drop copies, and hold out some of what is kept.

    Of documents with the same bytes the one with the most stars is kept, of several the one that is read
    first. A group of near-copies is gone through in that order: a document is dropped if it is itself a
    near-copy of one of the group that was kept before it. So nothing is dropped for being the copy of a
    copy of what stays. What is kept out comes before all others, and is in no corpus.

    Args:
        documents: all of them.
        similarity: asked about documents of one group.
        rules: the recipe's.
    """
    outside = documents.sources < 0
    preference = np.lexsort((np.arange(len(outside)), -documents.stars, ~outside))
    rank = np.empty(len(outside), np.int64)
    rank[preference] = np.arange(len(outside))
    fates = np.full(len(outside), TRAIN, np.uint8)
    copy_of = np.arange(len(outside))
    for group in _groups(documents.exact, rank):
        copy_of[group[1:]] = group[0]
        fates[group[1:]] = EXACT_COPY
    left = np.flatnonzero(fates == TRAIN)
    for group in _groups(documents.near[left], rank[left]):
        _drop_near_copies(left[group], outside, similarity, rules, fates, copy_of)
    # An exact copy of what is dropped is a copy of what stays for that.
    copy_of = copy_of[copy_of]
    fates[outside | outside[copy_of]] = KEPT_OUT
    kept = np.flatnonzero(fates == TRAIN)
    held_out = held_out_documents(
        documents.keys[kept],
        documents.sources[kept],
        documents.together[kept],
        rules.held_out_share,
        rules.seed,
    )
    fates[kept[held_out]] = HELD_OUT
    return Decisions(fates, copy_of)


def _drop_near_copies(
    group: NDArray[np.int64],
    outside: NDArray[np.bool_],
    similarity: Similarity,
    rules: Rules,
    fates: NDArray[np.uint8],
    copy_of: NDArray[np.int64],
) -> None:
    """Go through a group, the preferred ones first, and mark what is a near-copy of one before it."""
    for _ in range(_MOST_LEADERS):
        leader, group = group[0], group[1:]
        if not len(group) or not (rules.drop_near or outside[leader]):
            return
        pairs = np.stack([np.full(len(group), leader), group], axis=1)
        alike = similarity(pairs) >= rules.threshold
        fates[group[alike]] = NEAR_COPY
        copy_of[group[alike]] = leader
        group = group[~alike]
        if not len(group):
            return


def _groups(labels: NDArray[np.int64], rank: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """Return the positions of each label that occurs more than once, those of the lowest rank first."""
    order = np.lexsort((rank, labels))
    bounds = np.flatnonzero(np.diff(labels[order], prepend=-1, append=-1))
    return [order[a:b] for a, b in pairwise(bounds) if b - a > 1]
