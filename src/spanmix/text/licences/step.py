"""Keep the documents whose licence is permitted.

A document's licence is said by its own header, by its repository and by its row's column. None of them is
taken over another: all that is said must be permitted, since a permissive header in a repository under the
GPL may be a mistake of either. Within one of them ``OR`` leaves a choice. Only a SPDX tag and the metadata
of a package speak for the licence texts that stand beside them, see `spanmix.text.licences.headers` and
`spanmix.text.licences.repository`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from spanmix.corpus_configs.licences import LicencesConfig
from spanmix.text.dropped import Dropped
from spanmix.text.licences.attribution import attribution_row
from spanmix.text.licences.expressions import Permitted, all_of, spdx_expression
from spanmix.text.licences.headers import Stated, header_licence
from spanmix.text.licences.opt_out import OptOut
from spanmix.text.licences.reasons import NOT_KNOWN, NOT_PERMITTED, OPT_OUT, OPTED_OUT
from spanmix.text.licences.repository import RepositoryLicences
from spanmix.text.steps import Note
from spanmix.types import Document

_EXCERPT = 300
_COLUMN_SEPARATORS = (";", "\n", "\t")


class LicenceStep:
    """Drop what is not permitted, and write down the licence of the rest.

    Args:
        config: what is permitted.
        follow_links: as the source's.

    Raises:
        InputError: an id is unknown, or the opt-out list cannot be read.
    """

    def __init__(self, config: LicencesConfig, follow_links: bool = False) -> None:
        self._config = config
        self._permitted = Permitted(config.permitted)
        self._opt_out = OptOut.load(config.opt_out) if config.opt_out is not None else OptOut()
        self._repositories = RepositoryLicences(follow_links)

    def __call__(self, document: Document, note: Note) -> Document | Dropped:
        """Return the document with its SPDX expression, or drop it with the licence or the statement found.

        A kept document writes a row to the audit file ``attribution``, one that is opted out a row for each
        entry that names it to ``opt_out``.
        """
        entries = self._opt_out.fitting(document.repository, document.path, document.root, document.host)
        if entries:
            for entry in entries:
                note(OPT_OUT, {"path": document.path, "repository": document.repository, "entry": entry})
            return Dropped.by_step(document, OPTED_OUT, entries[0])
        statements = self._statements(document)
        expression = all_of(one.expression for one in statements if one.expression is not None)
        if expression is not None and not self._permitted(expression):
            return Dropped.by_step(document, NOT_PERMITTED, expression, document.text[:_EXCERPT])
        unknown = next((one.unknown for one in statements if one.unknown), "")
        if (unknown or expression is None) and self._config.unknown == "drop":
            return Dropped.by_step(document, NOT_KNOWN, unknown or None, document.text[:_EXCERPT])
        kept = replace(document, licence=expression or "")
        if self._config.attribution:
            note("attribution", attribution_row(kept, statements))
        return kept

    def _statements(self, document: Document) -> list[Stated]:
        statements = [header_licence(document.text)]
        if document.licence:
            statements.append(read_column(document.licence))
        elif self._config.repository_files:
            statements.append(self._repositories.of(document.file).stated)
        return statements


def read_column(value: str) -> Stated:
    """Read a row's licence: an expression, a name, or several of them with ``;`` between, which all count.

    >>> read_column("mit").expression, read_column("mit; gpl-3.0").expression, read_column("see file").unknown
    ('MIT', 'GPL-3.0-only AND MIT', 'see file')
    """
    parts: Iterable[str] = [value]
    for separator in _COLUMN_SEPARATORS:
        parts = [piece for part in parts for piece in part.split(separator)]
    found = [(part.strip(), spdx_expression(part)) for part in parts if part.strip()]
    unknown = next((part for part, expression in found if expression is None), "")
    return Stated(all_of(expression for _, expression in found if expression is not None), unknown)
