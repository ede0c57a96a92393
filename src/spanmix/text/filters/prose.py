"""Measure whether a text reads like prose: its words, and the marks of lists and boilerplate.

The measures are those of Gopher's quality rules (Rae et al., 2021, Scaling Language Models, appendix A.1.1),
with words as what blanks separate. Three more are FineWeb's and C4's: short lines, lines that end with a
mark of punctuation, and sentences. About 20 MB/s.
"""

from __future__ import annotations

import re
import string
from collections import Counter
from dataclasses import dataclass

STOP_WORDS = frozenset(("the", "be", "to", "of", "and", "that", "have", "with"))
"""Gopher's: an English text has at least two of them."""
SHORT_LINE = 30
_BULLETS, _ELLIPSES = ("•", "-", "*"), ("...", "…")
_MARKS = string.punctuation + "“”‘’…"
_ENDS = (".", "!", "?", '."', '!"', '?"', ".'", ".)", "!)", "?)", ".”", "!”", "?”", "。", "！", "？")
_SENTENCE_END = re.compile(r"[.!?。！？][\"')\]”’]*(?=\s|$)")


@dataclass(frozen=True)
class ProseMeasures:
    """What Gopher's quality rules look at; a share of nothing is 0.

    Args:
        num_words: words with more than marks of punctuation.
        mean_word_length: characters a word, of those.
        hashes_per_word: ``#`` for each word.
        ellipses_per_word: ``...`` and ``…`` for each word.
        bullet_lines: share of the lines that start with ``•``, ``-`` or ``*``.
        ellipsis_lines: share of the lines that end with an ellipsis.
        alphabetic_words: share of all words that have a letter.
        num_stop_words: how many of `STOP_WORDS` occur.
        punctuated_lines: share of the lines with text that end a sentence.
        short_lines: share of the lines with text that have `SHORT_LINE` characters at most.
    """

    num_words: int
    mean_word_length: float
    hashes_per_word: float
    ellipses_per_word: float
    bullet_lines: float
    ellipsis_lines: float
    alphabetic_words: float
    num_stop_words: int
    punctuated_lines: float
    short_lines: float


def measure_prose(text: str, words: list[str]) -> ProseMeasures:
    """Measure a text; `words` is ``text.split()``."""
    counts = Counter(words)
    marks_alone = [word for word in counts if not word.isalnum() and not word.strip(_MARKS)]
    num_marks = sum(counts[word] for word in marks_alone)
    num_words = len(words) - num_marks
    num_characters = sum(map(len, words)) - sum(len(word) * counts[word] for word in marks_alone)
    num_alphabetic = sum(n for word, n in counts.items() if word.isalpha() or any(map(str.isalpha, word)))
    count = max(len(words), 1)
    lines = [line.strip() for line in text.splitlines()]
    filled = [line for line in lines if line]
    return ProseMeasures(
        num_words=num_words,
        mean_word_length=num_characters / max(num_words, 1),
        hashes_per_word=text.count("#") / count,
        ellipses_per_word=(text.count("...") + text.count("…")) / count,
        bullet_lines=_share(sum(line.startswith(_BULLETS) for line in lines), len(lines)),
        ellipsis_lines=_share(sum(line.endswith(_ELLIPSES) for line in lines), len(lines)),
        alphabetic_words=num_alphabetic / count,
        num_stop_words=len(STOP_WORDS.intersection(word.lower().strip(_MARKS) for word in counts)),
        punctuated_lines=_share(sum(line.endswith(_ENDS) for line in filled), len(filled)),
        short_lines=_share(sum(len(line) <= SHORT_LINE for line in filled), len(filled)),
    )


def count_sentences(text: str) -> int:
    """Return how often a mark that ends a sentence stands before a blank or the end.

    >>> count_sentences('See v1.2. "Really?" Yes')
    2
    """
    return len(_SENTENCE_END.findall(text))


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 0.0
