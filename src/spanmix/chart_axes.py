"""What all charts share: the scale of an axis with its round values, how figures are written, colors."""

from __future__ import annotations

import math

NUM_COLORS = 6


class Axis:
    """Maps values to places, and knows its round values."""

    def __init__(self, low: float, high: float, start: float, stop: float, tight: bool = False) -> None:
        if high <= low:
            low, high = low - (abs(low) * 0.1 or 1), high + (abs(high) * 0.1 or 1)
        self.step = _round_step((high - low) / 5)
        if not tight:
            low, high = math.floor(low / self.step) * self.step, math.ceil(high / self.step) * self.step
        self.low, self.high, self.start, self.stop = low, high, start, stop

    def place(self, value: float) -> float:
        """Return where a value stands, in units of the drawing."""
        share = (value - self.low) / (self.high - self.low)
        return round(self.start + share * (self.stop - self.start), 1)

    @property
    def ticks(self) -> list[float]:
        """Round values, about five of them, from the lowest to the highest."""
        first = math.ceil(self.low / self.step - 1e-9)
        last = math.floor(self.high / self.step + 1e-9)
        return [index * self.step for index in range(first, last + 1)]


def _round_step(rough: float) -> float:
    size = 10.0 ** math.floor(math.log10(rough))
    return next(size * factor for factor in (1, 2, 2.5, 5, 10) if size * factor >= rough * 0.999)


def number(value: float) -> str:
    """Write a figure with three to four digits, and a letter for thousands and millions.

    >>> [number(value) for value in (0, 0.5, 2.3456, 950, 12000, 2_400_000)]
    ['0', '0.5', '2.346', '950', '12k', '2.4M']
    """
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
        if abs(value) >= size:
            return f"{value / min(size, 1e3 if letter == 'k' else size):.4g}{letter}"
    return "0" if abs(value) < 1e-12 else f"{value:.4g}"
