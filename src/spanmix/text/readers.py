"""Read the files of a source as documents, dropping what is not text with a reason that can be counted."""

from __future__ import annotations

import fnmatch
import json
import os
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spanmix.config import SourceFilesConfig
from spanmix.errors import InputError
from spanmix.text.dropped import BINARY, EMPTY, NOT_UTF8, UNREADABLE, Dropped, longer_than, printable
from spanmix.text.source_tokenizer import SourceTokenizer
from spanmix.text.token_files import files_beside, is_token_file, read_token_file
from spanmix.types import Document

_LANGUAGES = {
    "bash": "sh bash", "c": "c h", "cpp": "cc cpp cxx hh hpp hxx", "csharp": "cs", "css": "css", "go": "go",
    "html": "htm html", "java": "java", "javascript": "js jsx cjs mjs", "json": "json", "kotlin": "kt kts",
    "lua": "lua", "markdown": "md markdown", "perl": "pl pm", "php": "php", "python": "py pyi pyx",
    "r": "r", "restructuredtext": "rst", "ruby": "rb", "rust": "rs", "scala": "scala", "sql": "sql",
    "swift": "swift", "text": "txt text", "toml": "toml", "typescript": "ts tsx", "yaml": "yaml yml",
}  # fmt: skip
LANGUAGE_OF = {suffix: name for name, suffixes in _LANGUAGES.items() for suffix in suffixes.split()}
"""By the ending of a file's name, without its dot and in lower case."""


@dataclass(frozen=True)
class SourceFile:
    """A file on disk, as listed: its path, size in bytes and time of change in nanoseconds.

    `beside` holds the files that a tokenized file is read with, such as its index.
    """

    path: Path
    num_bytes: int
    changed_ns: int
    is_jsonl: bool
    beside: tuple[SourceFile, ...] = ()


def read_source(
    source: SourceFilesConfig, max_document_bytes: int = 16_000_000, leave_out: Path | None = None
) -> Iterator[Document | Dropped]:
    """Yield every document of a source, in an order that depends only on the names of its files.

    Folders are walked with their entries sorted. Hidden files and folders are skipped, links are followed,
    and no folder is walked twice. Files in a folder are taken if `source.include` matches their name or their
    path below the folder; each is one document. A ``.jsonl`` file named in `source.paths` is one document a
    line, with the optional fields ``path``, ``language`` and ``license``; inside a folder it is a file like
    any other. A source with a `tokenizer` holds tokenized files alone; see `spanmix.text.token_files`.

    Args:
        source: where to look.
        max_document_bytes: longer documents are dropped.
        leave_out: a folder to pass over if it lies in the source.

    Yields:
        `Document`, its text exactly as in the file (line ends are kept), or `Dropped`.

    Raises:
        InputError: a path does not exist; a ``.jsonl`` line is not an object with text in `text_field` and
            in `prompt_field`, if the source has one; such a source holds another file; tokens cannot be
            read with the source's tokenizer.
    """
    if source.tokenizer is not None:
        yield from _read_tokens(source, source.tokenizer, max_document_bytes, leave_out)
        return
    for item in list_files(source, leave_out):
        if isinstance(item, Dropped):
            yield item
        elif item.is_jsonl:
            yield from _read_jsonl(item.path, source, max_document_bytes)
        elif source.prompt_field is not None:
            raise InputError(
                f"source {source.name}: {item.path} is no .jsonl file of corpus.sources.paths, so it has no "
                f"field {source.prompt_field!r}; leave out prompt_field, or name .jsonl files alone"
            )
        else:
            yield _read_file(item, source.name, max_document_bytes)


def _read_tokens(
    source: SourceFilesConfig, name: str, max_document_bytes: int, leave_out: Path | None
) -> Iterator[Document | Dropped]:
    if source.prompt_field is not None:
        raise InputError(
            f"source {source.name}: tokenized files have no field {source.prompt_field!r}; leave out "
            "prompt_field, or tokenizer"
        )
    tokenizer = SourceTokenizer.load(name)
    for item in list_files(source, leave_out):
        if isinstance(item, Dropped):
            yield item
        else:
            yield from read_token_file(item.path, source.name, tokenizer, max_document_bytes)


def list_files(source: SourceFilesConfig, leave_out: Path | None = None) -> Iterator[SourceFile | Dropped]:
    """Yield the files of a source in reading order, without opening them and without those in `leave_out`.

    Raises:
        InputError: a path does not exist, or is no tokenized file although the source has a `tokenizer`.
    """
    for name in source.paths:
        root = Path(name)
        if not root.exists():
            raise InputError(f"source {source.name}: {name} does not exist")
        if root.is_dir() and source.tokenizer is None:
            for item in _walk(root, source.include, leave_out):
                _refuse_tokenized(Path(item.path), source.name)
                yield item
        elif root.is_dir():
            yield from _token_files(_walk(root, source.include, leave_out))
        elif source.tokenizer is not None:
            if root.suffix not in (".ds", ".bin"):
                raise InputError(
                    f"source {source.name}: {name} is no .ds or .bin file; leave out tokenizer, or name "
                    "tokenized files"
                )
            yield _list_file(root, False, files_beside(root))
        else:
            _refuse_tokenized(root, source.name)
            yield _list_file(root, is_jsonl=root.suffix == ".jsonl")


def _walk(root: Path, include: tuple[str, ...], leave_out: Path | None) -> Iterator[SourceFile | Dropped]:
    seen = {_identity(leave_out)} if leave_out is not None and leave_out.is_dir() else set()
    pending = [root]
    while pending:
        path = pending.pop()
        try:
            is_folder = path.is_dir()
            if is_folder:
                if (identity := _identity(path)) in seen:
                    continue
                seen.add(identity)
                names = sorted((name for name in os.listdir(path) if not name.startswith(".")), reverse=True)  # noqa: PTH208
                pending += [path / name for name in names]
        except OSError:
            yield Dropped(str(path), UNREADABLE)
            continue
        if not is_folder and _included(path.relative_to(root).as_posix(), include):
            yield _list_file(path, is_jsonl=False)


def _token_files(items: Iterable[SourceFile | Dropped]) -> Iterator[SourceFile | Dropped]:
    for item in items:
        if is_token_file(path := Path(item.path)):
            yield item if isinstance(item, Dropped) else _list_file(path, False, files_beside(path))


def _identity(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_dev, status.st_ino


def _included(relative: str, include: tuple[str, ...]) -> bool:
    name = relative.rpartition("/")[2]
    for pattern in include:
        if fnmatch.fnmatchcase(name, pattern.removeprefix("**/")) or fnmatch.fnmatchcase(relative, pattern):
            return True
    return False


def _refuse_tokenized(path: Path, source: str) -> None:
    """Refuse a file of datatrove's that would be read as text."""
    if path.suffix == ".ds" and Path(f"{path}.index").is_file():
        raise InputError(
            f"source {source}: {path} is a tokenized file; name the tokenizer that it was made with in "
            "corpus.sources.tokenizer"
        )


def _list_file(path: Path, is_jsonl: bool, beside: Iterable[Path] = ()) -> SourceFile | Dropped:
    try:
        status = path.stat()
    except OSError:
        return Dropped(str(path), UNREADABLE)
    if not stat.S_ISREG(status.st_mode):  # reading a pipe would wait for ever
        return Dropped(str(path), UNREADABLE)
    listed = tuple(file for part in beside if isinstance(file := _list_file(part, False), SourceFile))
    return SourceFile(path, status.st_size, status.st_mtime_ns, is_jsonl, listed)


def _read_file(file: SourceFile, source: str, max_document_bytes: int) -> Document | Dropped:
    path = printable(str(file.path))
    if file.num_bytes > max_document_bytes:
        return Dropped(path, longer_than(max_document_bytes))
    try:
        data = file.path.read_bytes()
    except OSError:
        return Dropped(path, UNREADABLE)
    if b"\0" in data:
        return Dropped(path, BINARY)
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        return Dropped(path, NOT_UTF8)
    if not text or text.isspace():
        return Dropped(path, EMPTY)
    return Document(text, source, path, LANGUAGE_OF.get(file.path.suffix[1:].lower(), ""))


def _read_jsonl(
    path: Path, source: SourceFilesConfig, max_document_bytes: int
) -> Iterator[Document | Dropped]:
    try:
        stream = path.open("rb")
    except OSError as error:
        raise InputError(f"source {source.name}: {path} cannot be read: {error.strerror}") from None
    with stream:
        for number, line in enumerate(stream, start=1):
            if line.strip():
                yield _read_line(line, f"{path}:{number}", source, max_document_bytes)


def _read_line(
    line: bytes, place: str, source: SourceFilesConfig, max_document_bytes: int
) -> Document | Dropped:
    field = source.text_field
    try:
        record: Any = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise InputError(f"source {source.name}: {place} is not valid JSON: {error}") from None
    if not isinstance(record, dict) or not isinstance(record.get(field), str):
        held = (
            f"the fields {', '.join(map(str, record))}" if isinstance(record, dict) else type(record).__name__
        )
        raise InputError(f"source {source.name}: {place} has no text in the field {field!r}; it holds {held}")
    path, language, licence = (
        printable(value) if isinstance(value := record.get(key), str) else ""
        for key in ("path", "language", "license")
    )
    prompt = _prompt(record, source, place)
    response: str = record[field]
    text = prompt + response
    path = path or place
    try:
        num_bytes = len(text.encode("utf-8"))
    except UnicodeEncodeError:
        return Dropped(path, NOT_UTF8)
    if num_bytes > max_document_bytes:
        return Dropped(path, longer_than(max_document_bytes))
    if "\0" in text:
        return Dropped(path, BINARY)
    if not response or text.isspace() or (source.prompt_field is not None and not prompt):
        return Dropped(path, EMPTY)
    return Document(text, source.name, path, language, licence, len(prompt))


def _prompt(record: dict[str, Any], source: SourceFilesConfig, place: str) -> str:
    if source.prompt_field is None:
        return ""
    prompt = record.get(source.prompt_field)
    if not isinstance(prompt, str):
        held = ", ".join(map(str, record))
        raise InputError(
            f"source {source.name}: {place} has no text in the field {source.prompt_field!r}; "
            f"it holds the fields {held}"
        )
    return prompt
