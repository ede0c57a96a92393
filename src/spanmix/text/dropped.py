"""Say why a document was not taken, in one of a few fixed reasons that can be counted."""

from __future__ import annotations

from dataclasses import dataclass, field

from spanmix.types import Document

NOT_UTF8, BINARY, EMPTY = "not UTF-8", "binary (NUL byte)", "empty"
UNREADABLE = "unreadable"
SPECIAL_INSIDE = "special token inside the text"


@dataclass(frozen=True)
class Dropped:
    """A document that was not taken.

    Args:
        path: what it is called, see `Document`.
        reason: one of a few fixed reasons, which are counted.
        value: what was measured, such as the share that was too small.
        excerpt: a part of its text, for people to look at.
        repository: the one that it lies in, ``owner/name`` if that is known, or ``""``.
        file: where it was read on this machine, for messages alone; ``""`` if that is not known.
        num_bytes: its bytes as they were read; 0 if they are not known.
    """

    path: str
    reason: str
    value: float | str | None = None
    excerpt: str = ""
    repository: str = ""
    file: str = field(default="", compare=False)
    num_bytes: int = field(default=0, compare=False)

    @classmethod
    def by_step(
        cls, document: Document, reason: str, value: float | str | None = None, excerpt: str = ""
    ) -> Dropped:
        """Return that a step did not take a document that was read."""
        return cls(document.path, reason, value, excerpt, document.repository)


def longer_than(max_document_bytes: int) -> str:
    """Return the reason for a document that is too long."""
    return f"longer than {max_document_bytes:,} bytes"


def printable(path: str) -> str:
    """Replace the bytes of a file name that are not UTF-8: they could be stored nowhere."""
    return path.encode("utf-8", "backslashreplace").decode("utf-8")


def why_not(text: str, max_document_bytes: int) -> str | None:
    """Return why a text is no document, or None."""
    num_bytes = count_bytes(text)
    if text and not num_bytes:
        return NOT_UTF8
    if num_bytes > max_document_bytes:
        return longer_than(max_document_bytes)
    if "\0" in text:
        return BINARY
    return EMPTY if not text or text.isspace() else None


def count_bytes(text: str) -> int:
    """Return the length of a text in UTF-8, in bytes; 0 if it cannot be written so.

    >>> count_bytes("aé"), count_bytes("\\ud800")
    (3, 0)
    """
    try:
        return len(text) if text.isascii() else len(text.encode("utf-8"))
    except UnicodeEncodeError:
        return 0
