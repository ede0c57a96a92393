"""Bring a text into the form in which problems are looked for: case, whitespace and quotes count for nothing.

A text is folded first, to bytes. Then it is read in one of two ways::

    text     Return  x[0] +\\n\\t"A"          (the line end may also be the two characters of its escape)
    folded   return  x[0] +   "a"
    words    return x 0 a                    what lies between words makes no difference at all
    code     returnx[0]+a                    what remains without whitespace, quotes and backslashes

Two passages of code are equal if their words are, one by one, and their code is too.
"""

from __future__ import annotations

import re

_OUTSIDE_ASCII = re.compile(r"[^\x00-\x7f\w]")  # in this order: most characters are done with by the range
"""What is neither ASCII nor a letter, a digit or an underscore; it counts as a space."""
_ALONE = re.compile("([\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af])")
"""Kana, Han and Hangul, written without spaces; each is a word of its own."""
_MAYBE_ALONE = re.compile("[^\x00-\u303f]")
"""What a text without any of them is quickly told by."""
_WORD = re.compile(rb"[^ ]+")

_LETTERS = frozenset(b"abcdefghijklmnopqrstuvwxyz0123456789_") | frozenset(range(0x80, 0x100))
_TO_WORDS = bytes(byte if byte in _LETTERS else 0x20 for byte in bytes(range(256)).lower())
_NOT_CODE = bytes(range(0x21)) + b"\x7f\"'`\\"


def fold(text: str) -> bytes:
    """Return the text as UTF-8, its escaped line ends and tabs as two spaces each, in lower case.

    ASCII's capitals are left to `words`, which is quicker there. Notebooks and JSON lines hold line ends and
    tabs as the escapes, so a text and its form within JSON are folded alike, but for quotes and
    backslashes. A byte keeps its place if the text is ASCII.

    >>> fold("A\\\\nB \u2014 \u00c4\\n").decode()
    'a  b   \u00e4\\n'
    """
    if not text.isascii():
        text = _OUTSIDE_ASCII.sub(" ", text.lower())
        if _MAYBE_ALONE.search(text):
            text = _ALONE.sub(r" \1 ", text)
    folded = text.encode("utf-8", "surrogatepass")
    if b"\\" in folded:
        for escape in (b"\\n", b"\\t", b"\\r"):
            folded = folded.replace(escape, b"  ")
    return folded


def blanked(folded: bytes) -> bytes:
    """Return the words of a folded text at their places, with spaces around them.

    >>> blanked(b'Return  x[0] + "a_1"')
    b'return  x 0     a_1 '
    """
    return folded.translate(_TO_WORDS)


def words(folded: bytes) -> list[bytes]:
    """Return the words of a folded text.

    >>> words(b'Return  x[0] + "a_1"')
    [b'return', b'x', b'0', b'a_1']
    """
    return blanked(folded).split()


def places(folded: bytes) -> list[tuple[int, int]]:
    """Return where each of the `words` begins and ends."""
    return [match.span() for match in _WORD.finditer(blanked(folded))]


def code(folded: bytes) -> bytes:
    """Return what of a folded text makes a difference in code.

    >>> code(b'Return  x[0] +' + bytes([10, 9]) + b'"A"')
    b'returnx[0]+a'
    """
    return folded.translate(None, _NOT_CODE).lower()
