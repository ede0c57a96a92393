"""Find the few lines in which a secret can be, so that only those are given to slow and exact rules.

Each rule of ``detect-secrets`` and of ours needs some text: a fixed word, or a run of characters behind some
sign. All of them are one pattern of RE2, whose automaton takes one step a byte however many there are. A
line without any of them has no secret; a test compares with the library on generated secrets.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from typing import Any, NamedTuple

import re2  # type: ignore[import-untyped]

from spanmix.text.redaction.service_tokens import WORDS as SERVICE_WORDS

_WORDS = (
    "ABIA", "ACCA", "AKIA", "ASIA", "A3T",  # AWS
    "AccountKey=",  # Azure
    "ghp_", "gho_", "ghu_", "ghs_", "ghr_",  # GitHub
    "glpat-", "gldt-", "glft-", "glsoat-", "glrt-", "glcbt-", "glimt-", "glptt-", "glagent-", "gloas-",
    "GR1348941",
    "eyJ",  # JSON web tokens
    ":_authToken=",  # npm
    "T3BlbkFJ",  # OpenAI
    "PRIVATE KEY", "PuTTY-User-Key-File",
    "pypi-AgE",
    "SG.",  # SendGrid
    "sq0csp-",  # Square
    "k_live_",  # Stripe
    *SERVICE_WORDS,
)  # fmt: skip
_FOLDED_WORDS = (
    "cloudant.com", "softlayer", "hooks.slack.com", "xoxa-", "xoxb-", "xoxp-", "xoxo-", "xoxs-", "xoxr-",
    # The names that secrets are assigned to.
    "password", "passwd", "pwd", "secret", "contrase", "dbpass", "db_pass", "databasepass", "database_pass",
    "keypass", "key_pass",
    *(f"{name}{dash}key" for name in ("api", "auth", "service", "account", "db", "database", "priv",
    "private",
      "client") for dash in ("", "_")),
)  # fmt: skip
_DIGIT = r"\p{Nd}"  # as the library writes \d, which in Python are the digits of all scripts
_TOKEN = rf"[a-zA-Z{_DIGIT}_-]"
_PATTERNS = (
    # Cloudant, IBM, SoftLayer, and the names of `names`: an assignment with 20 characters of a key.
    r"(?i:key|pwd|pw|pass|password|token)[\"']?\]?[ =:>]+[\"']?[a-zA-Z0-9_-]{24}",
    r"(?i:token|auth|credential|key)\w*[\"']?\]?[ \t]*[:=]>?[ \t]*[\"'][A-Za-z0-9+/=_-]{20}",
    r"(?i:aws)[^\n]{0,60}['\"][0-9a-zA-Z/+]{40}['\"]",
    rf"\.{_TOKEN}{{6}}\.{_TOKEN}{{27}}",  # Discord, from its first dot
    rf"{_DIGIT}:[0-9A-Za-z_-]{{35}}",  # Telegram
    r"(?:AC|SK)[a-z0-9]{32}",  # Twilio
    rf"AKC[a-zA-Z0-9]{{10}}|AP[{_DIGIT}A-F][a-zA-Z0-9]{{8}}",  # Artifactory
    rf"-us{_DIGIT}",  # Mailchimp
    r"://[^:/?#\[\]@!$&'()*+,;=\s]+:[^:/?#\[\]@!$&'()*+,;=\s]+@",  # basic auth
)
LONG_LINE = 4_000
_AROUND = 600
"""Characters looked at in front of a find in a long line, and half of those behind it."""
_SURROGATE = re.compile("[\ud800-\udfff]")


class Line(NamedTuple):
    """A line that may hold a secret: its number from 0, its first character's place, and its text."""

    number: int
    start: int
    text: str


_PATTERN = "|".join((*map(re.escape, _WORDS), f"(?i:{'|'.join(map(re.escape, _FOLDED_WORDS))})", *_PATTERNS))
_MEMORY_BYTES = 64 << 20
"""For the automaton, which RE2 builds as far as texts need it; the default of 8 MB would be built again and
again."""


def candidate_lines(text: str) -> Iterator[Line]:
    """Yield the lines in which there can be a secret, without their line ends."""
    return lines_with(text, _PATTERN)


def lines_with(text: str, pattern: str) -> Iterator[Line]:
    """Yield each line in which a pattern of RE2 is found; the pattern fits no line end.

    Of a line longer than `LONG_LINE`, as in minified files, what is around each find is yielded as if it
    were a
    line: rules whose time grows with the line would take minutes. Such parts may overlap.
    """
    number = counted = done = 0
    for place in _found_at(text, pattern):
        if place < done:
            continue
        start = text.rfind("\n", 0, place) + 1
        stop = text.find("\n", place)
        end = done = stop if stop >= 0 else len(text)
        number += text.count("\n", counted, start)
        counted = start
        if end - start > LONG_LINE:
            start, end = max(start, place - _AROUND), min(end, place + 2 * _AROUND)
            done = place + _AROUND
        yield Line(number, start, text[start:end])


def _found_at(text: str, pattern: str) -> Iterator[int]:
    compiled = _compiled(pattern)
    try:
        yield from (match.start() for match in compiled.finditer(text))
    except UnicodeEncodeError:  # a lone half of a UTF-16 pair, which UTF-8 cannot have
        yield from (match.start() for match in compiled.finditer(_SURROGATE.sub("\ufffd", text)))


@cache
def _compiled(pattern: str) -> Any:
    options = re2.Options()
    options.max_mem = _MEMORY_BYTES
    options.log_errors = False
    return re2.compile(pattern, options)
