"""What is done to each document on its way into a corpus: a `Step`, one after the other."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from spanmix.text.dropped import Dropped
from spanmix.types import Document

Row = dict[str, str | int | float | bool | None]
Note = Callable[[str, Row], None]
"""Writes a row about the document into an audit file: the file's kind (``redactions``), and its columns. The
row stands there if the document is in the corpus in the end, or if the step that writes it drops it."""


class Step(Protocol):
    """Keep, change or drop a document, by what is in it alone: the same text always meets the same end."""

    def __call__(self, document: Document, note: Note) -> Document | Dropped:
        """Return the document, another one in its place, or why it was dropped."""
        ...
