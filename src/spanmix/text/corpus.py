"""The prepared corpus on disk: what `prepare` writes and everything after it reads.

::

    CORPUS/corpus.json                   see `spanmix.text.report`
    CORPUS/tokenizer/                    see `spanmix.text.tokenizer`
    CORPUS/<source>.bin, .idx            training documents, see `spanmix.text.token_store`
    CORPUS/<source>.documents.parquet    path, repository, language, licence, num_bytes and files of each,
                                         in the same order, see `spanmix.text.document_table`
    CORPUS/<source>.held_out.*           the same for held-out documents
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spanmix.config import CorpusConfig, DataRecipe, Recipe, TokenizerConfig
from spanmix.errors import InputError
from spanmix.text.document_files import DocumentFile
from spanmix.text.document_names import document_name
from spanmix.text.document_table import DocumentTable, write_table
from spanmix.text.report import (
    CORPUS_FILE,
    HELD_OUT_SUFFIX,
    MEND,
    CorpusReport,
    SplitCounts,
    SplitSettings,
)
from spanmix.text.token_store import TokenStore, TokenStoreWriter
from spanmix.text.tokenizer import Tokenizer
from spanmix.text.written_files import WrittenFile
from spanmix.types import Document, IntArray

Progress = Callable[[str, int, int], None]
"""Called with the stage ("check"; in `prepare` others too), bytes done and bytes in all."""

TOKENIZER_FOLDER = "tokenizer"
_CHUNK_BYTES = 1 << 24
_QUIET_BYTES = 1_000_000_000
"""Checking fewer bytes than this takes a second at most; it is not reported."""


class CorpusSource:
    """The documents of one source on one side, numbered from 0.

    Args:
        name: the source's name.
        prefix: path of its files without their endings.
        counts: what ``corpus.json`` says about it.
        tokenizer: the corpus's tokenizer.
        files: what ``corpus.json`` says about all files.

    Raises:
        InputError: a file is missing or cut short, or holds another number of documents or tokens.
    """

    def __init__(
        self,
        name: str,
        prefix: Path,
        counts: SplitCounts,
        tokenizer: Tokenizer,
        files: Mapping[str, WrittenFile] | None = None,
    ) -> None:
        self.name = name
        self.num_documents = counts.documents
        self.num_tokens = counts.tokens
        self.num_bytes = counts.bytes
        self._store = TokenStore(prefix, tokenizer.control.eot)
        self._tokenizer = tokenizer
        self._table = DocumentTable(prefix, counts.documents, counts.bytes, files)
        found = (len(self._store), self._store.num_tokens)
        if found != (counts.documents, counts.tokens):
            raise InputError(
                f"{prefix}.bin holds {found[0]} documents with {found[1]} tokens; {CORPUS_FILE} says "
                f"{counts.documents} with {counts.tokens}. It belongs to another corpus. {MEND}"
            )

    def __len__(self) -> int:
        return self.num_documents

    def check_table(self) -> None:
        """Refuse a table of documents that is not as it was written; see `DocumentTable.check`."""
        self._table.check()

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Tokens in each document, EOD not counted: int64 [documents]."""
        return self._store.lengths

    def tokens(self, i: int) -> IntArray:
        """Ids of document `i`, without EOD."""
        return self._store[i]

    def num_prompt_tokens(self, i: int) -> int:
        """How many ids at the start of document `i` are a prompt; 0 in one that has none."""
        return self._store.num_prompt_tokens(i)

    def text(self, i: int) -> str:
        """Text of document `i`, exactly as it was read."""
        return self._tokenizer.decode(self._store[i].tolist())

    def path(self, i: int) -> str:
        """Where document `i` came from; of joined files, their repository's name."""
        return self._table.path(i)

    def repository(self, i: int) -> str:
        """Repository that document `i` lies in, or ``""``."""
        return self._table.repository(i)

    def name_of(self, i: int) -> str:
        """What people call document `i`; see `document_name`."""
        return document_name(self.repository(i), self.path(i))

    def language(self, i: int) -> str:
        """Language of document `i`, or ``""``."""
        return self._table.language(i)

    def num_bytes_of(self, i: int) -> int:
        """UTF-8 bytes of document `i`."""
        return self._table.num_bytes(i)

    def files_between(self, i: int, start: int, end: int) -> list[DocumentFile]:
        """Return the files that bytes `start` to before `end` of document `i` are of, at least one."""
        return self._table.files_between(i, start, end)


class Corpus:
    """An opened corpus: `train` and `held_out` hold the sources by name; use `Corpus.open`."""

    def __init__(self, path: Path, report: CorpusReport, tokenizer: Tokenizer) -> None:
        self.path = path
        self.report = report
        self.fingerprint = report.fingerprint
        self.tokenizer = tokenizer
        self.train = {
            name: CorpusSource(name, path / name, source.train, tokenizer, report.files)
            for name, source in report.sources.items()
        }
        self.held_out = {
            name: CorpusSource(
                name, path / (name + HELD_OUT_SUFFIX), source.held_out, tokenizer, report.files
            )
            for name, source in report.sources.items()
        }

    @classmethod
    def open(cls, path: Path | str, progress: Progress = lambda stage, done, total: None) -> Corpus:
        """Open a corpus that `prepare` made, once every id in it has been checked against the fingerprint.

        So have its tables of documents, against the hashes that were written down.

        This reads all ``.bin``, ``.idx`` and ``.documents.parquet`` files once: 2 GB a second if they lie in
        memory, else as fast as the disk.

        Args:
            path: the corpus folder.
            progress: called with the stage "check" if there is more than 1 GB to read.

        Raises:
            InputError: it is missing, incomplete, of another format version, was made with another
                tokenizer than the one in it, or its ids or tables are not those that `prepare` wrote.
        """
        path = Path(path)
        report, tokenizer = read_tokenizer(path)
        corpus = cls(path, report, tokenizer)
        found = stores_fingerprint(path, list(report.sources), tokenizer, progress)
        if found != report.fingerprint:
            raise InputError(
                f"corpus {path} is damaged or was changed: its .bin and .idx files have the fingerprint "
                f"{found[:12]}, {CORPUS_FILE} says {report.fingerprint[:12]}. {MEND}"
            )
        for source in (*corpus.train.values(), *corpus.held_out.values()):
            source.check_table()
        return corpus

    def check_recipe(self, recipe: Recipe | DataRecipe) -> None:
        """Refuse a recipe that asks for another corpus than this one.

        A field that stands at its default asks for nothing: a recipe for training may leave it out. What
        an older corpus does not record is not compared.

        Raises:
            InputError: `tokenizer.path` holds another tokenizer; or a field of ``corpus`` or ``tokenizer``
                has another value than the corpus was made with. It names both.
        """
        if recipe.tokenizer.path is not None:
            self._check_tokenizer(recipe.tokenizer.path)
        asked = _settings(SplitSettings.of(recipe.corpus), recipe.tokenizer)
        default = _settings(SplitSettings.of(CorpusConfig("")), TokenizerConfig())
        missing = [
            token for token in recipe.tokenizer.extra_tokens if token not in self.tokenizer.special_ids
        ]
        if missing:
            raise InputError(
                f"corpus {self.path} was prepared without the tokens {', '.join(missing)}, which "
                "tokenizer.extra_tokens asks for. Leave them out, or prepare another corpus"
            )
        different = [
            f"{name} is {asked[name]} in the recipe and {held} in the corpus"
            for name, held in _settings(self.report.settings, self.tokenizer).items()
            if asked[name] not in (held, default[name])
        ]
        if different:
            raise InputError(
                f"corpus {self.path} was prepared with other settings: {'; '.join(different)}. "
                f"Leave the field out, or prepare another corpus"
            )

    def _check_tokenizer(self, folder: str) -> None:
        wanted = Tokenizer.load(folder).fingerprint
        if wanted != self.tokenizer.fingerprint:
            raise InputError(
                f"corpus {self.path} was made with another tokenizer ({self.tokenizer.fingerprint[:12]}) "
                f"than tokenizer.path {folder} ({wanted[:12]}); prepare a corpus with that one"
            )


def read_tokenizer(path: Path) -> tuple[CorpusReport, Tokenizer]:
    """Read what ``corpus.json`` says, and the corpus's tokenizer; no ids are read.

    Raises:
        InputError: there is no corpus at `path`, or its tokenizer is another than the one it was made with.
    """
    report = CorpusReport.load(path)
    tokenizer = Tokenizer.load(path / TOKENIZER_FOLDER)
    if tokenizer.fingerprint != report.tokenizer:
        raise InputError(
            f"corpus {path} was made with another tokenizer: its files hold ids of "
            f"{report.tokenizer[:12]}, {TOKENIZER_FOLDER}/ holds {tokenizer.fingerprint[:12]}. {MEND}"
        )
    return report, tokenizer


class SourceWriter:
    """Write one side of one source, document by document; as a context manager, it is complete at its end."""

    def __init__(self, prefix: Path, tokenizer: Tokenizer) -> None:
        self._prefix = prefix
        self._store = TokenStoreWriter(prefix, tokenizer.vocab_size, tokenizer.control.eot)
        names = ("path", "repository", "language", "licence", "num_bytes", "files")
        self._rows: dict[str, list[Any]] = {name: [] for name in names}
        self._num_tokens = 0

    def add(
        self,
        document: Document,
        ids: IntArray,
        num_bytes: int,
        num_prompt_tokens: int,
        files: Sequence[DocumentFile] = (),
    ) -> None:
        """Append a document with its ids, without EOD, and its files; none if it is one, as it was read."""
        self._store.add(ids, num_prompt_tokens)
        self._num_tokens += len(ids)
        told = [getattr(document, name) for name in ("path", "repository", "language", "licence")]
        for column, value in zip(self._rows.values(), (*told, num_bytes, files), strict=True):
            column.append(value)

    @property
    def counts(self) -> SplitCounts:
        """What was added so far."""
        return SplitCounts(len(self._rows["path"]), self._num_tokens, sum(self._rows["num_bytes"]))

    def __enter__(self) -> SourceWriter:
        return self

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        self._store.__exit__(kind, error, trace)
        if kind is None:
            write_table(self._prefix, self._rows)


def stores_fingerprint(
    folder: Path,
    names: list[str],
    tokenizer: Tokenizer,
    progress: Progress = lambda stage, done, total: None,
) -> str:
    """Return SHA-256, in hex, over the tokenizer and the token stores of the named sources, in any order."""
    files = [
        folder / (side + ending)
        for name in sorted(names)
        for side in (name, name + HELD_OUT_SUFFIX)
        for ending in (".bin", ".idx")
    ]
    num_bytes = sum(file.stat().st_size for file in files)
    done = 0
    total = hashlib.sha256(tokenizer.fingerprint.encode())
    for file in files:
        digest = hashlib.sha256()
        with file.open("rb") as stream:
            while chunk := stream.read(_CHUNK_BYTES):
                digest.update(chunk)
                done += len(chunk)
                if num_bytes > _QUIET_BYTES:
                    progress("check", done, num_bytes)
        total.update(f"{file.name} {digest.hexdigest()}\n".encode())
    return total.hexdigest()


def _settings(split: SplitSettings | None, tokenizer: TokenizerConfig | Tokenizer) -> dict[str, float]:
    """Settings by the names that a recipe has for them."""
    sizes = {f"tokenizer.{name}": getattr(tokenizer, name) for name in ("vocab_size", "num_sentinels")}
    known = {} if split is None else dataclasses.asdict(split)
    return sizes | {f"corpus.{name}": value for name, value in known.items()}
