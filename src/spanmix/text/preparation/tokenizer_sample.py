"""Draw the documents that a corpus's tokenizer is trained on."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from spanmix import seeding
from spanmix.text.partition_tables import read_documents

SAMPLE_BYTES = 32_000_000


def draw_sample(
    keys: NDArray[np.int64],
    sources: NDArray[np.int64],
    num_bytes: NDArray[np.int64],
    is_train: NDArray[np.bool_],
    seed: int,
) -> NDArray[np.bool_]:
    """Choose training documents for the tokenizer: all, or some MB with each source in proportion.

    Args:
        keys: 63 bits of a hash of each document's bytes.
        sources, num_bytes: of each document.
        is_train: which may be chosen.
        seed: the corpus's.

    Returns:
        bool [documents].
    """
    train = np.flatnonzero(is_train)
    keep = min(1.0, SAMPLE_BYTES / max(1, int(num_bytes[train].sum())))
    words = seeding.draw(seed, "tokenizer_sample", 0, 0, keys[train], 1)[:, 0]
    order = train[np.argsort(words, kind="stable")]
    chosen = np.zeros(len(keys), np.bool_)
    for source in np.unique(sources[train]):
        mine = order[sources[order] == source]
        sizes = num_bytes[mine]
        before = np.cumsum(sizes) - sizes
        chosen[mine[before < keep * int(sizes.sum())]] = True
    return chosen


def sample_texts(
    folders: Sequence[Path], starts: Sequence[int], chosen: NDArray[np.bool_], advance: Callable[[int], None]
) -> Iterator[str]:
    """Yield the texts of chosen documents, in their order; `advance` is called with the bytes of each."""
    for number, folder in enumerate(folders):
        wanted = chosen[starts[number] : starts[number + 1]]
        if wanted.any():
            for _, document in read_documents(folder / "documents.parquet", wanted):
                yield document.text
                advance(len(document.text.encode()))
