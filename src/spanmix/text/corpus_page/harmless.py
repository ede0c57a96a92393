"""Write text of any origin so that it can be looked at: of bounded length, and moving nothing else.

Escaping for HTML is done by `spanmix.html`; a path or an excerpt can do harm beyond that. It may hold line
ends, commands for a terminal, characters that nobody sees, or ones that turn around the order of what stands
behind them (Boucher and Anderson, "Trojan Source", 2021). These are shown by a picture or their number.
"""

from __future__ import annotations

import re

from spanmix.control_pictures import printable

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


def size(num_bytes: float) -> str:
    """Write a number of bytes with a unit, in thousands.

    >>> size(999), size(1_234_567), size(2.5e12)
    ('999 B', '1.23 MB', '2.5 TB')
    """
    for factor, unit in ((1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if abs(num_bytes) >= factor:
            return f"{num_bytes / factor:.3g} {unit}"
    return f"{num_bytes:.0f} B"


def share(part: float, whole: float) -> str:
    """Write a share in percent; a dash where there is no whole, and never 0 % or 100 % for what is not.

    >>> share(1, 3), share(1, 10**6), share(999_999, 10**6), share(0, 5), share(0, 0)
    ('33.3 %', '< 0.1 %', '> 99.9 %', '0 %', '–')
    """
    if not whole:
        return "–"
    percent = 100 * part / whole
    if percent in (0, 100):
        return f"{percent:.0f} %"
    if percent < 0.1:
        return "< 0.1 %"
    return "> 99.9 %" if percent > 99.9 else f"{percent:.1f} %"
