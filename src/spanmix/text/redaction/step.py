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
from spanmix.text.redaction.placeholders import Placeholders
from spanmix.text.redaction.secrets import find_secrets
from spanmix.text.steps import Note, Row
from spanmix.types import Document

_HASH_CHARACTERS = 16


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
        there, its salted hash (empty without a salt) and what was written in its place.
        """
        found = without_overlaps(self._find(document))
        if not found:
            return document
        text = document.text
        key = "\0".join((document.source, document.repository, document.path))
        placeholders = Placeholders(self._config.style, key)
        line_starts = _line_starts(text)
        pieces, end, before_prompt_end = [], 0, 0
        for one in found:
            value = text[one.start : one.end]
            written = placeholders.of(one.kind, value)
            pieces += [text[end : one.start], written]
            end = one.end
            if one.start < document.prompt_characters:
                before_prompt_end += len(written) - len(value)
            line = bisect_right(line_starts, one.start)
            row: Row = {
                "path": document.path,
                "repository": document.repository,
                "kind": one.kind,
                "detector": one.detector,
                "line": line,
                "column": one.start - line_starts[line - 1] + 1,
                "length": len(value),
                "hash": self._hash(value),
                "replacement": written,
            }
            note("redactions", row)
        prompt = document.prompt_characters + before_prompt_end
        return replace(document, text="".join(pieces) + text[end:], prompt_characters=prompt)

    def _find(self, document: Document) -> Iterator[Found]:
        config = self._config
        if config.keys or config.passwords:
            wanted = {KEY: config.keys, PASSWORD: config.passwords}
            yield from (one for one in find_secrets(document.text, document.path) if wanted[one.kind])
        if config.emails:
            yield from find_emails(document.text)
        if config.ip_addresses:
            yield from find_ip_addresses(document.text)

    def _hash(self, value: str) -> str:
        if not self._salt:
            return ""
        digest = hmac.new(self._salt, value.encode("utf-8", "surrogatepass"), hashlib.sha256)
        return digest.hexdigest()[:_HASH_CHARACTERS]


def _line_starts(text: str) -> list[int]:
    starts, place = [0], text.find("\n")
    while place >= 0:
        starts.append(place + 1)
        place = text.find("\n", place + 1)
    return starts
