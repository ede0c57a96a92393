"""What a checkout's ``.git`` says: the repository's name, its submodules and its own rules."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from spanmix.text.dropped import printable
from spanmix.text.readers.git_patterns import MAX_RULE_BYTES, Rules, read_attributes, read_ignored

_SECTION = re.compile(r'\s*\[\s*([\w.-]+)(?:\s+"((?:[^"\\]|\\.)*)")?\s*\]\s*(.*)')
_KEY = re.compile(r"\s*([A-Za-z][\w-]*)\s*=\s*(.*)")
_URL = re.compile(
    r"(?:[a-z][a-z0-9+.-]*://(?:[^/@]*@)?[^/:]+(?::\d+)?/|(?:[^/@:\s]+@)?[^/:\s]{2,}:)(?!//)(.+)"
)


@dataclass(frozen=True)
class Checkout:
    """A folder that git has checked out.

    Args:
        repository: ``owner/name`` of the remote, or the folder's name.
        submodules: paths, below the folder, that ``.gitmodules`` names.
        rules: those of ``.git/info``.
    """

    repository: str
    submodules: frozenset[str]
    rules: Rules


def open_checkout(folder: Path) -> Checkout | None:
    """Return what git says of a folder that holds ``.git``, or None if that is no repository of git's."""
    git = _git_folder(folder / ".git")
    if git is None:
        return None
    rules = Rules(
        ignored=(("", read_ignored(str(git / "info" / "exclude"))),),
        attributes_last=read_attributes(str(git / "info" / "attributes")),
    )
    return Checkout(_repository(git, folder), _submodules(folder / ".gitmodules"), rules)


def repository_of(url: str) -> str:
    """Return ``owner/name`` of a remote's address, without what may be secret in it; ``""`` for a folder.

    >>> repository_of("https://user:secret@github.com/owner/name.git"), repository_of("git@host:owner/name")
    ('owner/name', 'owner/name')
    >>> repository_of("/srv/git/name.git"), repository_of("file:///srv/git/name"), repository_of("C:/name")
    ('', '', '')
    """
    match = _URL.fullmatch(url.strip())
    if match is None or url.lstrip().lower().startswith("file:"):
        return ""
    path = match[1].split("?")[0].split("#")[0]
    return path.strip("/").removesuffix(".git").strip("/").removeprefix("~")


def _git_folder(path: Path) -> Path | None:
    """Return the folder of a checkout's config; a worktree or submodule has a file that leads there."""
    try:
        if path.is_file():
            text = _text(path)
            if not text.startswith("gitdir:"):
                return None
            path = path.parent / text.removeprefix("gitdir:").strip()
        if not (path / "HEAD").is_file():
            return None
        common = path / "commondir"
        return path / _text(common).strip() if common.is_file() else path
    except (OSError, ValueError):
        return None


def _repository(git: Path, folder: Path) -> str:
    remotes: dict[str, str] = {}
    for section, name, key, value in _config(git / "config"):
        if section == "remote" and key == "url":
            remotes.setdefault(name, value)
    for name in sorted(remotes, key=lambda name: (name != "origin", name)):
        if repository := repository_of(remotes[name]):
            return printable(repository)
    return printable(folder.resolve().name)


def _submodules(path: Path) -> frozenset[str]:
    found = (value for section, _, key, value in _config(path) if (section, key) == ("submodule", "path"))
    return frozenset(value.strip("/") for value in found)


def _config(path: Path) -> list[tuple[str, str, str, str]]:
    """Read a file of git's configuration as section, name of the section, key and value."""
    try:
        lines = _text(path).splitlines()
    except (OSError, ValueError):
        return []
    section = name = ""
    found = []
    for line in lines:
        if match := _SECTION.match(line):
            section, name, line = match[1].lower(), match[2] or "", match[3]
        if match := _KEY.match(line):
            value = match[2].strip()
            value = value[1:-1] if len(value) > 1 and value[0] == value[-1] == '"' else value
            found.append((section, name, match[1].lower(), value))
    return found


def _text(path: Path) -> str:
    with path.open("rb") as file:
        return file.read(MAX_RULE_BYTES).decode("utf-8", "surrogateescape")
