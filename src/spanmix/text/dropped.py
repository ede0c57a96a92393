"""Say why a document was not taken, in one of a few fixed reasons that can be counted."""

from __future__ import annotations

from dataclasses import dataclass

NOT_UTF8, BINARY, EMPTY = "not UTF-8", "binary (NUL byte)", "empty"
UNREADABLE = "unreadable"
SPECIAL_INSIDE = "special token inside the text"


@dataclass(frozen=True)
class Dropped:
    """A document that was not taken.

    Args:
        path: where it came from.
        reason: one of a few fixed reasons, which are counted.
        value: what was measured, such as the share that was too small.
        excerpt: a part of its text, for people to look at.
    """

    path: str
    reason: str
    value: float | str | None = None
    excerpt: str = ""


def longer_than(max_document_bytes: int) -> str:
    """Return the reason for a document that is too long."""
    return f"longer than {max_document_bytes:,} bytes"


def printable(path: str) -> str:
    """Replace the bytes of a file name that are not UTF-8: they could be stored nowhere."""
    return path.encode("utf-8", "backslashreplace").decode("utf-8")
