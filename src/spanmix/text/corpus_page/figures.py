"""Count what lies in a corpus folder, and check that it adds up: what its page and its card are made of."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from spanmix.config import CorpusConfig
from spanmix.errors import InputError
from spanmix.text.corpus_page.dropped import DroppedFigures, count_dropped, dropped_path
from spanmix.text.corpus_page.notes import (
    BenchmarkFigures,
    Redactions,
    count_contamination,
    count_redactions,
    notes_path,
)
from spanmix.text.corpus_page.sides import Amount, SideFigures, count_side
from spanmix.text.licences.opt_out_counts import OptOutCount, read_counts
from spanmix.text.report import CORPUS_FILE, HELD_OUT_SUFFIX, MEND, CorpusReport, SourceReport


@dataclass(frozen=True)
class SourceFigures:
    """What is known of a source.

    Args:
        name: the source's name.
        report: what ``corpus.json`` says about it.
        train, held_out: what its files hold.
        dropped: what its table of dropped documents holds; None in a corpus without one.
        redactions: by kind, what was replaced; None if nothing is on record.
        contamination: by benchmark, what was matched; None if nothing is on record.
        has_attribution: whether there are notes on who holds the copyright of what.
    """

    name: str
    report: SourceReport
    train: SideFigures
    held_out: SideFigures
    dropped: DroppedFigures | None
    redactions: Mapping[str, Redactions] | None
    contamination: Mapping[str, BenchmarkFigures] | None
    has_attribution: bool

    @property
    def in_corpus(self) -> int:
        """Documents of the corpus on both sides."""
        return self.report.train.documents + self.report.held_out.documents

    @property
    def kept(self) -> int:
        """Documents that were read and kept; where that was not written down, those of the corpus."""
        return self.report.read.kept if self.report.read else self.in_corpus

    @property
    def num_files(self) -> int:
        """Files in the documents of both sides; several may be one document, see `corpus.layout`."""
        return self.train.num_files + self.held_out.num_files

    @property
    def num_dropped(self) -> int:
        """Documents that were dropped."""
        return sum(self.report.dropped.values())

    @property
    def num_read(self) -> int:
        """Documents that were met; where that was not written down, the sum of kept and dropped."""
        return self.report.read.documents if self.report.read else self.kept + self.num_dropped


@dataclass(frozen=True)
class CorpusFigures:
    """What is known of a corpus.

    Args:
        report: ``corpus.json``.
        recipe: what the corpus was made with; None if that is not on record.
        sources: in the order of ``corpus.json``.
        opt_outs: how many documents each line of each opt-out list fits.
    """

    report: CorpusReport
    recipe: CorpusConfig | None
    sources: tuple[SourceFigures, ...]
    opt_outs: tuple[OptOutCount, ...] = ()

    def total(self, name: str) -> int:
        """Add up ``documents``, ``tokens`` or ``bytes`` of both sides of all sources."""
        return sum(
            getattr(side, name) for one in self.sources for side in (one.report.train, one.report.held_out)
        )

    @property
    def num_files(self) -> int:
        """Files in the documents of the whole corpus."""
        return sum(source.num_files for source in self.sources)

    @property
    def licences(self) -> dict[str, int]:
        """Files of the whole corpus by licence, the most frequent first."""
        counts: Counter[str] = Counter()
        for source in self.sources:
            counts.update(source.report.licences)
        return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


@dataclass(frozen=True)
class Check:
    """Two numbers that have to be equal, and what they are; `found` is what `said` is compared with."""

    source: str
    what: str
    said: int
    found: int


def read_figures(folder: Path) -> CorpusFigures:
    """Count all that lies in a corpus folder, which may be an old one, and check that it adds up.

    It reads the token stores' indexes, four columns of the tables of documents and what lies in ``audit``;
    no ids and no text. It takes seconds for millions of documents.

    Raises:
        InputError: there is no corpus, a file of it is damaged, or its numbers do not agree; it names them.
    """
    report = CorpusReport.load(folder)
    sources = tuple(_read_source(folder, name, report) for name in report.sources)
    figures = CorpusFigures(report, report.recipe(), sources, tuple(read_counts(folder)))
    for check in checks(figures):
        if check.said != check.found:
            raise InputError(
                f"corpus {folder}, source {check.source}: {check.what}, but that is {check.said:,} beside "
                f"{check.found:,}. A file of it was changed, or belongs to another corpus. {MEND}"
            )
    return figures


def _read_source(folder: Path, name: str, report: CorpusReport) -> SourceFigures:
    source = report.sources[name]
    eod = report.ends_with_eod
    return SourceFigures(
        name=name,
        report=source,
        train=count_side(folder / name, source.train, eod),
        held_out=count_side(folder / (name + HELD_OUT_SUFFIX), source.held_out, eod),
        dropped=count_dropped(dropped_path(folder, name)),
        redactions=count_redactions(notes_path(folder, name, "redactions")),
        contamination=count_contamination(notes_path(folder, name, "contamination")),
        has_attribution=notes_path(folder, name, "attribution").is_file(),
    )


def checks(figures: CorpusFigures) -> Iterator[Check]:
    """Yield what has to hold of a corpus; of an old one, as far as its numbers were written down."""
    for source in figures.sources:
        report, name = source.report, source.name
        if report.read is not None:
            yield Check(
                name,
                f"documents read are those kept ({source.kept:,}) and those dropped ({source.num_dropped:,})",
                report.read.documents,
                source.kept + source.num_dropped,
            )
            yield Check(
                name,
                f"there are no more documents in the corpus ({source.in_corpus:,}) than were kept",
                min(source.kept, source.in_corpus),
                source.in_corpus,
            )
        yield from _compare(name, "licence", report.licences, _files(source, "licences"))
        if report.languages is not None:
            yield from _compare(name, "language", report.languages, _files(source, "languages"))
        if source.dropped is None:
            continue
        amounts = source.dropped.amounts
        documents = {reason: amount.number for reason, amount in amounts.items()}
        yield from _compare(name, "dropped document", report.dropped, documents)
        if report.read is not None:
            num_bytes = {reason: amount.bytes for reason, amount in amounts.items()}
            yield from _compare(name, "byte of dropped documents", report.read.dropped_bytes, num_bytes)


def _files(source: SourceFigures, name: str) -> dict[str, int]:
    counts: Counter[str] = Counter()
    for side in (source.train, source.held_out):
        amounts: Mapping[str, Amount] = getattr(side, name)
        counts.update({key: amount.number for key, amount in amounts.items()})
    return dict(counts)


def _compare(source: str, what: str, said: Mapping[str, int], found: Mapping[str, int]) -> Iterator[Check]:
    """Yield the first entry in which two counts differ, or their sums."""
    for key in sorted(said.keys() | found.keys()):
        if said.get(key, 0) != found.get(key, 0):
            described = f"every {what} of {CORPUS_FILE} is in the files, {key or 'not known'!r} too"
            yield Check(source, described, said.get(key, 0), found.get(key, 0))
            return
    yield Check(
        source, f"every {what} of {CORPUS_FILE} is in the files", sum(said.values()), sum(found.values())
    )
