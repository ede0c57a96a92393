"""Bring the many spellings of a repository and of a path to one, the same for opt-out lists and documents.

>>> spellings = ("ann/tool.git", " Ann/Tool ", "git@github.com:ann/tool.git", "github.com/ann/tool")
>>> [repositories(one)[-1].text for one in spellings]
['ann/tool', 'ann/tool', 'ann/tool', 'ann/tool']
"""

from __future__ import annotations

import posixpath
import re
import unicodedata
from typing import NamedTuple

_FORGES = r"(?:github\.com|gitlab\.com|bitbucket\.org|codeberg\.org|gitee\.com|git\.sr\.ht)"
_ADDRESS = re.compile(
    r"(?:(?:(?:git\+)?(?:https?|ssh|git):)?//(?:[^/\s]*@)?(?P<host>[a-z0-9.-]+)(?::\d+(?=/))?[/:]/*"
    r"|(?:[^/:@\s]*@)?(?P<scp_host>[a-z0-9][a-z0-9.-]+):(?!//)/*)"
    r"~?(?P<shown>[^#]+?)(?:\?[\w-]+=.*)?(?:#.*)?"  # ? is any character in a list, but in front of a query
)
_OF_A_FORGE = re.compile(rf"(?P<host>(?:www\.)?{_FORGES})/+~?(?P<shown>[^#]+?)(?:\?[\w-]+=.*)?(?:#.*)?")
_OF_A_HOST = re.compile(r"(?P<host>[a-z0-9-]+(?:\.[a-z0-9-]+)*\.[a-z]{2,})/~?(?P<shown>[^/]+/[^/].*)")
"""An address without ``https://``; of a host that is no known forge at least a repository must be named."""
_HOST_PREFIX = re.compile(r"(?:www|ssh|altssh)\.")
_OTHER_DOORS = (
    (re.compile(r"(?<=//)(?:[^/\s]*@)?raw\.githubusercontent\.com/([^/]+/[^/]+)/[^/]+"), r"github.com/\1"),
    (re.compile(r"(?<=//)(?:[^/\s]*@)?api\.github\.com/repos/"), "github.com/"),
)
_SHOWN = re.compile(r"([^/]+/.+?)/(?:-/)?(?:blob|tree|(?:src|raw)/(?:branch|tag|commit)|raw)/[^/]+(?=/|$)")
"""What an address of a file or a folder has in front of its path: repository and branch."""
_GIT = re.compile(r"(?<=[^/])\.git(?=/*$)")
_REVISION = re.compile(r"(?<=[^/])[@#][^/]*$")


class Named(NamedTuple):
    """A repository, with what of it is named, and the host that was said, or ``""``."""

    text: str
    host: str = ""


def repositories(text: str) -> tuple[Named, ...]:
    """Return what a text may name: ``owner/name``, with a path behind it or not; a slash at its end is kept.

    An address names just that. What looks like one without ``https://`` may also be a name as it stands.

    >>> repositories("https://ann:word@www.github.com/ann/tool/blob/main/src/a.py")
    (Named(text='ann/tool/src/a.py', host='github.com'),)
    >>> repositories("lab.acme.org/core/engine")
    (Named(text='lab.acme.org/core/engine', host=''), Named(text='core/engine', host='lab.acme.org'))
    """
    text = plain(text)
    if address := addressed(text):
        return (address,)
    literal = Named(_without_git(text.removeprefix("~")))
    other = _OF_A_HOST.fullmatch(text)
    return (literal,) if other is None else (literal, _of(other["host"], other["shown"]))


def addressed(text: str) -> Named | None:
    """Return what an address names, with ``https://`` or as SSH has it, or of a known forge without; else
    None."""
    text = plain(text)
    for door, plainly in _OTHER_DOORS:
        text = door.sub(plainly, text)
    if match := _ADDRESS.fullmatch(text):
        return _of(match["host"] or match["scp_host"], match["shown"])
    match = _OF_A_FORGE.fullmatch(text)
    return None if match is None else _of(match["host"], match["shown"])


def of_row(text: str) -> list[Named]:
    """Return what a row's column names: several repositories with commas between, each of any revision.

    >>> of_row("ann/tool@v1.2, github:bo/x")
    [Named(text='ann/tool', host=''), Named(text='bo/x', host='')]
    """
    each = (_REVISION.sub("", one) for one in text.split(",") if one.strip())
    return [named for one in each for named in repositories(one)]


def path(text: str) -> str:
    """Return a path from the top of its repository or of the source's folder; a slash at its end is kept.

    >>> path("./Acme//api/../x.C"), path("/acme/x.c"), path("acme\\\\x.c"), path("secret/")
    ('acme/x.c', 'acme/x.c', 'acme/x.c', 'secret/')
    """
    text = plain(text)
    whole = posixpath.normpath("/" + text.lstrip("/")).lstrip("/")
    return whole + "/" if whole and text.endswith("/") else whole


def plain(text: str) -> str:
    """Return a text in lower case and in Unicode's composed form, without blanks around it or backslashes."""
    return unicodedata.normalize("NFC", text).strip().lower().replace("\\", "/")


def plain_host(host: str) -> str:
    """Return a host as it is compared, or ``""`` for a name of this machine or of its SSH alone.

    >>> plain_host("www.GitHub.com"), plain_host("ssh.github.com"), plain_host("github-work")
    ('github.com', 'github.com', '')
    """
    return _HOST_PREFIX.sub("", host.lower(), count=1) if "." in host else ""


def _of(host: str, shown: str) -> Named:
    whole = _REVISION.sub("", shown) if shown.count("/") == 1 else shown
    return Named(_SHOWN.sub(r"\1", _without_git(whole.rstrip("/"))), plain_host(host))


def _without_git(named: str) -> str:
    return _GIT.sub("", named) if "/" in named else named
