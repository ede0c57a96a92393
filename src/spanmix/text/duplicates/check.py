"""Count what near-copies that were dropped truly have in common with what was kept for them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from spanmix import seeding
from spanmix.text.duplicates.signatures import MAX_CHARACTERS
from spanmix.text.partition_tables import read_documents

CHECKED = 200
_WORD = re.compile(r"\w+")


def true_shares(
    pairs: NDArray[np.int64], folders: Sequence[Path], starts: Sequence[int], window_words: int, seed: int
) -> list[float]:
    """Return the share of windows in common, exactly, of up to 200 of the pairs, drawn by the seed.

    Args:
        pairs: int64 [n, 2], numbers of documents.
        folders, starts: where they lie; see `Facts`.
        window_words: words in a window.
        seed: the corpus's.
    """
    words = seeding.draw(seed, "checked_copies", 0, 0, pairs[:, 0], 1)[:, 0]
    drawn = pairs[np.argsort(words, kind="stable")[:CHECKED]]
    texts: dict[int, str] = {}
    for number, folder in enumerate(folders):
        wanted = np.zeros(starts[number + 1] - starts[number], np.bool_)
        mine = drawn[(drawn >= starts[number]) & (drawn < starts[number + 1])] - starts[number]
        wanted[mine] = True
        if wanted.any():
            for place, document in read_documents(folder / "documents.parquet", wanted):
                texts[starts[number] + place] = document.text
    return [jaccard(texts[left], texts[right], window_words) for left, right in drawn.tolist()]


def jaccard(left: str, right: str, window_words: int) -> float:
    """Return the share of windows that two texts have in common.

    >>> jaccard("a b c d", "a b c e", 3)
    0.3333333333333333
    """
    one, other = windows(left, window_words), windows(right, window_words)
    return len(one & other) / max(1, len(one | other))


def windows(text: str, window_words: int) -> set[tuple[str, ...]]:
    """Return all windows of some words; of a text with fewer, the whole."""
    words = _WORD.findall(text[:MAX_CHARACTERS])
    count = max(1, len(words) - window_words + 1)
    return {tuple(words[i : i + window_words]) for i in range(count)}
