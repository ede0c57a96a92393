"""The prepared corpus on disk: what `prepare` writes and everything after it reads.

::

    CORPUS/corpus.json                   counts, licences, dropped documents by reason, fingerprint
    CORPUS/tokenizer/                    see `spanmix.text.tokenizer`
    CORPUS/<source>.bin, .idx            training documents, see `spanmix.text.token_store`
    CORPUS/<source>.documents.parquet    path, language, licence, num_bytes of each, in the same order
    CORPUS/<source>.held_out.*           the same for held-out documents
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spanmix.config import CORPUS_FORMAT_VERSION
from spanmix.errors import InputError
from spanmix.text.token_store import TokenStore, TokenStoreWriter
from spanmix.text.tokenizer import Tokenizer
from spanmix.types import Document, IntArray

CORPUS_FILE = "corpus.json"
TOKENIZER_FOLDER = "tokenizer"
HELD_OUT_SUFFIX = ".held_out"


@dataclass(frozen=True)
class SplitCounts:
    """How much one side of a source holds; tokens are counted without EOD."""

    documents: int
    tokens: int
    bytes: int


@dataclass(frozen=True)
class SourceReport:
    """What became of a source: both sides, documents by licence, and dropped documents by reason."""

    train: SplitCounts
    held_out: SplitCounts
    licences: dict[str, int]
    dropped: dict[str, int]


@dataclass(frozen=True)
class CorpusReport:
    """What ``corpus.json`` holds.

    Args:
        format_version: of the folder.
        fingerprint: SHA-256 over the tokenizer and all token stores; equal when training sees the same.
        tokenizer: the tokenizer's fingerprint.
        vocab_size: entries of the tokenizer.
        ends_with_eod: true; foreign corpora may differ.
        made_from: SHA-256 over the settings and the list of input files.
        sources: by name.
    """

    format_version: int
    fingerprint: str
    tokenizer: str
    vocab_size: int
    ends_with_eod: bool
    made_from: str
    sources: dict[str, SourceReport]

    def save(self, folder: Path) -> None:
        """Write ``corpus.json``."""
        text = json.dumps(dataclasses.asdict(self), indent=2, ensure_ascii=False)
        (folder / CORPUS_FILE).write_text(text + "\n", encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> CorpusReport:
        """Read ``corpus.json``.

        Raises:
            InputError: it is missing, broken or of another format version.
        """
        path = folder / CORPUS_FILE
        if not path.is_file():
            raise InputError(
                f"corpus {folder}: there is no {CORPUS_FILE} in it; make it with `spanmix prepare`"
            )
        from pydantic import TypeAdapter, ValidationError

        try:
            fields: Any = json.loads(path.read_bytes())
            version = fields.get("format_version") if isinstance(fields, dict) else None
            if version != CORPUS_FORMAT_VERSION:
                raise InputError(
                    f"corpus {folder} has format version {version}; this Spanmix reads "
                    f"{CORPUS_FORMAT_VERSION}. Prepare it again"
                )
            return TypeAdapter(cls).validate_python(fields)
        except (ValidationError, ValueError) as error:
            raise InputError(
                f"corpus {folder}: {CORPUS_FILE} is broken: {' '.join(str(error).split())}"
            ) from None


class CorpusSource:
    """The documents of one source on one side, numbered from 0.

    Args:
        name: the source's name.
        prefix: path of its files without their endings.
        counts: what ``corpus.json`` says about it.
        tokenizer: the corpus's tokenizer.

    Raises:
        InputError: a file is missing or cut short, or holds another number of documents or tokens.
    """

    def __init__(self, name: str, prefix: Path, counts: SplitCounts, tokenizer: Tokenizer) -> None:
        self.name = name
        self.num_documents = counts.documents
        self.num_tokens = counts.tokens
        self.num_bytes = counts.bytes
        self._store = TokenStore(prefix, tokenizer.control.eot)
        self._tokenizer = tokenizer
        self._table_path = Path(f"{prefix}.documents.parquet")
        found = (len(self._store), self._store.num_tokens)
        if found != (counts.documents, counts.tokens):
            raise InputError(
                f"{prefix}.bin holds {found[0]} documents with {found[1]} tokens; {CORPUS_FILE} says "
                f"{counts.documents} with {counts.tokens}. It belongs to another corpus"
            )
        if not self._table_path.is_file():
            raise InputError(f"{self._table_path} is missing")

    def __len__(self) -> int:
        return self.num_documents

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Tokens in each document, EOD not counted: int64 [documents]."""
        return self._store.lengths

    def tokens(self, i: int) -> IntArray:
        """Ids of document `i`, without EOD."""
        return self._store[i]

    def text(self, i: int) -> str:
        """Text of document `i`, exactly as it was read."""
        return self._tokenizer.decode(self._store[i].tolist())

    def path(self, i: int) -> str:
        """Where document `i` came from."""
        return str(self._table["path"][i].as_py())

    def language(self, i: int) -> str:
        """Language of document `i`, or ``""``."""
        return str(self._table["language"][i].as_py())

    def num_bytes_of(self, i: int) -> int:
        """UTF-8 bytes of document `i`."""
        return int(self._table["num_bytes"][i].as_py())

    @cached_property
    def _table(self) -> Any:
        import pyarrow
        import pyarrow.parquet

        try:
            table = pyarrow.parquet.read_table(self._table_path)
        except (OSError, pyarrow.ArrowException) as error:
            raise InputError(f"{self._table_path} cannot be read: {error}") from None
        if table.num_rows != self.num_documents:
            raise InputError(
                f"{self._table_path} has {table.num_rows} rows; the store has {self.num_documents}"
            )
        return table


class Corpus:
    """An opened corpus: `train` and `held_out` hold the sources by name; use `Corpus.open`."""

    def __init__(self, path: Path, report: CorpusReport, tokenizer: Tokenizer) -> None:
        self.path = path
        self.report = report
        self.fingerprint = report.fingerprint
        self.tokenizer = tokenizer
        self.train = {
            name: CorpusSource(name, path / name, source.train, tokenizer)
            for name, source in report.sources.items()
        }
        self.held_out = {
            name: CorpusSource(name, path / (name + HELD_OUT_SUFFIX), source.held_out, tokenizer)
            for name, source in report.sources.items()
        }

    @classmethod
    def open(cls, path: Path | str) -> Corpus:
        """Open a corpus that `prepare` made; checks every file's size, and reads no document.

        Raises:
            InputError: it is missing, incomplete, of another format version, or was made with another
                tokenizer than the one in it.
        """
        path = Path(path)
        if not path.is_dir():
            raise InputError(f"corpus {path} does not exist; make it with `spanmix prepare`")
        report = CorpusReport.load(path)
        tokenizer = Tokenizer.load(path / TOKENIZER_FOLDER)
        if tokenizer.fingerprint != report.tokenizer:
            raise InputError(
                f"corpus {path} was made with another tokenizer: its files hold ids of "
                f"{report.tokenizer[:12]}, {TOKENIZER_FOLDER}/ holds {tokenizer.fingerprint[:12]}. "
                f"Prepare it again"
            )
        return cls(path, report, tokenizer)


class SourceWriter:
    """Write one side of one source, document by document; as a context manager, it is complete at its end."""

    def __init__(self, prefix: Path, tokenizer: Tokenizer) -> None:
        self._prefix = prefix
        self._store = TokenStoreWriter(prefix, tokenizer.vocab_size, tokenizer.control.eot)
        self._rows: dict[str, list[Any]] = {"path": [], "language": [], "licence": [], "num_bytes": []}
        self._num_tokens = 0

    def add(self, document: Document, ids: IntArray, num_bytes: int) -> None:
        """Append a document with its ids, given without EOD."""
        self._store.add(ids)
        self._num_tokens += len(ids)
        values = (document.path, document.language, document.licence, num_bytes)
        for column, value in zip(self._rows.values(), values, strict=True):
            column.append(value)

    @property
    def counts(self) -> SplitCounts:
        """What was added so far."""
        return SplitCounts(len(self._rows["path"]), self._num_tokens, sum(self._rows["num_bytes"]))

    @property
    def licences(self) -> list[str]:
        """The licence of each document so far."""
        return self._rows["licence"]

    def __enter__(self) -> SourceWriter:
        return self

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        self._store.__exit__(kind, error, trace)
        if kind is None:
            import pyarrow
            import pyarrow.parquet

            text = pyarrow.string()
            schema = pyarrow.schema(
                [("path", text), ("language", text), ("licence", text), ("num_bytes", pyarrow.int64())]
            )
            pyarrow.parquet.write_table(
                pyarrow.table(self._rows, schema), f"{self._prefix}.documents.parquet"
            )


def stores_fingerprint(folder: Path, names: list[str], tokenizer: Tokenizer) -> str:
    """Return SHA-256, in hex, over the tokenizer and the token stores of the named sources, in any order."""
    total = hashlib.sha256(tokenizer.fingerprint.encode())
    for name in sorted(names):
        for side in (name, name + HELD_OUT_SUFFIX):
            for ending in (".bin", ".idx"):
                with (folder / (side + ending)).open("rb") as stream:
                    digest = hashlib.file_digest(stream, "sha256").hexdigest()
                total.update(f"{side}{ending} {digest}\n".encode())
    return total.hexdigest()
