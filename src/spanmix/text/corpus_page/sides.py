"""Count one side of a source: languages and licences of its files, and lengths of its documents."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spanmix.errors import InputError
from spanmix.text.document_files import rows_of_files
from spanmix.text.document_table import table_path
from spanmix.text.report import CORPUS_FILE, MEND, SplitCounts
from spanmix.text.token_store import open_indexed


@dataclass(frozen=True)
class Amount:
    """How much there is of something: how many files, or dropped documents, and their bytes."""

    number: int
    bytes: int


@dataclass(frozen=True)
class Lengths:
    """How long documents are, in tokens without EOD or in bytes.

    Args:
        bins: documents by length: entry 0 counts empty ones, entry k those from ``2**(k-1)`` to below
            ``2**k``.
        mean: 0 if there is no document, as is all below.
        median, p90, p99: the smallest length that half, 90 % and 99 % of the documents do not exceed.
        longest: the largest.
    """

    bins: tuple[int, ...]
    mean: float
    median: int
    p90: int
    p99: int
    longest: int

    @classmethod
    def of(cls, lengths: NDArray[np.int64]) -> Lengths:
        """Count lengths, int64 [documents].

        >>> Lengths.of(np.array([0, 1, 2, 3, 4, 7]))
        Lengths(bins=(1, 1, 2, 2), mean=2.8333333333333335, median=2, p90=7, p99=7, longest=7)
        """
        if not len(lengths):
            return cls((), 0.0, 0, 0, 0, 0)
        # frexp's exponent of a whole number is its number of binary digits.
        bins = np.bincount(np.frexp(lengths.astype(np.float64))[1])
        n = len(lengths)
        places = [-(-n * percent // 100) - 1 for percent in (50, 90, 99)]
        median, p90, p99 = np.partition(lengths, places)[places].tolist()
        return cls(tuple(bins.tolist()), float(lengths.mean()), median, p90, p99, int(lengths.max()))


@dataclass(frozen=True)
class SideFigures:
    """What one side of a source holds.

    Args:
        languages, licences: by name, the files and the bytes of their own texts; ``""`` is what is not known.
            Of a corpus whose tables do not name repositories they are documents; see `SourceReport`.
        tokens, bytes: how long its documents are.
    """

    languages: Mapping[str, Amount]
    licences: Mapping[str, Amount]
    tokens: Lengths
    bytes: Lengths

    @property
    def num_files(self) -> int:
        """Files in its documents."""
        return sum(amount.number for amount in self.licences.values())


def count_side(prefix: Path, counts: SplitCounts, ends_with_eod: bool) -> SideFigures:
    """Count the files of one side; about 200 bytes of memory a document, most of it the index.

    Args:
        prefix: path of the files without their endings.
        counts: what ``corpus.json`` says about them.
        ends_with_eod: whether each document's last id is EOD.

    Raises:
        InputError: a file is missing or damaged, or holds something else than `counts` says.
    """
    bounds = open_indexed(prefix).bounds
    num_tokens = np.diff(bounds) - ends_with_eod
    found = SplitCounts(len(num_tokens), int(num_tokens.sum()), counts.bytes)
    _require_equal(f"{prefix}.bin", found, counts)
    languages: dict[str, Amount] = {}
    licences: dict[str, Amount] = {}
    num_bytes = _count_table(table_path(prefix), languages, licences)
    found = SplitCounts(len(num_bytes), counts.tokens, int(num_bytes.sum()))
    _require_equal(str(table_path(prefix)), found, counts)
    return SideFigures(languages, licences, Lengths.of(num_tokens), Lengths.of(num_bytes))


def _count_table(path: Path, languages: dict[str, Amount], licences: dict[str, Amount]) -> NDArray[np.int64]:
    """Add up a table of documents, row group by row group, and return the bytes of each document."""
    import pyarrow
    import pyarrow.parquet

    if not path.is_file():
        raise InputError(f"{path} is missing. {MEND}")
    num_bytes = [np.zeros(0, np.int64)]
    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            counts_files = "repository" in file.schema_arrow.names
            for group in range(file.num_row_groups):
                rows = file.read_row_group(group, columns=["language", "licence", "num_bytes", "files"])
                counted = rows_of_files(rows) if counts_files else rows
                _add(counted, "language", languages)
                _add(counted, "licence", licences)
                num_bytes.append(rows["num_bytes"].to_numpy())
    except (OSError, KeyError, pyarrow.ArrowException) as error:
        raise InputError(f"{path} cannot be read: {error}. {MEND}") from None
    return np.concatenate(num_bytes)


def _add(rows: Any, column: str, amounts: dict[str, Amount]) -> None:
    counted = rows.group_by(column).aggregate([("num_bytes", "count"), ("num_bytes", "sum")])
    for row in counted.to_pylist():
        name = row[column] or ""
        before = amounts.get(name, Amount(0, 0))
        number, num_bytes = row["num_bytes_count"], row["num_bytes_sum"] or 0
        amounts[name] = Amount(before.number + number, before.bytes + num_bytes)


def _require_equal(name: str, found: SplitCounts, counts: SplitCounts) -> None:
    if found != counts:
        raise InputError(
            f"{name} has {found.documents:,} documents, {found.tokens:,} tokens and {found.bytes:,} bytes; "
            f"{CORPUS_FILE} says {counts.documents:,}, {counts.tokens:,} and {counts.bytes:,}. It belongs to "
            f"another corpus. {MEND}"
        )
