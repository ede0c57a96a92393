"""Lay out the passages of all problems so that a document is compared with them in one pass."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from spanmix.corpus_configs.decontamination import DecontaminationConfig
from spanmix.text.decontamination import normal_form
from spanmix.text.decontamination.evidence import is_form, is_telling_passage, is_telling_window
from spanmix.text.decontamination.hashes import Hashes, window_hashes, word_hashes
from spanmix.text.problems.problem import CODE_KINDS, BenchmarkProblem, Part

PIECE_WORDS = 200
"""Longer texts are cut into passages of about so many words, so that a copied page of a book is found."""


@dataclass(frozen=True)
class Program:
    """Problems of a benchmark whose texts are the same, such as all that hide parts of one solution.

    Args:
        benchmark: name of the set.
        task_id: name of the first of them.
        num_problems: how many there are.
    """

    benchmark: str
    task_id: str
    num_problems: int


@dataclass(frozen=True)
class Passage:
    """A text of a program, or a piece of one.

    Args:
        program: number of the program in `ProblemTable.programs`.
        kind: what it is; see `spanmix.text.problems.problem`.
        words: its words.
        code: its code from the first word to the last, or None if punctuation makes no difference.
    """

    program: int
    kind: str
    words: tuple[bytes, ...]
    code: bytes | None


class WindowIndex:
    """Windows of a fixed number of words, and where in which passages they stand."""

    def __init__(self, num_words: int, windows: Iterable[tuple[bytes, tuple[int, int]]]) -> None:
        """Index windows: words joined by spaces, and (passage, number of the first word in the passage)."""
        self.num_words = num_words
        self.places: dict[bytes, list[tuple[int, int]]] = defaultdict(list)
        for window, place in windows:
            self.places[window].append(place)
        # Every window's words behind the other's: the hashes of windows that begin with one are taken.
        every_word = word_hashes(b" ".join(self.places))
        self._hashes = np.unique(window_hashes(every_word, num_words)[::num_words])
        # A flag for each hash's first bits: nearly all windows of a text are passed over after one look.
        bits = min(max(16, (32 * len(self._hashes)).bit_length()), 24)
        self._shift = np.uint64(64 - bits)
        self._maybe = np.zeros(1 << bits, np.bool_)
        self._maybe[self._hashes >> self._shift] = True

    def find(self, hashes: Hashes) -> list[int]:
        """Return the numbers of the words at which a window may begin, for it may only hash alike.

        Args:
            hashes: uint64 [words] of a text, from `word_hashes`.
        """
        if not len(self._hashes):
            return []
        windows = window_hashes(hashes, self.num_words)
        found = self._maybe[windows >> self._shift].nonzero()[0]
        if not len(found):
            return []
        values = windows[found]
        nearest = self._hashes.take(self._hashes.searchsorted(values), mode="clip")
        at: list[int] = found[nearest == values].tolist()
        return at


class ProblemTable:
    """The passages of benchmarks.

    Attributes:
        programs: what can be found.
        passages: their texts.
        anchors: for each passage that is searched for as a whole, the longest of its windows.
        ngrams: the windows of all passages that are evidence.
        fingerprint: SHA-256, in hex, of all of it.
    """

    def __init__(self, problems: Sequence[BenchmarkProblem], config: DecontaminationConfig) -> None:
        """Build it; the order of the problems decides only in which order matches are named."""
        self.programs: list[Program] = []
        self.passages: list[Passage] = []
        for program, parts in _programs(problems):
            self.passages += _passages(len(self.programs), parts)
            self.programs.append(program)
        exact, ngram = "exact" in config.methods, "n-gram" in config.methods
        size = config.min_exact_words
        self.anchors = WindowIndex(size, self._anchors(size) if exact else ())
        size = config.ngram_words
        self.ngrams = WindowIndex(size, self._ngrams(size) if ngram else ())
        whole = repr((self.programs, self.passages, sorted(self.anchors.places), sorted(self.ngrams.places)))
        self.fingerprint = hashlib.sha256(whole.encode()).hexdigest()

    def _anchors(self, num_words: int) -> Iterable[tuple[bytes, tuple[int, int]]]:
        chosen = [
            p for p in range(len(self.passages)) if is_telling_passage(self.passages[p].words, num_words)
        ]
        common = self._common((p, (self.passages[p].words, self.passages[p].code)) for p in chosen)
        for p in chosen:
            passage = self.passages[p]
            if (self.programs[passage.program].benchmark, (passage.words, passage.code)) not in common:
                windows = _windows(passage.words, num_words)
                at = max(range(len(windows)), key=lambda n: len(windows[n]))
                yield windows[at], (p, at)

    def _ngrams(self, num_words: int) -> Iterable[tuple[bytes, tuple[int, int]]]:
        windows = [
            (p, at, window)
            for p, passage in enumerate(self.passages)
            for at, window in enumerate(_windows(passage.words, num_words))
            if is_telling_window(passage.words[at : at + num_words])
        ]
        common = self._common((p, window) for p, _, window in windows)
        for p, at, window in windows:
            if (self.programs[self.passages[p].program].benchmark, window) not in common:
                yield window, (p, at)

    def _common(self, things: Iterable[tuple[int, Hashable]]) -> set[tuple[str, Hashable]]:
        """Return (benchmark, thing) for what is the benchmark's form."""
        held = {(self.passages[p].program, thing) for p, thing in things}
        times = Counter((self.programs[program].benchmark, thing) for program, thing in held)
        programs = Counter(program.benchmark for program in self.programs)
        return {thing for thing, number in times.items() if is_form(number, programs[thing[0]])}


def _windows(words: Sequence[bytes], num_words: int) -> list[bytes]:
    return [b" ".join(words[at : at + num_words]) for at in range(len(words) - num_words + 1)]


def _programs(problems: Sequence[BenchmarkProblem]) -> list[tuple[Program, tuple[Part, ...]]]:
    """Join the problems of a benchmark whose texts are the same but for case and whitespace."""
    groups: dict[Hashable, list[BenchmarkProblem]] = {}
    for problem in problems:
        texts = tuple((part.kind, normal_form.code(normal_form.fold(part.text))) for part in problem.parts)
        groups.setdefault((problem.benchmark, texts), []).append(problem)
    return [
        (Program(group[0].benchmark, group[0].task_id, len(group)), group[0].parts)
        for group in groups.values()
    ]


def _passages(program: int, parts: Sequence[Part]) -> list[Passage]:
    """Return the passages of a program's texts, without those whose words are another's too."""
    passages: dict[Hashable, Passage] = {}
    for part in parts:
        folded = normal_form.fold(part.text)
        places, words = normal_form.places(folded), normal_form.words(folded)
        pieces = max(1, round(len(words) / PIECE_WORDS))
        edges = [len(words) * number // pieces for number in range(pieces + 1)]
        for start, end in pairwise(edges):
            if start == end:
                continue
            piece = tuple(words[start:end])
            code = normal_form.code(folded[places[start][0] : places[end - 1][1]])
            is_code = part.kind in CODE_KINDS
            passages.setdefault(
                (piece, is_code), Passage(program, part.kind, piece, code if is_code else None)
            )
    return list(passages.values())
