"""Find random values that are assigned to names such as ``auth_token``, which the library's keywords lack."""

from __future__ import annotations

import re
import string
from collections.abc import Iterator

from spanmix.text.redaction.found import KEY
from spanmix.text.redaction.plausible import is_plausible_key

UNQUOTED_SUFFIXES = frozenset({".yaml", ".yml", ".eyaml", ".ini", ".cfg", ".conf", ".cnf", ".properties"})
_ASSIGNED = re.compile(
    r"(?P<name>(?:token|auth|credential|access_?key|signing_?key|encryption_?key)\w*)[\"']?\]?\s*[:=]>?\s*"
    r"(?P<quote>[\"'])(?P<value>[A-Za-z0-9+/=_-]{20,512})(?P=quote)",
    re.IGNORECASE,
)
_UNQUOTED = re.compile(
    r"(?P<name>(?:token|auth|credential|access_?key|signing_?key|encryption_?key)\w*)"
    r"\s*[:=]\s*(?P<value>[A-Za-z0-9+/=_-]{20,512})\s*(?:#.*)?$",
    re.IGNORECASE,
)
_NAME_CHARACTERS = string.ascii_letters + string.digits + "_-."
_MOST_NAME = 60
_HARMLESS = re.compile(
    r"public|hash|digest|checksum|author|sha\d|md5|fingerprint|csrf|tokeni[sz]|token_?(?:id|type)", re.I
)


def assigned_tokens(line: str, suffix: str) -> Iterator[tuple[str, str, str]]:
    """Yield kind, detector and value of each random value that a line assigns to the name of a token.

    Args:
        line: without its line end.
        suffix: the file's ending; in those of `UNQUOTED_SUFFIXES` a value needs no quotes.
    """
    matches = list(_ASSIGNED.finditer(line))
    if not matches and suffix in UNQUOTED_SUFFIXES:
        matches = list(_UNQUOTED.finditer(line))
    for match in matches:
        name = name_up_to(line, match.start()) + match["name"]
        if not is_harmless(name) and is_plausible_key(match["value"]):
            yield KEY, "Assigned Token", match["value"]


def name_up_to(text: str, place: int) -> str:
    """Return what stands of a name in front of a place.

    >>> name_up_to("x = csrf_token", 9)
    'csrf_'
    """
    before = text[max(0, place - _MOST_NAME) : place]
    return before[len(before.rstrip(_NAME_CHARACTERS)) :]


def is_harmless(name: str) -> bool:
    """Say whether a name that has a token's word in it is of something that all may know.

    >>> is_harmless("public_access_key"), is_harmless("auth_token")
    (True, False)
    """
    return _HARMLESS.search(name) is not None


def suffix_of(file_name: str) -> str:
    """Return the ending that decides how assignments look; files of environment variables are like INI's.

    >>> suffix_of("deploy/Values.YAML"), suffix_of("app/.env.production"), suffix_of("Makefile")
    ('.yaml', '.ini', '')
    """
    name = file_name.rpartition("/")[2].lower()
    suffix = name[name.rfind(".") :] if "." in name else ""
    return ".ini" if name.startswith(".env") or suffix in (".env", ".envrc") else suffix
