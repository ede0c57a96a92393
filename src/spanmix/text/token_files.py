"""Read files that others tokenized as documents: datatrove's ``.ds``, Megatron-Core's ``.bin`` and ``.idx``.

``NAME.ds`` holds the ids of all documents, one behind the other, 2 or 4 bytes each, and ``NAME.ds.index`` the
number of ids up to the end of each document (uint64); both little endian. Which of the two it is follows from
the size of the file. ``NAME.ds.metadata``, if there, says it too: ``tokenizer|bytes an id`` and, on a second
line, the number of ids. ``NAME.ds.loss``, if there, has one byte for each id: 0 takes it out of the loss. The
other format is that of `spanmix.text.token_store`, here with integers of any kind.

No id is trusted. A document's ids become text again, which then goes the way of any other document; the
tokenizer's special tokens in front of it and behind it (BOS, EOD, padding) are taken off.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spanmix.errors import InputError
from spanmix.text.dropped import NOT_UTF8, SPECIAL_INSIDE, Dropped, count_bytes, longer_than, why_not
from spanmix.text.readers.origin import Origin
from spanmix.text.source_tokenizer import Ids, SourceTokenizer
from spanmix.text.token_store import map_numbers, open_indexed
from spanmix.types import Document

NUM_COMPARED = 20
"""Documents at the start of a file that are encoded again, to see that the tokenizer belongs to it."""

_BLOCK = 1 << 24


@dataclass(frozen=True)
class TokenFile:
    """The documents of one file, mapped from disk.

    Args:
        ids: all ids; documents lie one behind the other.
        ends: for each document, the number of ids up to its end.
    """

    ids: Ids
    ends: NDArray[np.integer[Any]]

    def __iter__(self) -> Iterator[Ids]:
        start = 0
        for i in range(len(self.ends)):
            end = int(self.ends[i])
            yield self.ids[start:end]
            start = end


def is_token_file(path: Path) -> bool:
    """Return whether a file of a folder is taken: a ``.ds``, or a ``.bin`` that has its index beside it."""
    return path.suffix == ".ds" or (path.suffix == ".bin" and path.with_suffix(".idx").is_file())


def files_beside(path: Path) -> list[Path]:
    """Return the files that decide, beside it, how a tokenized file is read; not all need to exist."""
    if path.suffix == ".bin":
        return [path.with_suffix(".idx")]
    return [Path(f"{path}.{ending}") for ending in ("index", "metadata", "loss")]


def read_token_file(
    path: Path, origin: Origin, source: str, tokenizer: SourceTokenizer, max_document_bytes: int
) -> Iterator[Document | Dropped]:
    """Yield the documents of a tokenized file; their paths are ``FILE:NUMBER``, from 1.

    Args:
        path: a ``.ds`` or ``.bin`` file.
        origin: what it is called.
        source: the name of the source.
        tokenizer: the one that made the ids.
        max_document_bytes: longer documents are dropped.

    Raises:
        InputError: files are missing, damaged or do not belong together; an id is not in the vocabulary; none
            of the first `NUM_COMPARED` texts gives its ids back; some ids carry no loss.
    """
    try:
        file = _open_datatrove(path) if path.suffix == ".ds" else _open_megatron(path)
    except OSError as error:
        raise InputError(f"source {source}: {path} cannot be read: {error.strerror}") from None
    num_compared, agrees = 0, False
    for number, ids in enumerate(file, start=1):
        place = origin.at(f":{number}")
        if (unknown := tokenizer.find_unknown(ids)) is not None:
            raise InputError(
                f"source {source}: {place.file} holds the id {unknown}, and the {tokenizer.size:,} entries "
                f"of {tokenizer.name} do not; name the tokenizer that the file was made with"
            )
        ids = tokenizer.strip(ids)
        item = _read_document(ids, source, place, tokenizer, max_document_bytes)
        if isinstance(item, Document) and not agrees and num_compared < NUM_COMPARED:
            num_compared += 1
            agrees = tokenizer.agrees(item.text, ids)
            if num_compared == NUM_COMPARED and not agrees:
                break
        yield item
    if num_compared and not agrees:
        raise InputError(
            f"source {source}: {tokenizer.name} does not belong to {path}: it makes other ids of the text "
            f"of each of the first {num_compared} documents; name the tokenizer that the file was made with"
        )


def _read_document(
    ids: Ids, source: str, place: Origin, tokenizer: SourceTokenizer, max_document_bytes: int
) -> Document | Dropped:
    # A token is at least a byte, but for the blank that some tokenizers put in front and take off again.
    if len(ids) > max_document_bytes + 1:
        return place.dropped(longer_than(max_document_bytes))
    if tokenizer.has_special(ids):
        return place.dropped(SPECIAL_INSIDE)
    try:
        text = tokenizer.decode(ids)
    except UnicodeDecodeError:
        return place.dropped(NOT_UTF8)
    num_bytes = count_bytes(text)
    if (reason := why_not(text, max_document_bytes)) is not None:
        return place.dropped(reason, num_bytes=num_bytes)
    return Document(text, source, place.path, root=place.root, file=place.file, read_bytes=num_bytes)


def _open_megatron(path: Path) -> TokenFile:
    index = path.with_suffix(".idx")
    if not index.is_file():
        raise InputError(
            f"{path} has no {index.name} beside it, which says where its documents end; copy it there too"
        )
    files = open_indexed(str(path).removesuffix(".bin"))
    return TokenFile(files.ids, files.bounds[1:])


def _open_datatrove(path: Path) -> TokenFile:
    index = Path(f"{path}.index")
    if not index.is_file():
        raise InputError(
            f"{path} has no {index.name} beside it, which says where its documents end; write it with "
            "save_index=True, the default of datatrove's DocumentTokenizer"
        )
    size = index.stat().st_size
    if size % 8:
        raise InputError(f"{index} has {size:,} bytes, and 8 for each document. It was cut short or changed")
    ends: NDArray[np.uint64] = map_numbers(index, "<u8")
    if np.any(ends[1:] < ends[:-1]):
        at = int(np.argmax(ends[1:] < ends[:-1]))
        raise InputError(
            f"{index}: document {at + 2} ends at id {ends[at + 1]}, in front of the one before, at "
            f"{ends[at]}; it is no index of datatrove, or was changed"
        )
    num_ids, num_bytes = int(ends[-1]) if len(ends) else 0, path.stat().st_size
    sizes = [size for size in (2, 4) if size * num_ids == num_bytes]
    if not sizes:
        raise InputError(
            f"{path} has {num_bytes:,} bytes; the {num_ids:,} ids of its index take {2 * num_ids:,} or "
            f"{4 * num_ids:,}. One of the two was cut short or changed"
        )
    _check_metadata(Path(f"{path}.metadata"), path, num_ids, sizes)
    _check_loss(Path(f"{path}.loss"), num_ids)
    return TokenFile(map_numbers(path, f"<u{sizes[0]}"), ends)


def _check_metadata(path: Path, tokens: Path, num_ids: int, sizes: list[int]) -> None:
    if not path.is_file():
        return
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    try:
        size, count = int(lines[0].rpartition("|")[2]), int(lines[1])
    except (ValueError, IndexError):
        raise InputError(
            f"{path} does not hold the bytes of an id and the number of ids, as datatrove's does; remove it "
            f"if it does not belong to {tokens.name}"
        ) from None
    if size not in sizes or count != num_ids:
        raise InputError(
            f"{path} names {count:,} ids of {size} bytes; {tokens.name} and its index have {num_ids:,} of "
            f"{sizes[0]}. They do not belong together"
        )


def _check_loss(path: Path, num_ids: int) -> None:
    if not os.path.lexists(path):
        return
    if not path.is_file():
        raise InputError(
            f"{path} cannot be read, so which ids carry no loss is not known; restore or remove it"
        )
    carries = map_numbers(path, np.uint8)
    if len(carries) != num_ids:
        raise InputError(
            f"{path} has {len(carries):,} bytes for {num_ids:,} ids; it was cut short or does not belong here"
        )
    without = sum(int(np.sum(carries[i : i + _BLOCK] != 1)) for i in range(0, num_ids, _BLOCK))
    if without:
        raise InputError(
            f"{path}: {without:,} of {num_ids:,} ids carry no loss, which a corpus cannot keep; remove it if "
            "all shall carry loss, or make a .jsonl source with prompt_field of the texts"
        )
