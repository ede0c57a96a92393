"""Sign documents by MinHash, so that near-copies can be found by looking at few numbers of each.

A document is the set of its windows of some words; the share of equal numbers in two signatures estimates
the share of windows that both have (Broder, 1997). Signatures are cut into bands, and documents that agree
in a band are candidates (Leskovec, Rajaraman and Ullman, *Mining of Massive Datasets*, section 3.4). Daft
computes the signatures.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spanmix.corpus_configs.duplicates import DuplicatesConfig

MAX_CHARACTERS = 2_000_000
"""Only this much of a document is looked at: longer ones with the same beginning count as near-copies."""

_LEAST_FOUND = 0.9
_SEED = 1
_NO_WORD = r"[^\p{L}\p{N}_]+"
_FACTOR = np.uint64(0x9E3779B97F4A7C15)


@dataclass(frozen=True)
class Bands:
    """How a signature is cut: `num_bands` pieces of `num_rows` hashes, from its start."""

    num_bands: int
    num_rows: int

    def found(self, share: float) -> float:
        """Return how likely two documents that share so many windows agree in a band.

        >>> round(Bands(21, 6).found(0.7), 3), round(Bands(21, 6).found(0.4), 3)
        (0.928, 0.083)
        """
        return float(1 - (1 - share**self.num_rows) ** self.num_bands)


def bands_for(config: DuplicatesConfig) -> Bands:
    """Return the longest bands with which at least nine of ten pairs at the threshold are candidates.

    Candidates are compared by their whole signatures afterwards, so what matters is that few are missed.

    >>> bands_for(DuplicatesConfig())
    Bands(num_bands=21, num_rows=6)
    """
    chosen = Bands(config.num_hashes, 1)
    for num_rows in range(1, config.num_hashes + 1):
        bands = Bands(config.num_hashes // num_rows, num_rows)
        if bands.found(config.threshold) < _LEAST_FOUND:
            break
        chosen = bands
    return chosen


@dataclass(frozen=True)
class Signatures:
    """What is remembered of some documents to find near-copies.

    Args:
        hashes: uint32 [documents, num_hashes], the signatures.
        num_words: int64 [documents]; a document with fewer words than a window has no near-copies.
    """

    hashes: NDArray[np.uint32]
    num_words: NDArray[np.int64]


def sign(texts: Sequence[str], config: DuplicatesConfig) -> Signatures:
    """Sign texts; words are runs of letters, digits and underscores, in any script."""
    import daft
    from daft.expressions import ExpressionsProjection
    from daft.functions import length, minhash, regexp_replace

    if not texts:
        return Signatures(np.zeros((0, config.num_hashes), np.uint32), np.zeros(0, np.int64))
    heads = [text[:MAX_CHARACTERS] for text in texts]
    batch = daft.recordbatch.RecordBatch.from_pydict({"text": heads})
    words = regexp_replace(daft.col("text"), _NO_WORD, " ").lstrip().rstrip().alias("words")
    batch = batch.eval_expression_list(ExpressionsProjection([words]))
    blanks = length(regexp_replace(daft.col("words"), "[^ ]+", "")).alias("blanks")
    characters = length(daft.col("words")).alias("characters")
    signed = minhash(
        daft.col("words"),
        num_hashes=config.num_hashes,
        ngram_size=config.window_words,
        seed=_SEED,
        hash_function="xxhash3_64",
    )
    columns = ExpressionsProjection([signed.alias("hashes"), blanks, characters])
    table = batch.eval_expression_list(columns).to_arrow_table()
    flat = table["hashes"].combine_chunks().flatten().to_numpy(zero_copy_only=False)
    blanks_in = table["blanks"].to_numpy().astype(np.int64)
    num_words = np.where(table["characters"].to_numpy() > 0, blanks_in + 1, 0)
    return Signatures(flat.astype(np.uint32).reshape(len(heads), config.num_hashes), num_words)


def band_keys(
    signatures: Signatures, digests: NDArray[np.uint64], config: DuplicatesConfig
) -> NDArray[np.uint64]:
    """Return a key of each document in each band; documents with one key in one band are candidates.

    Band 0 is the document's own bytes, so that exact copies are always candidates. A document with too few
    words has keys there alone that any other has: its own digest, mixed with the band's number.

    Args:
        signatures: of the documents.
        digests: uint64 [documents], 64 bits of a hash of each one's bytes.
        config: how signatures are cut.

    Returns:
        uint64 [1 + bands, documents].
    """
    bands = bands_for(config)
    used = signatures.hashes[:, : bands.num_bands * bands.num_rows].astype(np.uint64)
    pieces = used.reshape(-1, bands.num_bands, bands.num_rows)
    keys = np.zeros((1 + bands.num_bands, len(digests)), np.uint64)
    keys[0] = digests
    for row in range(bands.num_rows):
        keys[1:] = _mix(keys[1:] ^ pieces[:, :, row].T)
    numbers = np.arange(1, 1 + bands.num_bands, dtype=np.uint64)[:, None]
    too_short = signatures.num_words < config.window_words
    keys[1:, too_short] = _mix(digests[None, too_short] + numbers)
    return keys


def _mix(words: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Mix 64 bits so that equal inputs alone are likely to be equal afterwards (SplitMix64's last steps)."""
    words = (words ^ (words >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9) + _FACTOR
    words = (words ^ (words >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return words ^ (words >> np.uint64(31))
