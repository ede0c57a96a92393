"""What ``corpus.json`` holds: what a corpus was made with, and what became of each source."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spanmix.amounts import count
from spanmix.config import CORPUS_FORMAT_VERSION, CorpusConfig
from spanmix.corpus_configs.layout import LayoutConfig
from spanmix.errors import InputError
from spanmix.files import parse_json, read_versioned, write_json
from spanmix.text.dropped import EMPTY
from spanmix.text.written_files import WrittenFile

CORPUS_FILE = "corpus.json"
HELD_OUT_SUFFIX = ".held_out"
MEND = "Restore it from a copy, or remove the corpus and prepare it again"
_OWN_HASH = "content_sha256"

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}")


def check_source_name(name: str, where: str) -> None:
    """Refuse a source's name that cannot be a file name; `where` it stands begins the message."""
    if not _NAME.fullmatch(name) or name.endswith(HELD_OUT_SUFFIX):
        rule = f"use 1 to 100 letters, digits, '_', '-' and '.', not ending in {HELD_OUT_SUFFIX}"
        raise InputError(f"{where}: the name {name!r} cannot be a file name; {rule}")


@dataclass(frozen=True)
class SplitSettings:
    """The fields of a recipe's ``corpus`` that decided what is in the corpus, and on which side."""

    held_out_share: float
    seed: int
    max_document_bytes: int

    @classmethod
    def of(cls, config: CorpusConfig) -> SplitSettings:
        """Take them from a recipe."""
        return cls(config.held_out_share, config.seed, config.max_document_bytes)


@dataclass(frozen=True)
class SplitCounts:
    """How much one side of a source holds; tokens are counted without EOD."""

    documents: int
    tokens: int
    bytes: int


@dataclass(frozen=True)
class ReadCounts:
    """What was met in a source: documents that are kept, and those that `SourceReport.dropped` counts.

    Args:
        documents: files, or rows of a dataset, whether or not they could be read.
        bytes: their sizes as they were read, before notebooks and markup became text, as far as known.
        kept: how many of them are in the corpus; several may be one document there, see `corpus.layout`.
        dropped_bytes: by reason, as far as they are known.
        changed: by step, how many of the documents that are kept it changed.
        text_fields: by field of a record, how many documents had their text in it and not in the one that
            the source names; none in corpora made before this was written down.
    """

    documents: int
    bytes: int
    kept: int
    dropped_bytes: dict[str, int]
    changed: dict[str, int]
    text_fields: dict[str, int] | None = None

    def known_bytes(self, reason: str) -> int | None:
        """Return the bytes of what a reason took, None if they are not known: only nothing has none.

        >>> ReadCounts(3, 9, 0, {"empty": 0, "unreadable": 0, "exact copy": 9}, {}).known_bytes("unreadable")
        """
        return self.dropped_bytes.get(reason) or (0 if reason == EMPTY else None)

    def other_fields(self, name: str) -> list[str]:
        """Return a sentence about each of `text_fields` of the source `name`.

        >>> ReadCounts(3, 9, 0, {}, {}, {"body": 1}).other_fields("rows")
        ['rows: the text of 1 document was taken from the field body, as its file has no field text']
        """
        return [
            f"{name}: the text of {count(number, 'document')} was taken from the field {field}, as "
            f"{'its file has' if number == 1 else 'their files have'} no field text"
            for field, number in (self.text_fields or {}).items()
        ]


@dataclass(frozen=True)
class HeldOutDraw:
    """What the held-out side of a source consists of, as it was drawn.

    Whole groups are drawn: near-copies, with `corpus.layout.unit` ``repository`` all files of a repository
    too. So groups, and not documents, say how much a figure that is measured on them can be relied on.

    Args:
        groups: how many.
        effective_groups: how many of equal size would say as much, by Kish's rule for unequal weights: the
            square of the sum of their bytes, divided by the sum of the squares (Kish, Survey Sampling, 1965).
        repository: the one with the most bytes of this side; ``""`` where none is known.
        repository_share: its share of the bytes of this side, from 0 to 1.
        repository_share_of_train: its share of those of the training side.
    """

    groups: int
    effective_groups: float
    repository: str
    repository_share: float
    repository_share_of_train: float


@dataclass(frozen=True)
class SourceReport:
    """What became of a source.

    Args:
        train, held_out: what is in the corpus, on both sides.
        licences: files of the corpus by licence; of a document of several files each is one. Corpora whose
            tables do not name repositories counted documents, here and in `languages`.
        dropped: documents that are not in it by reason.
        languages: files of the corpus by language; none in corpora made before this was written down.
        read: what was met; none in those either.
        held_out_draw: how the held-out side was drawn; none in those either.
    """

    train: SplitCounts
    held_out: SplitCounts
    licences: dict[str, int]
    dropped: dict[str, int]
    languages: dict[str, int] | None = None
    read: ReadCounts | None = None
    held_out_draw: HeldOutDraw | None = None


@dataclass(frozen=True)
class CopiesReport:
    """What was found of near-copies; of exact copies only the first counts.

    Args:
        pairs: pairs whose signatures agreed in the threshold.
        groups: groups of two documents or more.
        largest: documents in the largest group.
        checked: near-copies that were dropped, drawn by the seed, whose true share of windows in common with
            what was kept in their place was counted.
        below_threshold: how many of these had a smaller one than the threshold.
        mean_share: the mean of it, in [0, 1]; none if nothing was checked.
        agreements: how often two documents agreed in a band and were compared; a pair that agrees in several
            bands counts in each. None in corpora made before this was written down.
    """

    pairs: int
    groups: int
    largest: int
    checked: int
    below_threshold: int
    mean_share: float | None
    agreements: int | None = None


@dataclass(frozen=True)
class CorpusReport:
    """What ``corpus.json`` holds.

    Args:
        format_version: of the folder.
        fingerprint: SHA-256 over the tokenizer and all token stores; equal when training sees the same.
        tokenizer: the tokenizer's fingerprint.
        vocab_size: entries of the tokenizer.
        ends_with_eod: true; foreign corpora may differ.
        made_from: SHA-256 over the settings and the input files, by their names and bytes.
        sources: by name.
        settings: what it was made with; none in corpora made before this was written down.
        copies: what was found of near-copies; none in those either.
        made_with: sections ``corpus`` and ``tokenizer`` of the recipe, hashes of the files that it names
            (``files``), number and bytes of each source's files (``inputs``), and versions; none in those
            either.
        files: all others but the token stores, by their paths; none in those either.
    """

    format_version: int
    fingerprint: str
    tokenizer: str
    vocab_size: int
    ends_with_eod: bool
    made_from: str
    sources: dict[str, SourceReport]
    settings: SplitSettings | None = None
    copies: CopiesReport | None = None
    made_with: dict[str, Any] | None = None
    files: dict[str, WrittenFile] | None = None

    @property
    def has_layout(self) -> bool:
        """Whether ``corpus.layout`` wrote headers in front of files, or joined them."""
        value: Any = self.made_with
        for name in ("corpus", "layout"):
            value = value.get(name) if isinstance(value, dict) else None
        plain = dataclasses.asdict(LayoutConfig())
        del plain["max_repository_bytes"]  # does nothing by itself
        return isinstance(value, dict) and any(value.get(name, plain[name]) != plain[name] for name in plain)

    def recipe(self) -> CorpusConfig | None:
        """Return the recipe's ``corpus``, without its path; None if it is not on record, or of a Spanmix that
        knew other fields."""
        fields = (self.made_with or {}).get("corpus")
        if not isinstance(fields, dict):
            return None
        try:
            return parse_json(json.dumps(fields | {"path": ""}), CorpusConfig, CORPUS_FILE)
        except InputError:
            return None

    def save(self, folder: Path) -> None:
        """Write ``corpus.json``, with a hash of all that is in it."""
        fields = dataclasses.asdict(self)
        write_json(folder / CORPUS_FILE, fields | {_OWN_HASH: _content_hash(fields)})

    @classmethod
    def load(cls, folder: Path) -> CorpusReport:
        """Read ``corpus.json``; one that was written without a hash of its content is taken as it is.

        Raises:
            InputError: there is no such folder, or the file is missing, damaged, changed since it was
                written, or of another format version.
        """
        path = folder / CORPUS_FILE
        if not folder.is_dir():
            wrong = "is not a folder" if folder.exists() else "does not exist"
            raise InputError(
                f"corpus {folder} {wrong} ({folder.absolute()}); make it with `spanmix prepare`, or name "
                "another as corpus.path"
            )
        if not path.is_file():
            raise InputError(
                f"corpus {folder}: there is no {CORPUS_FILE} in it; make it with `spanmix prepare`"
            )
        report = read_versioned(path, cls, CORPUS_FORMAT_VERSION)
        _refuse_changed(path)
        for name in report.sources:
            check_source_name(name, str(path))
        return report


def _refuse_changed(path: Path) -> None:
    fields = json.loads(path.read_bytes())
    recorded = fields.pop(_OWN_HASH, None)
    if recorded is not None and recorded != (found := _content_hash(fields)):
        raise InputError(
            f"{path} was changed by hand, or damaged: its content has the hash {found[:12]}, and it was "
            f"written with {str(recorded)[:12]}. {MEND}"
        )


def _content_hash(fields: dict[str, Any]) -> str:
    """Return SHA-256, in hex, over fields as JSON with sorted keys, however the file is laid out."""
    return hashlib.sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest()
