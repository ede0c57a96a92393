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

    Each span in turn is the one of eight random candidates whose length is nearest to an equal part of
    what is left to hide. Those that touch a chosen one, or are longer than what is left, do not count.

    Args:
        candidates: (start, stop) of each, in any order; they may overlap.
        num_spans: how many to choose; fewer where fewer fit.
        hidden: bytes to hide in all.
        word: a random word.
    """
    chosen: Spans = []
    left = hidden
    for _ in range(num_spans):
        wanted = left // (num_spans - len(chosen)) if len(chosen) < num_spans else 0
        best: tuple[int, int] | None = None
        for _ in range(_TRIED):
            word = mix(word + 1)
            start, stop = candidates[below(word, len(candidates))]
            if stop - start > left or any(start <= b and a <= stop for a, b in chosen):
                continue
            if best is None or abs(stop - start - wanted) < abs(best[1] - best[0] - wanted):
                best = (start, stop)
        if best is not None:
            chosen.append(best)
            left -= best[1] - best[0]
    return sorted(chosen)
