"""Put the parts of all partitions together: token stores, tables of documents, and what was dropped."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from spanmix.config import SourceFilesConfig
from spanmix.errors import SpanmixError
from spanmix.text.document_table import join_tables
from spanmix.text.duplicates.decide import REASONS
from spanmix.text.licences.opt_out import OptOut
from spanmix.text.licences.opt_out_counts import OptOutCount
from spanmix.text.licences.reasons import OPT_OUT
from spanmix.text.partition_tables import dropped_schema
from spanmix.text.preparation.encode_partition import Encoded
from spanmix.text.preparation.notes import note_kinds
from spanmix.text.preparation.parts import Part
from spanmix.text.readers.origin import distinct_names
from spanmix.text.report import HELD_OUT_SUFFIX, ReadCounts, SourceReport, SplitCounts
from spanmix.text.token_store import TokenStoreWriter
from spanmix.text.tokenizer import Tokenizer

AUDIT_FOLDER = "audit"


def assemble_source(
    name: str,
    parts: Sequence[Part],
    encoded: Sequence[tuple[Path, Encoded]],
    tokenizer: Tokenizer,
    folder: Path,
) -> SourceReport:
    """Write all files of one source into the corpus `folder`, and say what became of its documents.

    Raises:
        SpanmixError: the counts do not add up; that would be a fault of Spanmix.
    """
    for side, suffix in (("train", ""), ("held_out", HELD_OUT_SUFFIX)):
        prefix = folder / (name + suffix)
        with TokenStoreWriter(prefix, tokenizer.vocab_size, tokenizer.control.eot) as store:
            for part, _ in encoded:
                store.extend(part / side)
        join_tables([part / side for part, _ in encoded], prefix)
    _write_audit(name, parts, folder / AUDIT_FOLDER)
    report = _report(parts, [counts for _, counts in encoded])
    read = report.read
    num_files = sum(counts.num_files for _, counts in encoded)
    whole = read is not None and read.documents == read.kept + sum(report.dropped.values())
    if read is None or not whole or read.kept != num_files:
        raise SpanmixError(
            f"source {name}: documents that were read, kept and dropped do not add up: {report}"
        )
    return report


def count_opt_outs(
    sources: Sequence[SourceFilesConfig], parts: Sequence[Sequence[Part]]
) -> list[OptOutCount]:
    """Count how many documents each line of each opt-out list fits, of all sources together."""
    counts: dict[str, dict[str, int]] = {}
    users: dict[str, list[str]] = defaultdict(list)
    for source, mine in zip(sources, parts, strict=True):
        path = None if source.licences is None else source.licences.opt_out
        if path is None:
            continue
        users[path].append(source.name)
        if path not in counts:
            counts[path] = dict.fromkeys(OptOut.load(path).entries, 0)
        for row in (json.loads(line) for part in mine for line in part.notes(OPT_OUT)):
            counts[path][row["entry"]] += 1
    names = distinct_names([Path(path) for path in counts])
    return [
        OptOutCount(name, entry, number, tuple(users[path]))
        for name, (path, entries) in zip(names, counts.items(), strict=True)
        for entry, number in entries.items()
    ]


def _report(parts: Sequence[Part], encoded: Sequence[Encoded]) -> SourceReport:
    dropped: Counter[str] = Counter()
    dropped_bytes: Counter[str] = Counter()
    changed: Counter[str] = Counter()
    kept = 0
    for part in parts:
        for reason, (count, num_bytes) in part.summary.dropped.items():
            dropped[reason] += count
            dropped_bytes[reason] += num_bytes
        for fate, reason in REASONS.items():
            if count := int((part.fates == fate).sum()):
                dropped[reason] += count
                dropped_bytes[reason] += int(part.read_bytes()[part.fates == fate].sum())
        changed.update(part.changed())
        kept += int((~part.is_dropped).sum())
    read = ReadCounts(
        sum(part.summary.num_documents for part in parts),
        sum(part.summary.num_bytes for part in parts),
        kept,
        _sorted(dropped_bytes),
        _sorted(changed),
        _sorted(sum((Counter(part.summary.text_fields) for part in parts), Counter())),
    )
    licences = sum((Counter(counts.licences) for counts in encoded), Counter())
    languages = sum((Counter(counts.languages) for counts in encoded), Counter())
    return SourceReport(
        _total([counts.train for counts in encoded]),
        _total([counts.held_out for counts in encoded]),
        _sorted(licences),
        _sorted(dropped),
        _sorted(languages),
        read,
    )


def _write_audit(name: str, parts: Sequence[Part], folder: Path) -> None:
    """Write a row of each dropped document, and what the steps noted of what is in the corpus and of what
    they dropped, in the order of reading."""
    import pyarrow.parquet

    folder.mkdir(exist_ok=True)
    with pyarrow.parquet.ParquetWriter(folder / f"{name}.dropped.parquet", dropped_schema()) as writer:
        for part in parts:
            writer.write_table(pyarrow.parquet.read_table(part.folder / "dropped.parquet"))
            writer.write_table(_copies(part))
    for kind in sorted(set().union(*(note_kinds(part.folder) for part in parts))):
        with (folder / f"{name}.{kind}.jsonl").open("wb") as out:
            for part in parts:
                out.writelines(part.notes(kind))


def _copies(part: Part) -> Any:
    """Return the rows of the copies in a partition; what each is a copy of stands as its value."""
    import pyarrow.parquet

    numbers = np.flatnonzero(part.is_dropped)
    names = ["path", "repository"]
    documents = pyarrow.parquet.read_table(part.folder / "documents.parquet", columns=names).take(numbers)
    columns = {
        **{name: documents[name].to_pylist() for name in names},
        "reason": [REASONS[fate] for fate in part.fates[numbers].tolist()],
        "value": [part.copied_names[i] for i in numbers.tolist()],
        "num_bytes": part.read_bytes()[numbers],
        "excerpt": [""] * len(numbers),
    }
    return pyarrow.table(columns, dropped_schema())


def _total(counts: Sequence[SplitCounts]) -> SplitCounts:
    return SplitCounts(
        sum(one.documents for one in counts),
        sum(one.tokens for one in counts),
        sum(one.bytes for one in counts),
    )


def _sorted(counts: Counter[str]) -> dict[str, int]:
    return dict(sorted(counts.items()))
