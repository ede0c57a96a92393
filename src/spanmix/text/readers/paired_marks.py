"""Take the pairs of marks out of a line of markup, in one pass however many stand alone."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable


def without_pairs(
    line: str, opening: re.Pattern[str], closing: re.Pattern[str], most: int, written: Callable[[str], str]
) -> str:
    r"""Return a line without its pairs of marks: one that opens, and the next of its length that closes.

    One pattern for a whole pair would look for an end behind each mark that could open, so a line of marks
    that never close is read `most` times over. Here all that could close are found first.

    Args:
        line: the whole line.
        opening: finds the marks that may open; its first group is the mark.
        closing: finds those that may close, in the same way.
        most: characters between two; there is at least one.
        written: what to write for the characters between two.

    >>> without_pairs("a `b` ``c`d`` `e", re.compile("(`+)"), re.compile("(`+)"), 100, str.upper)
    'a B C`D `e'
    """
    closers: defaultdict[int, list[int]] = defaultdict(list)
    for match in closing.finditer(line):
        closers[len(match[1])].append(match.start(1))
    parts = []
    done = 0
    for match in opening.finditer(line):
        start, end = match.span(1)
        places = closers[end - start]
        i = bisect_left(places, end + 1)
        if start >= done and i < len(places) and places[i] - end <= most:
            parts += [line[done:start], written(line[end : places[i]])]
            done = places[i] + end - start
    return "".join([*parts, line[done:]])
