"""What ``corpus.json`` holds: what a corpus was made with, and what became of each source."""

from __future__ import annotations

import dataclasses
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spanmix.config import CORPUS_FORMAT_VERSION, CorpusConfig
from spanmix.errors import InputError
from spanmix.files import read_versioned, write_json

CORPUS_FILE = "corpus.json"
HELD_OUT_SUFFIX = ".held_out"

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
        bytes: of those that could, in UTF-8.
        kept: how many of them are in the corpus; several may be one document there, see `corpus.layout`.
        dropped_bytes: by reason, as far as they are known.
        changed: by step, how many documents it changed.
    """

    documents: int
    bytes: int
    kept: int
    dropped_bytes: dict[str, int]
    changed: dict[str, int]


@dataclass(frozen=True)
class SourceReport:
    """What became of a source.

    Args:
        train, held_out: what is in the corpus, on both sides.
        licences: documents of the corpus by licence.
        dropped: documents that are not in it by reason.
        languages: documents of the corpus by language; none in corpora made before this was written down.
        read: what was met; none in those either.
    """

    train: SplitCounts
    held_out: SplitCounts
    licences: dict[str, int]
    dropped: dict[str, int]
    languages: dict[str, int] | None = None
    read: ReadCounts | None = None


@dataclass(frozen=True)
class CopiesReport:
    """What was found of near-copies.

    Args:
        candidates: pairs that agreed in a band.
        pairs: those of them whose signatures agreed in the threshold.
        groups: groups of two documents or more.
        largest: documents in the largest group.
        checked: near-copies that were dropped, drawn by the seed, whose true share of windows in common with
            what was kept in their place was counted.
        below_threshold: how many of these had a smaller one than the threshold.
        mean_share: the mean of it, in [0, 1]; none if nothing was checked.
    """

    candidates: int
    pairs: int
    groups: int
    largest: int
    checked: int
    below_threshold: int
    mean_share: float | None


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
        settings: what it was made with; none in corpora made before this was written down.
        copies: what was found of near-copies; none in those either.
        made_with: sections ``corpus`` and ``tokenizer`` of the recipe, and versions; none in those either.
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

    def save(self, folder: Path) -> None:
        """Write ``corpus.json``."""
        write_json(folder / CORPUS_FILE, dataclasses.asdict(self))

    @classmethod
    def load(cls, folder: Path) -> CorpusReport:
        """Read ``corpus.json``.

        Raises:
            InputError: it is missing, damaged or of another format version.
        """
        path = folder / CORPUS_FILE
        if not path.is_file():
            raise InputError(
                f"corpus {folder}: there is no {CORPUS_FILE} in it; make it with `spanmix prepare`"
            )
        report = read_versioned(path, cls, CORPUS_FORMAT_VERSION)
        for name in report.sources:
            check_source_name(name, str(path))
        return report
