"""Turn markup into the plain text that people read."""

from __future__ import annotations

from collections.abc import Callable

from spanmix.text.readers.markdown import markdown_to_text
from spanmix.text.readers.restructured_text import restructured_text_to_text
from spanmix.text.readers.web_page import web_page_to_text

_CONVERTERS: dict[str, Callable[[str], str]] = {
    "markdown": markdown_to_text,
    "restructuredtext": restructured_text_to_text,
    "html": web_page_to_text,
}
PLAIN_TEXT = "text"


def to_prose(text: str, language: str) -> tuple[str, str]:
    """Return a text without its markup, and its language after that; others than markup stay what they are.

    Raises:
        spanmix.text.readers.web_page.MalformedPageError: the parser of HTML gives up.

    >>> to_prose("# A *title*", "markdown"), to_prose("# a", "python")
    (('A title\\n', 'text'), ('# a', 'python'))
    """
    convert = _CONVERTERS.get(language)
    return (text, language) if convert is None else (convert(text), PLAIN_TEXT)
