"""Play the author who types a text line by line, and takes what is proposed where it is what they wrote.

At each line that is not blank the author looks at one proposal. Its lines are compared with theirs from
there on, without line ends, exactly. If the first is equal, it and the equal ones behind it are accepted, a
key each; if it is not, the author types the line. Blank lines are typed without asking. A line costs a key
for each character behind its indentation, which an editor gives, and one for its end::

    theirs            proposed         keys  saved
    "    x = f(a)\\n"  "    x = f(a)\\n"     9  8 of 9
    "    y = g(x)\\n"  "    y = x\\n"        9  typed, and asked for again
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from spanmix.evaluate.replay.lines import split_lines


@dataclass(frozen=True)
class AuthorLine:
    """A line that was typed, or the part of one.

    Args:
        text: with its line end, if it has one.
        start: where it begins in all that was typed.
        num_keys: keys that it takes to type it.
    """

    text: str
    start: int
    num_keys: int

    @property
    def is_blank(self) -> bool:
        """Whether it has nothing but white space."""
        return not self.text.strip()


@dataclass(frozen=True)
class Accepted:
    """How much of a proposal was taken: lines, and the keys that this saved, those that accept taken off."""

    num_lines: int
    num_saved: int


def author_lines(typed: str, behind: str) -> list[AuthorLine]:
    """Cut what was typed into lines.

    Args:
        typed: the text.
        behind: what stands in front of it. Blanks at the beginning of a line are indentation, elsewhere
            they are keys.

    >>> [line.num_keys for line in author_lines("x, y):\\n    return y", "def f(")]
    [7, 8]
    """
    lines = []
    start = 0
    for text in split_lines(typed):
        at_line_start = start > 0 or is_line_start(behind)
        lines.append(AuthorLine(text, start, _keys(text, at_line_start)))
        start += len(text)
    return lines


def is_line_start(before: str) -> bool:
    """Say whether a cursor behind this text is at the beginning of a line."""
    return before == "" or before.endswith("\n")


def _keys(text: str, at_line_start: bool) -> int:
    line = without_end(text)
    return len(line.lstrip(" \t") if at_line_start else line) + (text != line)


def without_end(line: str) -> str:
    """Return a line without its line feed and a carriage return in front of that."""
    return line.removesuffix("\n").removesuffix("\r") if line.endswith("\n") else line


def accepted(proposal: str, lines: Sequence[AuthorLine]) -> Accepted:
    """Return how much of a proposal an author takes who is about to type `lines`, of which the first is not
    blank.

    A line end is saved only where the proposal has one too.

    >>> lines = author_lines("a = 1\\nb = 2\\n", "")
    >>> [accepted(text, lines).num_saved for text in ("a = 1\\nb = 2", "a = 1\\nc", "a = 10")]
    [9, 5, 0]
    """
    assert lines and not lines[0].is_blank, "the author types blank lines without asking"
    proposed = split_lines(proposal)
    num_lines = 0
    for offered, line in zip(proposed, lines, strict=False):
        if without_end(offered) != without_end(line.text):
            break
        num_lines += 1
    while num_lines and lines[num_lines - 1].is_blank:
        num_lines -= 1  # a blank line is a key, and so would accepting it be
    num_saved = sum(line.num_keys - 1 for line in lines[:num_lines])
    if num_lines and lines[num_lines - 1].text.endswith("\n") and not proposed[num_lines - 1].endswith("\n"):
        num_saved -= 1
    return Accepted(num_lines, num_saved)
