"""Find pairs of copies: documents with the same key in a band, compared by their whole signatures.

The work is cut by bands and by ranges of keys, so that each task holds some millions of keys and no more,
however many documents there are.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from spanmix.files import parse_json
from spanmix.text.duplicates.facts import Facts

KEYS_AT_ONCE = 8_000_000
_PAIRS_AT_ONCE = 1 << 16


@dataclass(frozen=True)
class PairsJob:
    """Some bands, and a range of keys.

    Args:
        facts: of all documents.
        bands: numbers of the bands; 0 is that of exact copies.
        part, num_parts: which of so many equal ranges of keys.
        threshold: share of equal hashes from which on candidates are near-copies.
        out: the file to write.
    """

    facts: Facts
    bands: tuple[int, ...]
    part: int
    num_parts: int
    threshold: float
    out: str


@dataclass(frozen=True)
class Pairs:
    """Pairs of copies.

    Args:
        exact: int64 [n, 2], documents with the same bytes.
        near: int64 [m, 2], others whose signatures agree in at least the threshold.
        num_agreements: how often two documents, other than exact copies, agreed in a band and were compared;
            a pair that agrees in several bands counts in each.
    """

    exact: NDArray[np.int64]
    near: NDArray[np.int64]
    num_agreements: int

    @classmethod
    def load(cls, path: str) -> Pairs:
        """Read what `find_pairs` wrote."""
        with np.load(path) as file:
            return cls(file["exact"], file["near"], int(file["num_agreements"]))


def pair_jobs(facts: Facts, num_keys: int, threshold: float, folder: Path, num_jobs: int) -> list[PairsJob]:
    """Cut the search into at least `num_jobs` jobs, if there are so many bands, of bounded size."""
    num_parts = max(1, -(-facts.num_documents // KEYS_AT_ONCE))
    bands_each = max(1, -(-num_keys // num_jobs)) if num_parts == 1 else 1
    jobs = []
    for first in range(0, num_keys, bands_each):
        bands = tuple(range(first, min(first + bands_each, num_keys)))
        for part in range(num_parts):
            out = str(folder / f"pairs-{first:03}-{part:04}.npz")
            jobs.append(PairsJob(facts, bands, part, num_parts, threshold, out))
    return jobs


def find_pairs(text: str) -> str:
    """Do one job, given as JSON, and write its pairs; one that is there is not done again."""
    job = parse_json(text, PairsJob, "the job")
    out = Path(job.out)
    if not out.exists():
        exact, near, num_agreements = [np.zeros((0, 2), np.int64)], [np.zeros((0, 2), np.int64)], 0
        for band in job.bands:
            for pairs in _candidates(job, band):
                digests = [job.facts.rows("digests", pairs[:, side]) for side in (0, 1)]
                same = (digests[0] == digests[1]).all(axis=1)
                if band == 0:
                    exact.append(pairs[same])
                else:
                    others = pairs[~same]
                    num_agreements += len(others)
                    near.append(others[similarity(job.facts, others) >= job.threshold])
        aside = out.with_suffix(".partial.npz")
        found = Pairs(np.concatenate(exact), np.concatenate(near), num_agreements)
        np.savez(aside, **dataclasses.asdict(found))
        aside.replace(out)
    return json.dumps({"out": job.out})


def similarity(facts: Facts, pairs: NDArray[np.int64]) -> NDArray[np.float64]:
    """Estimate the share of windows that the documents of each pair [n, 2] have in common, in [0, 1]."""
    hashes = [facts.rows("hashes", pairs[:, side]) for side in (0, 1)]
    return np.asarray((hashes[0] == hashes[1]).mean(axis=1), np.float64)


def _candidates(job: PairsJob, band: int) -> Iterator[NDArray[np.int64]]:
    """Yield pairs of a band, some thousands at once: each document with its key's first and its neighbor."""
    keys, documents = _keys(job, band)
    starts = np.flatnonzero(np.concatenate([[True], keys[1:] != keys[:-1]]))
    lengths = np.diff(np.append(starts, len(keys)))
    first = np.repeat(starts, lengths)
    place = np.arange(len(keys))
    second = np.flatnonzero(place > first)
    later = np.flatnonzero(place > first + 1)
    left = np.concatenate([first[second], later - 1])
    right = np.concatenate([second, later])
    for i in range(0, len(left), _PAIRS_AT_ONCE):
        some = slice(i, i + _PAIRS_AT_ONCE)
        yield np.stack([documents[left[some]], documents[right[some]]], axis=1)


def _keys(job: PairsJob, band: int) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    """Return keys and documents of a band in the job's range, sorted by key and then by document."""
    low = (job.part << 64) // job.num_parts
    high = ((job.part + 1) << 64) // job.num_parts - 1
    keys, documents = [np.zeros(0, np.uint64)], [np.zeros(0, np.int64)]
    for number, start in enumerate(job.facts.starts[:-1]):
        mine = job.facts.partition(number, "keys")[band]
        begin = np.searchsorted(mine, np.uint64(low), side="left")
        end = np.searchsorted(mine, np.uint64(high), side="right")
        keys.append(np.array(mine[begin:end]))
        documents.append(start + job.facts.partition(number, "order")[band, begin:end].astype(np.int64))
    all_keys, all_documents = np.concatenate(keys), np.concatenate(documents)
    order = np.lexsort((all_documents, all_keys))
    return all_keys[order], all_documents[order]
