"""Leave out the repositories, authors and files that were asked to be left out.

The list has one entry a line; ``#`` begins a comment, and upper and lower case are the same, as for the
forges. What each kind of line names is the table of docs/corpus.md, which the tests follow row by row.

>>> left_out = OptOut.parse("AnnAuthor  # all of hers\\nsome/tool\\nsrc/*.py\\nhmac.py\\n", "list.txt")
>>> left_out.fitting("annauthor/parser", "src/a.py"), left_out.fitting("", "hmac.py")
(['AnnAuthor', 'src/*.py'], ['hmac.py'])
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import re2  # type: ignore[import-untyped]

from spanmix.errors import InputError

_NAME = re.compile(r"[^\s/@:-][^\s/@:]*(?:/[^\s/:]+)*")
_ADDRESS = re.compile(
    r"(?:(?:https?|ssh|git)://(?:[^/@\s]+@)?|git@)(?P<host>[a-z0-9.-]+)(?::\d+(?=/))?[/:]~?"
    r"(?P<shown>[^#]+?)(?:\?[\w-]+=.*)?(?:#.*)?"  # ? is any character, but in front of a query
)
_BARE_ADDRESS = re.compile(
    r"(?P<host>(?:www\.)?(?:github\.com|gitlab\.com|bitbucket\.org|codeberg\.org|gitee\.com|git\.sr\.ht)(?=/)"
    r"|[a-z0-9-]+(?:\.[a-z0-9-]+)*\.[a-z]{2,}(?=/[^/]+/[^/]))/~?(?P<shown>.+)"
)
"""An address without ``https://``; of a host that is no known forge at least a repository must be named."""
_HOST_PREFIX = re.compile(r"(?:www|ssh|altssh)\.")
_SHOWN = re.compile(r"([^/]+/.+?)/(?:-/)?(?:blob|tree|(?:src|raw)/(?:branch|tag|commit)|raw)/[^/]+(?=/|$)")
"""What an address of a file or a folder has in front of its path: repository and branch."""
_SLASH = re.compile("/")
_WILDCARD = re.compile(r"(\*\*/|\*+|\?)")
_MEANINGS = {"**/": "(?:.*/)?", "?": "."}

REPOSITORY, FOLDER, FILE = "repository", "folder", "file"
"""What a line may name: an account, a repository or what is below it; a path or what is below it; the whole
path of a document and nothing else."""


class Entry(NamedTuple):
    """A line of a list, and the host that it names, or ``""``."""

    line: str
    host: str = ""


class _Named(NamedTuple):
    kinds: tuple[str, ...]
    text: str
    host: str = ""


@dataclass(frozen=True)
class OptOut:
    """What is left out.

    Args:
        entries: the lines without comments as they were written, each once.
        names: by kind and text in lower case, what has no wildcards.
        patterns: what has some, with its kind.
    """

    entries: tuple[str, ...] = ()
    names: Mapping[tuple[str, str], tuple[Entry, ...]] = field(default_factory=dict)
    patterns: tuple[tuple[str, Any, Entry], ...] = ()

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
        names: dict[tuple[str, str], tuple[Entry, ...]] = {}
        patterns = []
        for number, line in enumerate(text.splitlines(), start=1):
            entry = re.split(r"(?:^|\s)#", line, maxsplit=1)[0].strip()
            if not entry or entry in entries:
                continue
            entries[entry] = None
            for kinds, named, host in _meanings(entry.lower()):
                if _NAME.fullmatch(_WILDCARD.sub("x", named.strip("/"))) is None:
                    raise InputError(
                        f"{path}, line {number}, is {line.strip()!r}, which is no account, repository or "
                        "path; write owner, owner/name or a path, one on each line, and comments behind #"
                    )
                for kind in kinds:
                    if _WILDCARD.search(named):
                        patterns.append((kind, _compiled(named), Entry(entry, host)))
                    else:
                        key = (kind, named.strip("/"))
                        names[key] = (*names.get(key, ()), Entry(entry, host))
        return cls(tuple(entries), names, tuple(patterns))

    def fitting(self, repository: str, path: str, root: str = "", host: str = "") -> list[str]:
        """Return the entries that leave a document out, each once; none if it may stay.

        Args:
            repository: ``owner/name``, or ``""`` if unknown: then only paths can fit.
            path: the document's path, inside the repository if it is in one.
            root: what of the path names the source's folder.
            host: the one that the repository lies on, or ``""`` if unknown: then those of lines do not count.
        """
        path = path.lower()
        paths = dict.fromkeys((path, path.removeprefix(root.lower())))
        places = [(kind, place) for kind in (FOLDER, FILE) for place in paths]
        if repository:
            places.insert(0, (REPOSITORY, f"{repository.lower()}/{path}"))
        host = _plain_host(host)
        found: dict[str, None] = {}
        for kind, place in places:
            for entry in self._naming(kind, place):
                # A path may begin with a repository that is not known otherwise, and tells nothing if it is.
                is_meant = not repository if kind == FOLDER else entry.host == host or not host
                if not entry.host or is_meant:
                    found[entry.line] = None
        return list(found)

    def _naming(self, kind: str, place: str) -> Iterator[Entry]:
        ends = [len(place)]
        if kind != FILE:
            ends = [match.start() for match in _SLASH.finditer(place)] + ends
        for end in ends:
            yield from self.names.get((kind, place[:end]), ())
        yield from (entry for of, pattern, entry in self.patterns if of == kind and pattern.fullmatch(place))


def _meanings(entry: str) -> Iterator[_Named]:
    """Yield what a line in lower case may name.

    >>> [named.text for named in _meanings("https://github.com/ann/tool/blob/main/src/a.py")]
    ['ann/tool/src/a.py']
    >>> [(named.kinds, named.text) for entry in ("ann", "./src") for named in _meanings(entry)]
    [(('repository', 'file'), 'ann'), (('folder',), 'src')]
    """
    address = _ADDRESS.fullmatch(entry)
    if address is None:
        plain = entry.removeprefix("./")
        is_path = plain != entry or plain.startswith("/") or ("/" not in plain[:-1] and plain.endswith("/"))
        is_one_part = "/" not in plain and not _WILDCARD.search(plain)
        kinds = (FOLDER,) if is_path else (REPOSITORY, FILE if is_one_part else FOLDER)
        yield _Named(kinds, plain.removeprefix("/") if is_path else _without_git(plain))
        address = None if is_path else _BARE_ADDRESS.fullmatch(plain)
    if address is not None:
        shown = _SHOWN.sub(r"\1", _without_git(address["shown"].rstrip("/")))
        yield _Named(
            (REPOSITORY, FOLDER) if "/" in shown else (REPOSITORY,), shown, _plain_host(address["host"])
        )


def _without_git(named: str) -> str:
    return named.removesuffix(".git") if "/" in named else named


def _plain_host(host: str) -> str:
    """Return a host as it is compared, or ``""`` for a name of this machine or of its SSH alone.

    >>> _plain_host("www.GitHub.com"), _plain_host("ssh.github.com"), _plain_host("github-work")
    ('github.com', 'github.com', '')
    """
    return _HOST_PREFIX.sub("", host.lower(), count=1) if "." in host else ""


def _compiled(named: str) -> Any:
    """Compile what has wildcards: it names a file, or all that is in a folder; only that with a slash behind.

    RE2 takes as long as a path is, however many wildcards there are: such lists come from strangers.
    """
    parts = _WILDCARD.split(named.strip("/"))
    wanted = "".join(
        _MEANINGS.get(part, ".*") if number % 2 else re2.escape(part) for number, part in enumerate(parts)
    )
    return re2.compile("(?s)" + wanted + ("/.*" if named.endswith("/") else "(?:/.*)?"))
