"""Judge the near-copies that the sides of ``prepare.py`` found by the share of windows that pairs truly have.

Which pairs, and how they are drawn, stands in `prepare_pairs_checks`. The *exact share* of a pair is the
windows in both among those in either (Jaccard). It is counted twice: with words as ours has them (as they are
written), and as datatrove's (lower case, numbers alike, without punctuation, split by spaCy). For each,
*recall* is the share of pairs of at least 0.7 of which a side did not keep both, and *precision* the share of
documents that it dropped which have at least 0.7 with what it kept for them. datatrove keeps one document of
each chain of copies, ours one that each of the others is like: precision tells the two apart. Intervals are
from 500 draws of the sample from itself, stratum by stratum.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet
from numpy.typing import NDArray

from prepare_inputs import Text, read_shards
from prepare_pairs_checks import Ints, Sample, population
from prepare_sides import OURS, PLAIN_WORDS, THEIRS, THRESHOLD, WINDOW_WORDS, keep, their_groups
from spanmix.text.duplicates.check import jaccard

COPIES = ("exact copy", "near-copy")
BINS = np.array([0, 0.1, 0.3, 0.4, 0.5, 0.6, 0.65, 0.7, 0.75, 0.8, 0.9, 1.01])


@dataclass(frozen=True)
class Documents:
    """The documents that pass the filter, in the order of the shards.

    Args:
        texts: what they are called, and their texts.
        digests: a hash of each text.
        counts: how many there are in each shard.
        filtered: how many others there are.
    """

    texts: list[Text]
    digests: list[bytes]
    counts: list[int]
    filtered: int

    @classmethod
    def read(cls, shards: Path) -> Documents:
        """Take them from the shards."""
        texts: list[Text] = []
        counts: list[int] = []
        total = 0
        for shard in read_shards(shards):
            kept = [text for text in shard if keep(text[1])]
            texts += kept
            counts.append(len(kept))
            total += len(shard)
        digests = [hashlib.sha256(text.encode()).digest() for _, text in texts]
        return cls(texts, digests, counts, total - len(texts))


def our_survivors(corpus: Path, documents: Documents) -> tuple[Ints, int]:
    """Return for each document the one that was kept in its place, and how many the filter dropped."""
    numbers = {name: number for number, (name, _) in enumerate(documents.texts)}
    survivors = np.arange(len(numbers))
    filtered = 0
    for row in pyarrow.parquet.read_table(corpus / "audit" / "all.dropped.parquet").to_pylist():
        if row["reason"] in COPIES:
            survivors[numbers[row["path"]]] = numbers[row["value"]]
        else:
            filtered += 1
    return survivors[survivors], filtered


def their_survivors(out: Path, documents: Documents) -> Ints:
    """Return for each document the one that datatrove kept in its place."""
    survivors = np.arange(len(documents.texts))
    members: dict[int, list[int]] = {}
    kept: dict[int, int] = {}
    start = 0
    for shard, count in enumerate(documents.counts):
        groups, dropped = their_groups(out, shard)
        for number, group in groups.items():
            members.setdefault(group, []).append(start + number)
            if number not in dropped:
                kept[group] = start + number
        start += count
    for group, numbers in members.items():
        survivors[numbers] = kept[group]
    return survivors


def compare(bench: Any, shards: Path, num_pairs: int) -> dict[str, Any]:
    """Print and return how the sides' copies agree with each other and with exact shares.

    Args:
        bench: of `prepare.py`; what its sides wrote last is looked at.
        shards: what they read.
        num_pairs: pairs whose exact share is counted.
    """
    documents = Documents.read(shards)
    ours, filtered = our_survivors(bench.out(OURS), documents)
    survivors = {OURS: ours}
    survivors |= {side: their_survivors(bench.out(side), documents) for side in (THEIRS, PLAIN_WORDS)}
    if filtered != documents.filtered:
        print(f"The filters differ: ours dropped {filtered}, theirs {documents.filtered}")
    figures: dict[str, Any] = {
        "documents": len(documents.texts) + documents.filtered,
        "dropped_by_filter": {OURS: filtered, THEIRS: documents.filtered},
    }
    figures["sets"] = {side: _sets(ours, survivors[side]) for side in (THEIRS, PLAIN_WORDS)}
    for side, sets in figures["sets"].items():
        print(f"copies, {OURS} and {side}: " + ", ".join(f"{count:,} {name}" for name, count in sets.items()))
    pairs, alike = population(
        [text for _, text in documents.texts], documents.digests, list(survivors.values())
    )
    gone = {side: _not_both(kept, pairs) for side, kept in survivors.items()}
    state = sum(flags.astype(np.int64) << place for place, flags in enumerate(gone.values()))
    sample = Sample.draw(pairs, state * len(BINS) + np.digitize(alike, BINS), num_pairs)
    print(f"{len(sample.pairs):,} of {len(pairs):,} pairs, exact shares counted")
    exact = {
        OURS: _our_shares(documents, sample.pairs),
        THEIRS: _their_shares(bench, documents, sample.pairs),
    }
    figures |= {"population": len(pairs), "pairs": len(sample.pairs)}
    figures["judged"] = dict(_judge(sample, survivors, exact))
    return figures


def _sets(ours: Ints, other: Ints) -> dict[str, int]:
    """Count documents that are copies of another or have one: whichever of a group was kept."""
    mine, yours = _in_groups(ours), _in_groups(other)
    return {
        "dropped by ours": int((ours != np.arange(len(ours))).sum()),
        "by theirs": int((other != np.arange(len(other))).sum()),
        "in groups of both": int((mine & yours).sum()),
        "of ours alone": int((mine & ~yours).sum()),
        "of theirs alone": int((yours & ~mine).sum()),
    }


def _in_groups(survivors: Ints) -> NDArray[np.bool_]:
    return np.bincount(survivors, minlength=len(survivors))[survivors] > 1


def _not_both(survivors: Ints, pairs: Ints) -> NDArray[np.bool_]:
    return (survivors[pairs] != pairs).any(axis=1)


def _judge(
    sample: Sample, survivors: dict[str, Ints], exact: dict[str, NDArray[np.float64]]
) -> Iterator[tuple[str, Any]]:
    for words, shares in exact.items():
        true = shares >= THRESHOLD
        print(f"by words of {words}")
        rows: dict[str, Any] = {}
        for side, kept in survivors.items():
            gone = _not_both(kept, sample.pairs)
            dropped_for = (kept[sample.pairs] == sample.pairs[:, ::-1]).any(axis=1)
            recall, precision = sample.estimate(true, gone), sample.estimate(dropped_for, true)
            places = np.digitize(shares, BINS)
            by_share = {
                f"{BINS[place - 1]:g}": sample.estimate(places == place, gone)["share"]
                for place in range(1, len(BINS))
            }
            rows[side] = {"recall": recall, "precision": precision, "not_both_kept_by_share_from": by_share}
            curve = ", ".join(f"{low} {share:.2f}" for low, share in by_share.items() if share is not None)
            print(
                f"  {side:24} recall {_shown(recall)}, precision {_shown(precision)}; not both, from {curve}"
            )
        yield words, rows


def _shown(estimate: dict[str, float | None]) -> str:
    if estimate["share"] is None:
        return "- (no pair)"
    return f"{estimate['share']:.3f} [{estimate['low']:.3f}, {estimate['high']:.3f}]"


def _our_shares(documents: Documents, pairs: Ints) -> NDArray[np.float64]:
    texts = documents.texts
    return np.array([jaccard(texts[a][1], texts[b][1], WINDOW_WORDS) for a, b in pairs.tolist()])


def _their_shares(bench: Any, documents: Documents, pairs: Ints) -> NDArray[np.float64]:
    numbers, places = np.unique(pairs, return_inverse=True)
    path = bench.work / "pairs.json"
    texts = [documents.texts[number][1] for number in numbers.tolist()]
    path.write_text(json.dumps({"texts": texts, "pairs": places.reshape(-1, 2).tolist()}), encoding="utf-8")
    settings = {"side": "shares", "pairs": str(path), "out": str(bench.work / "none")}
    return np.array(bench.ask(settings, bench.peer_python).told["shares"])
