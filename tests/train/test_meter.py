"""The share of the peak is at most all of it, however busy the machine was when the peak was measured."""

import random

import numpy as np

from spanmix.model.architecture import Architecture
from spanmix.train import meter as meter_module
from spanmix.train.meter import Meter, Unreported
from spanmix.train.step import StepLosses
from spanmix.types import Batch, DocumentRef, Segment

SHAPE = Architecture(2, 64, 4, 16, 64, 128)


def test_a_share_is_at_most_1_and_the_peak_is_the_highest_that_was_seen(monkeypatch):
    choose = random.Random(5)
    seconds = [choose.uniform(0.5, 2.0) for _ in range(60)]
    now = [0.0]
    monkeypatch.setattr(meter_module.time, "perf_counter", lambda: now[0])
    flops = SHAPE.training_flops(64, 64 * 65 // 2, False)
    peaks = iter([flops * 0.6, *(flops * choose.uniform(0.5, 1.5) for _ in range(60))])
    seen = []

    def measure():
        seen.append(next(peaks))
        return seen[-1]

    meter = Meter(["causal"], ["code"], SHAPE, measure, Unreported())
    passed = 0
    for interval in seconds:
        highest = max(seen)
        meter.update(*one_row())
        now[0] += interval
        share = next(m.value for m in meter.report(1e-3) if m.name == "mfu")
        assert 0 < share <= 1
        seen.append(flops / interval)
        passed += flops / interval > highest
        assert abs(share * max(seen) / (flops / interval) - 1) < 1e-9
    assert passed >= 3


def one_row():
    ids = np.zeros((1, 64), np.int32)
    segment = Segment(0, 0, 64, 0, 0, DocumentRef(0, 0, 0, 0))
    batch = Batch(ids, ids, ids + np.float32(1), ids + 1, ids, ids > 0, (segment,), 0)
    return batch, StepLosses(batch.segments, [1.0], [64.0], 1.0)
