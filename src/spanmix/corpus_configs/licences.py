"""The recipe's ``licences``: which licences a document may have, and whose documents are left out."""

from __future__ import annotations

import re
from dataclasses import dataclass

from spanmix.bounds import require

LISTS = ("permissive", "stack")
UNKNOWN = ("drop", "keep")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+-]*(?: WITH [A-Za-z0-9][A-Za-z0-9.-]*)?")


@dataclass(frozen=True)
class LicencesConfig:
    """Which licences are permitted, and what is done with a document that states none.

    Args:
        permitted: names of lists and SPDX ids together: ``permissive`` (the Blue Oak Council's list, model to
            lead), ``stack`` (the rule of The Stack v2: that list and what ScanCode calls permissive or public
            domain), an id such as ``MPL-2.0``, or an id with its exception, such as
            ``GPL-2.0-only WITH Classpath-exception-2.0``.
        unknown: what happens to a document whose licence is not known, ``drop`` or ``keep``.
        repository_files: look for the licence files and package metadata above each file on disk.
        opt_out: a file with an account, a repository, an address or a path on each line, with ``*`` and
            ``?``; what it names is left out. Not set: nothing is.
        attribution: write a row for each kept document into the audit file ``attribution``.
    """

    permitted: tuple[str, ...] = ("permissive",)
    unknown: str = "drop"
    repository_files: bool = True
    opt_out: str | None = None
    attribution: bool = True

    def __post_init__(self) -> None:
        names = self.permitted
        rule = (
            f"use any of {', '.join(LISTS)} and SPDX ids such as 'MIT' or 'GPL-2.0-only WITH "
            "Classpath-exception-2.0', each once"
        )
        right = 0 < len(set(names)) == len(names) and all(_NAME.fullmatch(name) for name in names)
        require(right, "licences.permitted", names, rule)
        require(self.unknown in UNKNOWN, "licences.unknown", self.unknown, f"use {' or '.join(UNKNOWN)}")
        require(
            self.opt_out != "", "licences.opt_out", self.opt_out, "use the path of a file, or leave it out"
        )
