"""Count a source's audit files of notes: what was redacted, and what was matched of benchmarks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from spanmix.errors import InputError
from spanmix.text.document_names import document_name
from spanmix.text.report import MEND

_BLOCK_BYTES = 1 << 24
_MATCHES = 3
"""So many matches of each task are shown."""


@dataclass(frozen=True)
class Redactions:
    """What was replaced of one kind: places, documents, and places by detector."""

    places: int
    documents: int
    detectors: Mapping[str, int]


@dataclass(frozen=True)
class TaskMatch:
    """Where a document matched a task: its name (see `document_name`) and line, how, and the passage."""

    name: str
    line: int
    method: str
    kind: str
    share: float
    matched: str


@dataclass
class TaskFigures:
    """What was matched of one task of a benchmark: documents, the methods that found them, and examples."""

    documents: int = 0
    methods: set[str] = field(default_factory=set)
    matches: list[TaskMatch] = field(default_factory=list)


@dataclass
class BenchmarkFigures:
    """What was matched of one benchmark: documents, what was done with them, and tasks by their ids."""

    documents: int = 0
    actions: set[str] = field(default_factory=set)
    tasks: dict[str, TaskFigures] = field(default_factory=dict)


def notes_path(folder: Path, source: str, kind: str) -> Path:
    """Return where the notes of a kind lie."""
    return folder / "audit" / f"{source}.{kind}.jsonl"


def count_redactions(path: Path) -> dict[str, Redactions] | None:
    """Count what was replaced by kind; None if nothing is on record. The rows of a document stand together.

    Raises:
        InputError: the file is damaged.
    """
    if not path.is_file():
        return None
    import pyarrow.compute

    places: dict[str, dict[str, int]] = {}
    documents: dict[str, int] = {}
    last_path: dict[str, str] = {}
    for rows in _blocks(path, ("path", "repository", "kind", "detector")):
        for row in (
            rows.group_by(["kind", "detector"], use_threads=False).aggregate([([], "count_all")]).to_pylist()
        ):
            of_kind = places.setdefault(row["kind"] or "", {})
            detector = row["detector"] or ""
            of_kind[detector] = of_kind.get(detector, 0) + row["count_all"]
        # Two repositories may have a file of the same path; older rows do not name theirs.
        named = [rows[name].fill_null("") for name in ("repository", "path")]
        paths = pyarrow.compute.binary_join_element_wise(*named, "\0").to_numpy()
        kinds = rows["kind"].to_numpy()
        for kind in sorted(set(kinds.tolist()) - {None}):
            mine = paths[kinds == kind]
            begins = int((mine[1:] != mine[:-1]).sum()) + (mine[0] != last_path.get(kind))
            documents[kind] = documents.get(kind, 0) + begins
            last_path[kind] = mine[-1]
    return {
        kind: Redactions(sum(of_kind.values()), documents.get(kind, 0), dict(sorted(of_kind.items())))
        for kind, of_kind in sorted(places.items())
    }


def count_contamination(path: Path) -> dict[str, BenchmarkFigures] | None:
    """Count what was matched by benchmark; None if nothing is on record. A document's rows stand together.

    Raises:
        InputError: the file is damaged.
    """
    if not path.is_file():
        return None
    benchmarks: dict[str, BenchmarkFigures] = {}
    document = None
    seen: set[tuple[str, str]] = set()
    of_match = ("benchmark", "task_id", "method", "kind", "matched", "line", "share", "action")
    for rows in _blocks(path, ("path", "repository", *of_match)):
        for row in rows.to_pylist():
            name = document_name(row["repository"] or "", row["path"] or "")
            if name != document:
                document = name
                seen = set()
            benchmark = benchmarks.setdefault(str(row["benchmark"]), BenchmarkFigures())
            _count_match(name, row, benchmark, seen)
    return dict(sorted(benchmarks.items()))


def _count_match(
    document: str, row: Mapping[str, Any], figures: BenchmarkFigures, seen: set[tuple[str, str]]
) -> None:
    """Count a row about a document; `seen` has what that matched so far."""
    benchmark, task_id = str(row["benchmark"]), str(row["task_id"])
    task = figures.tasks.setdefault(task_id, TaskFigures())
    if (benchmark, "") not in seen:
        figures.documents += 1
    if (benchmark, task_id) not in seen:
        task.documents += 1
        if len(task.matches) < _MATCHES:
            shown = TaskMatch(
                document,
                row["line"] or 0,
                row["method"] or "",
                row["kind"] or "",
                row["share"] or 0.0,
                row["matched"] or "",
            )
            task.matches.append(shown)
    seen |= {(benchmark, ""), (benchmark, task_id)}
    task.methods.add(row["method"] or "")
    figures.actions.add(row["action"] or "")


def _blocks(path: Path, names: tuple[str, ...]) -> Iterator[Any]:
    """Yield the named columns of a file of JSON lines, some megabytes at a time."""
    import pyarrow
    import pyarrow.json

    kinds = {"line": pyarrow.int64(), "share": pyarrow.float64()}
    schema = pyarrow.schema([(name, kinds.get(name, pyarrow.string())) for name in names])
    parse = pyarrow.json.ParseOptions(explicit_schema=schema, unexpected_field_behavior="ignore")
    read = pyarrow.json.ReadOptions(block_size=_BLOCK_BYTES)
    if not path.stat().st_size:
        return
    try:
        for batch in pyarrow.json.open_json(path, read, parse):
            if batch.num_rows:
                yield pyarrow.Table.from_batches([batch])
    except (OSError, pyarrow.ArrowException) as error:
        raise InputError(f"{path} cannot be read: {error}. {MEND}") from None
