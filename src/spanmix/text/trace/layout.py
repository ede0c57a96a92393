"""What the files of a trace index are: its settings, its records, and where each file lies.

::

    CORPUS/trace/index.json        `IndexRecord`; written last, so an index without it does not exist
    CORPUS/trace/00000.json        `ShardRecord` of a finished shard; written after its files
    CORPUS/trace/00000.text        bytes of its documents, 0xFF in front of the first and behind each
    CORPUS/trace/00000.positions   uint32: the sampled positions in .text, in the order of what follows them
    CORPUS/trace/00000.keys        uint64: the eight bytes from every 64th of these on, the first the highest
    CORPUS/trace/00000.starts      uint32: where each document begins in .text, and where the last one ends

All numbers are little endian. No UTF-8 text holds 0xFF, so no match reaches from one document into another.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from spanmix.bounds import require_from_to
from spanmix.errors import InputError
from spanmix.files import read_json, read_versioned

TRACE_FORMAT_VERSION = 1
TRACE_FOLDER = "trace"
INDEX_FILE = "index.json"
ENDINGS = ("text", "positions", "keys", "starts")

SEPARATOR = 0xFF
FIRST_FOREIGN = 0xF8
"""UTF-8 has no bytes from here on; damaged text may, and they are then kept out of every match."""

PADDING = 16
"""Separators behind the text of a shard, so that eight bytes can be read from every position."""

KEY_EVERY = 64
LARGEST_SHARD = 2_000_000_000
"""Positions are sorted as 32-bit numbers with a sign."""

_READ_BYTES = 1 << 24


@dataclass(frozen=True)
class IndexSettings:
    """How an index is made.

    Args:
        shortest_bytes: every match of at least this many bytes is found, and none that is shorter need be.
            A smaller number makes a larger index: 1 takes 5 bytes for each of text, 16 about 1.8.
        shard_mb: most text of a shard, in MB (millions of bytes); building takes about nine times as much
            memory. A longer document is a shard by itself.
    """

    shortest_bytes: int = 16
    shard_mb: int = 128

    def __post_init__(self) -> None:
        require_from_to("trace.shortest_bytes", self.shortest_bytes, 1, 256)
        require_from_to("trace.shard_mb", self.shard_mb, 1, 1900)

    @property
    def gram_bytes(self) -> int:
        """k: bytes that decide whether a position is sampled; see `spanmix.text.trace.sampling`."""
        return max(1, min(6, (self.shortest_bytes + 1) // 3))

    @property
    def window(self) -> int:
        """w: one of any w positions in a row is sampled."""
        return self.shortest_bytes - self.gram_bytes + 1


@dataclass(frozen=True)
class ShardRecord:
    """One finished shard.

    Args:
        source: whose documents it holds.
        first_document, num_documents: which of the source's training documents.
        num_bytes: of their text, separators not counted.
        num_positions: sampled ones.
        made_for: what it was made for; see `stamp`.
        sizes: bytes of each file of `ENDINGS`, in this order.
        checksums: their SHA-256, in hex.
    """

    source: str
    first_document: int
    num_documents: int
    num_bytes: int
    num_positions: int
    made_for: str
    sizes: tuple[int, ...]
    checksums: tuple[str, ...]


@dataclass(frozen=True)
class IndexRecord:
    """What ``index.json`` holds.

    Args:
        format_version: of the folder.
        corpus: fingerprint of the corpus that it is of.
        settings: how it was made.
        shards: in the order of their numbers.
    """

    format_version: int
    corpus: str
    settings: IndexSettings
    shards: tuple[ShardRecord, ...]

    @property
    def num_bytes(self) -> int:
        """Bytes of all text."""
        return sum(shard.num_bytes for shard in self.shards)

    @property
    def size(self) -> int:
        """Bytes that the index takes on the disk."""
        return sum(sum(shard.sizes) for shard in self.shards)


def index_folder(corpus: Path) -> Path:
    """Return where the index of a corpus lies."""
    return corpus / TRACE_FOLDER


def shard_file(folder: Path, number: int, ending: str) -> Path:
    """Return a file of a shard, such as ``00000.text``."""
    return folder / f"{number:05d}.{ending}"


def stamp(fingerprint: str, settings: IndexSettings) -> str:
    """Return what a shard was made for, in hex: the format, the corpus and the settings."""
    made_for = f"{TRACE_FORMAT_VERSION} {fingerprint} {settings.shortest_bytes} {settings.shard_mb}"
    return hashlib.sha256(made_for.encode()).hexdigest()


def read_index(folder: Path) -> IndexRecord | None:
    """Read ``index.json``, or return None where there is none; raises `InputError` if it is damaged."""
    path = folder / INDEX_FILE
    return read_versioned(path, IndexRecord, TRACE_FORMAT_VERSION) if path.is_file() else None


def finished_shard(folder: Path, number: int, made_for: str) -> ShardRecord | None:
    """Return the record of a shard that is there, was made for this, and whose bytes are what was written."""
    try:
        record = read_json(shard_file(folder, number, "json"), ShardRecord)
    except InputError:
        return None
    files = [shard_file(folder, number, ending) for ending in ENDINGS]
    if record.made_for != made_for or not all(file.is_file() for file in files):
        return None
    whole = record.sizes == tuple(file.stat().st_size for file in files)
    return record if whole and record.checksums == tuple(map(checksum, files)) else None


def index_damages(folder: Path) -> list[str]:
    """Say what is lost or changed of an index, with each file's path in its corpus; nothing if it is whole.

    Args:
        folder: of the index; one that is not there has no damage.
    """
    where = folder.name
    try:
        index = read_index(folder)
    except InputError:
        return [f"{where}/{INDEX_FILE} cannot be read"]
    if index is None:
        return [f"{where}/{INDEX_FILE} is missing"] if folder.is_dir() else []
    damages = []
    for number, shard in enumerate(index.shards):
        record = shard_file(folder, number, "json")
        if not record.is_file():
            damages.append(f"{where}/{record.name} is missing")
        elif finished_shard(folder, number, shard.made_for) != shard:
            files = [shard_file(folder, number, ending) for ending in ENDINGS]
            written = dict(zip(files, shard.checksums, strict=True))
            wrong = [
                path for path, sha256 in written.items() if not path.is_file() or checksum(path) != sha256
            ]
            ways = {True: "has other contents than were written", False: "is missing"}
            damages += [f"{where}/{path.name} {ways[path.is_file()]}" for path in wrong or [record]]
    return damages


def checksum(path: Path) -> str:
    """Return the SHA-256 of a file, in hex."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while chunk := stream.read(_READ_BYTES):
            digest.update(chunk)
    return digest.hexdigest()
