"""Keep the token ids of many documents on disk, as Megatron-Core's indexed dataset.

``<name>.bin`` holds the ids of all documents, each ending with EOD. ``<name>.idx`` holds, little endian::

    9 bytes   b"MMIDIDX\\0\\0"
    u64       version, 1
    u8        kind of the ids: 8 is uint16 (vocabularies below 65,500), 4 is int32; others write more kinds
    u64       sequences, n
    u64       entries of the last table, m + 1
    int32[n]  ids in each sequence
    int64[n]  where each sequence starts in .bin, in bytes
    int64[m+1]  first sequence of each of the m documents, and n at the end

A document is one sequence; one that begins with a prompt is two, the prompt and the rest.
"""

from __future__ import annotations

import os
import shutil
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from spanmix.errors import InputError
from spanmix.types import IntArray

_MAGIC = b"MMIDIDX\x00\x00"
_HEADER = struct.Struct("<9sQBQQ")
_KINDS: dict[int, type[np.integer[Any]]] = {
    8: np.uint16, 4: np.int32, 5: np.int64, 3: np.int16, 1: np.uint8, 2: np.int8,
}  # fmt: skip
_COPY_BYTES = 1 << 22
_OUR_CODES = (8, 4)
INTEGER_CODES = tuple(_KINDS)
"""The format's codes of all kinds of integers; a store of ours has 8 or 4."""


class TokenStoreWriter:
    """Write documents one by one; as a context manager, the files appear whole at its end or not at all.

    Args:
        prefix: path without ``.bin`` and ``.idx``.
        vocab_size: decides between 2 and 4 bytes an id.
        eod: the id that ends every document; None adds none.
    """

    def __init__(self, prefix: Path | str, vocab_size: int, eod: int | None) -> None:
        self._bin, self._idx = _paths(prefix)
        self._code = 8 if vocab_size < 65500 else 4
        self._kind = _KINDS[self._code]
        self._eod = eod
        self._lengths: list[int] = []
        self._documents = [0]
        self._stream: BinaryIO = _aside(self._bin).open("wb")

    def add(self, ids: NDArray[np.integer], num_prompt_tokens: int = 0) -> None:
        """Append one document, given without EOD; the first `num_prompt_tokens` ids are a prompt."""
        document = (ids if self._eod is None else np.append(ids, self._eod)).astype(self._kind)
        self._stream.write(document.tobytes())
        if num_prompt_tokens:
            self._lengths.append(num_prompt_tokens)
        self._lengths.append(len(document) - num_prompt_tokens)
        self._documents.append(len(self._lengths))

    def extend(self, prefix: Path | str) -> None:
        """Append all documents of another store with ids of the same kind, as they are."""
        other = open_indexed(prefix, (self._code,))
        with _paths(prefix)[0].open("rb") as stream:
            shutil.copyfileobj(stream, self._stream, _COPY_BYTES)
        first = len(self._lengths)
        self._lengths += other.lengths.tolist()
        self._documents += (first + other.documents[1:]).tolist()

    def __enter__(self) -> TokenStoreWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            self._stream.close()
            _aside(self._bin).unlink(missing_ok=True)
            return
        _close_synced(self._stream)
        stream = _aside(self._idx).open("wb")
        n = len(self._lengths)
        lengths = np.array(self._lengths, dtype=np.int32)
        ends = np.cumsum(lengths, dtype=np.int64) * np.dtype(self._kind).itemsize
        stream.write(_HEADER.pack(_MAGIC, 1, self._code, n, len(self._documents)))
        stream.write(lengths.tobytes())
        stream.write(np.concatenate([np.zeros(1, np.int64), ends])[:n].tobytes())
        stream.write(np.array(self._documents, dtype=np.int64).tobytes())
        _close_synced(stream)
        # .idx last: a store without it does not exist.
        _aside(self._bin).replace(self._bin)
        _aside(self._idx).replace(self._idx)


class TokenStore:
    """Read documents from disk without loading them: ``store[i]`` is document i, its EOD stripped.

    Args:
        prefix: path without ``.bin`` and ``.idx``.
        eod: the id that ends every document.

    Raises:
        InputError: a file is missing, cut short or not of this format; sizes are in the message.

    A document may consist of several sequences in a store that Megatron wrote; its pieces are joined.
    """

    def __init__(self, prefix: Path | str, eod: int) -> None:
        files = open_indexed(prefix, _OUR_CODES)
        self._ids, self._starts, self._ends = files.ids, files.bounds[:-1], files.bounds[1:]
        ends = np.maximum(self._ends, 1) - 1
        if len(self) and not (np.all(self._ends > self._starts) and np.all(self._ids[ends] == eod)):
            raise InputError(
                f"{prefix}.bin: a document does not end with EOD ({eod}); it was made with other ids"
            )
        self._prompts = _prompts(files)

    def __len__(self) -> int:
        return len(self._starts)

    def __getitem__(self, i: int) -> IntArray:
        if not 0 <= i < len(self):
            raise IndexError(f"document {i} of {len(self)}")
        return self._ids[self._starts[i] : self._ends[i] - 1].astype(np.int32)

    def num_prompt_tokens(self, i: int) -> int:
        """How many ids at the start of document i are a prompt: the first of its two sequences."""
        return 0 if self._prompts is None else int(self._prompts[i])

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Ids in each document, EOD not counted: int64 [documents]."""
        return self._ends - self._starts - 1

    @property
    def num_tokens(self) -> int:
        """Ids in all documents, EOD not counted."""
        return int(self.lengths.sum())


@dataclass(frozen=True)
class IndexedFiles:
    """A ``.bin`` and its ``.idx`` that agree with each other, whoever wrote them.

    Args:
        ids: all ids, mapped from disk.
        bounds: int64 [documents + 1], from 0: where each document starts in `ids`, and where the last ends.
        lengths: int32 [sequences], ids in each.
        documents: int64 [documents + 1], the first sequence of each, and their number at the end.
    """

    ids: NDArray[np.integer[Any]]
    bounds: NDArray[np.int64]
    lengths: NDArray[np.int32]
    documents: NDArray[np.int64]


def open_indexed(prefix: Path | str, codes: Iterable[int] = INTEGER_CODES) -> IndexedFiles:
    """Open two files of the format with ids of one of the kinds `codes`; a document may have no sequence.

    Raises:
        InputError: a file is missing, cut short or not of this format; sizes are in the message.
    """
    bin_, idx = _paths(prefix)
    for path in (bin_, idx):
        if not path.is_file():
            raise InputError(f"token store {prefix}: {path} is missing")
    kind, lengths, pointers, documents = _read_index(idx, tuple(codes))
    bounds = _document_bounds(idx, lengths, documents)
    itemsize = np.dtype(kind).itemsize
    expected = int(lengths.sum(dtype=np.int64)) * itemsize
    size = bin_.stat().st_size
    if size != expected:
        raise InputError(
            f"{bin_} has {size:,} bytes; its index describes {expected:,}. It was cut short or changed"
        )
    if not np.array_equal(pointers, (np.cumsum(lengths, dtype=np.int64) - lengths) * itemsize):
        raise InputError(f"{idx}: sequences do not lie one behind the other in {bin_.name}")
    return IndexedFiles(map_numbers(bin_, kind), bounds, lengths, documents)


def map_numbers(path: Path, kind: Any) -> NDArray[Any]:
    """Map a file of numbers of one `kind`, without loading it; an empty file is an empty array."""
    mapped = np.memmap(path, dtype=kind, mode="r") if path.stat().st_size else np.zeros(0, kind)
    return mapped.view(np.ndarray)  # memmap's own class makes every slice slower


def _read_index(
    path: Path, codes: tuple[int, ...]
) -> tuple[Any, NDArray[np.int32], NDArray[np.int64], NDArray[np.int64]]:
    size = path.stat().st_size
    if size < _HEADER.size:
        raise InputError(f"{path} has {size} bytes; its header alone takes {_HEADER.size}. It was cut short")
    with path.open("rb") as stream:
        magic, version, code, n, n_documents = _HEADER.unpack(stream.read(_HEADER.size))
        if magic != _MAGIC or version != 1 or code not in codes:
            *names, last = (_KINDS[known].__name__ for known in codes)
            raise InputError(
                f"{path} is not a token index of version 1 with {', '.join(names)} or {last} ids "
                f"(magic {magic!r}, version {version}, kind {code})"
            )
        expected = _HEADER.size + 12 * n + 8 * n_documents
        if size != expected:
            raise InputError(
                f"{path} has {size:,} bytes; its header describes {expected:,}. It was cut short or changed"
            )
        lengths = np.frombuffer(stream.read(4 * n), dtype="<i4")
        pointers = np.frombuffer(stream.read(8 * n), dtype="<i8")
        documents = np.frombuffer(stream.read(8 * n_documents), dtype="<i8")
    return _KINDS[code], lengths, pointers, documents


def _document_bounds(
    path: Path, lengths: NDArray[np.int32], documents: NDArray[np.int64]
) -> NDArray[np.int64]:
    """First id of each document, and the number of ids at the end, from the lengths of the sequences."""
    n = len(lengths)
    rising = (
        len(documents) > 0
        and documents[0] == 0
        and documents[-1] == n
        and bool(np.all(documents[1:] >= documents[:-1]))  # a difference could wrap around
    )
    if not rising or (n and int(lengths.min()) < 0):
        raise InputError(f"{path}: its table of documents does not cover its {n} sequences")
    bounds: NDArray[np.int64] = np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths, dtype=np.int64)])
    return bounds[documents]


def _prompts(files: IndexedFiles) -> NDArray[np.int32] | None:
    """Length of the first of two sequences of each document, 0 in others; None if no document has two."""
    has_two = np.diff(files.documents) == 2
    if not has_two.any():
        return None
    return np.where(has_two, files.lengths[files.documents[:-1]], 0).astype(np.int32)


def _paths(prefix: Path | str) -> tuple[Path, Path]:
    # Not with_suffix: a source may be named "v1.2".
    return Path(f"{prefix}.bin"), Path(f"{prefix}.idx")


def _aside(path: Path) -> Path:
    return path.with_name(path.name + ".partial")


def _close_synced(stream: BinaryIO) -> None:
    stream.flush()
    os.fsync(stream.fileno())
    stream.close()
