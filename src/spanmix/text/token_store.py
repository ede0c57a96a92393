"""Keep the token ids of many documents on disk, as Megatron-Core's indexed dataset.

``<name>.bin`` holds the ids of all documents, each ending with EOD. ``<name>.idx`` holds, little endian::

    9 bytes   b"MMIDIDX\\0\\0"
    u64       version, 1
    u8        kind of the ids: 8 is uint16 (vocabularies below 65,500), 4 is int32
    u64       sequences, n
    u64       entries of the last table, m + 1
    int32[n]  ids in each sequence
    int64[n]  where each sequence starts in .bin, in bytes
    int64[m+1]  first sequence of each of the m documents, and n at the end

A document is one sequence; one that begins with a prompt is two, the prompt and the rest.
"""

from __future__ import annotations

import os
import struct
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from spanmix.errors import InputError
from spanmix.types import IntArray

_MAGIC = b"MMIDIDX\x00\x00"
_HEADER = struct.Struct("<9sQBQQ")
_KIND_OF_CODE: dict[int, type[np.uint16] | type[np.int32]] = {8: np.uint16, 4: np.int32}


class TokenStoreWriter:
    """Write documents one by one; as a context manager, the files appear whole at its end or not at all.

    Args:
        prefix: path without ``.bin`` and ``.idx``.
        vocab_size: decides between 2 and 4 bytes an id.
        eod: the id that ends every document.
    """

    def __init__(self, prefix: Path | str, vocab_size: int, eod: int) -> None:
        self._bin, self._idx = _paths(prefix)
        self._code = 8 if vocab_size < 65500 else 4
        self._kind = _KIND_OF_CODE[self._code]
        self._eod = eod
        self._lengths: list[int] = []
        self._documents = [0]
        self._stream: BinaryIO = _aside(self._bin).open("wb")

    def add(self, ids: NDArray[np.integer], num_prompt_tokens: int = 0) -> None:
        """Append one document, given without EOD; the first `num_prompt_tokens` ids are a prompt."""
        document = np.append(ids, self._eod).astype(self._kind)
        self._stream.write(document.tobytes())
        if num_prompt_tokens:
            self._lengths.append(num_prompt_tokens)
        self._lengths.append(len(document) - num_prompt_tokens)
        self._documents.append(len(self._lengths))

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
        self._bin, self._idx = _paths(prefix)
        for path in (self._bin, self._idx):
            if not path.is_file():
                raise InputError(f"token store {prefix}: {path} is missing")
        self._kind, lengths, pointers, documents = _read_index(self._idx)
        self._starts, self._ends = _document_bounds(self._idx, lengths, documents)
        self._prompts = _prompts(lengths, documents)
        itemsize = np.dtype(self._kind).itemsize
        expected = int(lengths.sum(dtype=np.int64)) * itemsize
        size = self._bin.stat().st_size
        if size != expected:
            raise InputError(
                f"{self._bin} has {size:,} bytes; its index describes {expected:,}. It was cut "
                "short or changed"
            )
        if not np.array_equal(pointers, (np.cumsum(lengths, dtype=np.int64) - lengths) * itemsize):
            raise InputError(f"{self._idx}: sequences do not lie one behind the other in {self._bin.name}")
        # An empty file cannot be mapped.
        mapped = np.memmap(self._bin, dtype=self._kind, mode="r") if size else np.zeros(0, self._kind)
        self._ids = mapped.view(np.ndarray)  # memmap's own class makes every slice slower
        ends = np.maximum(self._ends, 1) - 1
        if len(self) and not (np.all(self._ends > self._starts) and np.all(self._ids[ends] == eod)):
            raise InputError(
                f"{self._bin}: a document does not end with EOD ({eod}); it was made with other ids"
            )

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


def _read_index(path: Path) -> tuple[Any, NDArray[np.int32], NDArray[np.int64], NDArray[np.int64]]:
    size = path.stat().st_size
    if size < _HEADER.size:
        raise InputError(f"{path} has {size} bytes; its header alone takes {_HEADER.size}. It was cut short")
    with path.open("rb") as stream:
        magic, version, code, n, n_documents = _HEADER.unpack(stream.read(_HEADER.size))
        if magic != _MAGIC or version != 1 or code not in _KIND_OF_CODE:
            raise InputError(
                f"{path} is not a token index of version 1 with uint16 or int32 ids "
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
    return _KIND_OF_CODE[code], lengths, pointers, documents


def _document_bounds(
    path: Path, lengths: NDArray[np.int32], documents: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """First and last-plus-one id of each document, from the lengths of the sequences."""
    n = len(lengths)
    rising = (
        len(documents) > 0
        and documents[0] == 0
        and documents[-1] == n
        and bool(np.all(np.diff(documents) > 0))
    )
    if not rising or (n and int(lengths.min()) < 0):
        raise InputError(f"{path}: its table of documents does not cover its {n} sequences")
    bounds = np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths, dtype=np.int64)])[documents]
    return bounds[:-1], bounds[1:]


def _prompts(lengths: NDArray[np.int32], documents: NDArray[np.int64]) -> NDArray[np.int32] | None:
    """Length of the first of two sequences of each document, 0 in others; None if no document has two."""
    has_two = np.diff(documents) == 2
    if not has_two.any():
        return None
    return np.where(has_two, lengths[documents[:-1]], 0).astype(np.int32)


def _paths(prefix: Path | str) -> tuple[Path, Path]:
    # Not with_suffix: a source may be named "v1.2".
    return Path(f"{prefix}.bin"), Path(f"{prefix}.idx")


def _aside(path: Path) -> Path:
    return path.with_name(path.name + ".partial")


def _close_synced(stream: BinaryIO) -> None:
    stream.flush()
    os.fsync(stream.fileno())
    stream.close()
