"""Walk a folder in an order that only the names decide, as git would where it is a checkout."""

from __future__ import annotations

import fnmatch
import os
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from spanmix.corpus_configs.sources import EVERY_FILE, SourceFilesConfig
from spanmix.text.dropped import UNREADABLE, Dropped
from spanmix.text.readers.faults import (
    BARE,
    CORPUS,
    GENERATED,
    HIDDEN,
    IGNORED,
    SUBMODULE,
    SYMBOLIC_LINK,
    VENDORED,
)
from spanmix.text.readers.git_checkout import open_checkout
from spanmix.text.readers.hub import is_link_into_cache
from spanmix.text.readers.origin import Origin
from spanmix.text.readers.place import Place, enclosing_checkout
from spanmix.text.report import CORPUS_FILE

_Listing = dict[str, os.DirEntry[str]]
_IN_WORK = re.compile(r"\..+\.spanmix-(?:work|partial|replaced)")


@dataclass(frozen=True)
class WalkedFile:
    """A file that was met: where it is, and what it is called."""

    path: Path
    origin: Origin


@dataclass(frozen=True)
class _Entry:
    """What is met: its path on disk, its path below the root, and the folder that it lies in.

    `is_link` is not said of what is always followed. `dropped` is the reason for which it is not even looked
    into. The root is an entry with the name ``""`` of itself.
    """

    path: str
    relative: str
    is_folder: bool
    place: Place
    is_link: bool = False
    dropped: str = ""

    @property
    def name(self) -> str:
        return self.path.rpartition("/")[2] if self.relative else ""

    @property
    def origin(self) -> Origin:
        if not self.relative:
            return self.place.origin(self.path, "")
        return self.place.origin(self.path, self.name + "/" * self.is_folder)


def walk(
    root: Path, name: str, source: SourceFilesConfig, own: Collection[tuple[int, int]] = ()
) -> Iterator[WalkedFile | Dropped]:
    """Yield the files of a folder and all below it, without opening them.

    Entries are sorted by name. Files are taken if `source.include` matches their name or their path below
    `root`. Entries whose names begin with a dot are dropped, but for ``.git``, which is none; a folder that
    is dropped is one entry, its path with a slash behind it. So is a folder that holds a corpus of Spanmix,
    unless the source has a tokenizer.

    A symbolic link is dropped, too, with a slash behind its path if it leads to a folder: what lies in the
    source is met at its own place, and what lies outside was not asked for. `root` itself may be one. The
    files of the Hub's cache are links into another folder of it, and are taken. With `source.follow_links`
    all links are followed, and no folder is walked twice.

    With `source.git_rules`, where `root` lies in a checkout or holds some, what ``.gitignore`` files or
    ``.git/info/exclude`` leave out, files that ``.gitattributes`` calls ``linguist-generated`` or
    ``linguist-vendored``, and submodules are dropped. The rules of the folders above `root` count, too. A
    file that was committed although ``.gitignore`` names it is left out. The user's own rules
    (``core.excludesFile``) are not asked.

    Data often lies in a checkout that ignores it. So where git would list no file at all of `root`, it is a
    folder like any other: no rule of the checkout holds in it, and it is not of that repository. That is so
    if a pattern names `root` or a folder above it (``data/``), or all that it holds (``data/*``). A pattern
    that names some of what it holds (``*.log``) leaves out just that.

    Args:
        root: the folder.
        name: what stands in front of the paths of files that lie in no checkout.
        source: what to take.
        own: what to pass over without a word; see `identities`.
    """
    place = _place_of_root(root, name, source, own)
    yield from _walk(_Entry(str(root), "", True, place), source, own)


def _place_of_root(
    root: Path, name: str, source: SourceFilesConfig, own: Collection[tuple[int, int]]
) -> Place:
    outside = Place.outside(name)
    place = enclosing_checkout(root) if source.git_rules else None
    if place is None:
        return outside
    if not place.inside:  # a checkout is never data of its own
        return place
    has_ignored = False
    for item in _walk(_Entry(str(root), "", True, place), replace(source, include=EVERY_FILE), own):
        if isinstance(item, WalkedFile) or item.reason not in (IGNORED, HIDDEN, CORPUS):
            return place
        has_ignored |= item.reason == IGNORED
    return outside if has_ignored else place


def _walk(
    root: _Entry, source: SourceFilesConfig, own: Collection[tuple[int, int]]
) -> Iterator[WalkedFile | Dropped]:
    seen = set(own)
    pending = [root]
    while pending:
        entry = pending.pop()
        if not entry.is_folder and not _included(entry.relative, source.include):
            continue
        if entry.dropped:
            yield entry.origin.dropped(entry.dropped)
            continue
        if not entry.is_folder or (entry.is_link and not source.follow_links):
            yield _judged(entry, source)
            continue
        try:
            if (identity := _identity(entry.path)) in seen:
                continue
            seen.add(identity)
            with os.scandir(entry.path) as listing:
                found = {item.name: item for item in listing}
        except OSError:
            yield entry.origin.dropped(UNREADABLE)
            continue
        place = _enter(entry, found, source)
        if isinstance(place, Dropped):
            yield place
        else:
            pending += _entries(entry, found, place, own)


def identities(paths: Collection[Path]) -> set[tuple[int, int]]:
    """Return which files and folders on disk these are, as far as they exist."""
    return {_identity(str(path)) for path in paths if path.exists()}


def _entries(
    folder: _Entry, found: _Listing, place: Place, own: Collection[tuple[int, int]]
) -> Iterator[_Entry]:
    """Yield the entries of a folder, the last one first."""
    for name in sorted(found.keys() - {".git"}, reverse=True):
        path, is_folder = os.path.join(folder.path, name), _is_folder(found[name])  # noqa: PTH118
        reason = ""
        if name.startswith("."):
            reason = CORPUS if is_folder and _IN_WORK.fullmatch(name) else HIDDEN
            if ".spanmix-" in name and os.path.exists(path) and _identity(path) in own:  # noqa: PTH110
                continue
        relative = folder.relative + name + "/" * is_folder
        is_link = found[name].is_symlink() and not is_link_into_cache(path)
        yield _Entry(path, relative, is_folder, place, is_link, reason)


def _is_folder(item: os.DirEntry[str]) -> bool:
    try:
        return item.is_dir()
    except OSError:  # a link to itself
        return False


def _enter(entry: _Entry, found: _Listing, source: SourceFilesConfig) -> Place | Dropped:
    """Return where the entries of a folder lie, or why it is not entered."""
    if source.tokenizer is None and _is_corpus(found):
        return entry.origin.dropped(CORPUS)
    if source.git_rules and _is_bare(found):
        return entry.origin.dropped(BARE)
    place = entry.place
    if entry.relative:
        opened = open_checkout(Path(entry.path)) if source.git_rules and ".git" in found else None
        is_submodule = place.names_submodule(entry.name) or (
            place.checkout is not None and opened is not None and not _is_folder(found[".git"])
        )
        if is_submodule and not source.submodules:
            return entry.origin.dropped(SUBMODULE)
        if not is_submodule and place.ignores(entry.name, is_folder=not entry.is_link):
            return entry.origin.dropped(IGNORED)
        place = place.below(entry.name) if opened is None else Place.top_of(opened)
    return place.with_rules_of(entry.path, found)


def _judged(entry: _Entry, source: SourceFilesConfig) -> WalkedFile | Dropped:
    place, origin = entry.place, entry.origin
    if place.ignores(entry.name, is_folder=False):  # a link is a file to git, wherever it leads
        return origin.dropped(IGNORED)
    if entry.is_link and not source.follow_links:
        return origin.dropped(SYMBOLIC_LINK)
    attributes = place.rules.attributes_of(place.inside + entry.name)
    for name, reason in (("linguist-generated", GENERATED), ("linguist-vendored", VENDORED)):
        if name in attributes:
            return origin.dropped(reason)
    return WalkedFile(Path(entry.path), origin)


def _is_corpus(found: Collection[str]) -> bool:
    """Return whether a folder with these entries holds what `spanmix prepare` makes."""
    names = {name.removesuffix(".documents.parquet") for name in found if name.endswith(".documents.parquet")}
    return CORPUS_FILE in found and any(f"{name}.bin" in found and f"{name}.idx" in found for name in names)


def _is_bare(found: _Listing) -> bool:
    """Return whether a folder is git's own, as a clone without a work tree is: no file in it can be read."""
    folders = all(name in found and _is_folder(found[name]) for name in ("objects", "refs"))
    return folders and all(name in found and not _is_folder(found[name]) for name in ("HEAD", "config"))


def _identity(path: str) -> tuple[int, int]:
    status = os.stat(path)  # noqa: PTH116
    return status.st_dev, status.st_ino


def _included(relative: str, include: tuple[str, ...]) -> bool:
    name = relative.rpartition("/")[2]
    for pattern in include:
        if fnmatch.fnmatchcase(name, pattern.removeprefix("**/")) or fnmatch.fnmatchcase(relative, pattern):
            return True
    return False
