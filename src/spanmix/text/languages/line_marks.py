"""How a line of each language begins: what tells languages apart when a file's name does not.

A line's first word picks the patterns that are tried on it; each that matches gives its points to some
languages. Three points are a line that hardly occurs elsewhere, one is a hint.
"""

from __future__ import annotations

import re
from collections import defaultdict
from importlib.resources import files

_MARKS = files("spanmix.text.languages").joinpath("line_marks.txt").read_text(encoding="utf-8")
"""A row for each pattern: a line's first word, the pattern, and the points of each language."""

_ANYWHERE = files("spanmix.text.languages").joinpath("any_line_marks.txt").read_text(encoding="utf-8")
"""The same without a first word: these are tried on every line, so they are few."""


def _points(text: str) -> tuple[tuple[str, float], ...]:
    return tuple((name, float(points)) for name, points in (part.split() for part in text.split(", ")))


def _split(line: str) -> tuple[str, str]:
    """Cut a row of the tables into its pattern and its points."""
    pattern, _, points = re.sub(r"\s{2,}(?=[a-z-]+ [\d.]+(, |$))", "\0", line.strip()).partition("\0")
    return pattern, points


Mark = tuple[re.Pattern[str], tuple[tuple[str, float], ...]]
BY_FIRST_WORD: dict[str, list[Mark]] = defaultdict(list)
"""Patterns by a line's first word, with the points that they give."""
for _line in _MARKS.strip().splitlines():
    _word, _rest = _line.split(None, 1)
    _pattern, _given = _split(_rest)
    BY_FIRST_WORD[_word].append((re.compile(_pattern), _points(_given)))

ANYWHERE: list[Mark] = []
"""Patterns for every line, with the points that they give."""
for _line in _ANYWHERE.strip().splitlines():
    _pattern, _given = _split(_line)
    ANYWHERE.append((re.compile(_pattern), _points(_given)))
