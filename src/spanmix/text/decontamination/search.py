"""Find the problems that a text holds: whole passages, and shares of them.

Hashes say where to look; what is found is compared word by word, so nothing is ever matched by chance of a
hash.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from spanmix.corpus_configs.decontamination import DecontaminationConfig
from spanmix.text.decontamination import normal_form
from spanmix.text.decontamination.hashes import word_hashes
from spanmix.text.decontamination.table import Passage, ProblemTable, Program

EXACT, NGRAM = "exact", "n-gram"
MATCHED_CHARACTERS = 200


@dataclass(frozen=True)
class Match:
    """A program that a text holds.

    Args:
        program: which one.
        method: ``exact`` or ``n-gram``.
        kind: which of its texts; see `spanmix.text.problems.problem`.
        share: share of that passage's words within windows that the text has; 1 for ``exact``.
        line: where the match begins, from 1; of n-grams, their longest run.
        matched: what stands there, cut at 200 characters; if the text is not ASCII, in lower case.
    """

    program: Program
    method: str
    kind: str
    share: float
    line: int
    matched: str


@dataclass(frozen=True)
class _Found:
    """A passage, and which words of the text, `start` to before `end`, are its words or a run of them."""

    passage: Passage
    method: str
    share: float
    start: int
    end: int


def find_problems(text: str, table: ProblemTable, config: DecontaminationConfig) -> list[Match]:
    """Return what a text holds: of each program and method the best, in the order of the table.

    The best of ``exact`` is the longest passage; of ``n-gram``, that with the highest share.

    Args:
        text: of a document.
        table: the passages.
        config: which share is a match.
    """
    folded = normal_form.fold(text)
    hashes = word_hashes(normal_form.blanked(folded))
    anchors, ngrams = table.anchors.find(hashes), table.ngrams.find(hashes)
    if not anchors and not ngrams:
        return []
    reading = _Reading(text, folded)
    best: dict[tuple[int, str], _Found] = {}
    for found in (*_exact(reading, table, anchors), *_shares(reading, table, ngrams, config.min_share)):
        key = (found.passage.program, found.method)
        if key not in best or _rank(found) > _rank(best[key]):
            best[key] = found
    return [reading.match(best[key], table.programs[key[0]]) for key in sorted(best)]


def _rank(found: _Found) -> tuple[float, int, int]:
    return found.share, len(found.passage.words), -found.start


class _Reading:
    """A text with its words, and their places once they are asked for."""

    def __init__(self, text: str, folded: bytes) -> None:
        self.text, self.folded = text, folded
        self.words = normal_form.words(folded)
        self._places: list[tuple[int, int]] | None = None

    def span(self, start: int, end: int) -> tuple[int, int]:
        """Return where words start..end-1 lie in the folded text."""
        if self._places is None:
            self._places = normal_form.places(self.folded)
        return self._places[start][0], self._places[end - 1][1]

    def match(self, found: _Found, program: Program) -> Match:
        start, end = self.span(found.start, found.end)
        end = min(end, start + 4 * MATCHED_CHARACTERS)
        if self.text.isascii():
            whole = self.text[start:end]
        else:
            whole = self.folded[start:end].decode("utf-8", "ignore")
        line = self.folded.count(b"\n", 0, start) + 1
        kind, share = found.passage.kind, found.share
        return Match(program, found.method, kind, share, line, whole[:MATCHED_CHARACTERS])


def _exact(reading: _Reading, table: ProblemTable, anchors: list[int]) -> Iterator[_Found]:
    words, size = reading.words, table.anchors.num_words
    seen: set[int] = set()
    for at in anchors:
        for number, offset in table.anchors.places.get(b" ".join(words[at : at + size]), ()):
            passage = table.passages[number]
            start, end = at - offset, at - offset + len(passage.words)
            if number in seen or start < 0 or tuple(words[start:end]) != passage.words:
                continue
            if passage.code is not None:
                first, last = reading.span(start, end)
                if normal_form.code(reading.folded[first:last]) != passage.code:
                    continue
            seen.add(number)
            yield _Found(passage, EXACT, 1.0, start, end)


def _shares(reading: _Reading, table: ProblemTable, ngrams: list[int], min_share: float) -> Iterator[_Found]:
    words, size = reading.words, table.ngrams.num_words
    seen: dict[int, _Coverage] = {}
    for at in ngrams:
        for number, offset in table.ngrams.places.get(b" ".join(words[at : at + size]), ()):
            if number not in seen:
                seen[number] = _Coverage(len(table.passages[number].words), size)
            seen[number].add(at, offset)
    for number, coverage in seen.items():
        if coverage.share >= min_share:
            start, end = coverage.longest_run
            yield _Found(table.passages[number], NGRAM, coverage.share, start, end)


class _Coverage:
    """Which words of a passage are in windows that a text has, and the longest run of such windows.

    >>> coverage = _Coverage(num_words=6, window_words=2)
    >>> for at, offset in [(3, 0), (4, 1), (9, 0), (10, 1), (11, 2)]:
    ...     coverage.add(at, offset)
    >>> coverage.share, coverage.longest_run
    (0.6666666666666666, (9, 13))
    """

    def __init__(self, num_words: int, window_words: int) -> None:
        self._covered = bytearray(num_words)
        self._window = b"\x01" * window_words
        self._at = -1
        # Windows of the run that ends at each offset: at the word `_at` of the text, and the one before.
        self._runs: dict[int, int] = {}
        self._before: dict[int, int] = {}
        # Its windows, and minus the word where it begins: of runs of one length the first is the greatest.
        self._longest = (0, 0)

    def add(self, at: int, offset: int) -> None:
        """Add a window; those of the text come in its order."""
        if at != self._at:
            self._before = self._runs if at == self._at + 1 else {}
            self._runs, self._at = {}, at
        self._covered[offset : offset + len(self._window)] = self._window
        length = self._before.get(offset - 1, 0) + 1
        self._runs[offset] = length
        self._longest = max(self._longest, (length, length - 1 - at))

    @property
    def share(self) -> float:
        return sum(self._covered) / len(self._covered)

    @property
    def longest_run(self) -> tuple[int, int]:
        """The text's words from the first to behind the last of its longest run of windows."""
        length, minus_start = self._longest
        return -minus_start, -minus_start + length - 1 + len(self._window)
