"""Find the matrix products and decorators of programs in Python, whose ``@`` belongs to no address."""

from __future__ import annotations

import io
import keyword
import tokenize

from spanmix.text.redaction.presearch import without_surrogates


def matrix_products(text: str) -> frozenset[int]:
    r"""Return the places of ``@`` outside of strings and comments.

    There are none if the text is no program: it is not made of tokens, or two names stand side by side,
    as in prose.

    >>> sorted(matrix_products('y = W@m.ai  # ann@bo.ai\nmail = "ann@bo.ai"\n'))
    [5]
    >>> sorted(matrix_products('mail to: ann@bo.ai'))
    []
    """
    starts = [0]
    places = set()
    lines = io.StringIO(without_surrogates(text), newline="")
    was_name = False
    try:
        for token in tokenize.generate_tokens(lambda: _next(lines, starts)):
            is_name = token.type == tokenize.NAME and not _is_keyword(token.string)
            if (is_name and was_name) or token.type == tokenize.ERRORTOKEN:
                return frozenset()
            was_name = is_name
            if token.type == tokenize.OP and token.string in ("@", "@="):
                places.add(starts[token.start[0] - 1] + token.start[1])
    except (tokenize.TokenError, SyntaxError):
        return frozenset()
    return frozenset(places)


def _is_keyword(name: str) -> bool:
    return keyword.iskeyword(name) or keyword.issoftkeyword(name)


def _next(lines: io.StringIO, starts: list[int]) -> str:
    """Return the next line, and note where the one behind it starts."""
    line = lines.readline()
    starts.append(starts[-1] + len(line))
    return line
