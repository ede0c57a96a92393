"""Open a file for one reading from its start to its end, decompressed and guarded against bombs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa

from spanmix.text.readers.faults import BombError
from spanmix.text.readers.formats import compression_of

MAX_RATIO = 250
"""Bytes that a byte of a compressed file may become on average; text seldom gets beyond 20."""

FREE_BYTES = 1 << 26
"""Bytes that may come of a file whatever its size."""


class ForwardStream:
    """A file read once, forward; gzip files of several members and zstd files of several frames, too.

    Args:
        path: a file; the ending of its name says how it is compressed.
        max_read_bytes: most bytes that may be asked for at once.

    Raises:
        OSError: it cannot be opened, is damaged or cut off.
        BombError: more than 64 MB were read, and more than `MAX_RATIO` times what they were made of; more
            was asked for at once than is allowed.
    """

    def __init__(self, path: Path, max_read_bytes: int = 1 << 30) -> None:
        self._file = path.open("rb")
        compression = compression_of(path.name)
        self._inner: Any = pa.CompressedInputStream(self._file, compression) if compression else None
        self._max_read_bytes = max_read_bytes
        self._place = 0

    def read(self, size: int) -> bytes:
        """Return up to `size` of the next bytes, fewer only at the end."""
        if size > self._max_read_bytes:
            raise BombError(f"{size:,} bytes are said to be one piece of it")
        if self._inner is None:
            data = self._file.read(size)
        else:
            data = self._inner.read(size)
            self._check(len(data))
        self._place += len(data)
        return data

    def tell(self) -> int:
        """Return how many bytes were read."""
        return self._place

    def seek(self, place: int) -> int:
        """Read on to `place`, which is not behind: what tarfile asks for between two members."""
        if place < self._place:  # an archive whose headers lead back, as only a forged one does
            raise OSError(f"it leads from byte {self._place:,} back to {place:,}")
        if self._inner is None:
            self._place = self._file.seek(place)
        while self._place < place and self.read(min(place - self._place, 1 << 18)):
            pass
        return self._place

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def __enter__(self) -> ForwardStream:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _check(self, num_new: int) -> None:
        read, taken = self._place + num_new, self._file.tell()
        if read > FREE_BYTES and read > MAX_RATIO * taken:
            raise BombError(
                f"{read:,} bytes came of the first {taken:,}, more than {MAX_RATIO} times as many"
            )
