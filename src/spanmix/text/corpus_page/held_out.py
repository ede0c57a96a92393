"""Compare the held-out side of a source with its training side: can what is measured on it be relied on?

Documents are drawn by the seed, so a large held-out side is like the other. A small one need not be, nor one
with a few long documents, or with a large group that had to stay together. Three measures say so:

- how many groups of equal size it amounts to, by Kish's rule (`spanmix.text.report.HeldOutDraw`): a mean is
  off by how much groups differ, divided by the root of that, so with fewer than 100 by more than a tenth;
- of languages and licences the total variation distance between the bytes of both sides: the share of the
  bytes of one side that would have to be another's for the sides to agree. Those with less than 1 % are taken
  as one;
- of lengths the largest distance between the shares of documents up to a length (Kolmogorov and Smirnov), at
  the powers of two.

A distance is spoken of from 0.2 on, and only if it is twice what a draw of so many groups comes to by chance
on average: so a small side is called small, and not also skewed.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path

from spanmix.amounts import count, share
from spanmix.text.corpus_page.figures import CorpusFigures
from spanmix.text.corpus_page.harmless import one_line
from spanmix.text.corpus_page.sides import Amount, Lengths, SideFigures, count_side
from spanmix.text.report import HELD_OUT_SUFFIX, CorpusReport, SourceReport

FEW_GROUPS = 100
LARGE_DISTANCE = 0.2
_ABOVE_CHANCE = 2
_LARGE_REPOSITORY = 0.5
_RARE = 0.01
_MOST_WARNINGS = 8
_MEAN_OF_KOLMOGOROV = 0.8687
"""The mean of Kolmogorov's distribution, ``sqrt(pi / 2) * log(2)``."""


@dataclass(frozen=True)
class Difference:
    """How far both sides of a source are apart in something.

    Args:
        what: ``languages``, ``licences`` or ``lengths``.
        distance: from 0 to 1; see the module.
        by_chance: what a random draw of as many groups comes to on average.
        most: where they differ most, in words.
    """

    what: str
    distance: float
    by_chance: float
    most: str

    @property
    def is_large(self) -> bool:
        """Whether it is worth a warning."""
        return self.distance >= max(LARGE_DISTANCE, _ABOVE_CHANCE * self.by_chance)


def num_groups(source: SourceReport) -> float:
    """Return how many groups of equal size the held-out side amounts to; of old corpora, its documents."""
    draw = source.held_out_draw
    return float(source.held_out.documents) if draw is None else draw.effective_groups


def differences(source: SourceReport, train: SideFigures, held_out: SideFigures) -> list[Difference]:
    """Compare both sides; nothing if one of them is empty."""
    groups = num_groups(source)
    if not groups or not source.train.documents:
        return []
    draw = source.held_out_draw
    return [
        _shares_apart("languages", train.languages, held_out.languages, groups),
        _shares_apart("licences", train.licences, held_out.licences, groups),
        _lengths_apart(
            train.bytes, held_out.bytes, source.held_out.documents if draw is None else draw.groups
        ),
    ]


def warnings(
    name: str, source: SourceReport, train: SideFigures, held_out: SideFigures, share_asked: float | None
) -> Iterator[str]:
    """Yield what is wrong with the held-out side of a source, each in a sentence or two.

    Args:
        name: the source's.
        source: what ``corpus.json`` says of it.
        train, held_out: what was counted of its sides.
        share_asked: the recipe's `held_out_share`, None if it is not on record.
    """
    side = source.held_out
    if not side.documents:
        if share_asked:
            yield f"Nothing of {name} is held out: it has only one group of documents to draw from."
        return
    groups = num_groups(source)
    if groups < FEW_GROUPS:
        number = count(side.documents, "document")
        size = max(1.0, groups)
        yield (
            f"The held-out side of {name} is small: {number}, as good as {size:,.0f} of one size, so that a "
            f"loss measured on it is off by some {100 / math.sqrt(size):.0f} % of how much documents differ. "
            f"Hold out a larger share, or prepare more data."
        )
    draw = source.held_out_draw
    if draw is not None and draw.repository_share >= max(
        _LARGE_REPOSITORY, 2 * draw.repository_share_of_train
    ):
        yield (
            f"One repository, {one_line(draw.repository)}, is {share(draw.repository_share, 1)} of the "
            f"held-out side of {name} and {share(draw.repository_share_of_train, 1)} of its training side: "
            f"what is measured there is how well that one is known."
        )
    for one in differences(source, train, held_out):
        if one.is_large:
            yield (
                f"The held-out side of {name} differs from the training side in its {one.what}: {one.most}. "
                f"The distance is {one.distance:.2f} of 1; by chance it would be {one.by_chance:.2f}."
            )


def page_warnings(figures: CorpusFigures) -> list[str]:
    """Return what is wrong with the held-out sides of a corpus that was counted."""
    split = figures.report.settings
    asked = split.held_out_share if split else None
    found = [
        words
        for one in figures.sources
        for words in warnings(one.name, one.report, one.train, one.held_out, asked)
    ]
    return shortened(found)


def held_out_warnings(folder: Path, report: CorpusReport) -> list[str]:
    """Count the sides of all sources of a corpus, and return what is wrong with those held out.

    Raises:
        InputError: a file of it is missing, damaged, or does not belong to it.
    """
    found: list[str] = []
    for name, source in report.sources.items():
        train = count_side(folder / name, source.train, report.ends_with_eod)
        held_out = count_side(folder / (name + HELD_OUT_SUFFIX), source.held_out, report.ends_with_eod)
        asked = report.settings.held_out_share if report.settings else None
        found += warnings(name, source, train, held_out, asked)
    return shortened(found)


def shortened(found: list[str]) -> list[str]:
    """Return the first of many warnings, and how many more there are."""
    if len(found) <= _MOST_WARNINGS:
        return found
    return [*found[: _MOST_WARNINGS - 1], f"There are {len(found) - _MOST_WARNINGS + 1} more of these."]


def _shares_apart(
    what: str, train: Mapping[str, Amount], held_out: Mapping[str, Amount], groups: float
) -> Difference:
    shares = [_shares(side) for side in (train, held_out)]
    names = {name for side in shares for name, part in side.items() if part >= _RARE}
    pairs = {name: (shares[0].get(name, 0.0), shares[1].get(name, 0.0)) for name in sorted(names)}
    rest = (1 - sum(pair[0] for pair in pairs.values()), 1 - sum(pair[1] for pair in pairs.values()))
    distance = (sum(abs(p - q) for p, q in pairs.values()) + abs(rest[0] - rest[1])) / 2
    # The mean deviation of a normal variable is sqrt(2 / pi) of the standard deviation.
    spread = sum(math.sqrt(max(0.0, p * (1 - p))) for p, _ in [*pairs.values(), rest])
    by_chance = min(1.0, math.sqrt(2 / math.pi / groups) * spread / 2)
    most = max(pairs, key=lambda name: abs(pairs[name][0] - pairs[name][1]), default="")
    p, q = pairs.get(most, (0.0, 0.0))
    words = f"{one_line(most) or 'not known'} is {share(q, 1)} of its bytes, and {share(p, 1)} there"
    return Difference(what, distance, by_chance, words)


def _shares(amounts: Mapping[str, Amount]) -> dict[str, float]:
    total = sum(amount.bytes for amount in amounts.values()) or 1
    return {name: amount.bytes / total for name, amount in amounts.items()}


def _lengths_apart(train: Lengths, held_out: Lengths, groups: int) -> Difference:
    size = max(len(train.bins), len(held_out.bins))
    sides = []
    for side in (train, held_out):
        counts = [*side.bins, *[0] * (size - len(side.bins))]
        sides.append([count / sum(counts) for count in accumulate(counts)])
    gaps = [abs(p - q) for p, q in zip(*sides, strict=True)]
    place = max(range(size), key=gaps.__getitem__)
    p, q = sides[0][place], sides[1][place]
    words = f"{share(q, 1)} of its documents are below {2**place:,} bytes, and {share(p, 1)} there"
    return Difference("lengths", gaps[place], min(1.0, _MEAN_OF_KOLMOGOROV / math.sqrt(groups)), words)
