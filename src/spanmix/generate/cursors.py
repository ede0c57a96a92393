"""Split a text at its cursors, and stitch the answers back in."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence

from spanmix.errors import InputError

_BYTE_ORDER_MARK = "\ufeff"
_POSITION = re.compile(r"([0-9]{1,18}):([0-9]{1,18})")


def parse_position(position: str) -> tuple[int, int]:
    """Read ``LINE:COL``, both from 1.

    Raises:
        InputError: it is written in another way.

    >>> parse_position("12:5")
    (12, 5)
    """
    found = _POSITION.fullmatch(position)
    if found is None or int(found[1]) < 1 or int(found[2]) < 1:
        raise InputError(f"position {position!r} is not LINE:COL; both count from 1, such as 12:5")
    return int(found[1]), int(found[2])


def offset_of(text: str, line: int, column: int) -> int:
    """Return the index in `text` of a line and a column, both from 1, the column in characters.

    Lines end with a line feed, with or without a carriage return in front of it. The column behind a
    line's last character is a position too, and so is the empty line behind a final line feed. A byte
    order mark is not counted, as editors do not show it, and no position is in front of it.

    Raises:
        InputError: there is no such line or column.

    >>> offset_of("ab\\r\\ncd", 1, 3), offset_of("ab\\r\\ncd", 2, 1)
    (2, 4)
    """
    if text.startswith(_BYTE_ORDER_MARK):
        return 1 + offset_of(text[1:], line, column)
    lines = text.split("\n")
    if line > len(lines):
        last = len(lines)
        raise InputError(f"position {line}:{column}: the last line of the text is {last}; use 1 to {last}")
    # The carriage return belongs to the line end, so no cursor gets between the two.
    length = len(lines[line - 1].removesuffix("\r") if line < len(lines) else lines[line - 1])
    if column > length + 1:
        raise InputError(
            f"position {line}:{column}: line {line} has {length} characters; "
            f"use a column from 1 to {length + 1}"
        )
    return sum(len(before) + 1 for before in lines[: line - 1]) + column - 1


def split_at(text: str, positions: Sequence[str]) -> list[str]:
    """Cut a text at cursors given as ``LINE:COL``, in any order.

    Returns:
        One part more than there are cursors.

    Raises:
        InputError: a position is not in the text, or is given twice.

    >>> split_at("ab\\ncd", ["2:2", "1:1"])
    ['', 'ab\\nc', 'd']
    """
    offsets = sorted(offset_of(text, *parse_position(position)) for position in positions)
    if len(set(offsets)) < len(offsets):
        raise InputError(f"positions {', '.join(positions)}: two of them are the same place; give each once")
    bounds = [0, *offsets, len(text)]
    return [text[start:stop] for start, stop in itertools.pairwise(bounds)]


def stitch(parts: Sequence[str], middles: Sequence[str]) -> str:
    """Put the middles between the parts.

    >>> stitch(["a", "c", "e"], ["b", "d"])
    'abcde'
    """
    assert len(parts) == len(middles) + 1, f"{len(middles)} middles for {len(parts)} parts"
    return "".join(part + middle for part, middle in zip(parts, (*middles, ""), strict=True))
