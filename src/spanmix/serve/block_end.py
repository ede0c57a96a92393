"""End an answer where the block ends that it is written into."""

from __future__ import annotations


class BlockEnd:
    r"""Passes text on as long as its lines are indented enough.

    A line with fewer blanks in front than wanted ends the text in front of it; lines of blanks alone and the
    first line, which goes on where the cursor is, do not count. Blanks at the start of a line are held back
    until it is known what follows.

    >>> rule = BlockEnd(4)
    >>> [rule.push(piece) for piece in ("a\n", "  ", "  b\n\n", "c", "d")], rule.is_over
    (['a\n', '', '    b\n\n', '', ''], True)

    Args:
        least_blanks: blanks in front of a line that belongs to the block; a tab counts as one.
    """

    def __init__(self, least_blanks: int) -> None:
        self._least_blanks = least_blanks
        self._held = ""
        self._at_start = False
        self.is_over = False

    def push(self, text: str) -> str:
        """Take more text; return what is certain to belong to the block."""
        given: list[str] = []
        for character in text:
            if self.is_over:
                break
            if character == "\n":
                given.append(self._held + character)
                self._held, self._at_start = "", True
            elif not self._at_start:
                given.append(character)
            elif character in " \t":
                self._held += character
            elif len(self._held) < self._least_blanks:
                self.is_over, self._held = True, ""
            else:
                given.append(self._held + character)
                self._held, self._at_start = "", False
        return "".join(given)

    def flush(self) -> str:
        """Return what was held back, where the text ends."""
        held, self._held = self._held, ""
        return held
