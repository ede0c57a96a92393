"""Read all partitions and do all steps to their documents."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spanmix.config import CorpusConfig, SourceFilesConfig
from spanmix.files import parse_json
from spanmix.text.preparation.clean_partition import Summary, clean_partition
from spanmix.text.preparation.partitions import AGAINST, Partition
from spanmix.text.preparation.work import Advance, Work
from spanmix.text.source_tokenizer import hash_source_tokenizer
from spanmix.text.tokenizer import Tokenizer

_ONLY_LATER = ("path", "sources", "held_out_share", "seed", "layout", "opt_out_contact", "partition_bytes")
"""Fields of a corpus's recipe that decide nothing about what is read of a partition."""


@dataclass(frozen=True)
class Cleaned:
    """A partition that was read: where its documents lie, and what became of the others."""

    partition: Partition
    folder: Path
    summary: Summary


def clean_all(
    config: CorpusConfig,
    partitions: Sequence[Partition],
    files: Mapping[str, str],
    tokenizer: Tokenizer | None,
    work: Work,
    advance: Advance,
) -> list[Cleaned]:
    """Read partitions, each in a task of its own.

    Args:
        config: the corpus's recipe.
        partitions: what to read.
        files: hashes of the files that steps read, see `check_steps`.
        tokenizer: the corpus's, if it is not trained on it.
        work: does the tasks.
        advance: called with the bytes of each partition.
    """
    whole = dataclasses.asdict(config) | {"path": "", "sources": ()}
    deciding = {name: value for name, value in whole.items() if name not in _ONLY_LATER}
    deciding["files"] = files
    deciding["tokenizer"] = tokenizer and tokenizer.fingerprint
    folder = work.folder / "given_tokenizer"
    if tokenizer is not None:
        tokenizer.save(folder)
    decoders = [source.tokenizer and hash_source_tokenizer(source.tokenizer) for source in config.sources]
    places: list[Path] = []
    jobs: list[dict[str, Any]] = []
    for partition in partitions:
        source = dataclasses.asdict(_source(config, partition.source))
        fields = {"source": source, "partition": dataclasses.asdict(partition)}
        decoder = None if partition.source < 0 else decoders[partition.source]
        places.append(work.place("clean", fields | deciding | {"source_tokenizer": decoder}))
        given = None if tokenizer is None else str(folder)
        jobs.append(fields | {"config": whole, "tokenizer": given, "out": str(places[-1])})
    cleaned = []
    for partition, place, answer in zip(partitions, places, work.run(clean_partition, jobs), strict=True):
        cleaned.append(Cleaned(partition, place, parse_json(answer, Summary, "the summary")))
        advance(partition.num_bytes)
    return cleaned


def _source(config: CorpusConfig, number: int) -> SourceFilesConfig:
    return SourceFilesConfig(AGAINST, config.duplicates.against) if number < 0 else config.sources[number]
