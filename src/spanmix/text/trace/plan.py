"""Divide the training documents of a corpus into shards, the same way each time, and tell their size."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from spanmix.errors import InputError
from spanmix.text.report import CorpusReport
from spanmix.text.token_store import open_indexed
from spanmix.text.tokenizer import Tokenizer
from spanmix.text.trace.document_bytes import DocumentBytes
from spanmix.text.trace.layout import LARGEST_SHARD, IndexSettings

BYTES_A_MB = 1_000_000
_BYTES_A_SECOND = 6_000_000


@dataclass(frozen=True)
class ShardPlan:
    """The documents of one shard: `num_documents` from `first_document` on, with `sizes` bytes each."""

    source: str
    first_document: int
    sizes: tuple[int, ...]

    @property
    def num_documents(self) -> int:
        """How many documents it holds."""
        return len(self.sizes)

    @property
    def num_bytes(self) -> int:
        """Bytes of their text, with one separator for each document."""
        return sum(self.sizes)


def plan_shards(
    folder: Path, report: CorpusReport, tokenizer: Tokenizer, settings: IndexSettings
) -> list[ShardPlan]:
    """Fill each shard with whole documents of one source, in their order, up to `settings.shard_mb`.

    Raises:
        InputError: a document is larger than a shard can be, or a file is missing or damaged.
    """
    plans = []
    for name in report.sources:
        sizes = DocumentBytes(open_indexed(folder / name), tokenizer).sizes()
        if len(sizes) and int(sizes.max()) > LARGEST_SHARD:
            raise InputError(
                f"document {int(sizes.argmax())} of {name} has {int(sizes.max()):,} bytes; a shard of the "
                f"index holds whole documents of {LARGEST_SHARD:,} bytes at most. Prepare the corpus with a "
                "smaller corpus.max_document_bytes"
            )
        ends = np.cumsum(sizes)
        first = 0
        while first < len(sizes):
            full = int(ends[first] - sizes[first]) + settings.shard_mb * BYTES_A_MB
            stop = max(first + 1, int(np.searchsorted(ends, full, side="right")))
            plans.append(ShardPlan(name, first, tuple(sizes[first:stop].tolist())))
            first = stop
    return plans


def expected_size(num_bytes: int, settings: IndexSettings) -> int:
    """Return about how many bytes the index of so much text takes on the disk."""
    share = 1.0 if settings.window == 1 else 2.15 / (settings.window + 1)
    return round(num_bytes * (1 + share * (4 + 8 / 64)))


def expected_seconds(num_bytes: int) -> float:
    """Return about how long one core takes to build it."""
    return num_bytes / _BYTES_A_SECOND
