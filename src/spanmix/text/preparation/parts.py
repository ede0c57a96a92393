"""What became of each source's documents, partition by partition."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from spanmix.config import SourceFilesConfig
from spanmix.text.document_names import document_name
from spanmix.text.duplicates.decide import REASONS
from spanmix.text.preparation.clean_all import Cleaned
from spanmix.text.preparation.clean_partition import Summary
from spanmix.text.preparation.copies import Copies
from spanmix.text.preparation.notes import read_notes
from spanmix.text.preparation.partitions import count_reasons, no_text


@dataclass(frozen=True)
class Part:
    """A partition of a source, read and decided.

    Args:
        folder: what the task that read it wrote.
        summary: what that task said.
        fates: uint8 [documents], see `spanmix.text.duplicates.decide`.
        copied_names: by number in the partition, the name of what a dropped copy is a copy of.
        num_bytes: int64 [documents], after all steps.
    """

    folder: Path
    summary: Summary
    fates: NDArray[np.uint8]
    copied_names: dict[int, str]
    num_bytes: NDArray[np.int64]

    @property
    def is_dropped(self) -> NDArray[np.bool_]:
        """Which documents are copies that are not in the corpus."""
        return np.isin(self.fates, list(REASONS))

    @property
    def kept_bytes(self) -> int:
        """Bytes of its documents that are in the corpus."""
        return int(self.num_bytes[~self.is_dropped].sum())

    def read_bytes(self) -> NDArray[np.int64]:
        """Return the bytes of its documents as they were read, int64 [documents]."""
        import pyarrow.parquet

        path = self.folder / "documents.parquet"
        table = pyarrow.parquet.read_table(path, columns=["read_bytes"])
        found: NDArray[np.int64] = table["read_bytes"].to_numpy()
        return found

    def notes(self, kind: str) -> Iterator[bytes]:
        """Yield what the steps noted of a kind, of what is in the corpus and of what they dropped themselves,
        each a line of JSON."""
        return read_notes(self.folder, kind, ~self.is_dropped)

    def changed(self) -> dict[str, int]:
        """Return how many documents of the corpus each step changed."""
        counts = {}
        for path in self.folder.glob("changed.*.npy"):
            numbers = np.load(path)
            counts[path.name.split(".")[1]] = int((~self.is_dropped[numbers]).sum())
        return counts


def parts_of_sources(
    sources: Sequence[SourceFilesConfig], cleaned: Sequence[Cleaned], copies: Copies
) -> list[list[Part]]:
    """Return the parts of each source, in order.

    Raises:
        InputError: nothing is left of a source.
    """
    names = _names_of_kept(cleaned, copies)
    parts: list[list[Part]] = [[] for _ in sources]
    for number, part in enumerate(cleaned):
        if part.partition.source < 0:
            continue
        start, end = copies.facts.starts[number : number + 2]
        fates = copies.decisions.fates[start:end]
        copy_of = copies.decisions.copy_of[start:end]
        copied = np.flatnonzero(np.isin(fates, list(REASONS)))
        copied_names = {i: names[int(copy_of[i])] for i in copied.tolist()}
        num_bytes = np.array(copies.facts.partition(number, "num_bytes"))
        parts[part.partition.source].append(Part(part.folder, part.summary, fates, copied_names, num_bytes))
    for source, mine in zip(sources, parts, strict=True):
        if all(part.is_dropped.all() for part in mine):
            _refuse(source, mine)
    return parts


def _refuse(source: SourceFilesConfig, parts: Sequence[Part]) -> None:
    counts: Counter[str] = Counter()
    first: dict[str, str] = {}
    for part in parts:
        counts.update({reason: count for reason, (count, _) in part.summary.dropped.items()})
        counts.update(REASONS[fate] for fate in part.fates.tolist())
        first = part.summary.first_dropped | first
    raise no_text(source, f"dropped {count_reasons(counts, first) or 'nothing'}")


def _names_of_kept(cleaned: Sequence[Cleaned], copies: Copies) -> dict[int, str]:
    """Return the names of the documents that copies are copies of."""
    import pyarrow.parquet

    is_copy = np.isin(copies.decisions.fates, list(REASONS))
    wanted = np.unique(copies.decisions.copy_of[is_copy])
    owners = np.searchsorted(np.array(copies.facts.starts), wanted, side="right") - 1
    by_owner: dict[int, list[int]] = defaultdict(list)
    for owner, document in zip(owners.tolist(), wanted.tolist(), strict=True):
        by_owner[owner].append(document)
    names: dict[int, str] = {}
    for owner, documents in by_owner.items():
        path = cleaned[owner].folder / "documents.parquet"
        places = np.array(documents) - copies.facts.starts[owner]
        table = pyarrow.parquet.read_table(path, columns=["repository", "path"]).take(places)
        rows = zip(table["repository"].to_pylist(), table["path"].to_pylist(), strict=True)
        names.update(zip(documents, (document_name(*row) for row in rows), strict=True))
    return names
