"""Say how deep an HTML page nests before it is parsed, as a parser's time grows with the square of that.

The tags are read as the HTML standard's tokenizer does (comments, quoted attributes and the text of scripts
hold none), and what it says of open elements is followed as far as depth asks for it. Where it would take
more to know, the page counts as too deep.
"""

from __future__ import annotations

import re
from collections import defaultdict


def _names(words: str) -> frozenset[str]:
    return frozenset(words.split())


FORMATTING = _names("a b big code em font i nobr s small strike strong tt u")
"""Left open, these are opened again, with all their attributes, in each block that follows."""

_MAX_ATTRIBUTES = 500
_TAG = re.compile(
    r"<(/?)([A-Za-z][^\s/>]*+)"
    r"""((?:[\s/]++|[^\s/>][^\s/>=]*+(?:\s*+=\s*+(?:"[^"]*+"|'[^']*+'|(?!["'])[^\s>]*+))?+)*+)>"""
)
_COMMENT = re.compile(r"<!--(?:-?>|.*?--!?>)", re.DOTALL)
_NO_TAG = re.compile(r"<(?:[!?]|/[^A-Za-z>])[^>]*+>")
_CDATA = re.compile(r"<!\[CDATA\[.*?\]\]>", re.DOTALL)
_RAW = _names("script style textarea title xmp iframe noembed noframes")
_END_OF_RAW = {name: re.compile(rf"</{name}(?=[\s/>])", re.IGNORECASE) for name in _RAW}
_SCRIPT = re.compile("<script", re.IGNORECASE)

# These hold nothing, or end what they would be in themselves; or their tags close no other element.
_UNCOUNTED = _names(
    "area base br col embed hr img input link meta param source track wbr "
    "p li td th tr dd dt tbody thead tfoot option html head body form"
)
_FOREIGN = frozenset({"svg", "math"})
_HTML_INSIDE = _names("foreignobject desc title mi mo mn ms mtext annotation-xml")
_ENDS_FOREIGN = _names(
    "blockquote body br center dd div dl dt embed h1 h2 h3 h4 h5 h6 head hr img li listing menu meta ol p "
    "pre ruby span sub sup table ul var"
)
_SCOPES = _names("applet marquee object template table select") | _HTML_INSIDE
_SPECIAL = _SCOPES | _names(
    "address article aside blockquote button center details dir div dl fieldset figcaption figure footer h1 "
    "h2 h3 h4 h5 h6 header hgroup listing main menu nav noscript ol pre search section summary ul"
)


def is_deeper(page: str, limit: int) -> bool:
    """Return whether elements may stand in more than `limit` others, or one has more than 500 attributes.

    >>> is_deeper("<ul><li>a<li>b</ul>" * 9, 3), is_deeper("<div><!--</div>-->" * 9, 3)
    (False, True)
    """
    open_elements = _OpenElements()
    at = page.find("<")
    while at >= 0:
        match = _TAG.match(page, at)
        if match is None:
            if page[at + 1 : at + 2].isascii() and page[at + 1 : at + 2].isalpha():
                return False  # a tag without an end: the rest is dropped
            at = _behind_no_tag(page, at, open_elements.is_foreign)
            continue
        at = match.end()
        name, attributes = match[2].lower(), match[3]
        name = "span" if name in FORMATTING else name
        if (
            len(attributes) > _MAX_ATTRIBUTES
            and len(attributes.split(None, _MAX_ATTRIBUTES)) > _MAX_ATTRIBUTES
        ):
            return True
        if name == "frameset":
            return True
        if match[1]:
            if open_elements.is_foreign and name in ("p", "br"):
                return True
            open_elements.close(name)
        elif name == "plaintext":
            return False
        elif name in _RAW and not open_elements.is_foreign:
            end = _END_OF_RAW[name].search(page, at)
            if open_elements.holds("select") or (
                name == "script" and end and _is_nested(page, at, end.start())
            ):
                return True
            at = end.start() if end else len(page)
        else:
            open_elements.open(name, attributes)
            if len(open_elements) > limit:
                return True
        at = page.find("<", at)
    return False


def _has_many(attributes: str) -> bool:
    if len(attributes) <= _MAX_ATTRIBUTES:
        return False
    return len(attributes.split(None, _MAX_ATTRIBUTES)) > _MAX_ATTRIBUTES


def _is_nested(page: str, start: int, end: int) -> bool:
    """Return whether a script holds a comment with another one, whose end is not its own."""
    comment = page.find("<!--", start, end)
    return comment >= 0 and _SCRIPT.search(page, comment, end) is not None


def _behind_no_tag(page: str, at: int, is_foreign: bool) -> int:
    """Return where the next ``<`` is that is not in what begins at `at`; -1 if there is none."""
    if page.startswith("<!--", at):
        match = _COMMENT.match(page, at)
    elif is_foreign and page.startswith("<![CDATA[", at):
        match = _CDATA.match(page, at)
    elif page.startswith(("<!", "<?"), at) or (page.startswith("</", at) and not page.startswith("</>", at)):
        match = _NO_TAG.match(page, at)
    else:
        return page.find("<", at + 1)
    return page.find("<", match.end()) if match else -1


class _OpenElements:
    """The stack of open elements, with the places of those that decide what an end tag closes."""

    def __init__(self) -> None:
        self._names: list[str] = []
        self._places: dict[str, list[int]] = defaultdict(list)
        self._scopes: list[int] = []
        self._special: list[int] = []
        self._worlds: list[int] = []

    def __len__(self) -> int:
        return len(self._names)

    def holds(self, name: str) -> bool:
        """Return whether such an element is open."""
        return bool(self._places[name])

    @property
    def is_foreign(self) -> bool:
        """Whether what follows is SVG or MathML."""
        return bool(self._worlds) and self._names[self._worlds[-1]] in _FOREIGN

    def open(self, name: str, attributes: str) -> None:
        """Take a start tag."""
        if self.is_foreign and name in _ENDS_FOREIGN:
            self._cut(self._worlds[-1])
        is_foreign = self.is_foreign
        if name in _UNCOUNTED and not is_foreign:
            return
        place = len(self._names)
        self._names.append(name)
        self._places[name].append(place)
        has_html = is_foreign and name in _HTML_INSIDE
        if name == "annotation-xml":
            has_html = has_html and "html" in attributes.lower()
        if has_html or name in _FOREIGN:
            self._worlds.append(place)
        if has_html or (name in _SCOPES and not is_foreign):
            self._scopes.append(place)
        if has_html or (name in _SPECIAL and not is_foreign):
            self._special.append(place)

    def close(self, name: str) -> None:
        """Take an end tag: it closes the last such element and all in it, unless one stands between."""
        if not self._places[name]:
            return
        place = self._places[name][-1]
        between = self._scopes if name in _SPECIAL - _HTML_INSIDE else self._special
        if not between or place >= between[-1]:
            self._cut(place)

    def _cut(self, place: int) -> None:
        while len(self._names) > place:
            last = len(self._names) - 1
            self._places[self._names.pop()].pop()
            for places in (self._scopes, self._special, self._worlds):
                if places and places[-1] == last:
                    places.pop()
