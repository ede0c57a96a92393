"""Find what an author did between two versions of a text, as edits at cursors.

The two are compared line by line (longest common subsequence), and what was replaced is made as small as an
editor would have it, so that nobody is said to have typed what stood there before:

- lines that changed in blanks alone, such as those that were indented when an ``if`` was put above them,
  are no typing;
- a line that is at least half like the one that it replaces is edited in place: the cursor stands behind
  what the two begin with, and what they end with stays, both cut at the edges of words. Lines are paired
  from the top of what was replaced, and from its bottom.

All else is whole lines.

Everything outside the edits is equal in both texts, so putting each edit's new text in the place of its old
text, in order, makes the new text.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import accumulate
from typing import NamedTuple

from rapidfuzz.distance import Levenshtein

from spanmix.evaluate.replay.lines import LineChange, changed_lines, common, is_telling, split_lines

TYPED, DELETED, BLANKS = "typed", "deleted", "blanks"
_ALIKE = 0.5


class Edit(NamedTuple):
    """Characters ``old_start..old_stop-1`` of the old text became ``new_start..new_stop-1`` of the new one.

    `kind` is `TYPED`, `DELETED` (nothing came in their place) or `BLANKS` (they differ in white space alone).
    """

    old_start: int
    old_stop: int
    new_start: int
    new_stop: int
    kind: str


def find_edits(old: str, new: str) -> list[Edit]:
    """Return the edits that make `new` of `old`, in order.

    >>> old, new = "x = f(a)\\nend\\n", "x = f(a, b)\\nprint(x)\\nend\\n"
    >>> [new[edit.new_start:edit.new_stop] for edit in find_edits(old, new)]
    [', b', 'print(x)\\n']
    """
    old_lines, new_lines = split_lines(old), split_lines(new)
    old_starts = list(accumulate(map(len, old_lines), initial=0))
    new_starts = list(accumulate(map(len, new_lines), initial=0))
    found = []
    for change in changed_lines(old_lines, new_lines):
        for part in _parts(change, old_lines, new_lines):
            removed = old[old_starts[part.old_start] : old_starts[part.old_stop]]
            added = new[new_starts[part.new_start] : new_starts[part.new_stop]]
            if removed == added:
                continue
            in_place = len(split_lines(removed)) == len(split_lines(added)) == 1 and _are_alike(
                removed, added
            )
            head, tail = _kept(removed, added) if in_place else (0, 0)
            found.append(
                Edit(
                    old_starts[part.old_start] + head,
                    old_starts[part.old_stop] - tail,
                    new_starts[part.new_start] + head,
                    new_starts[part.new_stop] - tail,
                    _kind(removed, added, added[head : len(added) - tail]),
                )
            )
    return found


def squeezed(text: str) -> str:
    """Return a text without its blanks."""
    return "".join(text.split())


def _kind(removed: str, added: str, typed: str) -> str:
    if squeezed(removed) == squeezed(added):
        return BLANKS
    return TYPED if typed.strip() else DELETED


def _parts(change: LineChange, old_lines: list[str], new_lines: list[str]) -> Iterator[LineChange]:
    """Cut a change at the lines that changed in blanks alone, and at those that were edited in place."""
    removed = old_lines[change.old_start : change.old_stop]
    added = new_lines[change.new_start : change.new_stop]
    if not removed or not added or squeezed("".join(removed)) == squeezed("".join(added)):
        yield change
        return
    # A line of punctuation is like any other of its kind, and does not say where it came from.
    keys = [[squeezed(line) if is_telling(line) else None for line in lines] for lines in (removed, added)]
    old_at = new_at = 0
    for old_next, new_next in [*common(*keys), (len(removed), len(added))]:
        between = change.part(old_at, old_next, new_at, new_next)
        yield from _paired(between, removed[old_at:old_next], added[new_at:new_next])
        if old_next < len(removed):
            yield change.part(old_next, old_next + 1, new_next, new_next + 1)
        old_at, new_at = old_next + 1, new_next + 1


def _paired(change: LineChange, removed: list[str], added: list[str]) -> Iterator[LineChange]:
    """Pair lines that are alike, from the top and then from the bottom; what is between is one change."""
    num_removed, num_added = len(removed), len(added)
    most = min(num_removed, num_added)
    top = 0
    while top < most and _are_alike(removed[top], added[top]):
        top += 1
    bottom = 0
    while bottom < most - top and _are_alike(removed[-1 - bottom], added[-1 - bottom]):
        bottom += 1
    yield from (change.part(place, place + 1, place, place + 1) for place in range(top))
    if most < max(num_removed, num_added) or top + bottom < most:
        yield change.part(top, num_removed - bottom, top, num_added - bottom)
    for back in range(bottom, 0, -1):
        old_place, new_place = num_removed - back, num_added - back
        yield change.part(old_place, old_place + 1, new_place, new_place + 1)


def _are_alike(one: str, other: str) -> bool:
    return Levenshtein.normalized_similarity(one.strip(), other.strip()) >= _ALIKE


def _kept(removed: str, added: str) -> tuple[int, int]:
    """Return how many characters both begin with, and end with, without cutting a word or a line end.

    >>> _kept("    return alpha + 1\\n", "    return beta + 1\\n")
    (11, 5)
    """
    most = min(len(removed), len(added))
    head = 0
    while head < most and removed[head] == added[head]:
        head += 1
    tail = 0
    while tail < most - head and removed[-1 - tail] == added[-1 - tail]:
        tail += 1
    while _is_inside(removed, head) or _is_inside(added, head):
        head -= 1
    while _is_inside(removed, len(removed) - tail) or _is_inside(added, len(added) - tail):
        tail -= 1
    return head, tail


def _is_inside(text: str, place: int) -> bool:
    """Say whether a place is inside a word, or inside the two characters that end a line."""
    if not 0 < place < len(text):
        return False
    before, after = text[place - 1], text[place]
    return (_is_word(before) and _is_word(after)) or (before == "\r" and after == "\n")


def _is_word(character: str) -> bool:
    return character.isalnum() or character == "_"
