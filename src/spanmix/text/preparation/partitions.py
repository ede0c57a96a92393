"""Cut the sources into partitions: some files, or parts of large ones, that are one task."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from spanmix.config import CorpusConfig, SourceFilesConfig
from spanmix.corpus_configs.sources import EVERY_FILE
from spanmix.errors import InputError
from spanmix.text.dropped import Dropped
from spanmix.text.preparation.stating import StatingFile, StatingSearch
from spanmix.text.readers.faults import BARE, LFS_POINTER
from spanmix.text.readers.units import UNIT_BYTES, Unit, list_units

AGAINST = "against"
"""The source of the documents that `corpus.duplicates.against` keeps out."""


@dataclass(frozen=True)
class Partition:
    """Consecutive parts of one source.

    Args:
        source: position of the source in the configuration; -1 for what is kept out.
        units: what to read, in order.
        dropped: files that could not even be listed.
        stating: what was opened to know the licences of its documents.
    """

    source: int
    units: tuple[Unit, ...]
    dropped: tuple[Dropped, ...]
    stating: tuple[StatingFile, ...] = ()

    @property
    def num_bytes(self) -> int:
        """What is to be read, as far as it is known."""
        return sum(unit.num_bytes for unit in self.units)


_NOT_OPENED = (".zip", ".7z", ".rar", ".bz2", ".xz", ".whl", ".jar")
_WAYS_OUT = {
    BARE: "clone a bare repository and name the clone",
    LFS_POINTER: "fetch what Git LFS keeps elsewhere with git lfs pull",
}


def list_partitions(config: CorpusConfig) -> list[Partition]:
    """List all files of all sources, and cut them into partitions; what is kept out comes first.

    Raises:
        InputError: a source is missing.
    """
    out = Path(config.path)
    found: list[Partition] = []
    if config.duplicates.against:
        found += _cut(-1, SourceFilesConfig(AGAINST, config.duplicates.against), config, out)
    for number, source in enumerate(config.sources):
        found += _cut(number, source, config, out)
    return found


def _cut(number: int, source: SourceFilesConfig, config: CorpusConfig, out: Path) -> Iterator[Partition]:
    units: list[Unit] = []
    dropped: list[Dropped] = []
    num_bytes = 0
    stating = StatingSearch(source)
    for item in list_units(source, out, min(UNIT_BYTES, config.partition_bytes)):
        if isinstance(item, Dropped):
            dropped.append(item)
            continue
        units.append(item)
        num_bytes += item.num_bytes
        if num_bytes >= config.partition_bytes:
            yield Partition(number, tuple(units), tuple(dropped), stating.of(units))
            units, dropped, num_bytes = [], [], 0
    if units or dropped:
        yield Partition(number, tuple(units), tuple(dropped), stating.of(units))


def refuse_empty(config: CorpusConfig, partitions: list[Partition]) -> None:
    """Refuse a source in which no file was found that could be read."""
    for number, source in enumerate(config.sources):
        mine = [partition for partition in partitions if partition.source == number]
        if any(partition.units for partition in mine):
            continue
        dropped = [one for partition in mine for one in partition.dropped]
        counts = Counter(one.reason for one in dropped)
        first = {one.reason: one.file for one in reversed(dropped)}
        wanted = "no file" if source.tokenizer is None else "no .ds file, and no .bin that has an .idx,"
        why = f"dropped {count_reasons(counts, first)}" if counts else f"{wanted} was found"
        if source.include != EVERY_FILE:
            why += f"; include takes only {', '.join(source.include)}"
        raise no_text(source, why)


def no_text(source: SourceFilesConfig, why: str) -> InputError:
    """Return the error for a source of which nothing is left."""
    if not source.paths:
        return InputError(
            f"source {source.name} has no paths; name its folders or files in corpus.sources.paths, or "
            f"behind the recipe, as {source.name}=FOLDER"
        )
    return InputError(
        f"source {source.name} ({', '.join(source.paths)}) has no text: {why}{_way_out(source, why)}"
    )


def _way_out(source: SourceFilesConfig, why: str) -> str:
    """Return what to change where what was named holds files that are not read as it is."""
    ways = [way for reason, way in _WAYS_OUT.items() if reason in why]
    if any(path.lower().endswith(_NOT_OPENED) for path in source.paths):
        ways.append("unpack the archive and name the folder, or pack it as .tar, .tar.gz or .tar.zst")
    return "".join(f"; {way}" for way in ways)


def count_reasons(counts: Mapping[str, int], first: Mapping[str, str]) -> str:
    """Write how many documents each reason took, and where the first was, if that is known.

    >>> count_reasons({"hidden": 2, "exact copy": 1}, {"hidden": "a/.env"})
    '1 exact copy, 2 hidden (first a/.env)'
    """
    return ", ".join(
        f"{count} {reason}" + (f" (first {first[reason]})" if reason in first else "")
        for reason, count in sorted(counts.items())
    )
