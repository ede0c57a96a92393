"""Find secrets that variables are set to in shells, Dockerfiles and the settings of containers, where values
need no quotes.

=============================================  =================================================
form                                           where
=============================================  =================================================
``NAME=value``, also behind ``export``,        any file; the whole name in upper case, or the
``ENV``, ``ARG``, ``-e`` or in front of a      assignment alone in its line (``export`` and its
command                                        like may stand in front)
``ENV NAME value``                             any file; a line of its own
``name: NAME`` and then ``value: …``           any file, in YAML or JSON, on one line or on two
=============================================  =================================================
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from spanmix.text.redaction.found import KEY, PASSWORD, Found
from spanmix.text.redaction.names import is_harmless
from spanmix.text.redaction.plausible import (
    is_plausible_key,
    is_plausible_password,
    is_plausible_short_key,
)
from spanmix.text.redaction.presearch import Line

VALUE = r"(?P<value>[^\s\"'`;|<>&,()\[\]{}$\\=][^\s\"'`;|<>&,()\[\]{}$\\]{5,299})(?![\[({$\\])"
"""An unquoted value. What goes on as a call, an index or a template is none, and no part of it is."""
_PARTS = "PASSW|_PASS|PWD|SECRET|TOKEN|CREDENTIAL|_KEY|APIKEY"
_ANY_CASE = rf"(?i:[A-Z0-9_]{{0,60}}(?:{_PARTS})[A-Z0-9_]{{0,40}})"
_NAME = rf"[A-Z0-9_]{{0,60}}(?:PASS|{_PARTS})[A-Z0-9_]{{0,40}}"
_UPPER = re.compile(rf"(?<![A-Za-z0-9_$.])(?P<name>{_NAME})={VALUE}")
_ALONE = re.compile(
    r"[ \t]*(?:(?:export|local|readonly|declare|set|ENV|ARG)[ \t]+)?"
    rf"(?P<name>{_ANY_CASE})={VALUE}[ \t\r]*(?:#.*)?$"
)
_ENV = re.compile(rf"[ \t]*ENV[ \t]+(?P<name>(?i:{_NAME}))[ \t]+{VALUE}[ \t\r]*$")
_PAIR = re.compile(
    rf"\bname[\"']?[ \t]*:[ \t]*[\"']?(?P<name>(?i:{_NAME}))[\"']?[ \t]*,?[ \t\r]*\n?[ \t]*"
    rf"[\"']?value[\"']?[ \t]*:[ \t]*[\"']?{VALUE}"
)
_MOST_PAIR = 400
"""Characters looked at behind the first of two lines."""
_PASSWORD = re.compile(
    r"PASSW|IDENTIFIED\s+BY|(?:^|_|DB|PG|ROOT|USER|ADMIN|SMTP|KEY)PASS(?:$|_|PHRASE)|PWD", re.IGNORECASE
)
_KEY = re.compile(
    r"SECRET|TOKEN|CREDENTIAL|(?:API|ACCESS|AUTH|ACCOUNT|SERVICE|CLIENT|PRIV|PRIVATE|SIGNING|ENCRYPTION|MASTER|"
    r"DEPLOY)[_-]?KEY",
    re.IGNORECASE,
)
_ABOUT = re.compile(
    r"(?:FILE|PATH|DIR|URL|URI|NAME|ID|ARN|TYPE|LENGTH|LEN|SIZE|HEADER|POLICY|PREFIX|SUFFIX|FIELD|VERSION|TTL|FORMAT|"
    r"REF|ENDPOINT|HOST|REGEX|PATTERN)$",
    re.IGNORECASE,
)
"""Ends of names whose values say something of a secret: ``TOKEN_URL``."""


def variables(line: str) -> Iterator[Found]:
    """Yield each secret that a line sets a variable to.

    >>> list(variables("PGPASSWORD=q8Zr2mPw9xK psql -h db")), list(variables("ENV API_KEY your-key-here"))
    ([Found(start=11, end=22, kind='password', detector='Variable')], [])
    """
    matches = [*_UPPER.finditer(line), _ALONE.match(line), _ENV.match(line)]
    for match in matches:
        if match is not None and (kind := kind_of(match["name"], match["value"])):
            yield Found(*match.span("value"), kind, "Variable")


def named_values(text: str, line: Line) -> Iterator[Found]:
    """Yield each secret that is the value beside or below the name of a variable.

    Args:
        text: the whole text.
        line: a line of it that has a name.
    """
    below = line.start + len(line.text) + 1
    end = text.find("\n", below, below + _MOST_PAIR)
    end = below + _MOST_PAIR if end < 0 else end
    for match in _PAIR.finditer(text, line.start, end):
        if kind := kind_of(match["name"], match["value"]):
            yield Found(*match.span("value"), kind, "Named Value")


def kind_of(name: str, value: str) -> str | None:
    """Return whether a value of that name may be a ``key`` or a ``password``, or None.

    >>> kind_of("DB_PASSWORD", "q8Zr2mPw9xK"), kind_of("DB_PASSWORD", "changeme"), kind_of("KEY", "8Zr2mPw9x")
    ('password', None, None)
    """
    if is_harmless(name) or _ABOUT.search(name):
        return None
    if _PASSWORD.search(name):
        return PASSWORD if is_plausible_password(value) else None
    is_key = _KEY.search(name) is not None and (is_plausible_key(value) or is_plausible_short_key(value))
    return KEY if is_key else None
