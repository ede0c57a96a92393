"""Choose spans that are whole lines, whole blocks or whole pieces of syntax, instead of any tokens."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from spanmix.objectives.spans import Spans
from spanmix.seeding import below, mix

_TRIED = 8


def line_stops(text: bytes) -> NDArray[np.int64]:
    """Return the offsets at which lines begin, and the end: int64, rising, first 0.

    >>> line_stops(b"a\\nbc\\n").tolist()
    [0, 2, 5]
    """
    newlines = np.flatnonzero(np.frombuffer(text, dtype=np.uint8) == ord("\n")) + 1
    return np.unique(np.concatenate([[0], newlines, [len(text)]]))


def blocks(text: bytes) -> Spans:
    """Return every run of lines that are indented more deeply than the line above the run.

    A run begins behind the line above it and ends with its last line that is not blank.

    >>> text = b"def f():\\n    if x:\\n        y\\n    z\\n\\nw\\n"
    >>> [text[start:stop] for start, stop in blocks(text)]
    [b'    if x:\\n        y\\n    z\\n', b'        y\\n']
    """
    found: Spans = []
    open_blocks: list[tuple[int, int]] = []  # (depth of the line above, start)
    above = last_stop = 0
    for start, stop in pairwise(line_stops(text).tolist()):
        line = text[start:stop]
        if not line.strip():
            continue
        depth = len(line) - len(line.lstrip(b" \t"))
        while open_blocks and depth <= open_blocks[-1][0]:
            found.append((open_blocks.pop()[1], last_stop))
        if last_stop and depth > above:
            open_blocks.append((above, last_stop))
        above, last_stop = depth, stop
    found += [(start, last_stop) for _, start in open_blocks]
    return sorted(found)


def choose(candidates: Sequence[tuple[int, int]], num_spans: int, hidden: int, word: int) -> Spans:
    """Choose spans among candidates, so that their lengths add up to about `hidden`.

    Each span in turn is one of the eight candidates whose lengths are nearest to an equal part of what is
    left to hide. Those that touch a chosen one do not count, nor those that would hide half a part too much.

    Args:
        candidates: (start, stop) of each, in any order; they may overlap.
        num_spans: how many to choose; fewer where fewer fit.
        hidden: bytes to hide in all.
        word: a random word.
    """
    starts, stops = np.array(candidates, dtype=np.int64).T
    lengths = stops - starts
    free = np.ones(len(lengths), dtype=np.bool_)
    chosen: Spans = []
    left = hidden
    for to_choose in range(num_spans, 0, -1):
        places = np.flatnonzero(free & (lengths <= left + left // (2 * to_choose)))
        if left <= 0 or not len(places):
            break
        by_fit = np.argsort(np.abs(lengths[places] - left // to_choose), kind="stable")
        nearest = places[by_fit[:_TRIED]]
        word = mix(word + 1)
        place = nearest[below(word, len(nearest))]
        chosen.append((int(starts[place]), int(stops[place])))
        left -= int(lengths[place])
        free &= (stops < starts[place]) | (starts > stops[place])
    return sorted(chosen)
