"""Take the text that a browser would show out of an HTML page, as ``selectolax`` parses it."""

from __future__ import annotations

import html
import re
from typing import Any

from spanmix.text.readers.page_depth import FORMATTING, is_deeper

_DROPPED = (
    *("script", "style", "noscript", "template", "svg", "head", "nav", "iframe", "object", "button"),
    *("select", "math > annotation"),
)
_BLOCKS = (
    *("address", "article", "aside", "blockquote", "dd", "details", "div", "dl", "dt", "fieldset"),
    *("figcaption", "figure", "footer", "form", "h1", "h2", "h3", "h4", "h5", "h6", "header", "hr", "li"),
    *("main", "ol", "p", "pre", "section", "summary", "table", "tr", "ul", "caption"),
)
_PARAGRAPHS = frozenset(
    {"p", "pre", "h1", "h2", "h3", "h4", "h5", "h6", "blockquote", "table", "ul", "ol", "dl"}
)
# Characters for private use stand for what the tree says, until all is one text.
_LINE, _PARAGRAPH, _CELL, _PRE, _END_PRE = "\ue000", "\ue001", "\ue002", "\ue003", "\ue004"
_MARKS = re.compile("[\ue000-\ue004]")
_PREFORMATTED = re.compile(f"{_PRE}([^{_PRE}{_END_PRE}]*){_END_PRE}")
# A run is tried from its first character alone (`(?<!...)`), for from each it would be read to its end again.
_BREAK = re.compile(f"(?<![ \n])[ \n]*+[{_LINE}{_PARAGRAPH}][{_LINE}{_PARAGRAPH} \n]*+")
_BLANKS_BEFORE_A_BREAK = re.compile(r"(?<![ \t])[ \t]++\n")

_MAX_DEPTH = 1000
"""A parser's time grows with the square of it; no page that people wrote comes near."""

_FORMATTING = re.compile(rf"<(/?)(?:{'|'.join(sorted(FORMATTING))})(?=[\s/>])", re.IGNORECASE)
_ENDLESS_NUMBER = re.compile(r"&#[0-9]{1000,}+;?")


class MalformedPageError(ValueError):
    """No text can be taken out of it; the text says why."""


def web_page_to_text(page: str) -> str:
    r"""Return the words of a page: a line for each block, an empty one between paragraphs.

    Scripts, styles, navigation and forms are left out; white space is one blank, but for preformatted text.
    Of a page with more than 1,000 elements inside of each other, which a parser would spend hours on, only
    the tags are taken out.

    Raises:
        MalformedPageError: the parser gives up.

    >>> web_page_to_text("<title>T</title><h1>A</h1><p>b <b>c</b>\n d<br>e</p><pre>f\n  g</pre>")
    'A\n\nb c d\ne\n\nf\n  g\n'
    """
    from selectolax.lexbor import LexborHTMLParser, SelectolaxError

    if is_deeper(page, _MAX_DEPTH):
        return _without_tags(page)
    try:
        tree = LexborHTMLParser(_FORMATTING.sub(r"<\1span", _MARKS.sub("", page)))
    except SelectolaxError as error:
        raise MalformedPageError(f"the parser of HTML gives up: {error}") from None
    body = tree.body
    if body is None:
        return ""
    for node in body.css(", ".join(_DROPPED)):
        node.decompose()
    for node in body.css("br"):
        node.replace_with(_LINE)
    for node in body.css("td, th"):
        node.insert_after(_CELL)
    for node in body.css(", ".join(_BLOCKS)):
        _mark(node)
    return _laid_out(body.text(deep=True))


def _without_tags(page: str) -> str:
    words = " ".join(re.sub(r"<[^<>]{0,10000}>", " ", page).split())
    return html.unescape(_ENDLESS_NUMBER.sub("\ufffd", words)) + "\n"


def _mark(node: Any) -> None:
    tag = node.tag
    mark = _PARAGRAPH if tag in _PARAGRAPHS else _LINE
    node.insert_before(mark)
    node.insert_after(mark)
    if tag == "pre":
        node.insert_before(_PRE)
        node.insert_after(_END_PRE)


def _laid_out(text: str) -> str:
    kept: list[str] = []
    parts = []
    for i, part in enumerate(_PREFORMATTED.split(text)):
        if i % 2:
            kept.append(_MARKS.sub("\n", part).strip("\n"))
            parts.append(_PRE)
        else:
            parts.append(" ".join(part.split()))
    flat = "".join(parts).replace(f" {_CELL}", _CELL).replace(_CELL, "  ")
    flat = _BREAK.sub(lambda match: "\n\n" if _PARAGRAPH in match[0] else "\n", flat)
    blocks = flat.strip("\n ").split(_PRE)
    written = blocks[0]
    for inner, rest in zip(kept, blocks[1:], strict=False):
        written += inner + rest
    written = _BLANKS_BEFORE_A_BREAK.sub("\n", re.sub(r"\n{3,}", "\n\n", written)).strip("\n")
    return written + "\n" * bool(written)
