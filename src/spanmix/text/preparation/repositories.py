"""Bring the files of each repository together, which may lie in any partitions.

Repositories are sorted by name and cut into ranges of about a partition's bytes. Two rounds of tasks: each
partition deals its documents into the ranges; then each range is gathered from all partitions, in the order
of repositories and paths, and is a partition like any other afterwards. Their sequence does not depend on
where the cuts were.
"""

from __future__ import annotations

import dataclasses
import json
from bisect import bisect_right
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from spanmix.config import CorpusConfig
from spanmix.files import parse_json
from spanmix.text.duplicates.decide import HELD_OUT, TRAIN
from spanmix.text.partition_tables import DocumentWriter, read_documents
from spanmix.text.preparation.once import make_once
from spanmix.text.preparation.parts import Part
from spanmix.text.preparation.work import Work, hash_fates
from spanmix.types import Document


@dataclass(frozen=True)
class Bucket:
    """A gathered bucket: what an encoding task reads, see `spanmix.text.preparation.encode_partition`."""

    folder: Path
    fates: np.ndarray[Any, Any]
    kept_bytes: int


@dataclass(frozen=True)
class DealJob:
    """Deal the kept documents of a partition into buckets, folders in `out` whose first keys are `bounds`."""

    partition: str
    fates: str
    bounds: tuple[str, ...]
    out: str


@dataclass(frozen=True)
class GatherJob:
    """Gather one bucket of all dealt partitions."""

    dealt: tuple[str, ...]
    bucket: int
    out: str


def gather_repositories(config: CorpusConfig, parts: Sequence[Part], work: Work) -> list[Bucket]:
    """Return the kept documents of a source's parts in buckets, the files of a repository in a row."""
    bounds = _bounds(parts, config.partition_bytes)
    deal_jobs = []
    for part in parts:
        place = work.place("deal", [part.folder.name, hash_fates(part.fates), bounds])
        fates = work.save_fates(part.fates)
        deal_jobs.append(DealJob(str(part.folder), str(fates), tuple(bounds), str(place)))
    dealt = tuple(work.run(deal_partition, [dataclasses.asdict(job) for job in deal_jobs]))
    gather_jobs = []
    for bucket in range(len(bounds)):
        place = work.place("gather", [[Path(name).name for name in dealt], bucket])
        gather_jobs.append(GatherJob(dealt, bucket, str(place)))
    folders = work.run(gather_bucket, [dataclasses.asdict(job) for job in gather_jobs])
    return [_bucket(Path(folder)) for folder in folders]


def deal_partition(text: str) -> str:
    """Do one `DealJob`, given as JSON, and return its folder; what is done is not done again."""
    job = parse_json(text, DealJob, "the job")

    def fill(out: Path) -> None:
        fates = np.load(job.fates)
        digests = np.load(Path(job.partition) / "digests.npy")
        kept = np.isin(fates, (TRAIN, HELD_OUT))
        buckets: dict[int, list[tuple[int, Document]]] = {}
        for number, document in read_documents(Path(job.partition) / "documents.parquet", kept):
            bucket = bisect_right(job.bounds, _key(document.repository, document.path)) - 1
            buckets.setdefault(bucket, []).append((number, document))
        for bucket, numbered in buckets.items():
            folder = out / str(bucket)
            folder.mkdir()
            rows = [number for number, _ in numbered]
            _write(folder, [document for _, document in numbered], fates[rows], digests[rows])

    make_once(Path(job.out), fill)
    return job.out


def gather_bucket(text: str) -> str:
    """Do one `GatherJob`, given as JSON, and return its folder; what is done is not done again."""
    job = parse_json(text, GatherJob, "the job")

    def fill(out: Path) -> None:
        documents: list[Document] = []
        fates, digests = [np.zeros(0, np.uint8)], [np.zeros((0, 2), np.uint64)]
        for name in job.dealt:
            folder = Path(name) / str(job.bucket)
            if folder.exists():
                fates.append(np.load(folder / "fates.npy"))
                digests.append(np.load(folder / "digests.npy"))
                every = np.ones(len(fates[-1]), np.bool_)
                documents += [document for _, document in read_documents(folder / "documents.parquet", every)]
        keys = [(_key(document.repository, document.path), document.path) for document in documents]
        order = sorted(range(len(documents)), key=lambda i: (*keys[i], i))
        _write(
            out, [documents[i] for i in order], np.concatenate(fates)[order], np.concatenate(digests)[order]
        )
        size = sum(len(document.text.encode()) for document in documents)
        (out / "bytes.json").write_text(json.dumps(size), encoding="utf-8")

    make_once(Path(job.out), fill)
    return job.out


def _bounds(parts: Sequence[Part], bucket_bytes: int) -> list[str]:
    """Return the first key of each bucket, the first of all being the empty one."""
    import pyarrow.parquet

    sizes: Counter[str] = Counter()
    for part in parts:
        table = pyarrow.parquet.read_table(part.folder / "documents.parquet", columns=["repository", "path"])
        rows = zip(table["repository"].to_pylist(), table["path"].to_pylist(), strict=True)
        for (repository, path), num_bytes, is_dropped in zip(
            rows, part.num_bytes, part.is_dropped, strict=True
        ):
            if not is_dropped:
                sizes[_key(repository, path)] += int(num_bytes)
    bounds = [""]
    filled = 0
    for key in sorted(sizes):
        if filled and filled + sizes[key] > bucket_bytes:
            bounds.append(key)
            filled = 0
        filled += sizes[key]
    return bounds


def _key(repository: str, path: str) -> str:
    """Return what documents are sorted by: the repository; those without one come first, by their paths."""
    return repository or f"\0{path}"


def _bucket(folder: Path) -> Bucket:
    size = json.loads((folder / "bytes.json").read_text(encoding="utf-8"))
    return Bucket(folder, np.load(folder / "fates.npy"), size)


def _write(
    folder: Path, documents: Sequence[Document], fates: np.ndarray[Any, Any], digests: np.ndarray[Any, Any]
) -> None:
    with DocumentWriter(folder / "documents.parquet") as writer:
        for document in documents:
            writer.add(document)
    np.save(folder / "fates.npy", fates)
    np.save(folder / "digests.npy", digests)
