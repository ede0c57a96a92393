"""A document as the rules see it: everything is measured once, and only if a rule asks for it."""

from __future__ import annotations

import dataclasses
from functools import cached_property

from spanmix.text.filters.comments import count_comment_characters
from spanmix.text.filters.encoded import Encoded, find_encoded
from spanmix.text.filters.html_text import count_visible_characters
from spanmix.text.filters.measures import (
    Lines,
    count_alphanumeric,
    count_hex_digits,
    count_letters,
    measure_lines,
)
from spanmix.text.filters.prose import ProseMeasures, measure_prose
from spanmix.text.filters.repetition import NGrams, lines_of, paragraphs_of, repeated_shares
from spanmix.text.languages.detect import detect_language
from spanmix.text.languages.endings import language_of
from spanmix.text.languages.names import PROSE, language_name
from spanmix.types import Document


class Reading:
    """One document and what was measured of it.

    Args:
        document: what to look at. If it has no language, it gets the one of its name or else its contents.
        exact: measure also what cannot change a verdict, for people to look at.
    """

    def __init__(self, document: Document, exact: bool = False) -> None:
        if not document.language:
            found = language_of(document.path) or detect_language(document.text)
            if found:
                document = dataclasses.replace(document, language=found)
        self.document = document
        self.text = document.text
        self.path = document.path
        self.exact = exact

    @cached_property
    def language(self) -> str:
        """The language's name in Spanmix, or ``""`` if it is unknown."""
        return language_name(self.document.language)

    @property
    def is_prose(self) -> bool:
        """Whether files in this language are written for people to read."""
        return self.language in PROSE

    @cached_property
    def ending(self) -> str:
        """What is behind the last dot of the file's name, in lower case; ``""`` without one."""
        stem, dot, ending = self.path.rpartition("/")[2].rpartition(".")
        return ending.lower() if dot and stem else ""

    @cached_property
    def data(self) -> bytes:
        """The text in UTF-8; half a character of UTF-16, which JSON can hold, in three bytes."""
        return self.text.encode("utf-8", "surrogatepass")

    @cached_property
    def lines(self) -> Lines:
        """The lengths of its lines."""
        return measure_lines(self.text)

    @cached_property
    def letter_share(self) -> float:
        """Share of the characters that are letters; 0.0 of an empty text."""
        return count_letters(self.text, self.data) / max(len(self.text), 1)

    @cached_property
    def alphanumeric_share(self) -> float:
        """Share of the characters that are letters or digits."""
        return count_alphanumeric(self.text, self.data) / max(len(self.text), 1)

    @cached_property
    def hex_digit_share(self) -> float:
        """Share of the characters that are decimal or hexadecimal digits."""
        return count_hex_digits(self.data) / max(len(self.text), 1)

    @cached_property
    def comment_share(self) -> float | None:
        """Share of the characters that are comments, or None in a language whose comments are not known."""
        count = count_comment_characters(self.text, self.language)
        return None if count is None else count / max(len(self.text), 1)

    @cached_property
    def visible_characters(self) -> int:
        """Characters that a reader of the HTML page sees."""
        return count_visible_characters(self.text)

    @cached_property
    def encoded(self) -> Encoded:
        """Its bytes that are written as text."""
        return find_encoded(self.data)

    @cached_property
    def words(self) -> list[str]:
        """What is between blanks."""
        return self.text.split()

    @cached_property
    def prose(self) -> ProseMeasures:
        """How it reads."""
        return measure_prose(self.text, self.words)

    @cached_property
    def repeated_lines(self) -> tuple[float, float]:
        """Share of the lines, and of the characters, that came before."""
        return repeated_shares(self.text, lines_of(self.text))

    @cached_property
    def repeated_paragraphs(self) -> tuple[float, float]:
        """Share of the paragraphs, and of the characters, that came before."""
        return repeated_shares(self.text, paragraphs_of(self.text))

    @cached_property
    def ngrams(self) -> NGrams:
        """Its n-grams of words."""
        return NGrams(self.text, self.words)
