"""Know how fast prompts are read, to cut one that would take longer than its client waits."""

from __future__ import annotations

import statistics
from collections import deque
from collections.abc import Sequence

from spanmix.generate.row_cache import num_common

_LEAST_READ = 32
"""Fewer new tokens say little about the speed."""
_REMEMBERED = 8
"""As many speeds and prompts."""
_LEAST_PROMPT = 64
"""Tokens that a prompt keeps in any case: the line of the cursor, and some around it."""


class Reading:
    """The speed at which prompts were read lately, and which these were.

    >>> reading = Reading(keeps_prompts=True)
    >>> reading.most_tokens(range(4000), seconds=0.5) is None
    True
    >>> reading.note(range(4000), seconds=4.0)
    >>> reading.most_tokens(range(4100), seconds=0.5), reading.most_tokens(range(9000, 13000), seconds=0.5)
    (None, 384)

    Args:
        keeps_prompts: whether what a prompt has in common with these is not read again.
    """

    def __init__(self, keeps_prompts: bool) -> None:
        self._keeps_prompts = keeps_prompts
        self._prompts: deque[Sequence[int]] = deque(maxlen=_REMEMBERED)
        self._speeds: deque[float] = deque(maxlen=_REMEMBERED)

    def note(self, prompt_ids: Sequence[int], seconds: float) -> None:
        """Take note of how long it took from asking to the first token."""
        num_new = self._num_new(prompt_ids)
        if num_new >= _LEAST_READ and seconds > 0:
            self._speeds.append(num_new / seconds)
        self._prompts.append(prompt_ids)

    def most_tokens(self, prompt_ids: Sequence[int], seconds: float) -> int | None:
        """Return how long a prompt may be to be read in some time; None if this one is, or nothing is known.

        The number is rounded down to two binary digits, so that one prompt after the other is cut alike, and
        begins like the one in front of it.
        """
        if not self._speeds:
            return None
        most = int(statistics.median(self._speeds) * seconds)
        if self._num_new(prompt_ids) <= most:
            return None
        shift = max(0, most.bit_length() - 2)
        return max(_LEAST_PROMPT, most >> shift << shift)

    def _num_new(self, prompt_ids: Sequence[int]) -> int:
        known = self._prompts if self._keeps_prompts else ()
        return len(prompt_ids) - max((num_common(prompt_ids, one) for one in known), default=0)
