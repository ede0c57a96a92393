"""Say what a corpus was read from: each file by its bytes, so that when or where it was written is nothing.

``audit/inputs.parquet`` of a corpus has a row for each file that was listed, and for what was left out
without being opened; then, source by source, for what else was opened to know the licences of documents.
``audit/inputs.seen.npy`` beside it has the times of change at which they were hashed. It spares reading again
what was not changed since, holds only on this machine, and may be lost.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path, PurePosixPath

import numpy as np

from spanmix.config import CorpusConfig
from spanmix.errors import InputError
from spanmix.text.dropped import printable
from spanmix.text.preparation.partitions import Partition
from spanmix.text.preparation.stating import StatingFile
from spanmix.text.readers.units import files_of

INPUTS_FILE = "audit/inputs.parquet"
SEEN_FILE = "audit/inputs.seen.npy"
KEPT_OUT = ""
"""Stands for the name of a source with what `corpus.duplicates.against` keeps out."""
_COLUMNS = ("source", "repository", "path", "reason", "num_bytes", "sha256")


@dataclass(frozen=True)
class ReadInput:
    """What is known of an input wherever it lies.

    Args:
        source: the name of its source; `KEPT_OUT` of what is kept out.
        repository, path: what it is called, see `spanmix.text.readers.origin.Origin`.
        reason: why it was not opened; ``""`` of what is read.
        num_bytes: its size on disk.
        sha256: of its bytes, in hex; ``""`` if it was not opened, or could not be read.
    """

    source: str
    repository: str
    path: str
    reason: str
    num_bytes: int
    sha256: str = ""


@dataclass(frozen=True)
class Input:
    """An input as it lies there: what is known of it without reading, its place, and its time of change."""

    known: ReadInput
    file: Path
    changed_ns: int


def list_inputs(config: CorpusConfig, partitions: Iterable[Partition]) -> list[Input]:
    """Return the inputs of a recipe: what is read in the order of reading, then what states licences.

    Of these the hashes are known. A file that is read as well is none of them.
    """
    read: list[Input] = []
    stating: list[Input] = []
    for number, group in groupby(partitions, lambda partition: partition.source):
        name = KEPT_OUT if number < 0 else config.sources[number].name
        mine = list(group)
        for partition in mine:
            read += inputs_of(partition, name)
        stating += _stating_inputs(mine, name)
    return read + stating


def _stating_inputs(partitions: Sequence[Partition], source: str) -> list[Input]:
    """Return what states licences of one source's documents, each once, in the order of names."""
    files: dict[str | tuple[str, str], StatingFile] = {}
    for partition in partitions:
        for one in partition.stating:  # called as the first to look at it calls it
            files.setdefault(one.file or (one.repository, one.path), one)
    if not files:
        return []
    places = (unit.origin.file for partition in partitions for unit in partition.units)
    are_read = {os.path.abspath(place) for place in places}  # noqa: PTH100
    return [
        Input(ReadInput(source, one.repository, one.path, "", one.num_bytes, one.sha256), Path(one.file), 0)
        for one in sorted(files.values(), key=dataclasses.astuple)
        if one.file not in are_read
    ]


def inputs_of(partition: Partition, source: str) -> Iterator[Input]:
    """Yield what a partition of the source `source` is the first to read of, and what was left out."""
    for one in partition.dropped:
        yield Input(ReadInput(source, one.repository, one.path, one.reason, one.num_bytes), Path(one.file), 0)
    for unit in partition.units:
        if unit.start:  # the part of a file that another unit begins
            continue
        for stamp in files_of(unit):
            path = unit.origin.path
            if stamp.is_beside:
                path = printable(str(PurePosixPath(path).with_name(stamp.file.name)))
            known = ReadInput(source, unit.origin.repository, path, "", stamp.num_bytes)
            yield Input(known, stamp.file, stamp.changed_ns)


def hash_input(item: Input) -> str:
    """Return the SHA-256 of a file, in hex; ``""`` of what is not opened or cannot be read."""
    return "" if item.known.reason else hash_file(item.file)


def hash_file(path: Path) -> str:
    """Return the SHA-256 of a file, in hex; ``""`` of what cannot be read."""
    try:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError:
        return ""


def hash_inputs(inputs: Sequence[Input], advance: Callable[[int], None]) -> list[str]:
    """Return the SHA-256 of each, read on all cores; `advance` is called with the bytes of each."""
    hashes = []
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for item, found in zip(inputs, pool.map(hash_input, inputs), strict=True):
            hashes.append(found)
            advance(item.known.num_bytes)
    return hashes


def fingerprint(settings: str, inputs: Iterable[ReadInput]) -> str:
    """Hash settings and what was read, in hex."""
    digest = hashlib.sha256(settings.encode())
    for one in inputs:
        digest.update(json.dumps([getattr(one, name) for name in _COLUMNS]).encode() + b"\n")
    return digest.hexdigest()


def save_inputs(folder: Path, inputs: Sequence[ReadInput]) -> None:
    """Write the table of a corpus."""
    import pyarrow
    import pyarrow.parquet

    columns = {name: [getattr(one, name) for one in inputs] for name in _COLUMNS}
    text = pyarrow.string()
    schema = pyarrow.schema([(name, pyarrow.int64() if name == "num_bytes" else text) for name in _COLUMNS])
    pyarrow.parquet.write_table(pyarrow.table(columns, schema), folder / INPUTS_FILE, compression="zstd")


def load_inputs(folder: Path) -> list[ReadInput]:
    """Read the table of a corpus.

    Raises:
        InputError: it is damaged.
    """
    import pyarrow
    import pyarrow.parquet

    try:
        table = pyarrow.parquet.read_table(folder / INPUTS_FILE, columns=list(_COLUMNS))
        columns = [table[name].to_pylist() for name in _COLUMNS]
    except (OSError, KeyError, pyarrow.ArrowException) as error:
        raise InputError(f"{INPUTS_FILE} cannot be read: {' '.join(str(error).split())[:200]}") from None
    return [ReadInput(*row) for row in zip(*columns, strict=True)]


def save_seen(folder: Path, inputs: Sequence[Input]) -> None:
    """Write down when the inputs were changed, if the folder can be written."""
    with suppress(OSError):
        np.save(folder / SEEN_FILE, np.array([item.changed_ns for item in inputs], np.int64))


def _seen(folder: Path, number: int) -> list[int]:
    """Return the times that were written down for so many inputs; -1, which no file has, where none was."""
    try:
        times = np.load(folder / SEEN_FILE)
        if times.shape == (number,) and times.dtype == np.int64:
            return [int(time) for time in times]
    except (OSError, ValueError, EOFError):
        pass
    return [-1] * number


def input_differences(
    folder: Path, there: Sequence[ReadInput], here: Sequence[Input], advance: Callable[[int, int], None]
) -> list[str]:
    """Say in which files the inputs of a finished corpus and those of now differ.

    Only what was changed since, and has the size that it had, is read again. If all is as it was, that is
    written down for the next time.

    Args:
        folder: the corpus.
        there: its table.
        here: what is listed now.
        advance: called with bytes that were read again, and how many there are to read.
    """
    found = _listed_otherwise(there, [item.known for item in here])
    if found:
        return found
    times = _seen(folder, len(there))
    now = {i: item.known.sha256 for i, item in enumerate(here) if item.known.sha256}
    again = [
        i
        for i, item in enumerate(here)
        if item.changed_ns != times[i] and not item.known.reason and i not in now
    ]
    total = sum(here[i].known.num_bytes for i in again)
    hashes = hash_inputs([here[i] for i in again], lambda num_bytes: advance(num_bytes, total))
    now |= zip(again, hashes, strict=True)
    for i, sha256 in sorted(now.items()):
        if sha256 != there[i].sha256:
            what = "has other contents" if sha256 else "cannot be read now"
            found.append(_said(there[i], f"{what} than it had, {there[i].num_bytes:,} bytes"))
    if again and not found:
        save_seen(folder, here)
    return found


def _listed_otherwise(there: Sequence[ReadInput], here: Sequence[ReadInput]) -> list[str]:
    """Compare what is known without reading; two of one name are told apart by their order."""
    old, new = _by_name(there), _by_name(here)
    found = []
    for key, one in new.items():
        was = old.get(key)
        if was is None:
            found.append(_said(one, f"is new{f' ({one.reason})' if one.reason else ''}"))
        elif was.reason != one.reason:
            ways = [f"left out ({each.reason})" if each.reason else "read" for each in (was, one)]
            found.append(_said(one, f"was {ways[0]}, and is {ways[1]}"))
        elif was.num_bytes != one.num_bytes:
            found.append(_said(one, f"had {was.num_bytes:,} bytes, and has {one.num_bytes:,}"))
    found += [_said(one, "is gone") for key, one in old.items() if key not in new]
    if not found and [*old] != [*new]:
        found.append("the files are read in another order")
    return found


def _by_name(inputs: Sequence[ReadInput]) -> dict[tuple[str, str, str, int], ReadInput]:
    met: Counter[tuple[str, str, str]] = Counter()
    named = {}
    for one in inputs:
        name = (one.source, one.repository, one.path)
        named[*name, met[name]] = one
        met[name] += 1
    return named


def _said(one: ReadInput, what: str) -> str:
    where = "corpus.duplicates.against" if one.source == KEPT_OUT else f"source {one.source}"
    return f"{one.path} of {where} {what}"
