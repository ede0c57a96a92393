"""Replace the secrets and personal data of a document, and write down where they were without what they were.

Names of persons are not looked for: that needs a model of the language, and what such a model finds in code
is as often a function.
"""

from __future__ import annotations

import hashlib
import hmac
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import replace

from spanmix.corpus_configs.redaction import RedactionConfig
from spanmix.text.dropped import Dropped
from spanmix.text.redaction.emails import find_emails
from spanmix.text.redaction.found import KEY, PASSWORD, Found, without_overlaps
from spanmix.text.redaction.ip_addresses import find_ip_addresses
from spanmix.text.redaction.names import suffix_of
from spanmix.text.redaction.placeholders import Placeholders
from spanmix.text.redaction.secrets import find_secrets
from spanmix.text.steps import Note, Row
from spanmix.types import Document

_HASH_CHARACTERS = 16
_NAMES = ("path", "repository", "root")
"""Fields of a document that are or begin what a layout writes into its text."""


class RedactionStep:
    """Replace what the configuration names; no document is dropped.

    Args:
        config: which kinds are replaced, and how.
    """

    def __init__(self, config: RedactionConfig) -> None:
        self._config = config
        self._salt = config.salt.encode("utf-8")

    def __call__(self, document: Document, note: Note) -> Document | Dropped:
        """Return the document with stand-ins, and a row in the audit file ``redactions`` for each.

        A row holds path, repository, kind, detector, line and column (from 1), the length of what stood
        there, its salted hash (empty without a salt) and what was written in its place. Path and repository
        are redacted as the text is, since a layout writes them into it; what was found in them has line 0.
        """
        text = document.text
        found = without_overlaps(self._find(text, document.path))
        in_names = {name: without_overlaps(self._find(getattr(document, name), "")) for name in _NAMES}
        if not found and not any(in_names.values()):
            return document
        key = "\0".join((document.source, document.repository, document.path))
        placeholders = Placeholders(self._config.style, key)
        parts = _written(text, found, placeholders)
        names: dict[str, str] = {}
        rows: list[Row] = []
        for name in _NAMES:
            value = getattr(document, name)
            of_name = _written(value, in_names[name], placeholders)
            names[name] = _put(value, of_name)
            rows += [self._row(value, *part) | {"line": 0} for part in of_name if name != "root"]
        line_starts = _line_starts(text)
        for one, written in parts:
            line = bisect_right(line_starts, one.start)
            row = self._row(text, one, written)
            rows.append(row | {"line": line, "column": one.start - line_starts[line - 1] + 1})
        for row in rows:
            note("redactions", {"path": names["path"], "repository": names["repository"], **row})
        longer = (
            len(new) - (one.end - one.start) for one, new in parts if one.start < document.prompt_characters
        )
        prompt = document.prompt_characters + sum(longer)
        named = replace(document, path=names["path"], repository=names["repository"], root=names["root"])
        return replace(named, text=_put(text, parts), prompt_characters=prompt)

    def _row(self, text: str, one: Found, written: str) -> Row:
        return {
            "kind": one.kind,
            "detector": one.detector,
            "line": 1,
            "column": one.start + 1,
            "length": one.end - one.start,
            "hash": self._hash(text[one.start : one.end]),
            "replacement": written,
        }

    def _find(self, text: str, file_name: str) -> Iterator[Found]:
        config = self._config
        if config.keys or config.passwords:
            wanted = {KEY: config.keys, PASSWORD: config.passwords}
            yield from (one for one in find_secrets(text, file_name) if wanted[one.kind])
        if config.emails:
            yield from find_emails(text, suffix_of(file_name) in (".py", ".pyi"))
        if config.ip_addresses:
            yield from find_ip_addresses(text)

    def _hash(self, value: str) -> str:
        if not self._salt:
            return ""
        digest = hmac.new(self._salt, value.encode("utf-8", "surrogatepass"), hashlib.sha256)
        return digest.hexdigest()[:_HASH_CHARACTERS]


def _written(text: str, found: list[Found], placeholders: Placeholders) -> list[tuple[Found, str]]:
    return [(one, placeholders.of(one.kind, text[one.start : one.end])) for one in found]


def _put(text: str, parts: list[tuple[Found, str]]) -> str:
    """Return a text with what is written in the place of its parts."""
    pieces, end = [], 0
    for one, written in parts:
        pieces += [text[end : one.start], written]
        end = one.end
    return "".join(pieces) + text[end:]


def _line_starts(text: str) -> list[int]:
    starts, place = [0], text.find("\n")
    while place >= 0:
        starts.append(place + 1)
        place = text.find("\n", place + 1)
    return starts
