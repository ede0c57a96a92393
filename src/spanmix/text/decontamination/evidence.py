"""Say which passages are evidence, and which could stand in any file.

Whole passages: at least so many words as the recipe says, and `DISTINCT_WORDS` different ones.
``while b: a, b = b, a % b return a`` has nine words and four different ones, and is how anybody writes it.

Windows of words: `DISTINCT_WORDS` different ones that say something: of two letters or more, and no
numbers, whether in digits or in words. Without that, lists such as ``0, 0, 0, …``, ``"one", "two", …`` or
the first primes make tests and tables of unrelated files alike.

Either way, what `COMMON_SHARE` of a benchmark's programs have, and at least `COMMON_PROGRAMS`, is its form,
such as ``METADATA = { 'author': 'jt', …``, and no evidence for one of them. The benchmark alone decides
that, never the corpus: whether a document stays does not depend on which others there are.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

DISTINCT_WORDS = 5
COMMON_PROGRAMS = 3
COMMON_SHARE = 0.01
_COUNTING = frozenset(b"zero one two three four five six seven eight nine ten".split())


def is_form(num_holding: int, num_programs: int) -> bool:
    """Whether what so many of a benchmark's programs have is its form.

    A share too, as one file may hold each problem in 20 languages.

    >>> is_form(3, 164), is_form(20, 3280)
    (True, False)
    """
    return num_holding >= max(COMMON_PROGRAMS, COMMON_SHARE * num_programs)


def is_telling_passage(words: Sequence[bytes], min_words: int) -> bool:
    """Whether a passage is searched for as a whole.

    >>> is_telling_passage(b"return the sum of squares of odd numbers".split(), 8)
    True
    >>> is_telling_passage(b"while b a b b a b return a".split(), 8)
    False
    """
    return len(words) >= min_words and len(set(words)) >= DISTINCT_WORDS


def is_telling_window(words: Sequence[bytes]) -> bool:
    """Whether a window of words is searched for.

    >>> is_telling_window(b"zero one two three four five six seven eight nine ten 11 12".split())
    False
    >>> is_telling_window(b"for i in range len l for j in range len l if".split())
    True
    """
    return len({word for word in words if _says_something(word)}) >= DISTINCT_WORDS


@lru_cache(1 << 16)
def _says_something(word: bytes) -> bool:
    """Whether a word has two letters, of which one byte outside ASCII is one too, and is no number."""
    return sum(byte > 0x60 for byte in word) >= 2 and word not in _COUNTING
