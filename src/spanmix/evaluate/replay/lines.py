"""Compare two texts line by line, and put what was inserted where a person would have put it.

The longest common subsequence (by rapidfuzz, so that neither the version of git nor its settings decide)
says which lines stayed. Two things make the rest read like what was done, as git's own heuristics do:

- lines that say nothing by themselves, such as ``}`` and blank ones, do not hold two changes apart of which
  one replaces lines;
- what was inserted can often begin a line earlier or later with the same result. It begins where its first
  line is indented least, then behind a blank line, then as late as possible.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from rapidfuzz.distance import LCSseq

_LINE = re.compile(r"[^\n]*\n|[^\n]+")
_TELLING_CHARACTERS = 3
_MAX_CELLS = 40_000_000
"""Pairs of lines that are compared; beyond, all between the first and the last change counts as one."""
_MAX_SLIDE = 200


class LineChange(NamedTuple):
    """Lines ``old_start..old_stop-1`` became lines ``new_start..new_stop-1``, from 0."""

    old_start: int
    old_stop: int
    new_start: int
    new_stop: int

    def part(self, old_start: int, old_stop: int, new_start: int, new_stop: int) -> LineChange:
        """Return a part of it, by lines counted from its own first ones."""
        return LineChange(
            self.old_start + old_start,
            self.old_start + old_stop,
            self.new_start + new_start,
            self.new_start + new_stop,
        )


def split_lines(text: str) -> list[str]:
    """Cut a text behind each line feed; unlike `str.splitlines`, nowhere else.

    >>> split_lines("a\\r\\n\\x0cb")
    ['a\\r\\n', '\\x0cb']
    """
    return _LINE.findall(text)


def last_of(text: str, num_lines: int) -> str:
    """Return the last so many lines of a text, the one that has no end yet included.

    >>> last_of("a\\nb\\n  c", 2)
    'b\\n  c'
    """
    return "".join(split_lines(text)[-num_lines:])


def first_of(text: str, num_lines: int) -> str:
    """Return the first so many lines of a text."""
    return "".join(split_lines(text)[:num_lines])


def is_telling(text: str) -> bool:
    """Say whether a text has three letters or digits, so that it is not found by chance."""
    return sum(map(str.isalnum, text)) >= _TELLING_CHARACTERS


def changed_lines(old: Sequence[str], new: Sequence[str]) -> list[LineChange]:
    """Return what changed between two texts, given as lines, in order; all other lines are equal.

    >>> changed_lines(["a\\n", "b\\n"], ["a\\n", "c\\n", "b\\n"])
    [LineChange(old_start=1, old_stop=1, new_start=1, new_stop=2)]
    """
    found: list[LineChange] = []
    old_at = new_at = 0
    for old_next, new_next in [*common(old, new), (len(old), len(new))]:
        if old_next > old_at or new_next > new_at:
            found.append(LineChange(old_at, old_next, new_at, new_next))
        old_at, new_at = old_next + 1, new_next + 1
    joined = _joined(found, old)
    placed: list[LineChange] = []
    for index, change in enumerate(joined):
        # At least one line stays between two changes.
        first = placed[-1].new_stop + 1 if placed else 0
        after = joined[index + 1].new_start - 1 if index + 1 < len(joined) else len(new)
        placed.append(_placed(change, new, first, after))
    return placed


def common(old: Sequence[str | None], new: Sequence[str | None]) -> list[tuple[int, int]]:
    """Return the pairs of places of a longest common subsequence; None is equal to nothing.

    >>> common(["a", None, "b"], ["b", None, "a", "b"])
    [(0, 2), (2, 3)]
    """
    ids: dict[str, int] = {}
    # None of one side and None of the other are no lines, and differ.
    old_ids = [-2 if line is None else ids.setdefault(line, len(ids)) for line in old]
    new_ids = [-3 if line is None else ids.setdefault(line, len(ids)) for line in new]
    shorter = min(len(old_ids), len(new_ids))
    head = 0
    while head < shorter and old_ids[head] == new_ids[head]:
        head += 1
    tail = 0
    while tail < shorter - head and old_ids[-1 - tail] == new_ids[-1 - tail]:
        tail += 1
    pairs = [(place, place) for place in range(head)]
    between_old, between_new = old_ids[head : len(old_ids) - tail], new_ids[head : len(new_ids) - tail]
    if len(between_old) * len(between_new) <= _MAX_CELLS:
        pairs += [(head + i, head + j) for i, j in _longest_common(between_old, between_new)]
    return pairs + [(len(old_ids) - back, len(new_ids) - back) for back in range(tail, 0, -1)]


def _longest_common(old_ids: list[int], new_ids: list[int]) -> Iterator[tuple[int, int]]:
    for step in LCSseq.opcodes(old_ids, new_ids):
        if step.tag == "equal":
            yield from zip(
                range(step.src_start, step.src_end), range(step.dest_start, step.dest_end), strict=True
            )


def _joined(changes: Sequence[LineChange], old: Sequence[str]) -> list[LineChange]:
    joined: list[LineChange] = []
    for change in changes:
        if joined:
            last = joined[-1]
            removes = last.old_stop > last.old_start or change.old_stop > change.old_start
            if removes and not is_telling("".join(old[last.old_stop : change.old_start])):
                joined[-1] = LineChange(last.old_start, change.old_stop, last.new_start, change.new_stop)
                continue
        joined.append(change)
    return joined


def _placed(change: LineChange, new: Sequence[str], first: int, after: int) -> LineChange:
    """Move an insertion, within lines ``first..after-1`` of the new text, to where it reads best."""
    if change.old_stop > change.old_start:
        return change
    start, stop = change.new_start, change.new_stop
    up = down = 0
    while up < _MAX_SLIDE and start - up > first and new[start - up - 1] == new[stop - up - 1]:
        up += 1
    while down < _MAX_SLIDE and stop + down < after and new[start + down] == new[stop + down]:
        down += 1
    best = min(range(-up, down + 1), key=lambda moved: (*_cost(new, start + moved, stop + moved), -moved))
    return LineChange(change.old_start + best, change.old_stop + best, start + best, stop + best)


def _cost(new: Sequence[str], start: int, stop: int) -> tuple[int, bool]:
    filled = next((line for line in new[start:stop] if line.strip()), "")
    return len(filled) - len(filled.lstrip()), start > 0 and bool(new[start - 1].strip())
