"""Estimate pass@k: how likely it is that at least one of k samples of a problem is right.

The estimator is the unbiased one of Chen et al., 2021 (section 2.1): of n samples, c of them right, the share
of all draws of k in which there is a right one, ``1 - C(n - c, k) / C(n, k)``. It needs n >= k; a figure of
fewer samples is not reported, as it would have to be made up.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from spanmix.errors import InputError
from spanmix.evaluate import intervals
from spanmix.evaluate.intervals import Interval

KS = (1, 10, 100)
"""The k that papers report."""


@dataclass(frozen=True)
class Tally:
    """How many samples a problem has, and how many of them passed."""

    num_samples: int
    num_passed: int

    def __post_init__(self) -> None:
        if not 0 <= self.num_passed <= self.num_samples:
            raise InputError(f"{self.num_passed} of {self.num_samples} samples passed, which cannot be")


@dataclass(frozen=True)
class PassAtK:
    """What is known of a model on a set of problems.

    Args:
        figures: pass@k for each k that can be reported: the mean over problems, with the 95 % interval of a
            bootstrap over problems. Where all problems have the same figure, such as 0, it has no width.
        left_out: for each other k, why not.
        num_problems: problems.
        num_samples: samples of all of them.
        num_passed: samples that passed.
    """

    figures: dict[int, Interval]
    left_out: dict[int, str]
    num_problems: int
    num_samples: int
    num_passed: int


def estimate(num_samples: int, num_passed: int, k: int) -> float:
    """Return the unbiased estimate of pass@k of one problem, to the precision of a float for any n.

    Args:
        num_samples: n.
        num_passed: c, from 0 to n.
        k: from 1 to n.

    Raises:
        InputError: there are fewer than k samples, or k is less than 1.

    >>> estimate(10, 3, 1), estimate(5, 2, 5)
    (0.3, 1.0)
    """
    if not 1 <= k <= num_samples:
        raise InputError(
            f"pass@{k} of {num_samples} samples cannot be estimated; use a k from 1 to the number of samples"
        )
    Tally(num_samples, num_passed)  # which checks itself
    if num_passed == 0:
        return 0.0
    if num_samples - num_passed < k:
        return 1.0
    if k == 1:
        return num_passed / num_samples
    # C(n - c, k) / C(n, k) is a product of c factors, or of k with c and k changed over: the fewer are taken.
    few, many = sorted((num_passed, k))
    factors = -many / np.arange(num_samples - few + 1, num_samples + 1, dtype=np.float64)
    return float(-np.expm1(np.sum(np.log1p(factors))))


def pass_at_k(tallies: Mapping[str, Tally], ks: Sequence[int] = KS, seed: int = 0) -> PassAtK:
    """Estimate pass@k of a set of problems for every k that each of them has samples enough for.

    Args:
        tallies: of every problem of the set by its id; one that was not tried has 0 samples.
        ks: which k.
        seed: of the bootstrap.

    Raises:
        InputError: there is no problem, or a k is less than 1.
    """
    if not tallies:
        raise InputError("pass@k of no problem cannot be estimated; give at least one")
    figures: dict[int, Interval] = {}
    left_out: dict[int, str] = {}
    fewest = min(tallies, key=lambda task_id: tallies[task_id].num_samples)
    least = tallies[fewest].num_samples
    for k in sorted(set(ks)):
        if k < 1:
            raise InputError(f"pass@{k} cannot be estimated; use a k of at least 1")
        if least < k:
            there = "1 sample" if least == 1 else f"{least} samples"
            left_out[k] = f"{fewest} has {there}, and pass@{k} needs {k} of every problem"
            continue
        values_C = np.array([estimate(t.num_samples, t.num_passed, k) for t in tallies.values()])
        figures[k] = intervals.ratio(values_C, np.ones(len(values_C)), seed)
    return PassAtK(
        figures,
        left_out,
        len(tallies),
        sum(tally.num_samples for tally in tallies.values()),
        sum(tally.num_passed for tally in tallies.values()),
    )
