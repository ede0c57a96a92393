"""Put 95 % intervals around figures that are measured on files.

Spans and tokens of one file resemble each other, so the unit that is drawn again is the file: every
interval here is either a bootstrap over files (percentile; Efron, 1979) or, for a share of yes-or-no
answers, Wilson's interval (1927) widened by the design effect of answering several times per file.
Two figures of the same files are compared by resampling both at once, which keeps them paired.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spanmix import seeding

Float64Array = NDArray[np.float64]
Statistic = Callable[[Float64Array], Float64Array]
"""From sums over files [..., K] to a figure [...]."""

NUM_RESAMPLES = 2000
LEVEL = 0.95
_Z = 1.959963984540054  # two-sided 95 % point of the normal distribution
_BLOCK_WORDS = 4_000_000


@dataclass(frozen=True)
class Interval:
    """A figure with the lower and upper end of its 95 % interval, all in the figure's own unit."""

    value: float
    low: float
    high: float

    @property
    def excludes_zero(self) -> bool:
        """Whether zero lies outside the interval."""
        return self.low > 0 or self.high < 0


def resampled_sums(columns_CK: Float64Array, seed: int, num_resamples: int = NUM_RESAMPLES) -> Float64Array:
    """Draw the C files again, with replacement, and add up their columns.

    Args:
        columns_CK: one row per file, one column per quantity.
        seed: the same seed draws the same files, so figures of different calls stay paired.
        num_resamples: R.

    Returns:
        float64 [R, K].
    """
    num_files, num_columns = columns_CK.shape
    sums_RK = np.empty((num_resamples, num_columns))
    block = max(1, _BLOCK_WORDS // num_files)
    for start in range(0, num_resamples, block):
        resamples = np.arange(start, min(start + block, num_resamples))
        words_RC = seeding.draw(seed, "bootstrap", 0, 0, resamples, num_files)
        # `seeding.below` for arrays: the upper 32 bits times the bound, so that nothing overflows.
        files_RC = ((words_RC >> np.uint64(32)) * np.uint64(num_files)) >> np.uint64(32)
        cells_RC = files_RC.astype(np.int64) + np.arange(len(resamples))[:, None] * num_files
        counts = np.bincount(cells_RC.ravel(), minlength=len(resamples) * num_files)
        sums_RK[resamples] = counts.reshape(len(resamples), num_files).astype(np.float64) @ columns_CK
    return sums_RK


def bootstrap(columns_CK: Float64Array, statistic: Statistic, seed: int) -> Interval:
    """Return `statistic` of the sums over all files, with its percentile interval over files.

    Args:
        columns_CK: one row per file, one column per quantity; at least one file.
        statistic: from sums [..., K] to the figure [...]; called on [K] and on [R, K].
        seed: the run's seed.

    Raises:
        ValueError: there is no file, or the files have no figure, such as bits per byte of no bytes.

    Bits and bytes of three files, in bits per byte; identical files leave no doubt:

    >>> bootstrap(np.array([[8.0, 4.0], [8.0, 4.0], [8.0, 4.0]]), lambda s: s[..., 0] / s[..., 1], seed=0)
    Interval(value=2.0, low=2.0, high=2.0)
    """
    columns_CK = np.asarray(columns_CK, dtype=np.float64)
    if len(columns_CK) == 0:
        raise ValueError("an interval needs at least one file")
    with np.errstate(divide="ignore", invalid="ignore"):
        value = float(statistic(columns_CK.sum(axis=0)))
    if not np.isfinite(value):
        raise ValueError(f"the figure of all {len(columns_CK)} files is {value}; are they empty?")
    with np.errstate(divide="ignore", invalid="ignore"):
        figures_R = statistic(resampled_sums(columns_CK, seed))
    # A resample of nothing but empty files has no figure.
    figures_R = figures_R[np.isfinite(figures_R)]
    low, high = np.quantile(figures_R, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    # Rounding in the sums must not put the figure outside an interval of no width.
    return Interval(value, min(float(low), value), max(float(high), value))


def ratio(numerator_C: Float64Array, denominator_C: Float64Array, seed: int) -> Interval:
    """Return the ratio of two sums over files, such as all bits over all bytes.

    Args:
        numerator_C: one number per file.
        denominator_C: one positive number per file.
        seed: the run's seed.
    """
    columns_CK = np.stack([numerator_C, denominator_C], axis=1)
    return bootstrap(columns_CK, lambda sums: sums[..., 0] / sums[..., 1], seed)


def share(successes_C: Float64Array, trials_C: Float64Array) -> Interval:
    """Return the share of successes with Wilson's interval, for answers that come in files.

    The number of answers is divided by the design effect, the measured variance between files over
    the variance of independent answers, where that is above 1. Unlike the bootstrap, the interval
    says something when there is no success at all.

    Args:
        successes_C: successes in each file.
        trials_C: answers in each file, at least 1.

    Raises:
        ValueError: there is no file.

    >>> share(np.array([0.0]), np.array([10.0]))
    Interval(value=0.0, low=0.0, high=0.2775327998628892)
    """
    if len(trials_C) == 0:
        raise ValueError("an interval needs at least one file")
    num_files = len(trials_C)
    trials = float(np.sum(trials_C))
    value = float(np.sum(successes_C)) / trials
    design_effect = 1.0
    if num_files > 1 and 0 < value < 1:
        residuals_C = np.asarray(successes_C) - value * np.asarray(trials_C)
        between = num_files / (num_files - 1) * float(np.sum(residuals_C**2)) / trials**2
        design_effect = max(1.0, between / (value * (1 - value) / trials))
    effective = trials / design_effect
    scale = 1 + _Z**2 / effective
    center = (value + _Z**2 / (2 * effective)) / scale
    spread = value * (1 - value) / effective + _Z**2 / (4 * effective**2)
    half = _Z * math.sqrt(spread) / scale
    return Interval(value, min(value, max(0.0, center - half)), max(value, min(1.0, center + half)))
