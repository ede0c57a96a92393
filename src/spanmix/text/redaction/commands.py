"""Find passwords and keys that are given to programs as options: ``curl -u``, ``mysql -p``, ``--token``."""

from __future__ import annotations

import re
from collections.abc import Iterator

from spanmix.text.redaction.found import PASSWORD, Found
from spanmix.text.redaction.plausible import is_plausible_password
from spanmix.text.redaction.variables import VALUE, kind_of

_GAP = r"\b[^\n;|]{0,300}?[ \t]"
_OF_PROGRAMS = tuple(
    re.compile(rf"{front}[\"']?{VALUE}")
    for front in (
        rf"\b(?:curl|wget|https?|xh){_GAP}(?:-u|--user|-a|--auth)[ =]?[\"']?[^\s:\"'$<>]{{1,100}}:",
        rf"\b(?:mysql|mariadb)\w*{_GAP}-p",  # with a blank between, what follows is a database
        r"\bsshpass[ \t]+-p[ \t]?",
        rf"\b(?:docker|podman|buildah|helm|oc|az|skopeo)\b[^\n;|]{{0,40}}\blogin{_GAP}-p[ =]",
        rf"\bredis-cli{_GAP}-a[ \t]",
        rf"\bldap(?:search|modify|add|passwd|delete|whoami){_GAP}-w[ \t]",
    )
)
_OPTION = re.compile(
    r"(?<![\w-])--?(?P<name>(?:[a-z]{1,20}-){0,3}(?:password|passwd|pass|pwd|token|secret|api-?key|(?:access|"
    rf"secret|private)-key))(?:=|[ \t]|[\"'],[ \t]*)[\"']?{VALUE}",
    re.IGNORECASE,
)


def command_options(line: str) -> Iterator[Found]:
    """Yield each secret that a command of the line is given.

    >>> list(command_options("curl -u admin:Xk29fLq0aa https://api.corp.net"))
    [Found(start=14, end=24, kind='password', detector='Command Option')]
    >>> list(command_options("mysql -p$PASSWORD shop && run --token $TOKEN --password <password>"))
    []
    """
    for pattern in _OF_PROGRAMS:
        for match in pattern.finditer(line):
            if is_plausible_password(match["value"]):
                yield Found(*match.span("value"), PASSWORD, "Command Option")
    for match in _OPTION.finditer(line):
        if kind := kind_of(match["name"], match["value"]):
            yield Found(*match.span("value"), kind, "Command Option")
