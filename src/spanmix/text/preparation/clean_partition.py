"""Read one partition, do all steps to each of its documents, and write what is left with its signatures.

What a task writes is a folder that is whole or absent:

====================  ============================================================================
``documents.parquet``  the documents that are left, with all fields of `Document`
``dropped.parquet``    path, repository, reason, measured value, bytes and an excerpt of the others
``notes.KIND.tsv``     what the steps noted, see `spanmix.text.preparation.notes`
``changed.STEP.npy``   numbers of the documents that a step changed
``*.npy``              see `spanmix.text.duplicates.facts`
``summary.json``       counts, see `Summary`
====================  ============================================================================
"""

from __future__ import annotations

import dataclasses
import json
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from spanmix.config import CorpusConfig, SourceFilesConfig
from spanmix.errors import InputError
from spanmix.files import parse_json
from spanmix.text.dropped import Dropped
from spanmix.text.duplicates.facts import FactsWriter
from spanmix.text.partition_tables import DocumentWriter, DroppedWriter
from spanmix.text.preparation.inputs import hash_file, hash_input, inputs_of
from spanmix.text.preparation.notes import NotesWriter
from spanmix.text.preparation.once import make_once
from spanmix.text.preparation.partitions import Partition
from spanmix.text.preparation.stating import changed_file
from spanmix.text.preparation.steps_of import NamedStep, build_steps
from spanmix.text.readers.files import size_and_change
from spanmix.text.readers.units import Unit, changed, files_of, read_unit
from spanmix.types import Document

READING = "read"


@dataclass(frozen=True)
class CleanJob:
    """What a task needs.

    Args:
        config: the whole recipe's corpus; its `path` is not read.
        source: the partition's source.
        partition: what to read.
        tokenizer: the folder of the corpus's tokenizer, if it is not trained on the corpus.
        out: the folder to write.
    """

    config: CorpusConfig
    source: SourceFilesConfig
    partition: Partition
    tokenizer: str | None
    out: str


@dataclass(frozen=True)
class Summary:
    """What became of a partition.

    Args:
        num_documents: all that were met.
        num_bytes: of all that were met, as they were read, as far as they are known.
        kept_documents, kept_bytes: what is left.
        dropped: by reason, documents and bytes as far as they are known.
        first_dropped: by reason, where on this machine the first was.
        seconds: by step.
        inputs: SHA-256 of each of `inputs_of` the partition.
        text_fields: by field, how many documents were read that had their text in it and not in the one that
            the source names.
    """

    num_documents: int
    num_bytes: int
    kept_documents: int
    kept_bytes: int
    dropped: dict[str, tuple[int, int]]
    first_dropped: dict[str, str]
    seconds: dict[str, float]
    inputs: tuple[str, ...]
    text_fields: dict[str, int]


def clean_partition(text: str) -> str:
    """Do one job, given as JSON, and return its `Summary` as JSON; what is done is not done again."""
    job = parse_json(text, CleanJob, "the job")
    out = Path(job.out)

    def fill(folder: Path) -> None:
        summary = _Cleaning(job, folder).run()
        (folder / "summary.json").write_text(json.dumps(dataclasses.asdict(summary)), encoding="utf-8")

    make_once(out, fill)
    return (out / "summary.json").read_text(encoding="utf-8")


class _Cleaning:
    """One pass over a partition."""

    def __init__(self, job: CleanJob, folder: Path) -> None:
        self._job = job
        self._folder = folder
        kept_out = job.partition.source < 0
        self._steps: Sequence[NamedStep] = (
            () if kept_out else build_steps(job.config, job.source, job.tokenizer)
        )
        self._dropped: dict[str, list[int]] = defaultdict(lambda: [0, 0])
        self._first_dropped: dict[str, str] = {}
        self._changed: dict[str, list[int]] = defaultdict(list)
        self._seconds: defaultdict[str, float] = defaultdict(float)
        self._notes = NotesWriter()
        self._num_documents = self._num_bytes = 0
        self._hashes: list[tuple[Path, str]] = []
        self._text_fields: Counter[str] = Counter()

    def run(self) -> Summary:
        kept_documents = kept_bytes = 0
        facts = FactsWriter(self._job.config.duplicates)
        with (
            DocumentWriter(self._folder / "documents.parquet") as documents,
            DroppedWriter(self._folder / "dropped.parquet") as dropped,
        ):
            for item in self._items():
                result, num_bytes = self._through_steps(item, kept_documents)
                if isinstance(result, Dropped):
                    self._count(result, num_bytes, item.file)
                    dropped.add(result, num_bytes)
                    continue
                with self._timed("write"):
                    documents.add(result)
                with self._timed("sign"):
                    facts.add(result.text, result.stars)
                kept_documents += 1
                kept_bytes += len(result.text.encode())
        with self._timed("sign"):
            facts.save(self._folder)
        self._notes.save(self._folder)
        for step, numbers in self._changed.items():
            np.save(self._folder / f"changed.{step}.npy", np.array(numbers, np.int64))
        return Summary(
            self._num_documents,
            self._num_bytes,
            kept_documents,
            kept_bytes,
            {reason: (count, num_bytes) for reason, (count, num_bytes) in sorted(self._dropped.items())},
            dict(sorted(self._first_dropped.items())),
            dict(self._seconds),
            tuple(sha256 for _, sha256 in self._hashes),
            dict(sorted(self._text_fields.items())),
        )

    @contextmanager
    def _timed(self, step: str) -> Iterator[None]:
        before = time.perf_counter()
        yield
        self._seconds[step] += time.perf_counter() - before

    def _items(self) -> Iterator[Document | Dropped]:
        yield from self._job.partition.dropped
        with self._timed("hash"):
            for one in inputs_of(self._job.partition, self._job.source.name):
                self._hashes.append((one.file, hash_input(one)))
        for unit in self._job.partition.units:
            before = time.perf_counter()
            for item in read_unit(unit, self._job.source, self._job.config.max_document_bytes):
                self._seconds[READING] += time.perf_counter() - before
                yield item
                before = time.perf_counter()
            if changed(unit) and self._has_other_bytes(unit):
                raise self._changed_meanwhile(unit.origin.file)
            self._seconds[READING] += time.perf_counter() - before
        if file := changed_file(self._job.partition.stating):
            raise self._changed_meanwhile(file)

    def _has_other_bytes(self, unit: Unit) -> bool:
        """Return whether a unit may hold other bytes than were hashed; or its rights alone have changed."""
        hashes = dict(self._hashes)
        for one in files_of(unit):
            now = size_and_change(one.file)
            if now is None or now[0] != one.num_bytes or hashes.get(one.file) != hash_file(one.file):
                return True
        return False

    def _changed_meanwhile(self, file: str) -> InputError:
        return InputError(f"source {self._job.source.name}: {file} changed while it was read; start again")

    def _through_steps(self, item: Document | Dropped, number: int) -> tuple[Document | Dropped, int]:
        """Do all steps to a document, the partition's `number` if it is kept; also return its bytes as it was
        read."""
        self._num_documents += 1
        num_bytes = item.num_bytes if isinstance(item, Dropped) else item.read_bytes
        self._num_bytes += num_bytes
        if isinstance(item, Dropped):
            return item, num_bytes
        if item.text_field:
            self._text_fields[item.text_field] += 1
        changed_by = []
        for step in self._steps:
            first = self._notes.num_pending
            with self._timed(step.name):
                result = step.do(item, self._notes.note)
            if isinstance(result, Dropped):
                self._notes.drop(first)
                return result, num_bytes
            if result.text != item.text:
                changed_by.append(step.name)
            item = result
        self._notes.keep(number)
        for name in changed_by:
            self._changed[name].append(number)
        return item, num_bytes

    def _count(self, dropped: Dropped, num_bytes: int, file: str) -> None:
        counts = self._dropped[dropped.reason]
        counts[0] += 1
        counts[1] += num_bytes
        self._first_dropped.setdefault(dropped.reason, file)
