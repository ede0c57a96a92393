"""Ask a model what stands at a cursor."""

from __future__ import annotations

from collections.abc import Callable

from spanmix.generate.engine import Engine
from spanmix.generate.formats import InfillFormat
from spanmix.generate.infill import Infill, infill
from spanmix.generate.text import Sampling
from spanmix.text.text_tokenizer import TextTokenizer

Ask = Callable[[str, str], Infill]
"""From the whole texts in front of a cursor and behind it to a proposal."""

_CHARACTERS_PER_TOKEN = 16


def ask_engine(engine: Engine, tokenizer: TextTokenizer, format: InfillFormat, sampling: Sampling) -> Ask:
    """Return a function that asks a model, as `spanmix.generate.infill.infill` does.

    Of a long file only what can come near to the context is turned into tokens, from a line's beginning and
    to a line's end: 16 characters for each token of the context.
    """
    most = _CHARACTERS_PER_TOKEN * engine.info.context_tokens

    def ask(prefix: str, suffix: str) -> Infill:
        return infill(
            engine, tokenizer, format, last_lines(prefix, most), first_lines(suffix, most), sampling
        )

    return ask


def last_lines(text: str, most: int) -> str:
    """Return the end of a text, at most so many characters, from the beginning of a line if there is one.

    >>> last_lines("ab\\ncd\\nef", 7), last_lines("abcdef", 2)
    ('cd\\nef', 'ef')
    """
    if len(text) <= most:
        return text
    start = text.find("\n", len(text) - most - 1, len(text) - 1) + 1
    return text[start or len(text) - most :]


def first_lines(text: str, most: int) -> str:
    """Return the beginning of a text, at most so many characters, to the end of a line if there is one.

    >>> first_lines("ab\\ncd\\nef", 7), first_lines("abcdef", 2)
    ('ab\\ncd\\n', 'ab')
    """
    if len(text) <= most:
        return text
    return text[: text.rfind("\n", 0, most) + 1 or most]
