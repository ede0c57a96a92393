r"""Find secrets that stand beside a name that says so, whatever the language writes between the two.

=================================  ===============================================================
between name and value             such as
=================================  ===============================================================
an assignment, then quotes         ``password: str = f"…"``, ``"pwd": "…"``, ``PASSWORDS = ["…"``, on one
                                   line or on two
a comma, a bracket, a blank or     ``getenv("DB_PASSWORD", "…")``, ``key="password" value="…"``,
``value=``, then quotes            ``IDENTIFIED BY '…'``
an assignment, a bracket, a blank  ``"Server=db;Password=…;"``, ``?api_key=…&``, ``<password>…<``,
or ``is``, without quotes          ``# password: …``, ``login ann password …``, YAML's ``|`` and ``>``
=================================  ===============================================================

In the first form the value is judged as everywhere. In the others it is taken only if it is random: names and
words stand there too, and a value that people can remember is not found.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from spanmix.text.redaction.found import Found
from spanmix.text.redaction.names import name_up_to
from spanmix.text.redaction.plausible import is_random
from spanmix.text.redaction.presearch import Line
from spanmix.text.redaction.variables import VALUE, kind_of

_NAME = re.compile(
    r"(?:identified[ \t]{1,4}by|passw|pass_?phrase|pwd|secret|token|credential|(?:db|database|key)_?pass|"
    r"(?:api|auth|service|account|db|database|priv|private|client|access)[_-]?key)[\w-]{0,40}",
    re.IGNORECASE,
)
_CLOSED = r"(?:\\?[\"'`]|[\])]){0,3}"
_TYPE = r":[ \t]{0,4}[A-Za-z&*\[][\w.\[\] |?<>&*]{0,40}?"
_ASSIGN = rf"{_CLOSED}[ \t]{{0,8}}(?:{_TYPE}[ \t]{{0,4}})?(?::=|=>|[:=])\s{{0,40}}[(\[]?\s{{0,40}}"
_QUOTED = (
    r"[rRbBfFuU]{0,2}(?P<quote>\"\"\"|'''|\\?[\"'`])(?P<value>[^\s\"'`\\]{6,300})(?P=quote)"
    r"(?![ \t]{0,4}:[ \t])"
)
_BESIDE = rf"{_CLOSED}(?:\s{{0,4}}[,(>]|[ \t]{{1,4}}(?:value[ \t]{{0,4}}=)?)\s{{0,40}}"
_BARE = (
    rf"{_CLOSED}(?:[ \t]{{0,4}}(?::=|=>|[:>]|=(?!=))[ \t]{{0,4}}(?:[|>][+-]?[ \t]*\r?\n\s{{0,40}})?"
    r"|[ \t]{1,4}(?:is[ \t]{1,4})?)"
)
_FORMS = (
    (re.compile(_ASSIGN + _QUOTED), False),
    (re.compile(_BESIDE + _QUOTED), True),
    (re.compile(_BARE + VALUE), True),
)
"""What follows a name, and whether the value has to be random."""
_REACH = 500
"""Characters looked at behind a name."""


def beside_names(text: str, line: Line) -> Iterator[Found]:
    """Yield each secret that stands behind a name, which is in the line; the value may be in the next one.

    Args:
        text: the whole text.
        line: a line of it.
    """
    for name in _NAME.finditer(text, line.start, line.start + len(line.text)):
        whole = name_up_to(text, name.start()) + name[0]
        for form, must_be_random in _FORMS:
            match = form.match(text, name.end(), name.end() + _REACH)
            if match is None or (must_be_random and not is_random(match["value"])):
                continue
            if kind := kind_of(whole, match["value"]):
                yield Found(*match.span("value"), kind, "Beside a Name")
                break
