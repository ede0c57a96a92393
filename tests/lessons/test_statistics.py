"""Intervals hold what they promise: on simulated arms they contain the true effect as often as they say."""

import math

import numpy as np
import pytest

from spanmix.lessons.statistics import LEVEL, effect_of, student_quantile

NUM_FILES, NUM_SEEDS, NUM_TRIALS = 40, 3, 200


def simulated(random, effect, file_spread, seed_spread, noise, num_seeds=NUM_SEEDS):
    """Bits of one arm minus those of another: files differ, seeds differ, and so does each pair."""
    size_C = random.lognormal(6, 0.8, NUM_FILES)
    of_file_C = random.normal(0, file_spread, NUM_FILES)
    of_seed_S = random.normal(0, seed_spread, num_seeds)
    of_both_SC = random.normal(0, noise, (num_seeds, NUM_FILES))
    return (effect + of_file_C + of_seed_S[:, None] + of_both_SC) * size_C, size_C


@pytest.mark.parametrize(
    "spreads", [(0.05, 0.0, 0.0), (0.05, 0.02, 0.02), (0.0, 0.03, 0.01), (0.02, 0.004, 0.05)]
)
def test_the_interval_contains_the_true_effect_as_often_as_it_says(spreads):
    random = np.random.default_rng(7)
    held = missed_low = 0
    for _ in range(NUM_TRIALS):
        effect = effect_of(*simulated(random, 0.1, *spreads))
        held += effect.low <= 0.1 <= effect.high
        missed_low += effect.high < 0.1
    # Four standard deviations of the count below the level, and no more misses on one side than on the other.
    least = LEVEL - 4 * math.sqrt(LEVEL * (1 - LEVEL) / NUM_TRIALS)
    assert held / NUM_TRIALS >= least
    missed = NUM_TRIALS - held
    assert abs(2 * missed_low - missed) <= 4 * math.sqrt(missed) + 4


def test_the_detectable_effect_is_detected_about_four_times_in_five():
    random = np.random.default_rng(3)
    spreads = (0.05, 0.001, 0.01)
    mde = np.median([effect_of(*simulated(random, 0.0, *spreads)).mde for _ in range(40)])
    found = sum(effect_of(*simulated(random, mde, *spreads)).low > 0 for _ in range(NUM_TRIALS))
    assert 0.7 < found / NUM_TRIALS < 0.95


def test_the_spread_of_seeds_widens_the_interval():
    size_C = np.full(30, 100.0)
    still = np.ones((3, 30))
    moved = still * np.array([[0.0], [1.0], [2.0]])
    one, other = effect_of(still, size_C), effect_of(moved, size_C)
    assert one.value == pytest.approx(other.value) == pytest.approx(0.01)
    assert one.high - one.low == pytest.approx(0, abs=1e-12)
    # Student's t for three seeds: 4.303 * s / sqrt(3), s being 0.01.
    assert other.high - other.value == pytest.approx(4.303 * 0.01 / math.sqrt(3), rel=1e-3)


def test_one_seed_has_no_interval():
    effect = effect_of(np.ones((1, 9)), np.ones(9))
    assert (effect.value, effect.low, effect.high, effect.mde) == (1.0, None, None, None)


def test_a_higher_level_gives_a_wider_interval():
    contrast_SC, size_C = simulated(np.random.default_rng(1), 0.1, 0.05, 0.01, 0.01)
    widths = [effect_of(contrast_SC, size_C, level) for level in (0.9, 0.95, 0.99)]
    widths = [one.high - one.low for one in widths]
    assert widths == sorted(widths) and widths[0] < widths[-1]


def test_student_quantiles_are_those_of_the_tables():
    known = {
        1: 12.706,
        2: 4.303,
        3: 3.182,
        4: 2.776,
        5: 2.571,
        6: 2.447,
        7: 2.365,
        8: 2.306,
        9: 2.262,
        30: 2.042,
    }
    assert {n: round(student_quantile(0.975, n), 3) for n in known} == known
    assert round(student_quantile(0.995, 2), 3) == 9.925
