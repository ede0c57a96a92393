"""Find the few lines in which something can be, so that only those are given to slow and exact rules.

What is looked for is one pattern of RE2, whose automaton takes one step a byte however many alternatives it
has.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from typing import Any, NamedTuple

import re2  # type: ignore[import-untyped]

LONG_LINE = 4_000
_FRONT, _BEHIND, _STEP = 300, 1_600, 1_000
"""Characters looked at in front of a find in a long line, those behind it, and how far behind it the next
find may be that is looked at with it: its value may go on for the rest."""
_SURROGATE = re.compile("[\ud800-\udfff]")
_MEMORY_BYTES = 128 << 20
"""For the automaton, which RE2 builds as far as texts need it; the default of 8 MB would be built again and
again."""


class Line(NamedTuple):
    """A line that may hold something: its number from 0, its first character's place, and its text."""

    number: int
    start: int
    text: str


def lines_with(text: str, pattern: str) -> Iterator[Line]:
    """Yield each line in which a pattern of RE2 is found; the pattern fits no line end.

    Of a line longer than `LONG_LINE`, as in minified files, what is around each find is yielded as if it
    were a line: rules whose time grows with the line would take minutes. Such parts may overlap.
    """
    places = _Places(text, pattern)
    number = first = done = 0
    last = -1  # of the line before the first: lines are looked for only once, or long ones would take minutes
    while (place := places.behind(done)) is not None:
        if place >= last:
            number += text.count("\n", first, place)
            first = text.rfind("\n", first, place) + 1 or first
            last = text.find("\n", place)
            last = last if last >= 0 else len(text)
        start, end, done = first, last, last
        if end - start > LONG_LINE:
            start, end = max(start, place - _FRONT), min(end, place + _BEHIND)
            done = min(done, place + _STEP)
        yield Line(number, start, text[start:end])


class _Places:
    """Finds a pattern in a text from one place on and then from another; places are counted in characters.

    RE2 works on UTF-8. Given a string, its module would encode the whole anew at each call, and count the
    characters up to each find; here both are done once.
    """

    def __init__(self, text: str, pattern: str) -> None:
        self._compiled = _compiled(pattern)
        self._text = without_surrogates(text)
        self._data = self._text.encode()
        self._is_ascii = text.isascii()
        self._place = self._byte = 0

    def behind(self, place: int) -> int | None:
        """Return the first find that does not begin before a place; `place` never goes back."""
        self._byte += self._length(place)
        self._place = place
        match = self._compiled.search(self._data, self._byte)
        if match is None:
            return None
        start: int = match.start()
        return start if self._is_ascii else place + len(self._data[self._byte : start].decode())

    def _length(self, place: int) -> int:
        """Return the bytes from the last place to this one."""
        return place - self._place if self._is_ascii else len(self._text[self._place : place].encode())


def without_surrogates(text: str) -> str:
    """Return a text of the same length with a sign for each lone half of a UTF-16 pair, which UTF-8 cannot
    have."""
    return text if text.isascii() else _SURROGATE.sub("\ufffd", text)


@cache
def _compiled(pattern: str) -> Any:
    return re2.compile(pattern, options())


def options() -> Any:
    """Return how patterns are compiled."""
    made = re2.Options()
    made.max_mem = _MEMORY_BYTES
    made.log_errors = False
    return made
