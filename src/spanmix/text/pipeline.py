"""Make a corpus of raw sources: read, drop, split, train the tokenizer, encode.

The sources are read three times (scan, tokenizer sample, encode) and never held in memory. A document that
changed between two readings stops the work.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np

from spanmix import seeding
from spanmix.config import CORPUS_FORMAT_VERSION, CorpusConfig, SourceFilesConfig, TokenizerConfig
from spanmix.errors import InputError
from spanmix.files import one_whole_folder, replaceable
from spanmix.text.corpus import (
    TOKENIZER_FOLDER,
    Corpus,
    Progress,
    SourceWriter,
    stores_fingerprint,
)
from spanmix.text.readers import SourceFile, list_files
from spanmix.text.report import (
    HELD_OUT_SUFFIX,
    CorpusReport,
    SourceReport,
    SplitSettings,
    check_source_name,
)
from spanmix.text.scan import Entry, Scan
from spanmix.text.source_tokenizer import hash_source_tokenizer
from spanmix.text.tokenizer import Tokenizer
from spanmix.text.tokenizer_training import check_size
from spanmix.types import Document

TOKENIZER_SAMPLE_BYTES = 32_000_000
_BATCH_BYTES = 8_000_000


def prepare(
    config: CorpusConfig, tokenizer: TokenizerConfig, out: Path | str, progress: Progress | None = None
) -> CorpusReport:
    """Make the corpus `out` of `config.sources`; it appears whole or not at all.

    If `out` is already a corpus made with the same settings from the same files (by path, size and time of
    change), it is checked and returned at once. It may lie inside a source, and is never read as one. Exact
    copies are dropped, across sources too; the first stays.

    Args:
        config: what to read and how much to hold out; `out` stands for its `path`.
        tokenizer: what to train, or the folder of the tokenizer to use.
        out: the corpus folder.
        progress: called with the stage ("scan", "tokenizer", "encode", and "check" from 1 GB on), bytes
            done and bytes in all.

    Returns:
        The contents of ``corpus.json``.

    Raises:
        InputError: a source is missing or has no text; `out` holds something else; the vocabulary is too
            small; a file changed meanwhile.
    """
    out = Path(out)
    config = dataclasses.replace(config, path=str(out))
    meter = progress or (lambda stage, done, total: None)
    _check_names(config.sources)
    given = Tokenizer.load(tokenizer.path) if tokenizer.path else None
    if given is None:
        check_size(tokenizer.vocab_size, tokenizer.num_sentinels, len(tokenizer.extra_tokens))
    made_from, num_bytes = _hash_inputs(config, tokenizer, given)
    if _is_made(out, made_from):
        return Corpus.open(out, meter).report
    replaceable(out)
    scan = Scan(config, _advance(meter, "scan", num_bytes))
    with one_whole_folder(out) as folder:
        trained = given or _train_tokenizer(tokenizer, scan, config.seed, meter)
        trained.save(folder / TOKENIZER_FOLDER)
        sources = _encode_all(trained, scan, folder, meter)
        report = CorpusReport(
            format_version=CORPUS_FORMAT_VERSION,
            fingerprint=stores_fingerprint(folder, list(sources), trained, meter),
            tokenizer=trained.fingerprint,
            vocab_size=trained.vocab_size,
            ends_with_eod=True,
            made_from=made_from,
            sources=sources,
            settings=SplitSettings.of(config),
        )
        report.save(folder)
    return report


def _check_names(sources: Sequence[SourceFilesConfig]) -> None:
    if not sources:
        raise InputError("corpus.sources is empty; name at least one source")
    names = [source.name for source in sources]
    for name in names:
        check_source_name(name, "corpus.sources")
        if names.count(name) > 1:
            raise InputError(
                f"corpus.sources: {name!r} occurs {names.count(name)} times; name each source once"
            )


def _hash_inputs(
    config: CorpusConfig, tokenizer: TokenizerConfig, given: Tokenizer | None
) -> tuple[str, int]:
    """Hash settings and input files; also return the files' size in bytes."""
    settings = dataclasses.asdict(config) | {"path": None, "format_version": CORPUS_FORMAT_VERSION}
    settings["tokenizer"] = given.fingerprint if given else dataclasses.asdict(tokenizer)
    for source in settings["sources"]:
        if source["tokenizer"] is None:  # corpora that are older than the field stay what they are
            del source["tokenizer"]
        else:
            source["tokenizer"] = hash_source_tokenizer(source["tokenizer"])
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode())
    num_bytes = 0
    for files in config.sources:
        for item in list_files(files, Path(config.path)):
            if isinstance(item, SourceFile):
                num_bytes += item.num_bytes
                for file in (item, *item.beside):
                    digest.update(f"{str(file.path)!r} {file.num_bytes} {file.changed_ns}\n".encode())
    return digest.hexdigest(), num_bytes


def _is_made(out: Path, made_from: str) -> bool:
    if not out.is_dir() or not any(out.iterdir()):
        return False
    try:
        report = CorpusReport.load(out)
    except InputError as error:
        raise InputError(
            f"{out} is not empty and cannot be continued ({error}); choose another folder"
        ) from None
    if report.made_from != made_from:
        raise InputError(
            f"{out} was made with other settings or from other files; choose another folder, "
            f"or remove it to make it anew"
        )
    return True


def _train_tokenizer(config: TokenizerConfig, scan: Scan, seed: int, progress: Progress) -> Tokenizer:
    sample = _sample(scan, seed)
    advance = _advance(progress, "tokenizer", sum(scan.entries[i].num_bytes for i in sample))

    def texts() -> Iterator[str]:
        for source in scan.sources:
            for i, document, entry in scan.documents(source):
                if i in sample:
                    advance(entry.num_bytes)
                    yield document.text

    return Tokenizer.train(texts(), config.vocab_size, config.num_sentinels, config.extra_tokens)


def _sample(scan: Scan, seed: int) -> set[int]:
    """Choose training documents for the tokenizer: all, or some MB with each source in proportion."""
    train = [i for i, entry in enumerate(scan.entries) if not entry.is_copy and not entry.is_held_out]
    num_bytes: Counter[int] = Counter()
    for i in train:
        num_bytes[scan.entries[i].source] += scan.entries[i].num_bytes
    keep = min(1.0, TOKENIZER_SAMPLE_BYTES / num_bytes.total())
    keys = [scan.entries[i].key for i in train]
    words = seeding.draw(seed, "tokenizer_sample", 0, 0, keys, 1)[:, 0]
    sample = set()
    taken: Counter[int] = Counter()
    for position in np.argsort(words, kind="stable").tolist():
        entry = scan.entries[train[position]]
        if taken[entry.source] < keep * num_bytes[entry.source]:
            taken[entry.source] += entry.num_bytes
            sample.add(train[position])
    return sample


def _encode_all(
    tokenizer: Tokenizer, scan: Scan, folder: Path, progress: Progress
) -> dict[str, SourceReport]:
    kept = (entry.num_bytes for entry in scan.entries if not entry.is_copy)
    advance = _advance(progress, "encode", sum(kept))
    reports = {}
    for source in scan.sources:
        name = source.name
        with (
            SourceWriter(folder / name, tokenizer) as train,
            SourceWriter(folder / (name + HELD_OUT_SUFFIX), tokenizer) as held_out,
        ):
            for batch in _batches(scan, source):
                _encode_batch(tokenizer, batch, train, held_out)
                advance(sum(entry.num_bytes for _, entry in batch))
            licences = Counter(train.licences) + Counter(held_out.licences)
            dropped = scan.dropped[name]
            reports[name] = SourceReport(train.counts, held_out.counts, _sorted(licences), _sorted(dropped))
    return reports


def _encode_batch(
    tokenizer: Tokenizer, batch: list[tuple[Document, Entry]], train: SourceWriter, held_out: SourceWriter
) -> None:
    # A prompt and its response are encoded by themselves: a server gets the one and writes the other.
    cuts = [document.prompt_characters for document, _ in batch]
    prompts = tokenizer.encode_arrays(
        [document.text[:cut] for (document, _), cut in zip(batch, cuts, strict=True)]
    )
    rests = tokenizer.encode_arrays(
        [document.text[cut:] for (document, _), cut in zip(batch, cuts, strict=True)]
    )
    for (document, entry), prompt, rest in zip(batch, prompts, rests, strict=True):
        ids = np.concatenate([prompt, rest])
        assert not tokenizer.is_control[ids].any(), f"{document.path} was encoded with control ids (law 9)"
        num_bytes = int(tokenizer.num_bytes[ids].sum(dtype=np.int64))
        if num_bytes != entry.num_bytes:
            raise InputError(
                f"the tokenizer makes {num_bytes} bytes of the {entry.num_bytes} bytes of {document.path}; "
                f"use one that keeps text as it is"
            )
        (held_out if entry.is_held_out else train).add(document, ids, num_bytes, len(prompt))


def _batches(scan: Scan, source: SourceFilesConfig) -> Iterator[list[tuple[Document, Entry]]]:
    batch: list[tuple[Document, Entry]] = []
    num_bytes = 0
    for _, document, entry in scan.documents(source):
        batch.append((document, entry))
        num_bytes += entry.num_bytes
        if num_bytes >= _BATCH_BYTES:
            yield batch
            batch, num_bytes = [], 0
    if batch:
        yield batch


def _sorted(counts: Counter[str]) -> dict[str, int]:
    return dict(sorted(counts.items()))


def _advance(progress: Progress, stage: str, total: int) -> Callable[[int], None]:
    """Report in about 200 steps at most, from 0 to exactly `total` unless the work stops."""
    done = reported = 0
    progress(stage, 0, total)

    def advance(num_bytes: int) -> None:
        nonlocal done, reported
        done = min(done + num_bytes, total)
        if done - reported >= total / 200 or done == total:
            reported = done
            progress(stage, done, total)

    return advance
