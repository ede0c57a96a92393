"""Read a source's table of dropped documents: how many of each reason, and a few of them to look at."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spanmix.errors import InputError
from spanmix.text.corpus_page.sides import Amount
from spanmix.text.document_names import document_name
from spanmix.text.report import MEND

EXAMPLES = 5
"""So many documents of each reason are shown."""
_WITH_EXCERPT = 20
"""The first so many of a reason in a partition, which is a row group here, have an excerpt."""


@dataclass(frozen=True)
class Example:
    """A document that was dropped.

    Args:
        name: what it is called; see `document_name`.
        value: what was measured, or the name of what it is a copy of; ``""`` if nothing was.
        num_bytes: its size, 0 if it could not be read.
        excerpt: a part of its text; ``""`` if none was kept.
    """

    name: str
    value: str
    num_bytes: int
    excerpt: str


@dataclass(frozen=True)
class DroppedFigures:
    """What a table of dropped documents holds: by reason, how much, and examples from all over the source."""

    amounts: Mapping[str, Amount]
    examples: Mapping[str, tuple[Example, ...]]


def dropped_path(folder: Path, source: str) -> Path:
    """Return where the table of a source lies."""
    return folder / "audit" / f"{source}.dropped.parquet"


def count_dropped(path: Path) -> DroppedFigures | None:
    """Count a table; None if there is none.

    All reasons and sizes are read, a row group at a time, and the rest of a row only where it is shown.

    Raises:
        InputError: the file is damaged or is no such table.
    """
    import pyarrow
    import pyarrow.parquet

    if not path.is_file():
        return None
    try:
        with pyarrow.parquet.ParquetFile(path, read_dictionary=["reason"]) as file:
            amounts, in_groups = _count_groups(file)
            wanted: dict[int, dict[str, int]] = defaultdict(dict)
            for reason, counts in in_groups.items():
                for group, number in _spread(counts).items():
                    wanted[group][reason] = number
            return DroppedFigures(amounts, _examples(file, wanted))
    except (OSError, KeyError, pyarrow.ArrowException) as error:
        raise InputError(f"{path} cannot be read: {error}. {MEND}") from None


def _count_groups(file: Any) -> tuple[dict[str, Amount], dict[str, dict[int, int]]]:
    """Return the amount of each reason; and by reason and row group, how many of its rows have an excerpt."""
    amounts: dict[str, Amount] = {}
    in_groups: dict[str, dict[int, int]] = defaultdict(dict)
    for group in range(file.num_row_groups):
        rows = file.read_row_group(group, columns=["reason", "num_bytes"])
        num_bytes = rows["num_bytes"].to_numpy()
        for reason, numbers in _by_reason(rows["reason"]):
            before = amounts.get(reason, Amount(0, 0))
            added = int(num_bytes[numbers].sum())
            amounts[reason] = Amount(before.number + len(numbers), before.bytes + added)
            in_groups[reason][group] = min(len(numbers), _WITH_EXCERPT)
    return dict(sorted(amounts.items())), in_groups


def _by_reason(reasons: Any) -> Iterator[tuple[str, NDArray[np.int64]]]:
    """Yield each reason in a column, with the numbers of its rows."""
    column = reasons.combine_chunks()
    codes = column.indices.to_numpy(zero_copy_only=False)
    for code, reason in enumerate(column.dictionary.to_pylist()):
        numbers = np.flatnonzero(codes == code)
        if len(numbers):
            yield reason, numbers


def _spread(counts: Mapping[int, int]) -> dict[int, int]:
    """Return how many rows of one reason to show of each row group: evenly, from the first to the last.

    >>> _spread({0: 3, 4: 1}), _spread({2: 20}), _spread(dict.fromkeys(range(10), 20))
    ({0: 3, 4: 1}, {2: 5}, {0: 1, 2: 1, 4: 1, 6: 1, 8: 1})
    """
    groups = list(counts)
    chosen = (
        [groups[i * len(groups) // EXAMPLES] for i in range(EXAMPLES)] if len(groups) > EXAMPLES else groups
    )
    taken = dict.fromkeys(chosen, 1)
    for _ in range(EXAMPLES - len(chosen)):
        free = [group for group in chosen if taken[group] < counts[group]]
        if not free:
            break
        taken[min(free, key=lambda group: (taken[group], group))] += 1
    return taken


def _examples(file: Any, wanted: Mapping[int, Mapping[str, int]]) -> dict[str, tuple[Example, ...]]:
    """Read the rows that are shown: in each row group so many of a reason, from among its first ones."""
    found: dict[str, list[Example]] = defaultdict(list)
    for group in sorted(wanted):
        rows = file.read_row_group(group)
        chosen = []
        for reason, numbers in _by_reason(rows["reason"]):
            most = min(len(numbers), _WITH_EXCERPT)
            number = wanted[group].get(reason, 0)
            chosen += [int(numbers[k * most // number]) for k in range(number)]
        for row in rows.take(sorted(chosen)).to_pylist():
            name = document_name(row.get("repository") or "", row["path"] or "")
            example = Example(name, row["value"] or "", row["num_bytes"] or 0, row["excerpt"] or "")
            found[row["reason"]].append(example)
    return {reason: tuple(found[reason]) for reason in sorted(found)}
