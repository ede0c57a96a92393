"""List the files of a source, in the order in which they are read."""

from __future__ import annotations

import os
import stat
import sysconfig
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from spanmix.corpus_configs.sources import SourceFilesConfig
from spanmix.errors import InputError
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
from spanmix.text.readers.hub import HUB_PREFIX, find_dataset
from spanmix.text.readers.walk import WalkedFile, walk
from spanmix.text.token_files import files_beside, is_token_file

_PYTHON_FOLDERS = {"python:stdlib": "stdlib", "python:packages": "purelib"}


@dataclass(frozen=True)
class SourceFile:
    """A file on disk, as listed.

    Args:
        path: where it is.
        num_bytes: its size.
        changed_ns: its time of change, in nanoseconds.
        kind: what it is; see `spanmix.text.readers.formats`.
        beside: the files that a tokenized file is read with, such as its index.
        repository: the checkout that it lies in, ``owner/name`` if that is known, or ``""``.
    """

    path: Path
    num_bytes: int
    changed_ns: int
    kind: str
    beside: tuple[SourceFile, ...] = ()
    repository: str = ""


def list_files(source: SourceFilesConfig, leave_out: Path | None = None) -> Iterator[SourceFile | Dropped]:
    """Yield the files of a source in reading order, without opening them and without those in `leave_out`.

    Raises:
        InputError: a path does not exist, or is no tokenized file although the source has a `tokenizer`.
    """
    for name in source.paths:
        if name.startswith(HUB_PREFIX):
            yield from _hub_files(name, source)
            continue
        root = local_path(name)
        if not root.exists():
            raise InputError(f"source {source.name}: {name} does not exist")
        if source.tokenizer is not None:
            yield from _token_files(root, source, leave_out)
        elif root.is_dir():
            yield from _folder(root, source, leave_out)
        else:
            _refuse_tokenized(root, source.name)
            yield list_file(root, _kind_of_named(root, source))


def local_path(name: str) -> Path:
    """Return where a path of a source leads.

    ``~`` is one's home, ``python:stdlib`` and ``python:packages`` are the folders of this interpreter's
    standard library and of its installed packages.
    """
    if name in _PYTHON_FOLDERS:
        return Path(sysconfig.get_path(_PYTHON_FOLDERS[name]))
    return Path(name).expanduser()


def _kind_of_named(path: Path, source: SourceFilesConfig) -> str:
    if source.format == "files":
        return FILE
    return kind_of(path.name) if source.format == "auto" else source.format


def _folder(root: Path, source: SourceFilesConfig, leave_out: Path | None) -> Iterator[SourceFile | Dropped]:
    kind = FILE if source.format == "files" else source.format
    if kind == "auto":
        kind = _kind_of_folder(root, source, leave_out)
    for item in walk(root, source, leave_out):
        if isinstance(item, Dropped):
            yield item
        elif kind == FILE or is_of_kind(item.path.name, kind):
            _refuse_tokenized(item.path, source.name)
            yield list_file(item.path, kind, repository=item.repository)


def _kind_of_folder(root: Path, source: SourceFilesConfig, leave_out: Path | None) -> str:
    """Return the kind of a folder's files if all, but for remarks, are tables or archives of one kind.

    ``.jsonl`` files that are not compressed are text like any other.
    """
    kinds = set()
    for item in walk(root, source, leave_out):
        name = (item.path if isinstance(item, WalkedFile) else Path(item.path)).name
        if isinstance(item, Dropped) or is_remark(name) or name.startswith("cache-"):
            continue
        kind = kind_of(name)
        kinds.add(FILE if kind == JSONL and not compression_of(name) else kind)
        if FILE in kinds or len(kinds) > 1:
            return FILE
    return kinds.pop() if kinds else FILE


def _hub_files(name: str, source: SourceFilesConfig) -> Iterator[SourceFile | Dropped]:
    for path in find_dataset(name, source.name):
        kind = kind_of(path.name)
        yield list_file(path, kind if kind != FILE else source.format if source.format != "auto" else ARROW)


def _token_files(
    root: Path, source: SourceFilesConfig, leave_out: Path | None
) -> Iterator[SourceFile | Dropped]:
    if not root.is_dir():
        if root.suffix not in (".ds", ".bin"):
            raise InputError(
                f"source {source.name}: {root} is no .ds or .bin file; leave out tokenizer, or name "
                "tokenized files"
            )
        yield list_file(root, TOKENS, files_beside(root))
        return
    for item in walk(root, source, leave_out):
        if is_token_file(path := Path(item.path)):
            yield item if isinstance(item, Dropped) else list_file(path, TOKENS, files_beside(path))


def _refuse_tokenized(path: Path, source: str) -> None:
    """Refuse a file of datatrove's that would be read as text."""
    if path.suffix == ".ds" and Path(f"{path}.index").is_file():
        raise InputError(
            f"source {source}: {path} is a tokenized file; name the tokenizer that it was made with in "
            "corpus.sources.tokenizer"
        )


def list_file(
    path: Path, kind: str, beside: Iterable[Path] = (), repository: str = ""
) -> SourceFile | Dropped:
    """Return a file as it is now, or that it cannot be read."""
    try:
        status = os.stat(path)  # noqa: PTH116
    except OSError:
        return Dropped(printable(str(path)), UNREADABLE)
    if not stat.S_ISREG(status.st_mode):  # reading a pipe would wait for ever
        return Dropped(printable(str(path)), UNREADABLE)
    listed = tuple(file for part in beside if isinstance(file := list_file(part, kind), SourceFile))
    return SourceFile(path, status.st_size, status.st_mtime_ns, kind, listed, repository)
