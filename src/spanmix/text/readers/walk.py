"""Walk a folder in an order that only the names decide, as git would where it is a checkout."""

from __future__ import annotations

import fnmatch
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from spanmix.corpus_configs.sources import SourceFilesConfig
from spanmix.text.dropped import UNREADABLE, Dropped, printable
from spanmix.text.readers.faults import GENERATED, IGNORED, SUBMODULE, VENDORED
from spanmix.text.readers.git_checkout import Checkout, open_checkout
from spanmix.text.readers.git_patterns import Rules

_NO_RULES = Rules()


@dataclass(frozen=True)
class WalkedFile:
    """A file that was met: where it is, and the repository that it lies in."""

    path: Path
    repository: str


@dataclass(frozen=True)
class _Place:
    """The checkout that a folder lies in, if any, and its path in there with a slash behind it."""

    checkout: Checkout | None = None
    inside: str = ""
    rules: Rules = _NO_RULES


@dataclass(frozen=True)
class _Entry:
    path: str
    relative: str
    is_folder: bool
    place: _Place


def walk(
    root: Path, source: SourceFilesConfig, leave_out: Path | None = None
) -> Iterator[WalkedFile | Dropped]:
    """Yield the files of a folder and all below it, without opening them.

    Entries are sorted by name. Hidden files and folders are skipped, links are followed, and no folder is
    walked twice. Files are taken if `source.include` matches their name or their path below `root`. A folder
    that holds ``.git`` is a checkout: with `source.git_rules`, what its ``.gitignore`` files or
    ``.git/info/exclude`` leave out, files that ``.gitattributes`` calls ``linguist-generated`` or
    ``linguist-vendored``, and submodules are dropped; an ignored folder is one entry, its path with a slash
    behind it. A file that was committed although ``.gitignore`` names it is left out too. The user's own
    rules (``core.excludesFile``) are not asked, nor is a checkout that `root` merely lies in: a folder of
    data that one's own project ignores can be a source.

    Args:
        root: the folder.
        source: what to take.
        leave_out: a folder to pass over.
    """
    seen = {_identity(str(leave_out))} if leave_out is not None and leave_out.is_dir() else set()
    pending = [_Entry(str(root), "", True, _Place())]
    while pending:
        entry = pending.pop()
        if not entry.is_folder:
            if _included(entry.relative, source.include):
                yield _judged(entry)
            continue
        try:
            if (identity := _identity(entry.path)) in seen:
                continue
            seen.add(identity)
            with os.scandir(entry.path) as listing:
                found = {item.name: _is_folder(item) for item in listing}
        except OSError:
            yield Dropped(_shown(entry).rstrip("/"), UNREADABLE)
            continue
        place = _enter(entry, found, source) if source.git_rules else _Place()
        if isinstance(place, Dropped):
            yield place
            continue
        names = sorted((name for name in found if not name.startswith(".")), reverse=True)
        for name in names:
            path, relative = os.path.join(entry.path, name), f"{entry.relative}{name}"  # noqa: PTH118
            is_folder = found[name]
            pending.append(_Entry(path, relative + "/" * is_folder, is_folder, place))


def _is_folder(item: os.DirEntry[str]) -> bool:
    try:
        return item.is_dir()
    except OSError:  # a link to itself
        return False


def _enter(entry: _Entry, found: dict[str, bool], source: SourceFilesConfig) -> _Place | Dropped:
    """Return where the entries of a folder lie, or why it is not entered."""
    above = entry.place
    inside = _inside(entry)
    checkout = above.checkout
    opened = open_checkout(Path(entry.path)) if ".git" in found else None
    if checkout is not None and inside:
        is_submodule = inside in checkout.submodules or (opened is not None and not found[".git"])
        if is_submodule and not source.submodules:
            return Dropped(_shown(entry), SUBMODULE)
        # Git takes a link for a file, so a pattern for folders does not name it.
        if not is_submodule and above.rules.ignores(inside, not os.path.islink(entry.path)):  # noqa: PTH114
            return Dropped(_shown(entry), IGNORED)
    if opened is not None:
        return _Place(opened, "", opened.rules.below(entry.path, "", found))
    if checkout is None:
        return above
    inside += "/"
    return _Place(checkout, inside, above.rules.below(entry.path, inside, found))


def _judged(entry: _Entry) -> WalkedFile | Dropped:
    place = entry.place
    if place.checkout is None:
        return WalkedFile(Path(entry.path), "")
    inside = _inside(entry)
    if place.rules.ignores(inside, is_folder=False):
        return Dropped(_shown(entry), IGNORED)
    attributes = place.rules.attributes_of(inside)
    for name, reason in (("linguist-generated", GENERATED), ("linguist-vendored", VENDORED)):
        if name in attributes:
            return Dropped(_shown(entry), reason)
    return WalkedFile(Path(entry.path), place.checkout.repository)


def _shown(entry: _Entry) -> str:
    return printable(str(Path(entry.path))) + "/" * (entry.is_folder and bool(entry.relative))


def _inside(entry: _Entry) -> str:
    return entry.place.inside + entry.path.rpartition("/")[2]


def _identity(path: str) -> tuple[int, int]:
    status = os.stat(path)  # noqa: PTH116
    return status.st_dev, status.st_ino


def _included(relative: str, include: tuple[str, ...]) -> bool:
    name = relative.rpartition("/")[2]
    for pattern in include:
        if fnmatch.fnmatchcase(name, pattern.removeprefix("**/")) or fnmatch.fnmatchcase(relative, pattern):
            return True
    return False
