"""Put an interval around a difference of arms, paired by seed and by file, and say what it could have found.

Of every seed and file there is one number, the contrast of the arms' bits; the effect is the mean over seeds
of its sum over files, divided by the files' bytes. Two things could have been otherwise: other held-out
files, and other seeds. The first is a percentile bootstrap over files of the mean over seeds; the second is
Student's interval of the seeds' own effects. The interval's half-widths are the root of the sum of both
squares, on each side. Since the bootstrap of few seeds' mean holds some of the seeds' spread too, that is a
little wider than needed.

The minimum detectable effect is the one whose interval leaves out 0 with a probability of 80 %: half the
interval's width, and 0.84 standard errors more.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spanmix.evaluate.intervals import resampled_sums

LEVEL = 0.95
NORMAL_80 = 0.8416212335729143
_BOOTSTRAP_SEED = 0
Float64Array = NDArray[np.float64]


@dataclass(frozen=True)
class Effect:
    """A difference with its interval.

    Args:
        value: of all seeds and files.
        low, high: ends of the interval; None where there are too few seeds or files for one.
        mde: the minimum detectable effect; None likewise.
        by_seed: the effect of each seed.
        num_files: files, or groups.
    """

    value: float
    low: float | None
    high: float | None
    mde: float | None
    by_seed: tuple[float, ...]
    num_files: int


def effect_of(contrast_SC: Float64Array, size_C: Float64Array, level: float = LEVEL) -> Effect:
    """Return the effect of a contrast; see the module's header.

    Args:
        contrast_SC: float64 [seeds, files], such as the bits of one arm minus those of another.
        size_C: float64 [files], what it is divided by, such as bytes.
        level: of the interval.

    Two seeds and three files of ten bytes, on which one arm takes one and two bits more:

    >>> effect = effect_of(np.array([[1.0, 1.0, 1.0], [2.0, 2.0, 2.0]]), np.array([10.0, 10.0, 10.0]))
    >>> round(effect.value, 3), [round(value, 3) for value in effect.by_seed]
    (0.15, [0.1, 0.2])
    """
    num_seeds, num_files = contrast_SC.shape
    by_seed = tuple((contrast_SC.sum(axis=1) / size_C.sum()).tolist())
    value = math.fsum(by_seed) / num_seeds
    if num_seeds < 2 or num_files < 2:
        return Effect(value, None, None, None, by_seed, num_files)
    columns_C2 = np.column_stack([contrast_SC.mean(axis=0), size_C])
    sums_R2 = resampled_sums(columns_C2, _BOOTSTRAP_SEED)
    figures_R = sums_R2[:, 0] / sums_R2[:, 1]
    file_low, file_high = np.quantile(figures_R, [(1 - level) / 2, (1 + level) / 2]).tolist()
    seed_error = float(np.std(by_seed, ddof=1)) / math.sqrt(num_seeds)
    seed_half = student_quantile((1 + level) / 2, num_seeds - 1) * seed_error
    low = value - math.hypot(max(0.0, value - file_low), seed_half)
    high = value + math.hypot(max(0.0, file_high - value), seed_half)
    error = math.hypot(float(np.std(figures_R)), seed_error)
    return Effect(value, low, high, (high - low) / 2 + NORMAL_80 * error, by_seed, num_files)


def student_quantile(probability: float, degrees: int) -> float:
    """Return a quantile of Student's t for a whole number of degrees of freedom, probability above one half.

    >>> [round(student_quantile(0.975, degrees), 3) for degrees in (1, 2, 3, 9)]
    [12.706, 4.303, 3.182, 2.262]
    """
    assert 0.5 < probability < 1 and degrees >= 1
    low, high = 0.0, 1.0
    while _within(high, degrees) < 2 * probability - 1:
        high *= 2
    for _ in range(100):
        middle = (low + high) / 2
        if _within(middle, degrees) < 2 * probability - 1:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def _within(t: float, degrees: int) -> float:
    """Return the probability of -t to t (Abramowitz and Stegun, 26.7.3 and 26.7.4)."""
    theta = math.atan(t / math.sqrt(degrees))
    cos2 = math.cos(theta) ** 2
    odd = degrees % 2
    term = math.sin(theta) * (math.cos(theta) if odd else 1.0)
    total = term if degrees > 1 else 0.0
    for k in range(1, (degrees - 1) // 2 if odd else degrees // 2):
        term *= cos2 * (2 * k / (2 * k + 1) if odd else (2 * k - 1) / (2 * k))
        total += term
    return 2 / math.pi * (theta + total) if odd else total
