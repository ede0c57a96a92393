"""A corpus larger than memory is read, mixed and packed in little memory of one's own."""

import itertools
import struct
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from spanmix.data.loader import Loader
from spanmix.data.sources import Mixture
from spanmix.data_configs import DataConfig, SourceConfig
from spanmix.objective_configs import CausalConfig, InfillConfig
from spanmix.objectives.choose import ObjectiveMixture
from spanmix.objectives.objective import Alphabet
from spanmix.text.token_store import TokenStore
from spanmix.types import ControlIds

MEBIBYTE = 1 << 20


def sparse_store(prefix: Path, num_documents: int, document_tokens: int) -> None:
    """Documents of zeros, of which the last is EOD, in a file of holes."""
    n = num_documents
    lengths = np.full(n, document_tokens, dtype=np.int32)
    with Path(f"{prefix}.idx").open("wb") as index:
        index.write(struct.pack("<9sQBQQ", b"MMIDIDX\x00\x00", 1, 8, n, n + 1))
        index.write(lengths.tobytes())
        index.write((np.arange(n, dtype=np.int64) * document_tokens * 2).tobytes())
        index.write(np.arange(n + 1, dtype=np.int64).tobytes())
    with Path(f"{prefix}.bin").open("wb") as tokens:
        tokens.truncate(2 * n * document_tokens)


class Watch:
    """The most memory of its own (RssAnon) that the process had while it was watched, in bytes."""

    def __init__(self) -> None:
        self.most = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> "Watch":
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.is_set():
            self.most = max(self.most, rss_anon())
            time.sleep(0.005)


def rss_anon() -> int:
    status = Path("/proc/self/status").read_text()
    [line] = [line for line in status.splitlines() if line.startswith("RssAnon")]
    return int(line.split()[1]) * 1024


@pytest.mark.parametrize(
    "num_documents",
    [100_000, pytest.param(10_000_000, marks=pytest.mark.nightly)],
    ids=["300 MB", "30 GB"],
)
def test_memory_of_our_own_stays_small(tmp_path, num_documents):
    sparse_store(tmp_path / "code", num_documents, document_tokens=1500)
    control = ControlIds(eot=1, sep=2, eom=3, pad=4, masks=tuple(range(5, 15)))
    before = rss_anon()
    with Watch() as watch:
        store = TokenStore(tmp_path / "code", eod=0)
        documents = type("Documents", (), {"num_documents": len(store), "tokens": lambda self, i: store[i]})()
        documents.num_prompt_tokens = store.num_prompt_tokens
        config = DataConfig(2048, 8, (SourceConfig("code", 1.0),))
        objectives = (CausalConfig(weight=1), InfillConfig(weight=1))
        mixture = Mixture(config, {"code": documents}, seed=1)
        alphabet = Alphabet(control, np.zeros(16, dtype=bool))
        written = ObjectiveMixture(objectives, alphabet, 2048, ["code"])
        loader = Loader(config, mixture, written, control.pad, "sparse")
        rows = sum(batch.num_rows for batch, _ in itertools.islice(loader.batches(loader.start(), 8), 400))
    assert rows == 3200
    # The index of 10 million documents is 200 MB; a corpus in memory would be 30 GB, or 300 MB.
    limit = 1000 * MEBIBYTE if num_documents > 10**6 else 100 * MEBIBYTE
    assert watch.most - before < limit, f"{(watch.most - before) / MEBIBYTE:.0f} MiB"
    print(f"\n{(watch.most - before) / MEBIBYTE:.0f} MiB of our own for {num_documents:,} documents")
