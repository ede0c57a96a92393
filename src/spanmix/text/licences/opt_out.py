"""Leave out the repositories, authors and files that were asked to be left out.

The list has one entry a line: ``owner`` (all repositories of an account), ``owner/name`` (one repository), or
the path of a file or folder as it is in a repository or below a source's folder, also with ``owner/name/`` or
the folder's name in front. A path of one part has a slash in front or behind it, or it would be an account.
``*`` and ``?`` stand for any characters, slashes too. An address, such as ``https://github.com/owner/name``,
stands for what it shows. ``#`` begins a comment. Upper and lower case are the same, as for the forges.

>>> left_out = OptOut.parse("AnnAuthor  # all of hers\\nsome/tool\\nsrc/*.py\\nbo/x/src/**\\n", "list.txt")
>>> left_out.fitting("annauthor/parser", "src/a.py"), left_out.fitting("bo/x", "src/deep/b.c")
(['AnnAuthor', 'src/*.py'], ['bo/x/src/**'])
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from spanmix.errors import InputError

_NAME = re.compile(r"[^\s/@:-][^\s/@:]*(?:/[^\s/:]+)*")
_ADDRESS = re.compile(r"(?:https?://|git@|ssh://git@)(?:www\.)?([a-z0-9.-]+)[/:](.+?)(?:\.git)?/?")
_SHOWN = re.compile(r"([^/]+/.+?)/(?:-/)?(?:blob|tree|raw)/[^/]+(?=/|$)")
"""What an address of a file or a folder has in front of its path: repository and branch."""
_SLASH = re.compile("/")
_WILDCARD = re.compile(r"(\*\*/|\*+|\?)")
_MEANINGS = {"**/": "(?:.*/)?", "?": "."}


@dataclass(frozen=True)
class OptOut:
    """What is left out.

    Args:
        entries: the lines without comments as they were written, each once.
        names: by account, repository and path without wildcards, in lower case, the entries that name it.
        patterns: of other paths in lower case, each with its entry.
    """

    entries: tuple[str, ...] = ()
    names: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    patterns: tuple[tuple[re.Pattern[str], str], ...] = ()

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
        entries: dict[str, None] = {}
        names: dict[str, tuple[str, ...]] = {}
        patterns = []
        for number, line in enumerate(text.splitlines(), start=1):
            entry = re.split(r"(?:^|\s)#", line, maxsplit=1)[0].strip()
            if not entry or entry in entries:
                continue
            entries[entry] = None
            plain = _without_address(entry.lower())
            bare = plain.strip("/")
            if bare and (_WILDCARD.search(bare) or (bare != plain and "/" not in bare)):
                patterns.append((_compiled(plain), entry))
            elif _NAME.fullmatch(bare):
                names[bare] = (*names.get(bare, ()), entry)
            else:
                raise InputError(
                    f"{path}, line {number}, is {line.strip()!r}, which is no account, repository or path; "
                    "write owner, owner/name or a path, one on each line, and comments behind #"
                )
        return cls(tuple(entries), names, tuple(patterns))

    def fitting(self, repository: str, path: str, root: str = "") -> list[str]:
        """Return the entries that leave a document out, each once; none if it may stay.

        Args:
            repository: ``owner/name``, or ``""`` if unknown: then only paths can fit.
            path: the document's path, inside the repository if it is in one.
            root: what of the path names the source's folder.
        """
        path = path.lower()
        places = [path, path.removeprefix(root.lower())]
        found: list[str] = []
        if repository:
            places.append(f"{repository.lower()}/{path}")
            found += self.names.get(repository.lower().partition("/")[0], ())
        for place in places:
            ends = [match.start() for match in _SLASH.finditer(place)] + [len(place)]
            for end in ends[1:]:  # what has one part alone is an account
                found += self.names.get(place[:end], ())
        found += (entry for pattern, entry in self.patterns if any(map(pattern.fullmatch, places)))
        return list(dict.fromkeys(found))


def _without_address(entry: str) -> str:
    """Return what an address shows as ``owner``, ``owner/name`` or ``owner/name/path``.

    >>> _without_address("https://github.com/ann/tool/blob/main/src/a.py"), _without_address("ann/tool")
    ('ann/tool/src/a.py', 'ann/tool')
    """
    address = _ADDRESS.fullmatch(entry)
    return entry if address is None else _SHOWN.sub(r"\1", address[2])


def _compiled(plain: str) -> re.Pattern[str]:
    """Compile a path; one without a wildcard is that of a file or of a folder."""
    parts = _WILDCARD.split(plain.strip("/"))
    wanted = "".join(
        _MEANINGS.get(part, ".*") if number % 2 else re.escape(part) for number, part in enumerate(parts)
    )
    if plain.endswith("/"):
        wanted += "/.*"
    elif len(parts) == 1:
        wanted += "(?:/.*)?"
    return re.compile(wanted, re.DOTALL)
