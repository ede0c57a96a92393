"""End an answer at an end of a line when its time is over."""

from __future__ import annotations


class LineEnd:
    r"""Passes text on until the time is over and a line ends; what follows that end is left out.

    >>> rule = LineEnd(1.0)
    >>> [rule.push(*piece) for piece in (("a\n", 7.0), ("b\nc", 7.9), ("d", 8.1), ("e\n  f", 8.2))]
    ['a\n', 'b\nc', 'd', 'e\n']

    Args:
        seconds: from the first piece on; if not given, it never ends.
    """

    def __init__(self, seconds: float | None) -> None:
        self._seconds = seconds
        self._first_at: float | None = None
        self.is_over = False

    def push(self, text: str, now: float) -> str:
        """Take the text that came now, in seconds; return what of it belongs to the answer."""
        if self._first_at is None:
            self._first_at = now
        if self._seconds is None or now - self._first_at < self._seconds or "\n" not in text:
            return text
        self.is_over = True
        return text[: text.index("\n") + 1]
