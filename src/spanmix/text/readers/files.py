"""List the files of a source, in the order in which they are read."""

from __future__ import annotations

import os
import stat
import sysconfig
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from spanmix.corpus_configs.sources import SourceFilesConfig
from spanmix.errors import InputError
from spanmix.files import follow
from spanmix.text.dropped import UNREADABLE, Dropped, printable
from spanmix.text.readers.formats import (
    ARROW,
    FILE,
    JSONL,
    TOKENS,
    compression_of,
    is_of_kind,
    is_remark,
    kind_of,
)
from spanmix.text.readers.git_patterns import RULE_FILES
from spanmix.text.readers.hub import HUB_PREFIX, find_dataset
from spanmix.text.readers.origin import Origin, distinct_names
from spanmix.text.readers.place import Place, enclosing_checkout
from spanmix.text.readers.walk import WalkedFile, identities, walk
from spanmix.text.token_files import files_beside, is_token_file

_PYTHON_FOLDERS = {"python:stdlib": "stdlib", "python:packages": "purelib"}


@dataclass(frozen=True)
class SourceFile:
    """A file on disk, as listed.

    Args:
        path: where it is.
        origin: what it is called.
        num_bytes: its size.
        changed_ns: its time of change, in nanoseconds.
        kind: what it is; see `spanmix.text.readers.formats`.
        beside: the files that a tokenized file is read with, such as its index.
    """

    path: Path
    origin: Origin
    num_bytes: int
    changed_ns: int
    kind: str
    beside: tuple[SourceFile, ...] = ()


def list_files(source: SourceFilesConfig, out: Path | None = None) -> Iterator[SourceFile | Dropped]:
    """Yield the files of a source in reading order, without opening them.

    Args:
        source: where to look.
        out: the corpus that is made of it, which is passed over with all that is beside it while it is made.

    Raises:
        InputError: a path does not exist, or is no tokenized file although the source has a `tokenizer`.
    """
    own = _own(out)
    local = [name for name in source.paths if not name.startswith(HUB_PREFIX)]
    called = dict(zip(local, distinct_names([local_path(name) for name in local]), strict=True))
    checkouts: dict[Path, Place | None] = {}
    for name in source.paths:
        if name.startswith(HUB_PREFIX):
            yield from _hub_files(name, source)
            continue
        root = local_path(name)
        if not root.exists():
            raise InputError(f"source {source.name}: {name} does not exist")
        if not root.is_dir():
            yield _named_file(root, called[name], source, checkouts)
        elif source.tokenizer is not None:
            yield from _token_files(root, called[name], source, own)
        else:
            yield from _folder(root, called[name], source, own)


def local_path(name: str) -> Path:
    """Return where a path of a source leads.

    ``~`` is one's home, ``python:stdlib`` and ``python:packages`` are the folders of this interpreter's
    standard library and of its installed packages.
    """
    if name in _PYTHON_FOLDERS:
        return Path(sysconfig.get_path(_PYTHON_FOLDERS[name]))
    return Path(name).expanduser()


def _own(out: Path | None) -> set[tuple[int, int]]:
    if out is None:
        return set()
    out = follow(out)
    beside = [path for path in out.parent.glob(".*") if path.name.startswith(f".{out.name}.spanmix-")]
    return identities([out, *beside])


def _named_file(
    path: Path, name: str, source: SourceFilesConfig, checkouts: dict[Path, Place | None]
) -> SourceFile | Dropped:
    """List a file that was named by itself; no rule of git's leaves it out, but it may lie in a checkout."""
    folder = path.parent
    if folder not in checkouts:
        place = enclosing_checkout(folder) if source.git_rules else None
        checkouts[folder] = place and place.with_rules_of(str(folder), RULE_FILES)
    checkout = checkouts[folder]
    if checkout is not None and not checkout.ignores(path.name, is_folder=False):
        origin = checkout.origin(str(path), path.name)
    else:
        origin = Origin(printable(str(path)), name, name[: name.rfind("/") + 1])
    if source.tokenizer is None:
        _refuse_tokenized(path, source.name)
        return list_file(path, origin, _kind_of_named(path, source))
    if path.suffix not in (".ds", ".bin"):
        raise InputError(
            f"source {source.name}: {path} is no .ds or .bin file; leave out tokenizer, or name "
            "tokenized files"
        )
    return list_file(path, origin, TOKENS, files_beside(path))


def _kind_of_named(path: Path, source: SourceFilesConfig) -> str:
    if source.format == "files":
        return FILE
    return kind_of(path.name) if source.format == "auto" else source.format


def _folder(
    root: Path, name: str, source: SourceFilesConfig, own: Collection[tuple[int, int]]
) -> Iterator[SourceFile | Dropped]:
    kind = FILE if source.format == "files" else source.format
    if kind == "auto":
        kind = _kind_of_folder(walk(root, name, source, own))
    for item in walk(root, name, source, own):
        if isinstance(item, Dropped):
            yield item
        elif kind == FILE or is_of_kind(item.path.name, kind):
            _refuse_tokenized(item.path, source.name)
            yield list_file(item.path, item.origin, kind)


def _kind_of_folder(items: Iterable[WalkedFile | Dropped]) -> str:
    """Return the kind of a folder's files if all, but for remarks, are tables or archives of one kind.

    ``.jsonl`` files of which none is compressed are text like any other.
    """
    kinds = set()
    is_packed = False
    for item in items:
        if isinstance(item, Dropped) or is_remark(item.path.name) or item.path.name.startswith("cache-"):
            continue
        kind = kind_of(item.path.name)
        kinds.add(kind)
        is_packed |= kind != JSONL or bool(compression_of(item.path.name))
        if FILE in kinds or len(kinds) > 1:
            return FILE
    return kinds.pop() if is_packed else FILE


def _hub_files(name: str, source: SourceFilesConfig) -> Iterator[SourceFile | Dropped]:
    """List the files of a data set; they are called by its name, wherever its cache lies."""
    paths = find_dataset(name, source.name)
    dataset = name.removeprefix(HUB_PREFIX).partition(":")[0]
    for path, called in zip(paths, distinct_names(paths), strict=True):
        kind = kind_of(path.name)
        kind = kind if kind != FILE else source.format if source.format != "auto" else ARROW
        yield list_file(path, Origin(printable(str(path)), f"{dataset}/{called}"), kind)


def _token_files(
    root: Path, name: str, source: SourceFilesConfig, own: Collection[tuple[int, int]]
) -> Iterator[SourceFile | Dropped]:
    for item in walk(root, name, source, own):
        path = Path(item.file) if isinstance(item, Dropped) else item.path
        if is_token_file(path):
            yield (
                item
                if isinstance(item, Dropped)
                else list_file(path, item.origin, TOKENS, files_beside(path))
            )


def _refuse_tokenized(path: Path, source: str) -> None:
    """Refuse a file of datatrove's that would be read as text."""
    if path.suffix == ".ds" and Path(f"{path}.index").is_file():
        raise InputError(
            f"source {source}: {path} is a tokenized file; name the tokenizer that it was made with in "
            "corpus.sources.tokenizer"
        )


def list_file(path: Path, origin: Origin, kind: str, beside: Iterable[Path] = ()) -> SourceFile | Dropped:
    """Return a file as it is now, or that it cannot be read."""
    found = size_and_change(path)
    if found is None:
        return origin.dropped(UNREADABLE)
    others = [(part, size_and_change(part)) for part in beside]
    listed = tuple(SourceFile(part, origin, *now, kind) for part, now in others if now is not None)
    return SourceFile(path, origin, *found, kind, listed)


def size_and_change(path: Path) -> tuple[int, int] | None:
    """Return the size of a file, in bytes, and its time of change, in nanoseconds; None if it is none.

    That is the time of the last change of its bytes, its rights or its links (``st_ctime``), which no program
    sets back; the time at which its bytes were written (``st_mtime``) can be set to anything.
    """
    try:
        status = os.stat(path)  # noqa: PTH116
    except OSError:
        return None
    # Reading a pipe would wait for ever.
    return (status.st_size, status.st_ctime_ns) if stat.S_ISREG(status.st_mode) else None
