"""Draw pairs of documents for ``prepare_checks.py``, so that few stand for all that may be near-copies.

A window of five words is looked at if its hash ends in two zero bits and it stands in 2 to 50 documents; of
these the first is paired with each, and each with its next. To the pairs that share a tenth of what is looked
at come all that a side dropped, with what it kept in their place. Pairs of equal texts are left out: what is
to be told apart is more and less alike.

From this population a sample is drawn, the same number from each stratum: strata are how much of what is
looked at a pair shares, and which sides keep both of it. Every pair counts for as many as its stratum has for
each that was drawn, so figures are estimates for the whole population. What it cannot know of are pairs in
groups of more than 50 that no side found.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from prepare_sides import WINDOW_WORDS

RAREST, LEAST_ALIKE = 50, 0.1
LOOKED_AT = np.uint64(3)
REDRAWS = 500
SEED = 0

_WORDS = re.compile(r"\w+")

Ints = NDArray[np.int64]


def window_pairs(texts: Sequence[str]) -> tuple[Ints, NDArray[np.float64]]:
    """Return pairs that share rare windows, int64 [n, 2], and which share of what is looked at they have."""
    ids: dict[str, int] = {}
    hashes, owners = [], []
    sizes = np.zeros(len(texts))
    for number, text in enumerate(texts):
        words = np.array([ids.setdefault(word, len(ids)) for word in _WORDS.findall(text)], np.uint64)
        count = len(words) - WINDOW_WORDS + 1
        if count < 1:
            continue
        mixed = np.zeros(count, np.uint64)
        for i in range(WINDOW_WORDS):
            mixed = _mix(mixed ^ words[i : i + count])
        looked_at = np.unique(mixed[mixed & LOOKED_AT == 0])
        hashes.append(looked_at)
        owners.append(np.full(len(looked_at), number))
        sizes[number] = len(looked_at)
    all_hashes, all_owners = np.concatenate(hashes), np.concatenate(owners)
    order = np.argsort(all_hashes, kind="stable")
    all_hashes, all_owners = all_hashes[order], all_owners[order]
    starts = np.flatnonzero(np.append(True, all_hashes[1:] != all_hashes[:-1]))
    lengths = np.diff(np.append(starts, len(all_hashes)))
    first = np.repeat(starts, lengths)
    place = np.arange(len(all_hashes))
    rare = np.repeat(lengths, lengths) <= RAREST
    second, later = np.flatnonzero(rare & (place > first)), np.flatnonzero(rare & (place > first + 1))
    left = all_owners[np.concatenate([first[second], later - 1])]
    right = all_owners[np.concatenate([second, later])]
    codes, shared = np.unique(left * len(sizes) + right, return_counts=True)
    pairs = np.stack(np.divmod(codes, len(sizes)), axis=1)
    return pairs, shared / (sizes[pairs].sum(axis=1) - shared)


def _mix(words: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Mix 64 bits (SplitMix64's steps)."""
    words = words + np.uint64(0x9E3779B97F4A7C15)
    words = (words ^ (words >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    words = (words ^ (words >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return words ^ (words >> np.uint64(31))


def population(
    texts: Sequence[str], digests: Sequence[bytes], survivors: Sequence[Ints]
) -> tuple[Ints, NDArray[np.float64]]:
    """Return all pairs that may be drawn, int64 [n, 2], the lower number first, and how alike they look.

    Args:
        texts: of all documents.
        digests: hashes of them.
        survivors: of each side, for each document the one that was kept in its place.
    """
    count = len(texts)
    pairs, alike = window_pairs(texts)
    seen = pairs[:, 0] * count + pairs[:, 1]
    codes = [seen[alike >= LEAST_ALIKE]]
    for kept in survivors:
        ends = np.sort(np.stack([np.arange(count), kept], axis=1), axis=1)
        codes.append(ends[:, 0] * count + ends[:, 1])
    names = np.unique(digests, return_inverse=True)[1]
    found = np.stack(np.divmod(np.unique(np.concatenate(codes)), count), axis=1)
    found = found[names[found[:, 0]] != names[found[:, 1]]]
    wanted = found[:, 0] * count + found[:, 1]
    places = np.minimum(np.searchsorted(seen, wanted), len(seen) - 1)
    return found, np.where(seen[places] == wanted, alike[places], 0.0)


@dataclass(frozen=True)
class Sample:
    """Pairs that were drawn.

    Args:
        pairs: int64 [n, 2].
        strata: int64 [n], the stratum of each.
        weights: float64 [n], for how many of the population each counts.
    """

    pairs: Ints
    strata: Ints
    weights: NDArray[np.float64]

    @classmethod
    def draw(cls, pairs: Ints, strata: Ints, num_pairs: int) -> Sample:
        """Draw as many of each stratum, all of those that have fewer; more of the others then."""
        generator = np.random.default_rng(SEED)
        names, sizes = np.unique(strata, return_counts=True)
        each = np.zeros(len(names), np.int64)
        left = min(num_pairs, len(pairs))
        for done, place in enumerate(np.argsort(sizes, kind="stable").tolist()):
            each[place] = min(sizes[place], left // (len(names) - done))
            left -= each[place]
        drawn, weights = [], []
        for name, size, wanted in zip(names, sizes, each, strict=True):
            drawn.append(generator.choice(np.flatnonzero(strata == name), wanted, replace=False))
            weights.append(np.full(wanted, size / max(1, wanted)))
        rows = np.concatenate(drawn)
        return cls(pairs[rows], strata[rows], np.concatenate(weights))

    def estimate(self, among: NDArray[np.bool_], counted: NDArray[np.bool_]) -> dict[str, float | None]:
        """Return the share of `counted` among `among`, in the population, and a 95 % interval of it."""
        if not among.any():
            return {"share": None, "low": None, "high": None, "pairs": 0}
        generator = np.random.default_rng(SEED)
        whole, part = self.weights * among, self.weights * (among & counted)
        shares = []
        groups = [np.flatnonzero(self.strata == name) for name in np.unique(self.strata)]
        for _ in range(REDRAWS):
            rows = np.concatenate([generator.choice(group, len(group)) for group in groups])
            if whole[rows].sum():
                shares.append(part[rows].sum() / whole[rows].sum())
        low, high = np.quantile(shares, [0.025, 0.975])
        return {
            "share": float(part.sum() / whole.sum()),
            "low": float(low),
            "high": float(high),
            "pairs": int(among.sum()),
        }
