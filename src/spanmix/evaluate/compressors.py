"""Measure what ``xz -9e`` makes of the files that a model is scored on.

Sizes are those of the ``.xz`` files that the command line writes, headers and checksum included. A
compression takes about 0.7 GB and one core, at 0.3 to 1 MB/s on code. It runs in a thread: lzma lets
go of the interpreter while it works, and a thread ends with its process, however that is ended.
"""

from __future__ import annotations

import contextlib
import lzma
import os
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from spanmix.evaluate import intervals
from spanmix.evaluate.intervals import Interval
from spanmix.evaluate.scoring import Progress

_CHUNK_BYTES = 1 << 18
_YIELDING_PRIORITY = 15


def _compressor() -> lzma.LZMACompressor:
    """Return what ``xz -9e`` uses."""
    preset = 9 | lzma.PRESET_EXTREME
    return lzma.LZMACompressor(format=lzma.FORMAT_XZ, check=lzma.CHECK_CRC64, preset=preset)


def xz_size(chunks: Iterable[bytes]) -> int:
    """Return how many bytes ``xz -9e`` writes for these chunks, one behind the other.

    >>> xz_size([b"spanmix " * 1000])
    112
    """
    compressor = _compressor()
    return sum(len(compressor.compress(chunk)) for chunk in chunks) + len(compressor.flush())


@dataclass(frozen=True)
class XzPerFile:
    """``xz -9e`` of each file by itself: bits of all ``.xz`` files over all bytes, interval over files."""

    bits_per_byte: Interval
    num_files: int
    num_bytes: int
    compressed_bytes: tuple[int, ...]


def xz_per_file(files: Sequence[bytes], *, seed: int, progress: Progress | None = None) -> XzPerFile:
    """Compress each file by itself; every call of xz starts with nothing learnt.

    Args:
        files: the contents; at least one is not empty.
        seed: the run's seed, for the interval.
        progress: called with (files done, files in all).
    """
    sizes: list[int] = []
    for content in files:
        sizes.append(xz_size([content]))
        if progress is not None:
            progress(len(sizes), len(files))
    num_bytes_C = np.array([len(content) for content in files], dtype=np.float64)
    compressed_C = np.array(sizes, dtype=np.float64)
    return XzPerFile(
        intervals.ratio(8 * compressed_C, num_bytes_C, seed), len(files), int(num_bytes_C.sum()), tuple(sizes)
    )


@dataclass(frozen=True)
class XzAfterTraining:
    """``xz(train + held out) - xz(train)``: what the held-out files cost xz once it has read the rest.

    xz looks back 64 MiB, so it remembers the training files only as far as that.
    """

    bits_per_byte: float
    train_bytes: int
    held_out_bytes: int
    train_compressed_bytes: int
    both_compressed_bytes: int


class CompressionStoppedError(Exception):
    """A compression was told to stop."""


class XzAfterTrainingJob:
    """Computes `XzAfterTraining` behind other work, in two threads of low priority.

    Use it as a context manager: leaving the block before the result is there stops the work.

    Args:
        train: makes an iterator over the training files, in the corpus's order; it is called twice,
            from two threads, and may read the files as it goes.
        held_out: the held-out files.
        progress: called from the threads with (bytes read, bytes in all), both compressions together.
        total_bytes: bytes of the training files, if known, for `progress`.
    """

    def __init__(
        self,
        train: Callable[[], Iterable[bytes]],
        held_out: Sequence[bytes],
        *,
        progress: Progress | None = None,
        total_bytes: int = 0,
    ) -> None:
        self._held_out = held_out
        self._progress = progress
        self._bytes_in_all = 2 * total_bytes + self._held_out_bytes
        self._bytes_read = [0, 0]
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._pool = ThreadPoolExecutor(max_workers=2, thread_name_prefix="xz", initializer=_yield_to_others)
        self._both: Future[int] = self._pool.submit(self._compress, 0, train, held_out)
        self._train: Future[int] = self._pool.submit(self._compress, 1, train, ())

    @property
    def _held_out_bytes(self) -> int:
        return sum(len(content) for content in self._held_out)

    def __enter__(self) -> XzAfterTrainingJob:
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()

    def done(self) -> bool:
        """Whether `result` will answer at once."""
        return self._both.done() and self._train.done()

    def stop(self) -> None:
        """Give up, within a moment, what is not done yet; `result` may raise from then on."""
        self._stopped.set()
        self._pool.shutdown(wait=True, cancel_futures=True)

    def result(self) -> XzAfterTraining:
        """Wait for both compressions.

        Raises:
            CompressionStoppedError: `stop` came first.
            ValueError: the held-out files hold no byte.
        """
        both, train = self._both.result(), self._train.result()
        self._pool.shutdown(wait=False)
        if not self._held_out_bytes:
            raise ValueError("the held-out files hold no byte")
        bits = 8 * (both - train)
        return XzAfterTraining(
            bits / self._held_out_bytes, self._bytes_read[1], self._held_out_bytes, train, both
        )

    def _compress(self, job: int, train: Callable[[], Iterable[bytes]], then: Iterable[bytes]) -> int:
        def chunks() -> Iterator[bytes]:
            for part in (train(), then):
                for chunk in _in_chunks(part):
                    if self._stopped.is_set():
                        raise CompressionStoppedError
                    yield chunk
                    self._advance(job, len(chunk))

        return xz_size(chunks())

    def _advance(self, job: int, num_bytes: int) -> None:
        with self._lock:
            self._bytes_read[job] += num_bytes
            if self._progress is not None:
                self._progress(sum(self._bytes_read), max(self._bytes_in_all, sum(self._bytes_read)))


def _in_chunks(files: Iterable[bytes]) -> Iterator[bytes]:
    """Join small files and cut large ones, so that xz is called, and can be stopped, at a steady pace."""
    waiting = bytearray()
    for content in files:
        waiting += content
        while len(waiting) >= _CHUNK_BYTES:
            yield bytes(waiting[:_CHUNK_BYTES])
            del waiting[:_CHUNK_BYTES]
    if waiting:
        yield bytes(waiting)


def _yield_to_others() -> None:
    """Lower the priority of this thread, where the system has priorities of threads."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _YIELDING_PRIORITY)


def ratio_to_xz(nats: Sequence[float], xz: XzPerFile, *, seed: int) -> Interval:
    """Return a model's bits over those of ``xz -9e`` on the same files, paired over files.

    Args:
        nats: the model's loss on each file, in the order in which the files were compressed.
        xz: what xz made of them.
        seed: the run's seed.

    Raises:
        ValueError: the files are not the same number.
    """
    if len(nats) != xz.num_files:
        raise ValueError(f"the model was scored on {len(nats)} files, and xz on {xz.num_files}")
    bits_C = np.asarray(nats, dtype=np.float64) / np.log(2)
    return intervals.ratio(bits_C, 8 * np.array(xz.compressed_bytes, dtype=np.float64), seed)
