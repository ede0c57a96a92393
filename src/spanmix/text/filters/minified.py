"""Know scripts and style sheets that were made small for a browser, and the maps back to their source.

The bounds are linguist's (github-linguist 7.22, ``generated.rb``): the mean of the lines of a ``.js`` or
``.css`` file, cut to a whole number, is above 110 characters; or its last two lines name a source map.
"""

from __future__ import annotations

import re

MEAN_LINE = 110
_ENDINGS = (".js", ".css", ".mjs", ".cjs")
_MAP_NAME = re.compile(r"\.(?:css|[cm]?js)\.map$")
_MAP_START = re.compile(r'\{"version":\d+,|/\*\* Begin line maps\. \*\*/\{')
_MAP_COMMENT = re.compile(r"^/[*/][#@] source(?:Mapping)?URL|sourceURL=", re.MULTILINE)
_TAIL_CHARACTERS = 20_000


def minified_mark(path: str, text: str) -> str | None:
    r"""Return what shows that a file is minified or a source map, or None.

    >>> minified_mark("a.js", "x=1;" * 30), minified_mark("a.js", "x = 1;\n" * 30)
    ('mean line of 120 characters', None)
    """
    name = path.rpartition("/")[2].lower()
    if name.endswith(".map"):
        return "source map" if _MAP_NAME.search(name) or _MAP_START.match(text) else None
    if not name.endswith(_ENDINGS):
        return None
    if ".min." in name or "-min." in name:
        return f"the name {name}"
    num_lines = text.count("\n") + 1
    mean = (len(text) - num_lines + 1) // num_lines
    if mean > MEAN_LINE:
        return f"mean line of {mean} characters"
    return "names its source map" if _MAP_COMMENT.search(_last_lines(text)) else None


def _last_lines(text: str) -> str:
    """Return a text's last two lines, as linguist splits them, or their end if they are long."""
    tail = text[-_TAIL_CHARACTERS:]
    start = tail.rfind("\n", 0, max(tail.rfind("\n"), 0))
    return tail[start + 1 :]
