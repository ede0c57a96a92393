"""Read a whole source as documents, dropping what is not text with a reason that can be counted."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from spanmix.corpus_configs.sources import SourceFilesConfig
from spanmix.text.dropped import Dropped
from spanmix.text.readers.units import list_units, read_unit
from spanmix.types import Document


def read_source(
    source: SourceFilesConfig, max_document_bytes: int = 16_000_000, out: Path | None = None
) -> Iterator[Document | Dropped]:
    """Yield every document of a source, in an order that depends only on the names of its files.

    Folders are walked as `spanmix.text.readers.walk` says. Each of their files is one document, unless the
    source's `format`, or all files of a folder together, say that they are tables, archives or compressed
    lines of JSON; a ``.jsonl`` file inside a folder is a file like any other. A source with a `tokenizer`
    holds tokenized files alone; see `spanmix.text.token_files`.

    Args:
        source: where to look.
        max_document_bytes: longer documents are dropped.
        out: the corpus that is made of it, which is passed over if it lies in the source.

    Yields:
        `Document`, its text exactly as in the file (line ends are kept) unless it was a notebook or became
        prose, or `Dropped`.

    Raises:
        InputError: a path does not exist; tokens cannot be read with the source's tokenizer; a file, line or
            row cannot be read as what it should be, unless `source.on_error` is to drop it.
    """
    for item in list_units(source, out):
        if isinstance(item, Dropped):
            yield item
        else:
            yield from read_unit(item, source, max_document_bytes)
