"""Find what a problem asks, in words, within its prompt or program."""

from __future__ import annotations

import re
from typing import NamedTuple

_DOCSTRING = re.compile(r'("""|\'\'\')(.*?)(?:\1|\Z)', re.DOTALL)
_COMMENT = re.compile(r"\s*(?:#(?!include|!|\[|pragma|define)|//|--|;;|%|/\*)")
_INSIDE = re.compile(r"\s*\*")
"""A line within ``/* … */``, or of a list in prose."""
_EXAMPLE = re.compile(
    r"\W*(?:>>>|(?:for )?examples?\b|e\.g\.|assert\b|input\s*:|sample input)|.*(?:=>|->|➞|→)", re.IGNORECASE
)
"""The first line of examples: doctests, what begins with "Example" and its like, or arrows to a result."""


class Described(NamedTuple):
    """What a text asks, and what stands behind it (all of the text if nothing is asked)."""

    description: str
    rest: str


def describe(text: str) -> Described:
    """Cut a prompt or program into what it asks and what follows.

    That is its last docstring; or else the lines that are comments, as the translations of MultiPL-E have
    it; or nothing. A string in single quotes or a comment behind code is not seen.

    >>> describe('def f(x):\\n    \\"\\"\\" Add one.\\n    >>> f(1)\\n    \\"\\"\\"\\n    return x + 1\\n')
    Described(description=' Add one.\\n    >>> f(1)\\n    ', rest='\\n    return x + 1\\n')
    >>> describe("// Add one.\\n// >>> f(1)\\nfn f(x: i64) -> i64 {\\n")
    Described(description='// Add one.\\n// >>> f(1)', rest='fn f(x: i64) -> i64 {\\n')
    """
    docstrings = list(_DOCSTRING.finditer(text))
    if docstrings:
        return Described(docstrings[-1].group(2), text[docstrings[-1].end() :])
    lines = text.split("\n")
    starred = "/*" in text
    comments = [
        number
        for number, line in enumerate(lines)
        if _COMMENT.match(line) or (starred and _INSIDE.match(line))
    ]
    if not comments:
        return Described("", text)
    return Described("\n".join(lines[number] for number in comments), "\n".join(lines[comments[-1] + 1 :]))


def without_examples(description: str) -> str:
    """Return the lines in front of the first example; all of them if there is nothing in front.

    >>> without_examples("Add one.\\n>>> f(1)\\n2")
    'Add one.'
    """
    lines = description.split("\n")
    for number, line in enumerate(lines):
        if _EXAMPLE.match(line):
            front = "\n".join(lines[:number])
            return front if front.strip() else description
    return description
