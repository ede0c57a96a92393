"""Turn the documents of all sources into ids."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from spanmix.config import CorpusConfig
from spanmix.files import parse_json
from spanmix.text.preparation.encode_partition import Encoded, EncodeJob, encode_partition
from spanmix.text.preparation.parts import Part
from spanmix.text.preparation.repositories import gather_repositories
from spanmix.text.preparation.work import Advance, Work, hash_fates
from spanmix.text.tokenizer import Tokenizer


@dataclass(frozen=True)
class _Piece:
    """What one task encodes."""

    folder: Path
    fates: NDArray[np.uint8]
    kept_bytes: int


def encode_all(
    config: CorpusConfig, tokenizer: Tokenizer, parts: Sequence[Sequence[Part]], work: Work, advance: Advance
) -> list[list[tuple[Path, Encoded]]]:
    """Encode the parts of each source, each in a task of its own; returns folders and counts, in order."""
    folder = work.folder / "tokenizer"
    tokenizer.save(folder)
    pieces = [_pieces(config, mine, work) for mine in parts]
    layout = dataclasses.asdict(config.layout)
    jobs = []
    flat = [piece for mine in pieces for piece in mine]
    for piece in flat:
        deciding = [piece.folder.name, hash_fates(piece.fates), tokenizer.fingerprint, layout, config.seed]
        place = work.place("encode", deciding)
        fates = work.save_fates(piece.fates)
        jobs.append(
            EncodeJob(
                str(piece.folder),
                str(fates),
                str(folder),
                tokenizer.fingerprint,
                config.layout,
                config.seed,
                str(place),
            )
        )
    done = []
    answers = work.run(encode_partition, [dataclasses.asdict(job) for job in jobs])
    for piece, job, answer in zip(flat, jobs, answers, strict=True):
        done.append((Path(job.out), parse_json(answer, Encoded, "the counts")))
        advance(piece.kept_bytes)
    ends = np.cumsum([len(mine) for mine in pieces]).tolist()
    return [done[end - len(mine) : end] for end, mine in zip(ends, pieces, strict=True)]


def _pieces(config: CorpusConfig, parts: Sequence[Part], work: Work) -> list[_Piece]:
    if config.layout.unit == "repository":
        buckets = gather_repositories(config, parts, work)
        return [_Piece(bucket.folder, bucket.fates, bucket.kept_bytes) for bucket in buckets]
    return [_Piece(part.folder, part.fates, part.kept_bytes) for part in parts]
