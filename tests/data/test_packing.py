"""Packing loses nothing, cuts nothing, and lays a batch out as the worked example of types.py says."""

from collections import Counter
from dataclasses import replace

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from spanmix.data.packing import collate, pack
from spanmix.data_configs import DataConfig, SourceConfig
from spanmix.types import DocumentRef, Example


def example(num_positions: int, number: int = 0) -> Example:
    ids = np.arange(num_positions + 1, dtype=np.int32) + 10
    weights = np.ones(num_positions + 1, dtype=np.float32)
    weights[0] = 0
    return Example(ids, weights, 0, 0, DocumentRef(0, number, 0, 0))


def test_packing_keeps_every_example_whole():
    met: Counter[str] = Counter()

    @given(st.lists(st.integers(1, 64), min_size=1, max_size=200), st.integers(0, 9))
    def check(lengths, window):
        rows = pack([example(n, i) for i, n in enumerate(lengths)], 64, seed=3, window=window)
        assert sorted(e.ref.document for row in rows for e in row) == list(range(len(lengths)))
        fill = [sum(e.num_positions for e in row) for row in rows]
        assert max(fill) <= 64
        # Best fit leaves no two rows that would fit into one.
        assert len(fill) < 2 or sum(sorted(fill)[:2]) > 64
        met["several rows"] += len(rows) > 2
        met["several in a row"] += max(map(len, rows)) > 2

    check()
    assert min(met["several rows"], met["several in a row"]) > 20


def test_the_worked_example():
    infill = np.array([0, 10, 3, 12, 0, 1, 3, 11, 2, 0], dtype=np.int32)
    causal = np.array([0, 20, 21, 0], dtype=np.int32)

    def make(ids: np.ndarray) -> Example:
        weights = np.ones(len(ids), dtype=np.float32)
        weights[0] = 0
        return Example(ids, weights, 0, 0, DocumentRef(0, 0, 0, 0))

    config = DataConfig(32, 1, (SourceConfig("code", 1.0),))
    whole = collate([[make(infill), make(causal)]], config, pad_id=9, first_row=7)
    assert not whole.loss_weights[0, 14:].any() and not whole.segment_ids[0, 14:].any()
    names = ("token_ids", "targets", "loss_weights", "segment_ids", "positions", "in_prefix")
    batch = replace(whole, **{name: getattr(whole, name)[:, :14] for name in names})
    assert not batch.in_prefix.any()
    assert batch.token_ids.tolist() == [[0, 10, 3, 12, 0, 1, 3, 11, 2, 0, 20, 21, 9, 9]]
    assert batch.targets.tolist() == [[10, 3, 12, 0, 1, 3, 11, 2, 0, 20, 21, 0, 9, 9]]
    assert batch.loss_weights.tolist() == [[1] * 12 + [0, 0]]
    assert batch.segment_ids.tolist() == [[1] * 9 + [2] * 3 + [0, 0]]
    assert batch.positions.tolist() == [[*range(9), 0, 1, 2, 0, 1]]
    assert batch.first_row == 7
    part = batch.rows(0, 1)
    assert part.segments == batch.segments and part.first_row == 7
