"""What a checkout's ``.git`` says: the repository's name, its submodules and its own rules."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from spanmix.text.dropped import printable
from spanmix.text.readers.git_patterns import MAX_RULE_BYTES, Rules, read_attributes, read_ignored
from spanmix.text.regular_files import read_regular

_SECTION = re.compile(r'\s*\[\s*([\w.-]+)(?:\s+"((?:[^"\\]|\\.)*)")?\s*\]\s*(.*)')
_KEY = re.compile(r"\s*([A-Za-z][\w-]*)\s*=\s*(.*)")
_URL = re.compile(
    r"(?:[a-z][a-z0-9+.-]*://(?:[^/]*@)?(?P<host>[^/:@]+)(?::\d+)?/"
    r"|(?:[^/\s]*@)?(?P<scp_host>[^/:@\s]{2,}):(?!//))(?P<path>[^?#;@]+)(?:[?#;][^@]*)?"
)
"""An address. Where an ``@`` follows the first slash, it is none: a password may have begun before that."""

_NAME = re.compile(r"[\w.~-]+(?:/[\w.~-]+)*")
_FORGE = re.compile(
    r"(?:^|[.-])(?:bitbucket|codeberg|forgejo|gitea|gitee|github|gitlab|gogs|hf|huggingface|sr)(?:[.-]|$)",
    re.I,
)
"""Hosts whose paths of two parts are ``owner/name``, even written as if from the root: the public forges, and
machines that are named after the program that runs one, such as ``gitlab.example.org``."""

_LOCAL = re.compile(
    r"(?:.*/)?(?:home|Users)/"
    r"|(?:data|export|media|mnt|nfs|opt|private|root|scratch|srv|tmp|usr|var|Volumes|volume\d+|work)/[^/]+/"
)
"""How paths begin on a disk: by the Filesystem Hierarchy Standard 3.0, and as macOS, storage devices and
clusters have it."""


@dataclass(frozen=True)
class Checkout:
    """A folder that git has checked out.

    Args:
        repository: ``owner/name`` of the remote, or the folder's name.
        submodules: paths, below the folder, that ``.gitmodules`` names.
        rules: those of ``.git/info``.
        host: the remote's, or ``""``.
    """

    repository: str
    submodules: frozenset[str]
    rules: Rules
    host: str = ""


def open_checkout(folder: Path) -> Checkout | None:
    """Return what git says of a folder that holds ``.git``, or None if that is no repository of git's."""
    git = _git_folder(folder / ".git")
    if git is None:
        return None
    rules = Rules(
        ignored=(("", read_ignored(str(git / "info" / "exclude"), follow_link=True)),),
        attributes_last=read_attributes(str(git / "info" / "attributes"), follow_link=True),
    )
    repository, host = _repository(git, folder)
    return Checkout(repository, _submodules(folder / ".gitmodules"), rules, host)


def repository_of(url: str) -> str:
    """Return ``owner/name`` of a remote's address; ``""`` for a folder, here or on another machine.

    The name stands in published text. So it is nothing but letters, digits and ``_.~-`` between slashes, no
    password behind a ``:``, ``@``, ``?`` or ``;``, and no path of somebody's disk.

    >>> repository_of("https://user:secret@github.com/owner/name.git"), repository_of("git@host:owner/name")
    ('owner/name', 'owner/name')
    >>> repository_of("/srv/git/name.git"), repository_of("file:///srv/git/name"), repository_of("C:/name")
    ('', '', '')
    >>> repository_of("host:/home/bob/name"), repository_of("https://host/oauth2:TOKEN@/owner/name")
    ('', '')
    """
    match = _URL.fullmatch(url.strip())
    if match is None or url.lstrip().lower().startswith("file:"):
        return ""
    path = match["path"].strip("/").removesuffix(".git").strip("/")
    if _NAME.fullmatch(path) is None or not {".", "..", "~"}.isdisjoint(path.split("/")):
        return ""
    if path.count("/") == 1 and _FORGE.search(match["host"] or match["scp_host"]):
        return path.removeprefix("~")  # SourceHut's sign of an owner
    is_absolute = match["scp_host"] is not None and match["path"].startswith("/")
    return "" if is_absolute or path.startswith("~") or _LOCAL.match(path) else path


def host_of(url: str) -> str:
    """Return the host of a remote's address, or ``""``.

    >>> host_of("ssh://git@lab.acme.org:2222/core/engine"), host_of("git@hub.com:ann/tool"), host_of("/srv")
    ('lab.acme.org', 'hub.com', '')
    """
    match = _URL.fullmatch(url.strip())
    return "" if match is None else str(match["host"] or match["scp_host"])


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


def _repository(git: Path, folder: Path) -> tuple[str, str]:
    """Return the remote's name and host."""
    remotes: dict[str, str] = {}
    for section, name, key, value in _config(git / "config"):
        if section == "remote" and key == "url":
            remotes.setdefault(name, value)
    for name in sorted(remotes, key=lambda name: (name != "origin", name)):
        if repository := repository_of(remotes[name]):
            return repository, host_of(remotes[name])
    return printable(folder.resolve().name), ""


def _submodules(path: Path) -> frozenset[str]:
    if path.is_symlink():  # git reads none either
        return frozenset()
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
    return read_regular(path, MAX_RULE_BYTES).decode("utf-8", "surrogateescape")
