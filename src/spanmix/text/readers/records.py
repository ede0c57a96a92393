"""Read the records of tables and lines of JSON as documents."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from spanmix.corpus_configs.sources import SourceFilesConfig
from spanmix.text.dropped import EMPTY, NOT_UTF8, Dropped, count_bytes, printable, why_not
from spanmix.text.languages.endings import language_of
from spanmix.text.readers.columns import Columns, explain_missing, facts_of, listed, look_up
from spanmix.text.readers.faults import NO_TEXT, PAGE, fault
from spanmix.text.readers.origin import Origin
from spanmix.text.readers.prose import to_prose
from spanmix.text.readers.web_page import MalformedPageError
from spanmix.types import Document

_KINDS = {
    type(None): "null",
    bool: "a truth value",
    int: "a number",
    float: "a number",
    list: "a list",
    dict: "a mapping",
}
"""By type, how people call what stands in a field."""


def read_record(
    record: Any, origin: Origin, columns: Columns, source: SourceFilesConfig, max_document_bytes: int
) -> Iterator[Document | Dropped]:
    """Yield the document of a record, or those of its files.

    Args:
        record: what was read; only a mapping has fields.
        origin: where it stands, which is its path if it has none.
        columns: what to take.
        source: its name, its `prompt_field`, and what to do with a record that has no text.
        max_document_bytes: longer documents are dropped.

    Raises:
        InputError: there is no text and the source is to stop.
    """
    if columns.in_files and isinstance(record, dict) and isinstance(files := record.get("files"), list):
        shared = {name: value for name, value in record.items() if name != "files"}
        for number, file in enumerate(files, start=1):
            whole = shared | file if isinstance(file, dict) else file
            yield _read(whole, origin.at(f":{number}"), columns, source, max_document_bytes)
        return
    yield _read(record, origin, columns, source, max_document_bytes)


def _read(
    record: Any, origin: Origin, columns: Columns, source: SourceFilesConfig, max_document_bytes: int
) -> Document | Dropped:
    for name in (columns.text, *([] if source.prompt_field is None else [source.prompt_field])):
        value = look_up(record, name)
        if not isinstance(value, str | bytes):
            return _no_text(record, name, value, origin, source)
    found = facts_of(record, columns)
    origin = found.known_as(origin)
    language = found.language or language_of(found.path)
    try:
        prompt = "" if source.prompt_field is None else _decoded(look_up(record, source.prompt_field))
        response = _decoded(look_up(record, columns.text))
    except UnicodeDecodeError as error:
        return origin.dropped(NOT_UTF8, num_bytes=len(error.object))
    read_bytes = count_bytes(prompt) + count_bytes(response)
    if source.prose and not prompt:
        try:
            response, language = to_prose(response, language)
        except MalformedPageError as error:
            return origin.dropped(PAGE, printable(str(error)), read_bytes)
    text = prompt + response
    if (reason := why_not(text, max_document_bytes)) is not None:
        return origin.dropped(reason, num_bytes=read_bytes)
    if not response or (source.prompt_field is not None and not prompt):
        return origin.dropped(EMPTY, num_bytes=read_bytes)
    return Document(
        text,
        source.name,
        origin.path,
        language,
        found.licence,
        len(prompt),
        found.repository,
        found.stars,
        origin.root,
        origin.file,
        read_bytes,
        text_field="" if columns.text == (source.columns.text or source.text_field) else columns.text,
    )


def _no_text(record: Any, name: str, value: Any, origin: Origin, source: SourceFilesConfig) -> Dropped:
    if isinstance(record, dict) and "blob_id" in record and value is None:
        return fault(source, origin, NO_TEXT, explain_missing(list(record), source))
    held = f"the fields {listed(record)}" if isinstance(record, dict) else type(record).__name__
    if isinstance(record, dict) and (value is not None or name in record):
        held = f"{_KINDS.get(type(value), type(value).__name__)} there"
    way = "Correct it, or set on_error: drop to pass over such records"
    return fault(source, origin, NO_TEXT, f"has no text in the field {name!r}; it holds {held}. {way}")


def _decoded(value: str | bytes) -> str:
    return value if isinstance(value, str) else value.decode("utf-8")
