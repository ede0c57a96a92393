"""Find keys and passwords in headers of HTTP requests, in code and behind ``curl -H`` alike.

``Authorization: Bearer`` is of RFC 6750, ``Basic`` of RFC 7617: the base64 of ``user:password``.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator

from spanmix.text.redaction.found import KEY, PASSWORD, Found
from spanmix.text.redaction.plausible import (
    is_plausible_key,
    is_plausible_password,
    is_plausible_short_key,
    is_stand_in,
)

_TOKEN = r"(?P<value>[A-Za-z0-9._~+/-]{10,512}=*)(?![\w({\[$])"
_BEARER = re.compile(rf"\bbearer[ \t]+{_TOKEN}", re.IGNORECASE)
_AUTHORIZATION = re.compile(
    rf"\bauthorization[\"']?[ \t]*[:=,][ \t]*[\"'`]?token[ \t]+{_TOKEN}", re.IGNORECASE
)
_BASIC = re.compile(r"\bbasic[ \t]+(?P<value>[A-Za-z0-9+/]{8,512}={0,2})(?![\w+/])", re.IGNORECASE)
_OWN = re.compile(
    r"\b(?:api-?key|(?:auth|access|private|vault|security|job|deploy)-token)"
    rf"[\"']?[ \t]*:[ \t]*[\"'`]?{_TOKEN}",
    re.IGNORECASE,
)


def request_headers(line: str) -> Iterator[Found]:
    """Yield each secret that is a header's.

    >>> list(request_headers('"Authorization": "Bearer q8Zr2mPw9xKv3Lt7"'))
    [Found(start=25, end=41, kind='key', detector='Request Header')]
    >>> list(request_headers("X-Api-Key: your-key-here or Authorization: Bearer $TOKEN"))
    []
    """
    for pattern in (_BEARER, _AUTHORIZATION, _OWN):
        for match in pattern.finditer(line):
            if is_plausible_key(match["value"]) or is_plausible_short_key(match["value"]):
                yield Found(*match.span("value"), KEY, "Request Header")
    for match in _BASIC.finditer(line):
        if not is_stand_in(match["value"]) and is_plausible_password(_password_of(match["value"])):
            yield Found(*match.span("value"), PASSWORD, "Request Header")


def _password_of(credentials: str) -> str:
    """Return what stands behind the colon in encoded credentials, or ``""`` if they are none.

    >>> _password_of("YW5uOnE4WnIybVB3OXhL"), _password_of("authentication")
    ('q8Zr2mPw9xK', '')
    """
    try:
        return base64.b64decode(credentials, validate=True).decode("ascii").partition(":")[2]
    except (binascii.Error, UnicodeDecodeError):
        return ""
