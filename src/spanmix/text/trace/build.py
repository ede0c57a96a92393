"""Build the trace index of a corpus, shard by shard; what is finished is not built again.

Of a shard's text all suffixes are sorted (libdivsufsort, through the package pydivsufsort), and of the sorted
positions the sampled ones are kept. So they are in exact order however often and however long a text is
repeated, and the memory needed is about nine bytes for each of a shard's text.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spanmix.errors import InputError, SpanmixError
from spanmix.files import full_disk_named, one_writer, write_json
from spanmix.text.corpus import Corpus, Progress
from spanmix.text.token_store import open_indexed
from spanmix.text.tokenizer import Tokenizer
from spanmix.text.trace.document_bytes import DocumentBytes
from spanmix.text.trace.layout import (
    ENDINGS,
    INDEX_FILE,
    KEY_EVERY,
    PADDING,
    SEPARATOR,
    TRACE_FORMAT_VERSION,
    IndexRecord,
    IndexSettings,
    ShardRecord,
    checksum,
    finished_shard,
    index_folder,
    read_index,
    shard_file,
    stamp,
)
from spanmix.text.trace.plan import ShardPlan, plan_shards
from spanmix.text.trace.sampling import ByteArray, sampled

SuffixSorter = Callable[[ByteArray], NDArray[np.int32]]
"""Returns where the suffixes of a text begin, in their order."""

STAGE = "index"
_BLOCK = 1 << 22


def build_index(
    corpus: Path | str,
    settings: IndexSettings | None = None,
    progress: Progress = lambda stage, done, total: None,
) -> IndexRecord:
    """Build the index of a corpus beside it; one that is there is checked, and mended where it is damaged.

    May be ended at any moment: the next call goes on behind the last finished shard. Until the last one is
    written there is no index; where there was one with other settings or of another corpus, it is gone.

    Args:
        corpus: the corpus folder.
        settings: None takes those of an index that is there, or else the defaults.
        progress: called with the stage, bytes of text done and in all.

    Raises:
        InputError: the corpus is missing or damaged, pydivsufsort is not installed, or another process
            builds it.
        SpanmixError: the disk is full.
    """
    sort = suffix_sorter()
    opened = Corpus.open(corpus, progress)
    folder = index_folder(opened.path)
    with one_writer(folder), full_disk_named(folder):
        old = _old_index(folder)
        if settings is None:
            settings = old.settings if old is not None else IndexSettings()
        made_for = stamp(opened.fingerprint, settings)
        plans = plan_shards(opened.path, opened.report, opened.tokenizer, settings)
        folder.mkdir(exist_ok=True)
        found = [finished_shard(folder, number, made_for) for number in range(len(plans))]
        if old is None or old.shards != tuple(found):
            (folder / INDEX_FILE).unlink(missing_ok=True)
        build = _ShardBuilder(opened, made_for, settings, sort)
        shards = _build_missing(build, plans, found, progress)
        index = IndexRecord(TRACE_FORMAT_VERSION, opened.fingerprint, settings, tuple(shards))
        write_json(folder / INDEX_FILE, dataclasses.asdict(index))
        _remove_others(folder, len(plans))
    return index


def suffix_sorter() -> SuffixSorter:
    """Return what sorts the suffixes of a text; raises `InputError` if its package is not installed."""
    try:
        from pydivsufsort import divsufsort
    except ImportError:
        raise InputError(
            "to build a trace index the package pydivsufsort is needed: pip install 'spanmix[trace]'. An "
            "index that is built needs it no more"
        ) from None
    sorter: SuffixSorter = divsufsort
    return sorter


def _old_index(folder: Path) -> IndexRecord | None:
    try:
        return read_index(folder)
    except InputError:
        return None  # damaged, or of another format: made anew


def _build_missing(
    builder: _ShardBuilder, plans: list[ShardPlan], found: list[ShardRecord | None], progress: Progress
) -> list[ShardRecord]:
    total = sum(plan.num_bytes for plan in plans)
    done = 0
    progress(STAGE, 0, total)
    shards = []
    for number, (plan, shard) in enumerate(zip(plans, found, strict=True)):
        shards.append(builder.build(number, plan) if shard is None else shard)
        done += plan.num_bytes
        progress(STAGE, done, total)
    return shards


@dataclass(frozen=True)
class _ShardBuilder:
    corpus: Corpus
    made_for: str
    settings: IndexSettings
    sort: SuffixSorter

    def build(self, number: int, plan: ShardPlan) -> ShardRecord:
        """Write the files of one shard, and its record when they are whole."""
        folder = index_folder(self.corpus.path)
        shard_file(folder, number, "json").unlink(missing_ok=True)
        text, starts = _text_of(self.corpus.path, plan, self.corpus.tokenizer)
        positions = _sorted_positions(text, self.settings, self.sort)
        padded = np.concatenate([text, np.full(PADDING, SEPARATOR, np.uint8)])
        firsts = positions[::KEY_EVERY].astype(np.int64)
        keys = padded[firsts[:, None] + np.arange(8)].view(">u8").ravel().astype("<u8")
        paths = [shard_file(folder, number, ending) for ending in ENDINGS]
        for path, content in zip(paths, (padded, positions, keys, starts), strict=True):
            _write_array(path, content)
        shard = ShardRecord(
            source=plan.source,
            first_document=plan.first_document,
            num_documents=plan.num_documents,
            num_bytes=plan.num_bytes - plan.num_documents,
            num_positions=len(positions),
            made_for=self.made_for,
            sizes=tuple(path.stat().st_size for path in paths),
            checksums=tuple(map(checksum, paths)),
        )
        write_json(shard_file(folder, number, "json"), dataclasses.asdict(shard))
        return shard


def _text_of(folder: Path, plan: ShardPlan, tokenizer: Tokenizer) -> tuple[ByteArray, NDArray[np.uint32]]:
    """Return a shard's text with a separator at both ends, and its documents' bounds."""
    text = np.empty(1 + plan.num_bytes, np.uint8)
    text[0] = SEPARATOR
    documents = DocumentBytes(open_indexed(folder / plan.source), tokenizer)
    documents.fill(plan.first_document, plan.first_document + plan.num_documents, text[1:])
    starts = np.ones(plan.num_documents + 1, np.int64)
    np.cumsum(plan.sizes, out=starts[1:])
    starts[1:] += 1
    return text, starts.astype("<u4")


def _sorted_positions(text: ByteArray, settings: IndexSettings, sort: SuffixSorter) -> NDArray[np.uint32]:
    is_sampled = np.zeros(len(text), np.bool_)
    is_sampled[sampled(text, settings.gram_bytes, settings.window)] = True
    is_sampled &= text != SEPARATOR  # no text begins with one
    suffixes = sort(text)
    if len(suffixes) != len(text):
        raise SpanmixError(
            f"pydivsufsort sorted {len(suffixes)} of {len(text)} suffixes; use another version of it"
        )
    kept = [block[is_sampled[block]] for block in _blocks(suffixes)]
    return np.concatenate([np.zeros(0, np.int32), *kept]).astype("<u4")


def _blocks(values: NDArray[np.int32]) -> list[NDArray[np.int32]]:
    return [values[start : start + _BLOCK] for start in range(0, len(values), _BLOCK)]


def _write_array(path: Path, content: NDArray[Any]) -> None:
    aside = path.with_name(f".{path.name}.partial")
    with aside.open("wb") as stream:
        content.tofile(stream)
        stream.flush()
        os.fsync(stream.fileno())
    aside.replace(path)


def _remove_others(folder: Path, num_shards: int) -> None:
    """Remove the files of shards beyond the last one, and what an ended process left aside."""
    named = {
        shard_file(folder, number, ending).name
        for number in range(num_shards)
        for ending in (*ENDINGS, "json")
    }
    for path in folder.iterdir():
        if path.name not in named | {INDEX_FILE}:
            path.unlink()
