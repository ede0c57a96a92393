"""Find passwords and keys in addresses that the library's rule leaves: without a user, with signs in them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import unquote

from spanmix.text.redaction.found import KEY, PASSWORD, Found
from spanmix.text.redaction.plausible import is_plausible_password, is_random, is_stand_in

_SIGNS = r"\s,\"'`<>?#"
_ADDRESS = re.compile(
    rf"://(?:(?P<user>[^{_SIGNS}/:@]{{0,64}}):)?(?P<value>[^{_SIGNS}/]{{6,200}}"
    rf"|(?<=:)(?!\d{{1,5}}/)[^{_SIGNS}/@]{{1,60}}/[^{_SIGNS}@]{{1,100}})@(?=[\w\[])"
)
"""A slash may be in a password as well, if what is in front of it is no port."""


def address_passwords(line: str) -> Iterator[Found]:
    """Yield each password in front of an address's ``@``, and each key that stands there alone.

    >>> line = "redis://:q8Zr2mPw9xK@db postgres://ann:p@ss9X!kw2@db https://ann@git.corp.net"
    >>> [line[one.start : one.end] for one in address_passwords(line)]
    ['q8Zr2mPw9xK', 'p@ss9X!kw2']
    """
    for match in _ADDRESS.finditer(line):
        value = match["value"]
        if match["user"] is not None and is_plausible_password(unquote(value)):
            yield Found(*match.span("value"), PASSWORD, "Password in an Address")
        elif match["user"] is None and is_random(value) and not is_stand_in(value):
            yield Found(*match.span("value"), KEY, "Password in an Address")
