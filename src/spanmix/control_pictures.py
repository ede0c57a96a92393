"""Show control characters by their pictures, so that no file can command a terminal or break a page."""

from __future__ import annotations


def printable(text: str) -> str:
    """Replace what would move the cursor or command the terminal, but for line ends and tabs, by its picture.

    >>> printable("a\\x1b[2J\\r\\n\\x9b\\x7f")
    'a␛[2J␍\\n�␡'
    """
    return text.translate(_PICTURES)


_PICTURES = {code: chr(0x2400 + code) for code in range(0x20) if chr(code) not in "\n\t"}
_PICTURES |= dict.fromkeys(range(128, 160), "�") | {0x7F: "\u2421"}
