"""Find keys and passwords in a text: candidate lines first, then the rules, then every other place of the
same value."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from spanmix.text.redaction.address_passwords import address_passwords
from spanmix.text.redaction.beside_names import beside_names
from spanmix.text.redaction.commands import command_options
from spanmix.text.redaction.everywhere import is_whole, places_of
from spanmix.text.redaction.found import Found, without_overlaps
from spanmix.text.redaction.library import hits
from spanmix.text.redaction.names import assigned_tokens, suffix_of
from spanmix.text.redaction.needs import (
    ADDRESS,
    ASSIGNED,
    BESIDE_NAME,
    COMMAND,
    HEADER,
    NAMED_VALUE,
    PRIVATE_KEY,
    VARIABLE,
    candidate_lines,
    rules_for,
)
from spanmix.text.redaction.presearch import Line
from spanmix.text.redaction.private_keys import private_keys
from spanmix.text.redaction.requests import request_headers
from spanmix.text.redaction.service_tokens import service_tokens
from spanmix.text.redaction.variables import named_values, variables

_UNQUOTED = {
    VARIABLE: variables,
    HEADER: request_headers,
    COMMAND: command_options,
    ADDRESS: address_passwords,
}
_EVERYWHERE = 12
"""A value of this many characters is replaced wherever it stands in the file, a shorter one in its line."""


def find_secrets(text: str, file_name: str) -> list[Found]:
    """Return the keys and passwords of a text, in their order and without overlaps.

    Args:
        text: the whole text.
        file_name: its ending decides how assignments look.
    """
    found: list[Found] = []
    everywhere: dict[str, tuple[str, str]] = {}
    has_private_key = False
    suffix = suffix_of(file_name)
    for line in candidate_lines(text):
        rules = rules_for(line.text)
        has_private_key = has_private_key or PRIVATE_KEY in rules
        given = list(_given(text, line, rules))
        values = [(one.kind, one.detector, text[one.start : one.end]) for one in given]
        for kind, detector, value in dict.fromkeys((*_values(line.text, suffix, rules), *values)):
            found += (
                Found(place, place + len(value), kind, detector) for place in _places(text, value, line)
            )
            if len(value) >= _EVERYWHERE:
                everywhere.setdefault(value, (kind, detector))
        found += given
    found += (
        Found(place, place + len(value), *everywhere[value]) for place, value in places_of(text, everywhere)
    )
    if has_private_key:
        found += private_keys(text)
    return without_overlaps(found)


def _places(text: str, value: str, line: Line) -> Iterator[int]:
    """Yield where a value stands as a whole word in a line of a text."""
    stop = line.start + len(line.text)
    place = text.find(value, line.start, stop)
    while place >= 0:
        end = place + len(value)
        if is_whole(text, place, end):
            yield place
        place = text.find(value, end, stop)


def _values(line: str, suffix: str, rules: Collection[str]) -> Iterator[tuple[str, str, str]]:
    yield from service_tokens(line, rules)
    yield from hits(line, suffix, rules)
    if ASSIGNED in rules:
        yield from assigned_tokens(line, suffix)


def _given(text: str, line: Line, rules: Collection[str]) -> Iterator[Found]:
    """Yield what needs no quotes, with its place: a value may touch what is in front, as in ``-pVALUE``."""
    for rule, find in _UNQUOTED.items():
        if rule in rules:
            for one in find(line.text):
                yield one._replace(start=line.start + one.start, end=line.start + one.end)
    if NAMED_VALUE in rules:
        yield from named_values(text, line)
    if BESIDE_NAME in rules:
        yield from beside_names(text, line)
