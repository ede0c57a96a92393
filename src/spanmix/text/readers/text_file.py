"""Turn the bytes of one file into a document, or say why it is none."""

from __future__ import annotations

import re
from pathlib import Path

from spanmix.corpus_configs.sources import SourceFilesConfig
from spanmix.text.dropped import BINARY, NOT_UTF8, UNREADABLE, Dropped, longer_than, printable, why_not
from spanmix.text.languages.endings import language_of
from spanmix.text.readers.columns import Facts
from spanmix.text.readers.faults import LFS_POINTER, NOTEBOOK, PAGE
from spanmix.text.readers.json_values import NotUtf8Error
from spanmix.text.readers.notebook import MalformedNotebookError, to_script
from spanmix.text.readers.origin import Origin
from spanmix.text.readers.prose import to_prose
from spanmix.text.readers.web_page import MalformedPageError
from spanmix.types import Document

_NOTEBOOK_FACTOR = 4
_NO_FACTS = Facts()
_MOST_POINTER_BYTES = 1_024
_POINTER = re.compile(
    rb"version https://(?:git-lfs|hawser)\.github\.com/spec/v1\r?\n(?:[a-z0-9.-]+ [^\r\n]*\r?\n)*"
    rb"oid sha256:[0-9a-f]{64}\r?\n(?:[a-z0-9.-]+ [^\r\n]*\r?\n)*size \d+\s*"
)
"""What git has in place of a file that Git LFS has not fetched (git-lfs, docs/spec.md)."""


def most_bytes(name: str, max_document_bytes: int) -> int:
    """Return how long a file may be: a notebook is mostly its outputs, which are left out."""
    return max_document_bytes * (_NOTEBOOK_FACTOR if _is_notebook(name) else 1)


def read_file(
    path: Path, origin: Origin, source: SourceFilesConfig, max_document_bytes: int
) -> Document | Dropped:
    """Read a file of a folder, or one that was named.

    A file that grows while it is read is read no further than the longest document.
    """
    most = most_bytes(path.name, max_document_bytes)
    try:
        if (num_bytes := path.stat().st_size) > most:
            return origin.dropped(longer_than(max_document_bytes), num_bytes=num_bytes)
        with path.open("rb") as file:
            data = file.read(most + 1)
    except OSError:
        return origin.dropped(UNREADABLE)
    facts = Facts(repository=origin.repository, host=origin.host)
    return to_document(data, path.name, origin, source, max_document_bytes, facts)


def to_document(
    data: bytes,
    name: str,
    origin: Origin,
    source: SourceFilesConfig,
    max_document_bytes: int,
    facts: Facts = _NO_FACTS,
) -> Document | Dropped:
    """Return the document of a file's bytes.

    The text is exactly what the file holds, with its line ends and its byte order mark, but for notebooks,
    which become scripts, and for prose if the source asks for it. UTF-16 is not read: it is dropped as not
    UTF-8, or as binary where it holds NUL bytes. The pointer of a file that Git LFS keeps is dropped.

    Args:
        data: all bytes of the file.
        name: the file's name, by which it is read.
        origin: where it is, and what it is called if `facts` have no path for it.
        source: its name, and whether markup becomes prose.
        max_document_bytes: longer documents are dropped.
        facts: what is known of it otherwise.
    """
    origin = facts.known_as(origin)
    num_bytes = len(data)
    if num_bytes > most_bytes(name, max_document_bytes):
        return origin.dropped(longer_than(max_document_bytes), num_bytes=num_bytes)
    if b"\0" in data:
        return origin.dropped(BINARY, num_bytes=num_bytes)
    if num_bytes < _MOST_POINTER_BYTES and _POINTER.fullmatch(data):
        return origin.dropped(LFS_POINTER, num_bytes=num_bytes)
    language = facts.language or language_of(facts.path or name)
    try:
        if _is_notebook(name) and data.strip():
            text, language = to_script(data)
        else:
            text = data.decode("utf-8")
        if source.prose:
            text, language = to_prose(text, language)
    except (UnicodeDecodeError, NotUtf8Error):
        return origin.dropped(NOT_UTF8, num_bytes=num_bytes)
    except MalformedNotebookError as error:
        return origin.dropped(NOTEBOOK, printable(str(error)), num_bytes)
    except MalformedPageError as error:
        return origin.dropped(PAGE, printable(str(error)), num_bytes)
    if (reason := why_not(text, max_document_bytes)) is not None:
        return origin.dropped(reason, num_bytes=num_bytes)
    return Document(
        text,
        source.name,
        origin.path,
        language,
        facts.licence,
        0,
        facts.repository,
        facts.stars,
        origin.root,
        origin.file,
        num_bytes,
        facts.host,
    )


def _is_notebook(name: str) -> bool:
    return name.lower().endswith(".ipynb")
