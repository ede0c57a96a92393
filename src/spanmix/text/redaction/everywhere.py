"""Find values again in a whole text, all of them in one pass over it."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Iterator

_RUN = re.compile(r"[^\W_]+")
_MOST_SHAPES = 32
"""Places and lengths of values around one word: a text with more is made to take long."""


def places_of(text: str, values: Collection[str]) -> Iterator[tuple[int, str]]:
    """Yield each place where one of the values stands as a whole word, and the value.

    What is looked up is each word of the text: of a value, its longest run of letters and digits is a whole
    word of the text too wherever the value stands. So the time grows with the text, however many values there
    are.

    >>> list(places_of("k-12x + k-12x_ + k-12xy", {"k-12x"}))
    [(0, 'k-12x'), (8, 'k-12x')]
    """
    shapes: dict[str, set[tuple[int, int]]] = defaultdict(set)
    for value in values:
        word = max(_RUN.finditer(value), key=lambda run: len(run[0]), default=None)
        if word is not None and len(shapes[word[0]]) < _MOST_SHAPES:
            shapes[word[0]].add((word.start(), len(value)))
    if not shapes:
        return
    for word in _RUN.finditer(text):
        for before, length in shapes.get(word[0], ()):
            start = word.start() - before
            value = text[max(0, start) : start + length]
            if value in values and is_whole(text, start, start + length):
                yield start, value


def is_whole(text: str, start: int, end: int) -> bool:
    """Say whether a part of a text is no piece of a longer word."""
    before, behind = text[start - 1 : start], text[end : end + 1]
    return not (text[start].isalnum() and before.isalnum()) and not (
        text[end - 1].isalnum() and behind.isalnum()
    )
