"""Write text of any origin so that it can be looked at: of bounded length, and moving nothing else.

Escaping for HTML is done by `spanmix.html`; a path or an excerpt can do harm beyond that. It may hold line
ends, commands for a terminal, characters that nobody sees, or ones that turn around the order of what stands
behind them (Boucher and Anderson, "Trojan Source", 2021). These are shown by a picture or their number.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from spanmix.control_pictures import printable

MOST_ROWS = 30
"""A table in Markdown has so many rows at most; nobody reads more of a card."""
_HIDDEN = re.compile(
    "[\u00ad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\ud800-\udfff"
    "\U000e0000-\U000e007f]"
)
"""What turns the direction of text, breaks lines, or is not seen at all; the joiners that Persian and Hindi
are written with are not among them."""
_MARKDOWN = re.compile(r"([\\`*_\[\]|~$])")
"""What Markdown reads inside of a line."""


def one_line(words: str, most: int = 200) -> str:
    r"""Return text as one line of at most `most` characters and an ellipsis.

    >>> one_line("a\nb\tc\x1b[2J\u202egpj"), one_line("abcdef", 3)
    ('a␊b␉c␛[2J⟨U+202E⟩gpj', 'abc…')
    """
    return passage(words, most).replace("\n", "␊").replace("\t", "␉")


def passage(words: str, most: int = 600) -> str:
    """Return text with its line ends and tabs, of at most `most` characters and an ellipsis."""
    cut = words[:most] + "…" * (len(words) > most)
    return _HIDDEN.sub(lambda found: f"⟨U+{ord(found[0]):04X}⟩", printable(cut))


def markdown(words: str, most: int = 200) -> str:
    r"""Return text as one line that Markdown, its tables included, takes for nothing but text.

    >>> markdown("a|b <i>*c*")
    'a\\|b &lt;i&gt;\\*c\\*'
    """
    plain = one_line(words, most).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return _MARKDOWN.sub(r"\\\1", plain)


def markdown_table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Return the lines of a Markdown table, whose cells have been through `markdown`."""
    lines = [f"| {' | '.join(heads)} |", "|" + "---|" * len(heads)]
    return lines + [f"| {' | '.join(cells)} |" for cells in rows]
