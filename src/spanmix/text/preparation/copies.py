"""Find copies among all documents that were read, and decide what becomes of each."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from spanmix.config import CorpusConfig
from spanmix.text.duplicates.check import true_shares
from spanmix.text.duplicates.components import components
from spanmix.text.duplicates.decide import NEAR_COPY, Decisions, Documents, Rules, decide
from spanmix.text.duplicates.facts import Facts
from spanmix.text.duplicates.pairs import Pairs, find_pairs, pair_jobs, similarity
from spanmix.text.duplicates.signatures import bands_for
from spanmix.text.preparation.clean_all import Cleaned
from spanmix.text.preparation.work import Advance, Work
from spanmix.text.report import CopiesReport

_MOST_JOBS = 8
_DOCUMENTS_OF_A_JOB = 50_000
"""Other processes take longer to start than it takes to compare so many documents."""


@dataclass(frozen=True)
class Copies:
    """What becomes of all documents, in the order of the partitions.

    Args:
        facts: what is known of them.
        documents: the groups they are in.
        decisions: what becomes of each.
        report: figures for people.
    """

    facts: Facts
    documents: Documents
    decisions: Decisions
    report: CopiesReport


def find_copies(config: CorpusConfig, cleaned: Sequence[Cleaned], work: Work, advance: Advance) -> Copies:
    """Compare the documents of all partitions; `advance` is called with the bytes that each task stands for,
    the last of them when all is decided."""
    facts = Facts.of([part.folder for part in cleaned], [part.summary.kept_documents for part in cleaned])
    num_bytes = sum(part.summary.kept_bytes for part in cleaned)
    pairs = []
    for found, share in _search(config, facts, work):
        pairs.append(found)
        advance(int(num_bytes * share))
    documents = _documents(config, facts, [part.partition.source for part in cleaned], pairs, work.folder)
    duplicates = config.duplicates
    rules = Rules(duplicates.near == "drop", duplicates.threshold, config.held_out_share, config.seed)
    decisions = decide(documents, lambda pairs: similarity(facts, pairs), rules)
    advance(num_bytes)
    return Copies(facts, documents, decisions, _report(config, facts, documents, decisions, pairs))


def _search(config: CorpusConfig, facts: Facts, work: Work) -> Iterator[tuple[Pairs, float]]:
    """Yield what each task found, and which share of all work the task was."""
    folder = work.folder / "pairs"
    folder.mkdir(exist_ok=True)
    for old in folder.iterdir():  # of other documents
        old.unlink()
    num_keys = 1 + bands_for(config.duplicates).num_bands
    num_jobs = min(_MOST_JOBS, 1 + facts.num_documents // _DOCUMENTS_OF_A_JOB)
    jobs = pair_jobs(facts, num_keys, config.duplicates.threshold, folder, num_jobs)
    for job, _ in zip(jobs, work.run(find_pairs, [dataclasses.asdict(job) for job in jobs]), strict=True):
        yield Pairs.load(job.out), 1 / (len(jobs) + 1)


def _documents(
    config: CorpusConfig, facts: Facts, sources: Sequence[int], pairs: list[Pairs], folder: Path
) -> Documents:
    count = facts.num_documents
    exact = components(count, lambda: [found.exact for found in pairs], folder / "exact.npy")
    near = components(
        count, lambda: [some for found in pairs for some in (found.exact, found.near)], folder / "near.npy"
    )
    together = near
    if config.layout.unit == "repository":
        of_repositories = list(_repository_edges(facts, near))
        together = components(count, lambda: of_repositories, folder / "together.npy")
    keys = (facts.whole("digests")[:, 0] >> np.uint64(1)).astype(np.int64)
    source_ids = [np.full(facts.starts[i + 1] - facts.starts[i], source) for i, source in enumerate(sources)]
    whole = np.concatenate([np.zeros(0, np.int64), *source_ids])
    return Documents(keys, whole, facts.whole("stars"), exact, near, together)


def _repository_edges(facts: Facts, near: NDArray[np.int64]) -> Iterator[NDArray[np.int64]]:
    """Yield edges from each document to its group, and to the first document of its repository."""
    import pyarrow.parquet

    first: dict[str, int] = {}
    for number, folder in enumerate(facts.folders):
        start, end = facts.starts[number : number + 2]
        documents = np.arange(start, end)
        yield np.stack([near[start:end], documents], axis=1)
        table = pyarrow.parquet.read_table(Path(folder) / "documents.parquet", columns=["repository"])
        names = table["repository"].to_pylist()
        ends = [first.setdefault(name, i) if name else i for i, name in enumerate(names, start)]
        yield np.stack([np.array(ends, np.int64), documents], axis=1)


def _report(
    config: CorpusConfig, facts: Facts, documents: Documents, decisions: Decisions, pairs: list[Pairs]
) -> CopiesReport:
    is_first = documents.exact == np.arange(facts.num_documents)
    _, sizes = np.unique(documents.near[is_first], return_counts=True)
    dropped = np.flatnonzero(decisions.fates == NEAR_COPY)
    copies = np.stack([dropped, decisions.copy_of[dropped]], axis=1)
    duplicates = config.duplicates
    shares: list[float] = []
    if len(copies):
        folders = [Path(folder) for folder in facts.folders]
        shares = true_shares(copies, folders, facts.starts, duplicates.window_words, config.seed)
    return CopiesReport(
        len(_distinct([documents.exact[found.near] for found in pairs])),
        int((sizes > 1).sum()),
        int(sizes.max(initial=0)),
        len(shares),
        sum(share < duplicates.threshold for share in shares),
        round(float(np.mean(shares)), 4) if shares else None,
        sum(found.num_agreements for found in pairs),
    )


def _distinct(pairs: list[NDArray[np.int64]]) -> NDArray[np.int64]:
    return np.unique(np.sort(np.concatenate(pairs), axis=1), axis=0)
