"""Count the characters of an HTML page that a reader sees."""

from __future__ import annotations

import html
import re

_HIDDEN = re.compile(r"<(script|style)(?=[\s/>])|<!--", re.IGNORECASE)
_TAG = re.compile(r"<[A-Za-z/!?][^<>]*+>")


def count_visible_characters(text: str) -> int:
    """Return how many characters remain of a page without tags, comments, scripts and style sheets.

    Blanks between the tags count, as they do where bigcode reads a page with Beautiful Soup.

    >>> count_visible_characters("<p>a &amp; b</p><script>if (a < b) {}</script>")
    5
    """
    pieces = []
    at = 0
    lowered = text.lower()
    if len(lowered) != len(text):  # a few characters have longer forms in lower case
        lowered = text
    while found := _HIDDEN.search(text, at):
        pieces.append(text[at : found.start()])
        close = "-->" if found.group(1) is None else f"</{found.group(1).lower()}"
        end = lowered.find(close, found.end())
        if end < 0:
            at = len(text)
            break
        at = end + 3 if found.group(1) is None else text.find(">", end) + 1 or len(text)
    pieces.append(text[at:])
    return len(html.unescape(_TAG.sub("", "".join(pieces))))
