"""The recipe's ``corpus.duplicates``: what counts as a near-copy, and what becomes of it."""

from __future__ import annotations

from dataclasses import dataclass

from spanmix.bounds import require, require_from_to

_NEAR = ("drop", "together")


@dataclass(frozen=True)
class DuplicatesConfig:
    """Near-copies; exact copies are always dropped.

    Args:
        near: ``drop`` keeps no near-copy of what is kept; ``together`` keeps all of them, and puts each
            group on one side of the split.
        threshold: share of windows that two documents have in common (Jaccard), from which on they are
            near-copies.
        window_words: words in a window.
        num_hashes: hashes in a signature (MinHash); the estimate of the share has a standard error of at
            most ``0.5 / sqrt(num_hashes)``.
        against: files or folders whose documents, their copies and near-copies are to stay out of the corpus,
            such as an evaluation set.
    """

    near: str = "together"
    threshold: float = 0.7
    window_words: int = 5
    num_hashes: int = 128
    against: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        require(self.near in _NEAR, "corpus.duplicates.near", self.near, f"use one of {', '.join(_NEAR)}")
        share = self.threshold
        require(0.3 <= share < 1, "corpus.duplicates.threshold", share, "use a share from 0.3 to below 1")
        for path in self.against:
            require(path.strip() != "", "corpus.duplicates.against", path, "name files or folders")
        require_from_to("corpus.duplicates.window_words", self.window_words, 1, 100)
        require_from_to("corpus.duplicates.num_hashes", self.num_hashes, 16, 1024)
