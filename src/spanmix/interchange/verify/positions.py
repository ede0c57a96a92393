"""Decide whether a text gets other log-probabilities beside a longer one than alone.

What pads the shorter text must not be seen by it. A position that is shifted as a whole is not seen by
rotary attention; padding that is attended to, and positions with gaps, are.
"""

from __future__ import annotations

from collections.abc import Sequence

from spanmix.interchange.verify.result import Check, cannot_tell, ok, wrong

_SAME = 0.05
_OTHER = 0.2
"""Nats a token. Batches of bfloat16 differ by a few hundredths; what sees padding differs by more."""
_NOISE = 5.0


def check_batch(
    name: str, alone: Sequence[float], again: Sequence[float], beside: Sequence[float], remedy: str
) -> Check:
    """Compare log-probabilities of the same tokens.

    Args:
        name: of the check.
        alone: of the text alone.
        again: the same, asked for once more.
        beside: of the text in a batch with a longer one.
        remedy: what mends it.
    """
    if len(alone) != len(beside) or not alone:
        detail = f"{len(alone)} log-probabilities alone and {len(beside)} in a batch: nothing to compare"
        return cannot_tell(name, detail)
    difference, noise = _mean_difference(alone, beside), _mean_difference(alone, again)
    figures = (
        f"log-probabilities of a text alone and beside a longer one differ by {difference:.2g} nats a token"
    )
    numbers = {"difference": round(difference, 4), "noise": round(noise, 4), "tokens": len(alone)}
    if difference <= _SAME:
        return ok(name, figures, **numbers)
    if difference >= max(_OTHER, _NOISE * noise):
        return wrong(name, f"{figures}: padding is seen, or positions are shifted by it", remedy, **numbers)
    return cannot_tell(name, f"{figures}, and by {noise:.2g} when asked twice", **numbers)


def _mean_difference(a: Sequence[float], b: Sequence[float]) -> float:
    return sum(abs(x - y) for x, y in zip(a, b, strict=True)) / len(a)
