"""What the rules of redaction hand to each other: a part of a text, and what it is."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

KEY, PASSWORD, EMAIL, IP_ADDRESS = "key", "password", "email", "ip_address"
KINDS = (KEY, PASSWORD, EMAIL, IP_ADDRESS)


class Found(NamedTuple):
    """A part of a text that is to be replaced.

    Args:
        start: place of its first character.
        end: place behind its last one.
        kind: one of `KINDS`.
        detector: the rule that found it.
    """

    start: int
    end: int
    kind: str
    detector: str


def without_overlaps(found: Iterable[Found]) -> list[Found]:
    """Return parts in their order, of two that overlap the one that begins first, then the longer, then the
    one that was given first.

    >>> parts = [Found(3, 9, "key", ""), Found(0, 5, "key", ""), Found(0, 7, "key", "")]
    >>> [part[:2] for part in without_overlaps(parts)]
    [(0, 7)]
    """
    kept: list[Found] = []
    for one in sorted(found, key=lambda part: (part.start, -part.end)):
        if one.end > one.start and (not kept or one.start >= kept[-1].end):
            kept.append(one)
    return kept
