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
from spanmix.text.licences.canonical_names import Named, addressed, of_row, plain, plain_host, repositories
from spanmix.text.licences.canonical_names import path as canonical_path

_NAME = re.compile(r"[^\s/@:-][^\s/@:]*(?:/[^\s/:]+)*")
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


class _Meaning(NamedTuple):
    kinds: tuple[str, ...]
    named: Named


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
            for kinds, (named, host) in _meanings(entry):
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
            repository: ``owner/name`` in any spelling that a line may have, several with commas between, or
                ``""`` if unknown: then only paths can fit, and paths that are addresses.
            path: the document's path, inside the repository if it is in one.
            root: what of the path names the source's folder.
            host: the one that the repository lies on, or ``""`` if unknown: then those of lines do not count.
        """
        if not self.entries:
            return []
        found: dict[str, None] = {}
        for kind, place, its_host in _places(repository, path, root, plain_host(host)):
            for entry in self._naming(kind, place):
                # A path may begin with a repository that is not known otherwise, and tells nothing if it is.
                is_meant = not repository if kind == FOLDER else entry.host == its_host or not its_host
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


def _places(repository: str, path: str, root: str, host: str) -> Iterator[tuple[str, str, str]]:
    """Yield what a document is called, by kind, with the host that is known of it."""
    paths = dict.fromkeys(canonical_path(one) for one in (path, path.removeprefix(root)))
    for named in of_row(repository):
        yield REPOSITORY, canonical_path(f"{named.text}/{path}"), named.host or host
    if not repository and (address := addressed(path)) is not None:
        yield REPOSITORY, canonical_path(address.text), address.host
    for kind in (FOLDER, FILE):
        for one in paths:
            yield kind, one, ""


def _meanings(entry: str) -> Iterator[_Meaning]:
    """Yield what a line may name.

    >>> [meaning.named.text for meaning in _meanings("https://github.com/ann/tool/blob/main/src/a.py")]
    ['ann/tool/src/a.py']
    >>> [(one.kinds, one.named.text) for entry in ("ann", "./src") for one in _meanings(entry)]
    [(('repository', 'file'), 'ann'), (('folder',), 'src')]
    """
    entry = plain(entry)
    is_of_top = entry.startswith(("/", "./"))
    if is_of_top or ("/" not in entry[:-1] and entry.endswith("/")):
        yield _Meaning((FOLDER,), Named(canonical_path(entry)))
        return
    for named in repositories(entry):
        is_one_part = "/" not in named.text
        if named.host or addressed(entry):
            kinds = (REPOSITORY,) if is_one_part else (REPOSITORY, FOLDER)
        else:
            kinds = (REPOSITORY, FILE if is_one_part and not _WILDCARD.search(named.text) else FOLDER)
        yield _Meaning(kinds, Named(canonical_path(named.text), named.host))


def _compiled(named: str) -> Any:
    """Compile what has wildcards: it names a file, or all that is in a folder; only that with a slash behind.

    RE2 takes as long as a path is, however many wildcards there are: such lists come from strangers.
    """
    parts = _WILDCARD.split(named.strip("/"))
    wanted = "".join(
        _MEANINGS.get(part, ".*") if number % 2 else re2.escape(part) for number, part in enumerate(parts)
    )
    return re2.compile("(?s)" + wanted + ("/.*" if named.endswith("/") else "(?:/.*)?"))
