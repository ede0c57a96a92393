"""Leave out the repositories, authors and files that were asked to be left out.

The list has one entry a line: ``owner`` (all repositories of an account), ``owner/name`` (one repository,
also as its address, ``https://github.com/owner/name``), or a pattern for paths, which has ``*`` or ``?`` in
it, begins with ``/`` or ends with it. ``#`` begins a comment. Upper and lower case are the same, as for the
forges.

>>> left_out = OptOut.parse("annauthor  # all of hers\\nsome/tool\\n*/generated/*\\n", "list.txt")
>>> left_out.entry("AnnAuthor/parser", "a.py"), left_out.entry("x/y", "src/generated/b.py")
('annauthor', '*/generated/*')
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from spanmix.errors import InputError
from spanmix.text.licences.dep5 import matches

_OWNER = re.compile(r"[a-z0-9_][a-z0-9_.-]*")
_REPOSITORY = re.compile(r"[a-z0-9_][a-z0-9_.-]*(?:/[a-z0-9_.-]+)+")
_ADDRESS = re.compile(r"(?:https?://|git@|ssh://git@)(?:www\.)?([a-z0-9.-]+)[/:](.+?)(?:\.git)?/?")


@dataclass(frozen=True)
class OptOut:
    """What is left out, in lower case.

    Args:
        owners: accounts.
        repositories: ``owner/name``.
        patterns: for whole paths.
    """

    owners: frozenset[str] = frozenset()
    repositories: frozenset[str] = frozenset()
    patterns: tuple[str, ...] = ()

    @classmethod
    def load(cls, path: str) -> OptOut:
        """Read a list.

        Raises:
            InputError: the file cannot be read, or a line cannot be understood.
        """
        try:
            text = Path(path).read_text(encoding="utf-8-sig")
        except OSError as error:
            raise InputError(
                f"licences.opt_out names {path}, which cannot be read: {error.strerror}"
            ) from None
        except UnicodeDecodeError as error:
            raise InputError(
                f"licences.opt_out names {path}, which is no UTF-8: byte {error.start:,}"
            ) from None
        return cls.parse(text, path)

    @classmethod
    def parse(cls, text: str, path: str) -> OptOut:
        """Read a list's text; `path` is named in errors."""
        owners, repositories, patterns = set(), set(), []
        for number, line in enumerate(text.splitlines(), start=1):
            entry = re.split(r"(?:^|\s)#", line, maxsplit=1)[0].strip().lower()
            address = _ADDRESS.fullmatch(entry)
            entry = address[2] if address else entry
            if not entry:
                continue
            if "*" in entry or "?" in entry or entry.startswith("/"):
                patterns.append(entry)
            elif entry.endswith("/"):
                patterns.append(entry + "*")
            elif _OWNER.fullmatch(entry):
                owners.add(entry)
            elif _REPOSITORY.fullmatch(entry):
                repositories.add(entry)
            else:
                raise InputError(
                    f"{path}, line {number}, is {line.strip()!r}, which is no account, repository or "
                    f"path; write "
                    "owner, owner/name or a pattern with * or ?, one on each line, and comments behind #"
                )
        return cls(frozenset(owners), frozenset(repositories), tuple(patterns))

    def entry(self, repository: str, path: str) -> str | None:
        """Return the entry that leaves a document out, or None.

        Args:
            repository: ``owner/name``, or ``""`` if unknown: then only patterns can fit.
            path: the document's path.
        """
        repository, path = repository.lower(), path.lower()
        if repository:
            owner = repository.partition("/")[0]
            if owner in self.owners:
                return owner
            if repository in self.repositories:
                return repository
        whole = f"{repository}/{path}" if repository else path
        for pattern in self.patterns:
            if matches(pattern, path) or matches(pattern, whole):
                return pattern
        return None
