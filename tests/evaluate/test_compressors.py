"""Sizes are those of the .xz files that the command line writes."""

import lzma
import threading

import pytest

from spanmix.evaluate import compressors
from spanmix.evaluate.compressors import (
    CompressionStoppedError,
    XzAfterTrainingJob,
    ratio_to_xz,
    xz_per_file,
    xz_size,
)

# What `xz -9e` (5.4.1) wrote for: b"", b"a", b"spanmix\n" * 1000, bytes(range(256)) * 3.
KNOWN = [(b"", 32), (b"a", 60), (b"spanmix\n" * 1000, 112), (bytes(range(256)) * 3, 304)]


@pytest.mark.parametrize(("content", "size"), KNOWN)
def test_sizes_are_those_of_the_command_line(content, size):
    assert xz_size([content]) == size


def test_sizes_do_not_depend_on_chunks():
    content = b"".join(b"%d squared is %d\n" % (i, i * i) for i in range(4000))
    whole = lzma.compress(content, check=lzma.CHECK_CRC64, preset=9 | lzma.PRESET_EXTREME)
    assert xz_size([content]) == len(whole)
    assert xz_size([content[i : i + 777] for i in range(0, len(content), 777)]) == len(whole)


def test_each_file_is_compressed_by_itself():
    files = [content for content, _ in KNOWN if content]
    calls = []
    result = xz_per_file(files, seed=0, progress=lambda done, total: calls.append((done, total)))
    sizes = [size for content, size in KNOWN if content]
    assert list(result.compressed_bytes) == sizes
    assert result.bits_per_byte.value == 8 * sum(sizes) / sum(map(len, files))
    assert calls == [(1, 3), (2, 3), (3, 3)]


def test_the_ratio_is_paired_by_file():
    xz = xz_per_file([b"abc" * n for n in (10, 2000, 40)], seed=0)
    nats = [8 * size * 0.6931471805599453 / 2 for size in xz.compressed_bytes]
    ratio = ratio_to_xz(nats, xz, seed=0)
    assert (ratio.low, ratio.value, ratio.high) == pytest.approx((0.5, 0.5, 0.5))
    with pytest.raises(ValueError, match="2 files"):
        ratio_to_xz(nats[:2], xz, seed=0)


def test_after_training_is_the_difference_of_two_sizes():
    train = [b"def f_%d(): return %d\n" % (i, i * i) for i in range(3000)]
    held_out = [b"def f_17(): return 289\n", b"", b"def f_new(): return 5\n"]
    calls = []
    progress = lambda done, total: calls.append((done, total))  # noqa: E731
    with XzAfterTrainingJob(lambda: iter(train), held_out, progress=progress) as job:
        result = job.result()
        assert job.done()
    assert result.both_compressed_bytes == xz_size([b"".join(train + held_out)])
    assert result.train_compressed_bytes == xz_size([b"".join(train)])
    size = sum(map(len, held_out))
    assert (result.train_bytes, result.held_out_bytes) == (sum(map(len, train)), size)
    gained = result.both_compressed_bytes - result.train_compressed_bytes
    assert result.bits_per_byte == 8 * gained / size
    assert calls[-1][0] == 2 * result.train_bytes + size


def test_leaving_early_stops_the_work(monkeypatch):
    monkeypatch.setattr(compressors, "_CHUNK_BYTES", 1000)
    begun = threading.Event()

    def endless():
        while True:
            begun.set()
            yield b"again and again " * 50

    with XzAfterTrainingJob(endless, [b"x"]) as job:
        assert begun.wait(30)
        assert not job.done()
    with pytest.raises(CompressionStoppedError):
        job.result()
