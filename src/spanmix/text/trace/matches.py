"""What a trace finds: matches of a text, and where each of them stands in the corpus."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from spanmix.text.document_names import document_name
from spanmix.text.trace.sampling import ByteArray


@dataclass(frozen=True)
class FilePlace:
    """The part of a match that lies in one file.

    Args:
        path: where the file came from.
        repository: the one that it lies in, ``owner/name`` if that is known, or ``""``.
        licence: SPDX expression, or ``""`` if unknown.
        language: language name, or ``""``.
        line: of the file, from 1, in which the part begins; 0 if all of the match is what the layout wrote in
            front of the file, which has no lines of it.
        start: byte of the file at which it begins.
        num_bytes: of the match that are the file's own; 0 if none is.
    """

    path: str
    repository: str
    licence: str
    language: str
    line: int
    start: int
    num_bytes: int


def where(repository: str, path: str, line: int) -> str:
    """Name a `FilePlace` for people.

    >>> where("me/mine", "src/a.py", 12), where("", "src/a.py", 0)
    ('me/mine: src/a.py:12', 'src/a.py, header')
    """
    name = document_name(repository, path)
    return f"{name}:{line}" if line else f"{name}, header"


@dataclass(frozen=True)
class Occurrence:
    """One place in the training documents.

    Args:
        source: name of the source.
        document: its number among the source's training documents, from 0.
        start: byte of the document at which the match begins, headers counted.
        files: those that hold bytes of it, in their order: more than one if it reaches from file to file of a
            repository that was joined, and none of its own in the one that is named if it lies in a header.
    """

    source: str
    document: int
    start: int
    files: tuple[FilePlace, ...]


@dataclass(frozen=True)
class Match:
    """A part of a text that stands in training documents word for word, and could not be longer.

    Args:
        start, end: in UTF-8 bytes of the text; never inside a character.
        start_character, end_character: the same in characters.
        num_repeats: how often these characters stand in the text one after another, at one distance, each a
            match that begins in the one before it or at its end; 1 where they do not.
        last_end, last_end_character: end of the last of them.
        num_occurrences: in all training documents.
        is_count_exact: False if the time was over before all were counted; there may be more.
        occurrences: the first of those that were counted, in the order of the corpus.
    """

    start: int
    end: int
    start_character: int
    end_character: int
    num_repeats: int
    last_end: int
    last_end_character: int
    num_occurrences: int
    is_count_exact: bool
    occurrences: tuple[Occurrence, ...]

    @property
    def num_bytes(self) -> int:
        """UTF-8 bytes of the match."""
        return self.end - self.start


@dataclass(frozen=True)
class Traced:
    """What was found of a text.

    Args:
        matches: in the order of their starts; they may overlap, and none lies in another.
        is_complete: False if the time was over before all of the corpus was searched.
    """

    matches: tuple[Match, ...]
    is_complete: bool

    @property
    def longest(self) -> Match | None:
        """The match with the most bytes, the first of equals."""
        return max(self.matches, key=lambda match: match.num_bytes, default=None)


class Characters:
    """Where the characters of a text begin among its bytes."""

    def __init__(self, text: ByteArray) -> None:
        self._starts = np.append(np.flatnonzero((text & 0xC0) != 0x80), len(text))

    def inside(self, matches: Iterable[tuple[int, int]], least: int) -> list[tuple[int, int]]:
        """Shorten matches to whole characters, and keep those of at least `least` bytes that lie in no other.

        Two characters may begin with the same bytes, so a match of bytes can end inside of one:

        >>> text = np.frombuffer("aéb".encode(), np.uint8)
        >>> Characters(text).inside([(0, 2), (1, 4)], 1)
        [(0, 1), (1, 4)]
        """
        kept: list[tuple[int, int]] = []
        for start, end in matches:
            start = int(self._starts[np.searchsorted(self._starts, start)])
            end = int(self._starts[np.searchsorted(self._starts, end, side="right") - 1])
            while kept and kept[-1][0] == start and kept[-1][1] < end:
                kept.pop()
            if end - start >= least and not (kept and kept[-1][1] >= end):
                kept.append((start, end))
        return kept

    def number(self, byte: int) -> int:
        """Return how many characters are in front of a byte that one begins at, or of the end."""
        return int(np.searchsorted(self._starts, byte))
