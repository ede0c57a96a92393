"""Ask the plugins of ``detect-secrets`` about a line.

They are called for the text of a line alone. The library's own scan would open files, keep settings for the
whole process and, unless it is told not to, ask services on the network whether what it found is valid.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from functools import cache
from typing import Any, NamedTuple
from urllib.parse import unquote

from spanmix.text.redaction.found import KEY, PASSWORD
from spanmix.text.redaction.plausible import (
    is_plausible_key,
    is_plausible_password,
    is_plausible_token,
    is_stand_in,
)

_LEFT_OUT = frozenset(
    {"IPPublicDetector", "Base64HighEntropyString", "HexHighEntropyString", "PrivateKeyDetector"}
)
"""Addresses and private keys have rules of our own; entropy alone calls every hash and picture a secret."""
_GENERIC = frozenset({"CloudantDetector", "IbmCloudIamDetector", "IbmCosHmacDetector", "SoftlayerDetector"})
_PASSWORD_NAME = re.compile(r"passw|pwd|db_?pass|database_?pass|key_?pass|contrase", re.IGNORECASE)
_KEYWORD = re.compile(
    r"(?:api|auth|service|account|db|database|priv|private|client)_?key|(?:db|database|key)_?pass|password|passwd|pwd|"
    r"secret|contrase[nñ]a",
    re.IGNORECASE,
)
_LONG_NAME = re.compile(r"\w{80}")
_LONG_LINE = 1_000
_BEHIND, _SHORT, _MANY = 400, 120, 8
"""Characters looked at from a keyword on, and in a line with more keywords than `_MANY`: the plugin's
patterns take a time that grows with the square of what they are given."""
_MOST_LOOKS, _MOST_STARTS = 12, 20
"""Assignments looked at in one line, and beginnings of JSON web tokens: more are made to take long."""


class Hit(NamedTuple):
    """A value that may be a secret: ``key`` or ``password``, who found it, and the value."""

    kind: str
    detector: str
    value: str


def hits(line: str, suffix: str, rules: Collection[str]) -> Iterator[Hit]:
    """Yield what the plugins find in a line, as far as it is plausible.

    Args:
        line: without its line end.
        suffix: the file's ending, which decides how assignments look: in YAML, TOML and INI values need no
            quotes.
        rules: names of the plugins that are asked.
    """
    for plugin in _plugins():
        name = type(plugin).__name__
        if name not in rules:
            continue
        if name == "KeywordDetector":
            yield from _keyword_hits(plugin, line, suffix)
            continue
        if name == "JwtTokenDetector" and line.count("eyJ") > _MOST_STARTS:
            continue  # one string of it, not tokens
        for value in plugin.analyze_string(line):
            value = _whole(name, line, value)
            if name == "BasicAuthDetector":
                plain = unquote(value)
                if is_plausible_password(plain) or (len(value) >= 8 and not is_stand_in(plain)):
                    yield Hit(PASSWORD, plugin.secret_type, value)
            elif is_plausible_key(value) if name in _GENERIC else is_plausible_token(value):
                yield Hit(KEY, plugin.secret_type, value)


def _whole(name: str, line: str, value: str) -> str:
    """Return the whole token where the plugin's pattern yields its prefix alone or stops inside of it."""
    if name in ("GitHubTokenDetector", "GitLabTokenDetector"):
        match = re.search(rf"{re.escape(value)}[A-Za-z0-9_-]*", line)
        return match[0] if match else value
    if name == "JwtTokenDetector":
        match = re.search(rf"{re.escape(value)}[A-Za-z0-9_.=-]*", line)
        return match[0].rstrip(".") if match else value
    return value.strip("'\" \t=:") if name == "ArtifactoryDetector" else value


def _keyword_hits(plugin: Any, line: str, suffix: str) -> Iterator[Hit]:
    patterns = _patterns_of(suffix)
    keywords = list(_KEYWORD.finditer(line))
    reach = _BEHIND if len(keywords) <= _MANY else _SHORT
    done = looks = 0
    for keyword in keywords:
        if looks == _MOST_LOOKS:
            return
        if keyword.start() < done or _LONG_NAME.match(line, keyword.start()):
            continue
        looks += 1
        start, segment = _segment(line, keyword, reach)
        values = [*plugin.analyze_string(segment, denylist_regex_to_group=patterns)]
        # The plugin looks at every keyword of the segment and reports one value a pattern: the next look
        # starts behind the first of them, or behind the whole segment, or time would grow with the square.
        ends = [segment.find(value) + len(value) for value in values if value]
        reached = start + len(segment)
        done = start + max(keyword.end() - start, min(ends)) if ends else reached - reach // 2
        for value in map(_trimmed, values):
            place = segment.find(value)
            names = _KEYWORD.findall(segment[: max(0, place)])
            name = names[-1] if names else keyword[0]
            if _is_plausible(value, name) and not _is_reference(segment, value):
                yield Hit(PASSWORD if _PASSWORD_NAME.search(name) else KEY, plugin.secret_type, value)


def _is_plausible(value: str, name: str) -> bool:
    if _PASSWORD_NAME.search(name):
        return is_plausible_password(value)
    is_like_password = "secret" in name.lower() and len(value) >= 8 and is_plausible_password(value)
    return is_like_password or is_plausible_key(value)


def _segment(line: str, keyword: re.Match[str], reach: int) -> tuple[int, str]:
    """Return what is around a keyword, and where it begins: the plugin takes long over long lines."""
    end = (
        len(line) if len(line) <= _LONG_LINE and reach == _BEHIND else min(len(line), keyword.start() + reach)
    )
    # What is in front matters for `"value" == password` alone.
    is_compared = "=" in line[max(0, keyword.start() - 30) : keyword.start()]
    start = max(0, keyword.start() - reach // 2) if is_compared else keyword.start()
    return start, line[start:end]


def _trimmed(value: str) -> str:
    """Return an unquoted value without the comment behind it and the signs that end a statement."""
    return re.split(r"\s+(?:#|//|;)", value, maxsplit=1)[0].strip().strip("'\"`,;").rstrip(")")


def _is_reference(segment: str, value: str) -> bool:
    """Say whether the value goes on as a call or an index: ``password = read2(…)``."""
    place = segment.find(value)
    return place >= 0 and segment[place + len(value) : place + len(value) + 1] in ("(", "[")


@cache
def _patterns_of(suffix: str) -> Any:
    from detect_secrets.plugins.keyword import QUOTES_REQUIRED_DENYLIST_REGEX_TO_GROUP, REGEX_BY_FILETYPE
    from detect_secrets.util.filetype import determine_file_type

    return REGEX_BY_FILETYPE.get(
        determine_file_type(f"file{suffix}"), QUOTES_REQUIRED_DENYLIST_REGEX_TO_GROUP
    )


@cache
def _plugins() -> tuple[Any, ...]:
    """Return the plugins of the library, by their names, without those that are left out."""
    from detect_secrets.core.plugins.util import get_mapping_from_secret_type_to_class

    classes: Any = get_mapping_from_secret_type_to_class().values()
    kept = [one for one in classes if one.__name__ not in _LEFT_OUT]
    return tuple(one() for one in sorted(kept, key=lambda one: str(one.__name__)))
