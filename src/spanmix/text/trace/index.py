"""The trace index of a corpus, open to be asked: which parts of a text stand in the training documents.

Files are mapped, not read: memory grows with what is looked up, and the system shares it between processes.
An opened index changes nothing, so threads may share one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from spanmix.errors import InputError
from spanmix.text.corpus import TOKENIZER_FOLDER
from spanmix.text.document_table import DocumentTable
from spanmix.text.report import CorpusReport
from spanmix.text.tokenizer import Tokenizer
from spanmix.text.trace.layout import (
    ENDINGS,
    IndexRecord,
    IndexSettings,
    index_folder,
    read_index,
    shard_file,
)
from spanmix.text.trace.matches import Characters, Match, Occurrence, Traced
from spanmix.text.trace.places import document_at, file_place, places, smallest
from spanmix.text.trace.plan import expected_seconds, expected_size
from spanmix.text.trace.repeats import Agreement, Repeated, grouped
from spanmix.text.trace.search import Deadline, OutOfTimeError, find_matches
from spanmix.text.trace.shard import Query, Shard
from spanmix.text.trace.staircase import Staircase
from spanmix.text.trace.token_spans import TokenEnds

DEFAULT_MIN_BYTES = 40
DEFAULT_MAX_OCCURRENCES = 3

Spans = list[tuple[int, int]]


@dataclass(frozen=True)
class _Places:
    """How often something stands in the corpus, whether that is all, and the first places."""

    number: int
    is_exact: bool
    first: tuple[Occurrence, ...]


class TraceIndex:
    """An opened index; use `TraceIndex.open`.

    Args:
        corpus: the corpus folder.
        report: what ``corpus.json`` says.
        record: what ``index.json`` says.
    """

    def __init__(self, corpus: Path, report: CorpusReport, record: IndexRecord) -> None:
        self.corpus = corpus
        self.record = record
        folder = index_folder(corpus)
        for number, shard in enumerate(record.shards):
            _check_sizes(folder, number, shard.sizes)
        self._shards = [Shard(folder, number, shard) for number, shard in enumerate(record.shards)]
        self._tables = {
            name: DocumentTable(corpus / name, source.train.documents, source.train.bytes, report.files)
            for name, source in report.sources.items()
        }
        _require_files(corpus, report, self._tables)

    @property
    def shortest_bytes(self) -> int:
        """Bytes of the shortest match that is always found."""
        return self.record.settings.shortest_bytes

    @cached_property
    def tokenizer(self) -> Tokenizer:
        """The corpus's tokenizer; only `min_tokens` needs it."""
        return Tokenizer.load(self.corpus / TOKENIZER_FOLDER)

    @classmethod
    def open(cls, corpus: Path | str) -> TraceIndex:
        """Open the index of a corpus, in milliseconds: sizes are checked here, checksums by `build_index`.

        The tables of documents are checked against their hashes when a place is first named.

        Raises:
            InputError: there is no corpus, or no index of it, or one of another corpus, or a file is cut
                short; or the corpus does not know which files its documents are made of.
        """
        corpus = Path(corpus)
        report = CorpusReport.load(corpus)
        record = read_index(index_folder(corpus))
        if record is None:
            raise InputError(missing_index(corpus, report))
        if record.corpus != report.fingerprint:
            raise InputError(
                f"the trace index in {index_folder(corpus)} is of another corpus: it was built for "
                f"{record.corpus[:12]}, and {corpus} is {report.fingerprint[:12]}. Build it again with "
                f"`spanmix trace --corpus {corpus} --build`"
            )
        return cls(corpus, report, record)

    def longest_matches(
        self,
        text: str,
        min_bytes: int = DEFAULT_MIN_BYTES,
        min_tokens: int = 0,
        max_occurrences: int = DEFAULT_MAX_OCCURRENCES,
    ) -> list[Match]:
        """Return the longest parts of a text that stand in a training document; see `trace`."""
        return list(self.trace(text, min_bytes, min_tokens, max_occurrences).matches)

    def trace(
        self,
        text: str,
        min_bytes: int = DEFAULT_MIN_BYTES,
        min_tokens: int = 0,
        max_occurrences: int = DEFAULT_MAX_OCCURRENCES,
        seconds: float | None = None,
    ) -> Traced:
        """Find every part of a text that stands word for word in a training document, and in no longer one.

        The same part again and again, such as a run of blanks, is one match; see `Match.num_repeats`.

        Args:
            text: any text; control strings in it are text.
            min_bytes: UTF-8 bytes of the shortest match.
            min_tokens: tokens of the text, as the corpus's tokenizer makes them, that lie whole in the
                shortest match.
            max_occurrences: places to give of each match; all are counted.
            seconds: time to search for; None is all that it takes.

        Raises:
            InputError: `min_bytes` is below `shortest_bytes`, the text holds a lone surrogate, or the
                corpus's table of documents is missing or damaged.
        """
        query = self._query(text, min_bytes)
        deadline = Deadline(seconds)
        found, is_complete = self._search(query, min_bytes, deadline)
        characters = Characters(query.bytes[: len(query)])
        spans = characters.inside(found, min_bytes)
        if min_tokens > 0:
            tokens = TokenEnds.of(self.tokenizer, text)
            spans = [span for span in spans if len(tokens.inside(*span)) >= min_tokens]
        repeated = grouped(Agreement(query.text), spans)
        matches = self._matches(query, characters, repeated, max_occurrences, deadline)
        return Traced(tuple(matches), is_complete)

    def longest_match(
        self,
        text: str,
        min_bytes: int = DEFAULT_MIN_BYTES,
        seconds: float | None = None,
        behind: int = 0,
    ) -> tuple[Match | None, bool]:
        """Return the longest match with its first place, and whether there was time to search everything.

        For a server: only the longest is counted and looked up.

        Args:
            text, min_bytes, seconds: as of `trace`, which says what is raised.
            behind: only matches that end behind this byte of the text.
        """
        query = self._query(text, min_bytes)
        deadline = Deadline(seconds)
        found, is_complete = self._search(query, min_bytes, deadline)
        characters = Characters(query.bytes[: len(query)])
        spans = [span for span in characters.inside(found, min_bytes) if span[1] > behind]
        if not spans:
            return None, is_complete
        repeated = grouped(Agreement(query.text), spans)
        longest = max(repeated, key=lambda span: span.end - span.start)
        return next(self._matches(query, characters, [longest], 1, deadline)), is_complete

    def spans(self, text: str, min_bytes: int = DEFAULT_MIN_BYTES) -> Spans:
        """Return start and end of each match, in bytes, without looking up where it stands; see `trace`."""
        query = self._query(text, min_bytes)
        found, _ = self._search(query, min_bytes, Deadline(None))
        return Characters(query.bytes[: len(query)]).inside(found, min_bytes)

    def byte_spans(self, content: bytes, min_bytes: int = DEFAULT_MIN_BYTES) -> Spans:
        """Return start and end of each match of any bytes, which may begin and end inside of characters.

        For tokens, which may be parts of characters. Bytes that UTF-8 does not have are in no match.
        """
        self._require(min_bytes)
        found, _ = self._search(Query(content, self.record.settings), min_bytes, Deadline(None))
        return list(found)

    def _require(self, min_bytes: int) -> None:
        if min_bytes < self.shortest_bytes:
            raise InputError(
                f"matches of {min_bytes} bytes are asked for, and this index finds those of "
                f"{self.shortest_bytes} and more; ask for {self.shortest_bytes}, or build it again with "
                f"`spanmix trace --corpus {self.corpus} --build --shortest-bytes {max(1, min_bytes)}`"
            )

    def _query(self, text: str, min_bytes: int) -> Query:
        self._require(min_bytes)
        try:
            content = text.encode("utf-8")
        except UnicodeEncodeError as error:
            raise InputError(
                f"text holds a lone surrogate at character {error.start}; it is not Unicode"
            ) from None
        return Query(content, self.record.settings)

    def _search(self, query: Query, min_bytes: int, deadline: Deadline) -> tuple[Staircase, bool]:
        found = Staircase()
        try:
            for shard in self._shards:
                find_matches(shard, query, min_bytes, found, deadline)
        except OutOfTimeError:
            return found, False
        return found, True

    def _matches(
        self, query: Query, characters: Characters, found: list[Repeated], most: int, deadline: Deadline
    ) -> Iterator[Match]:
        known: dict[bytes, _Places] = {}  # the same match may stand in several parts of a text
        for start, end, num_repeats, last_end in found:
            content = query.text[start:end]
            if content not in known:
                known[content] = self._places(query, start, end, most, deadline)
            stands = known[content]
            yield Match(
                start=start,
                end=end,
                start_character=characters.number(start),
                end_character=characters.number(end),
                num_repeats=num_repeats,
                last_end=last_end,
                last_end_character=characters.number(last_end),
                num_occurrences=stands.number,
                is_count_exact=stands.is_exact,
                occurrences=stands.first,
            )

    def _places(self, query: Query, start: int, end: int, most: int, deadline: Deadline) -> _Places:
        number = 0
        is_exact = True
        kept: list[tuple[Shard, int]] = []
        try:
            for shard in self._shards:
                before, kept_before = number, kept
                found = places(shard, query, start, end, deadline)
                for counted, positions in smallest(found, most - len(kept_before)):
                    number = before + counted
                    kept = kept_before + [(shard, position) for position in positions.tolist()]
        except OutOfTimeError:
            is_exact = False
        if number == 0:  # one place is always said, as without any the match is of no use
            shard, position = self._any_place(query, start, end)
            number, kept = 1, [(shard, position)][:most]
        return _Places(number, is_exact, tuple(self._occurrences(kept, end - start)))

    def _any_place(self, query: Query, start: int, end: int) -> tuple[Shard, int]:
        blocks = (
            (shard, block)
            for shard in self._shards
            for block in places(shard, query, start, end, Deadline(None))
        )
        return next((shard, int(block.min())) for shard, block in blocks if len(block))

    def _occurrences(self, found: list[tuple[Shard, int]], num_bytes: int) -> Iterator[Occurrence]:
        for shard, position in found:
            document, start = document_at(shard, position)
            end = start + num_bytes
            source = shard.record.source
            files = self._tables[source].files_between(document, start, end)
            held = tuple(file_place(shard, document, file, start, end) for file in files)
            yield Occurrence(source, document, start, held)


def _require_files(corpus: Path, report: CorpusReport, tables: Mapping[str, DocumentTable]) -> None:
    """Refuse to name files and lines in documents that are more than a file, if the corpus has no record."""
    if report.has_layout and not all(table.lists_files for table in tables.values()):
        raise InputError(
            f"corpus {corpus} has headers in front of its files, or several files in a document, and was "
            "prepared by a version of Spanmix that did not write down where each file stands; a match would "
            "be told with the wrong file and line. Remove the corpus and prepare it again"
        )


def missing_index(corpus: Path, report: CorpusReport) -> str:
    """Say of a corpus without an index how to build one, and what that takes."""
    num_bytes = sum(source.train.bytes for source in report.sources.values())
    size = expected_size(num_bytes, IndexSettings()) / 1e6
    return (
        f"corpus {corpus} has no trace index. Build it with `spanmix trace --corpus {corpus} --build`: about "
        f"{max(1, round(expected_seconds(num_bytes)))} s on one core, and {size:,.1f} MB beside the corpus "
        f"for its {num_bytes / 1e6:,.1f} MB of training text"
    )


def _check_sizes(folder: Path, number: int, sizes: tuple[int, ...]) -> None:
    for ending, expected in zip(ENDINGS, sizes, strict=True):
        path = shard_file(folder, number, ending)
        found = path.stat().st_size if path.is_file() else None
        if found != expected:
            state = "is missing" if found is None else f"has {found:,} bytes, and {expected:,} were written"
            raise InputError(
                f"{path} {state}; mend the index with `spanmix trace --corpus {folder.parent} --build`"
            )
