"""Turn the documents of one partition into ids: a token store for each side, as parts of the corpus's."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from spanmix.corpus_configs.layout import LayoutConfig
from spanmix.errors import InputError
from spanmix.files import parse_json
from spanmix.text.corpus import SourceWriter
from spanmix.text.document_names import document_name
from spanmix.text.duplicates.decide import HELD_OUT, TRAIN
from spanmix.text.partition_tables import read_documents
from spanmix.text.preparation.layout import LaidOut, join_repositories, lay_out
from spanmix.text.preparation.once import make_once
from spanmix.text.report import SplitCounts
from spanmix.text.tokenizer import Tokenizer

SIDES = {"train": TRAIN, "held_out": HELD_OUT}
_BATCH_CHARACTERS = 8_000_000


@dataclass(frozen=True)
class EncodeJob:
    """What a task needs.

    Args:
        partition: folder of what the first task wrote.
        fates: file of what becomes of each of its documents, uint8.
        tokenizer: its folder.
        fingerprint: the tokenizer's; another may have lain in that folder before.
        layout, seed: of the corpus.
        out: the folder to write.
    """

    partition: str
    fates: str
    tokenizer: str
    fingerprint: str
    layout: LayoutConfig
    seed: int
    out: str


@dataclass(frozen=True)
class Encoded:
    """What a partition came to: files that went in, both sides, files by licence and by language."""

    num_files: int
    train: SplitCounts
    held_out: SplitCounts
    licences: dict[str, int]
    languages: dict[str, int]


def encode_partition(text: str) -> str:
    """Do one job, given as JSON, and return its `Encoded` as JSON; what is done is not done again."""
    job = parse_json(text, EncodeJob, "the job")
    out = Path(job.out)

    def fill(folder: Path) -> None:
        (folder / "encoded.json").write_text(json.dumps(asdict(_encode(job, folder))), encoding="utf-8")

    make_once(out, fill)
    return (out / "encoded.json").read_text(encoding="utf-8")


def _encode(job: EncodeJob, folder: Path) -> Encoded:
    tokenizer = _tokenizer(job.tokenizer, job.fingerprint)
    fates = np.load(job.fates)
    counts: dict[str, SplitCounts] = {}
    licences: Counter[str] = Counter()
    languages: Counter[str] = Counter()
    for side, fate in SIDES.items():
        with SourceWriter(folder / side, tokenizer) as writer:
            for batch in _batches(_documents(job, fates == fate)):
                _encode_batch(tokenizer, batch, writer)
                files = [file for laid in batch for file in laid.each_file]
                licences.update(file.licence for file in files)
                languages.update(file.language for file in files)
        counts[side] = writer.counts
    num_files = int(np.isin(fates, list(SIDES.values())).sum())
    return Encoded(num_files, counts["train"], counts["held_out"], dict(licences), dict(languages))


def _documents(job: EncodeJob, wanted: NDArray[np.bool_]) -> Iterator[LaidOut]:
    digests = np.load(Path(job.partition) / "digests.npy")[:, 0] >> np.uint64(1)
    files = (
        lay_out(document, int(digests[number]), job.layout, job.seed)
        for number, document in read_documents(Path(job.partition) / "documents.parquet", wanted)
    )
    return join_repositories(files, job.layout) if job.layout.unit == "repository" else files


def _batches(documents: Iterable[LaidOut]) -> Iterator[list[LaidOut]]:
    batch: list[LaidOut] = []
    size = 0
    for laid in documents:
        batch.append(laid)
        size += len(laid.document.text)
        if size >= _BATCH_CHARACTERS:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _encode_batch(tokenizer: Tokenizer, batch: list[LaidOut], writer: SourceWriter) -> None:
    documents = [laid.document for laid in batch]
    # A prompt and its response are encoded by themselves: a server gets the one and writes the other.
    prompts = tokenizer.encode_arrays([document.text[: document.prompt_characters] for document in documents])
    rests = tokenizer.encode_arrays([document.text[document.prompt_characters :] for document in documents])
    for document, laid, prompt, rest in zip(documents, batch, prompts, rests, strict=True):
        ids = np.concatenate([prompt, rest])
        name = document_name(document.repository, document.path)
        assert not tokenizer.is_control[ids].any(), f"{name} was encoded with control ids (law 9)"
        num_bytes = int(tokenizer.num_bytes[ids].sum(dtype=np.int64))
        expected = len(document.text.encode())
        if num_bytes != expected:
            raise InputError(
                f"the tokenizer makes {num_bytes} bytes of the {expected} bytes of {name}; "
                f"use one that keeps text as it is"
            )
        writer.add(document, ids, num_bytes, len(prompt), laid.files)


@lru_cache(maxsize=1)
def _tokenizer(folder: str, fingerprint: str) -> Tokenizer:
    tokenizer = Tokenizer.load(folder)
    assert tokenizer.fingerprint == fingerprint, f"{folder} holds another tokenizer than the job says"
    return tokenizer
