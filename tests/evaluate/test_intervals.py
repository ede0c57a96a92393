"""Intervals hold the truth as often as they say, keep pairs together, and depend on the seed only."""

import numpy as np
import pytest

from spanmix.evaluate import intervals


def test_a_ratio_is_covered_nearly_as_often_as_promised():
    random = np.random.default_rng(5)
    hits, trials = 0, 200
    for seed in range(trials):
        sizes = random.integers(100, 5000, size=60).astype(float)
        bits = sizes * random.normal(2.0, 0.5, size=60)
        interval = intervals.ratio(bits, sizes, seed)
        assert interval.low <= interval.value <= interval.high
        hits += interval.low <= 2.0 <= interval.high
    assert 0.89 <= hits / trials <= 0.99


def test_a_share_of_clustered_answers_is_covered():
    random = np.random.default_rng(6)
    hits = naive_hits = 0
    trials = 300
    for _ in range(trials):
        rates = random.beta(1, 3, size=80)  # mean 0.25, very different between files
        tries = random.integers(1, 12, size=80)
        successes = random.binomial(tries, rates).astype(float)
        interval = intervals.share(successes, tries.astype(float))
        hits += interval.low <= 0.25 <= interval.high
        alone = intervals.share(np.array([successes.sum()]), np.array([float(tries.sum())]))
        naive_hits += alone.low <= 0.25 <= alone.high
    assert 0.9 <= hits / trials <= 0.99
    assert naive_hits < hits  # the design effect is what does it


def test_share_is_wilsons_where_answers_are_alone():
    # Agresti and Coull's example: 0 of 25 gives (0, 0.133).
    none = intervals.share(np.zeros(25), np.ones(25))
    assert none.low == 0 and none.high == pytest.approx(0.1332, abs=1e-4)
    every = intervals.share(np.ones(25), np.ones(25))
    assert every.high == 1 and every.low == pytest.approx(1 - 0.1332, abs=1e-4)


def test_pairing_keeps_a_small_steady_difference_visible():
    random = np.random.default_rng(7)
    shared = random.normal(2.0, 1.0, size=100)
    columns = np.column_stack([shared - 0.05, shared + random.normal(0, 0.05, size=100), np.ones(100)])
    paired = intervals.bootstrap(columns, lambda s: (s[..., 0] - s[..., 1]) / s[..., 2], seed=0)
    alone = intervals.ratio(columns[:, 0], columns[:, 2], seed=0)
    assert paired.excludes_zero and paired.high < 0
    assert alone.high - alone.low > 5 * (paired.high - paired.low)


def test_resampling_is_the_same_in_blocks_and_again(monkeypatch):
    columns = np.arange(30.0).reshape(10, 3)
    whole = intervals.resampled_sums(columns, seed=3, num_resamples=101)
    monkeypatch.setattr(intervals, "_BLOCK_WORDS", 70)
    assert np.array_equal(whole, intervals.resampled_sums(columns, seed=3, num_resamples=101))
    assert not np.array_equal(whole, intervals.resampled_sums(columns, seed=4, num_resamples=101))
    counts = intervals.resampled_sums(np.eye(10), seed=3, num_resamples=101)
    assert np.all(counts.sum(axis=1) == 10) and counts.mean() == 1


def test_empty_files_do_not_spoil_an_interval():
    interval = intervals.ratio(np.array([0.0, 0.0, 6.0]), np.array([0.0, 0.0, 3.0]), seed=0)
    assert (interval.low, interval.value, interval.high) == (2, 2, 2)
    with pytest.raises(ValueError, match="are they empty"):
        intervals.ratio(np.zeros(3), np.zeros(3), seed=0)


def test_no_file_is_refused():
    with pytest.raises(ValueError, match="at least one file"):
        intervals.ratio(np.zeros(0), np.zeros(0), seed=0)
    with pytest.raises(ValueError, match="at least one file"):
        intervals.share(np.zeros(0), np.zeros(0))
