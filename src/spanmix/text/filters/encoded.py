r"""Find the pieces of a file that are bytes written as text: base64, hexadecimal and escapes.

What counts is: 64 or more characters of base64 in a row that mix cases and digits, or hexadecimal alone;
and eight or more bytes written as ``0x1f,``, ``\x1f`` or ``1f`` between blanks, or code units as ``\u001f``.
Pieces with only quotes, blanks, commas or a backslash between them are one piece, so a picture cut into lines
is one. These kinds and the lengths 64 and eight are those that The Stack v2 searches for (Lozhkov et al.,
2024, StarCoder 2 and The Stack v2); words in long paths and identifiers, which have one case and no digits,
are not.

A file without any is recognized by searches of fixed texts in a table's translation of it, so that the
patterns see few files: about 90 MB/s.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_LEAST_BASE64, _FEW_DIGITS = 64, 4
_GAP = re.compile(rb"[\s\"'`,;+\\()|.]{0,24}")
_BASE64_CLASS = bytes(
    ord("B") if (chr(byte).isalnum() and byte < 128) or byte in b"+/=_-" else ord(" ") for byte in range(256)
)
_HEX_CLASS = bytes(
    ord("h") if chr(byte) in "0123456789abcdefABCDEF" else ord(" ") if byte in b", \t\n" else ord(".")
    for byte in range(256)
)
_BASE64 = re.compile(rb"[A-Za-z0-9+/_-]{64,}={0,2}")
_ESCAPES = (
    (b"\\x", re.compile(rb"\\x[0-9a-fA-F]{1,2}(?:\\x[0-9a-fA-F]{1,2}){7,}")),
    (b"\\u", re.compile(rb"\\u[0-9a-fA-F]{4}(?:\\u[0-9a-fA-F]{4}){7,}")),
    *((b"\\%d" % digit, re.compile(rb"\\%d[0-7]{2}(?:\\[0-7]{3}){7,}" % digit)) for digit in range(4)),
)
_BYTES = re.compile(
    rb"0[xX][0-9a-fA-F]{1,2}[,;\s]+(?:0[xX][0-9a-fA-F]{1,2}[,;\s]+){6,}0[xX][0-9a-fA-F]{1,2}\b"
)
_DUMP = re.compile(rb"\b[0-9a-fA-F]{2}[, \t]\s*(?:[0-9a-fA-F]{2}[, \t]\s*){6,}[0-9a-fA-F]{2}\b")
_DIGIT, _UPPER, _LOWER = re.compile(rb"[0-9]"), re.compile(rb"[A-Z]"), re.compile(rb"[a-z]")
_RUN, _HEX_LETTER = re.compile(rb"B+"), re.compile(rb"[a-fA-F]")
_ALL_HEX = re.compile(rb"[0-9a-fA-F]+\Z")


@dataclass(frozen=True)
class Encoded:
    """What of a file is encoded, in bytes of its UTF-8.

    Args:
        num_bytes: all pieces together.
        longest: the longest piece.
        start: where the longest one starts.
    """

    num_bytes: int = 0
    longest: int = 0
    start: int = 0


def find_encoded(data: bytes) -> Encoded:
    r"""Measure the encoded pieces of a file's UTF-8.

    >>> find_encoded(b"KEY = '" + b"aGVsbG8gd29ybGQ0" * 6 + b"'")
    Encoded(num_bytes=96, longest=96, start=7)
    """
    pieces = sorted(_pieces(data))
    total = longest = longest_start = 0
    start = stop = 0
    for first, last in pieces:
        if last <= stop:
            continue
        gap = _GAP.match(data, stop) if total else None
        if gap is not None and gap.end() >= first:
            total += last - max(first, stop)
        else:
            start = first
            total += last - first
        stop = last
        if stop - start > longest:
            longest, longest_start = stop - start, start
    return Encoded(total, longest, longest_start)


def _pieces(data: bytes) -> list[tuple[int, int]]:
    found: list[tuple[int, int]] = []
    classes = data.translate(_BASE64_CLASS)
    at = classes.find(b"B" * _LEAST_BASE64)
    while at >= 0:
        stop = _RUN.match(classes, at).end()  # type: ignore[union-attr]
        found += [m.span() for m in _BASE64.finditer(data, at, stop) if _is_encoded(m.group())]
        at = classes.find(b"B" * _LEAST_BASE64, stop)
    if b"\\" in data:
        for start, pattern in _ESCAPES:
            if start in data:
                found += [match.span() for match in pattern.finditer(data)]
    if b"0x" in data or b"0X" in data:
        found += [match.span() for match in _BYTES.finditer(data)]
    hexes = data.translate(_HEX_CLASS)
    if b"hh hh hh hh" in hexes or b"hh  hh  hh" in hexes:
        found += [m.span() for m in _DUMP.finditer(data) if _HEX_LETTER.search(m.group())]
    return found


def _is_encoded(piece: bytes) -> bool:
    """Tell encoded bytes from rulers, long names and paths."""
    if _DIGIT.search(piece) is None:
        return False
    if _ALL_HEX.match(piece):
        return len(set(piece)) > _FEW_DIGITS
    return _UPPER.search(piece) is not None and _LOWER.search(piece) is not None and b"--" not in piece
