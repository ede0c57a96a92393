"""Say how well a model fills in the places of a benchmark, by kind and by language."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spanmix.evaluate import intervals
from spanmix.evaluate.infill_match import edit_similarity
from spanmix.evaluate.intervals import Interval
from spanmix.evaluate.replay.author import without_end
from spanmix.evaluate.replay.bench import Bench, BenchItem, BenchOrigin
from spanmix.evaluate.replay.bench_match import BenchAnswer
from spanmix.evaluate.replay.lines import split_lines
from spanmix.evaluate.replay.places import parses

BENCH_REPORT_FORMAT_VERSION = 1


@dataclass(frozen=True)
class ItemResult:
    """How one answer compares with what stands there.

    Args:
        task_id: the place.
        completion: what the model wrote.
        stopped: whether it ended by itself.
        exact, exact_stripped: whether it is the same; without blanks at both ends.
        first_line: whether its first line is the same, up to the line end.
        edit_similarity, edit_similarity_stripped: 1 - Levenshtein distance / length of the longer.
        bits_per_byte: of what stands there.
        parses: whether the file is Python with the answer in it; None if it was not without.
        executed: what the repository's tests say, or None (see `spanmix.evaluate.replay.executed`).
    """

    task_id: str
    completion: str
    stopped: bool
    exact: bool
    exact_stripped: bool
    first_line: bool
    edit_similarity: float
    edit_similarity_stripped: float
    bits_per_byte: float
    parses: bool | None
    executed: bool | None


@dataclass(frozen=True)
class BenchFigures:
    """The answers of one kind in one language, or in all, with 95 % intervals over files.

    Args:
        kind: of place.
        language: which, or ``all``.
        num_items, num_files, num_bytes: what was answered.
        exact, exact_stripped, first_line, stopped: shares of answers; see `ItemResult`.
        edit_similarity, edit_similarity_stripped: means.
        bits_per_byte: all bits over all bytes.
        parses: share of the answers in files that Python's parser takes; None if there is none.
        executed: share of the answers that tests decide about which pass; None if there is none.
    """

    kind: str
    language: str
    num_items: int
    num_files: int
    num_bytes: int
    exact: Interval
    exact_stripped: Interval
    first_line: Interval
    stopped: Interval
    edit_similarity: Interval
    edit_similarity_stripped: Interval
    bits_per_byte: Interval
    parses: Interval | None
    executed: Interval | None


@dataclass(frozen=True)
class BenchReport:
    """The report of a benchmark, field by field as its JSON has it.

    Args:
        origin: from what it was built.
        facts: the model, and how it was asked.
        num_too_long: places that were not asked for, as their text has no room, by kind.
        figures: of each kind, over all languages and then language by language.
        items: every answer.
    """

    format_version: int
    origin: BenchOrigin
    facts: dict[str, Any]
    num_too_long: dict[str, int]
    figures: tuple[BenchFigures, ...]
    items: tuple[ItemResult, ...]

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON can hold it."""
        return dataclasses.asdict(self)


def report_of(
    bench: Bench,
    answers: Sequence[BenchAnswer],
    facts: Mapping[str, Any],
    executed: Mapping[str, bool] | None = None,
) -> BenchReport:
    """Compare answers with what stands there, and gather the figures.

    Args:
        bench: the benchmark.
        answers: of its places, those that were asked for.
        facts: the model, and how it was asked; written as given.
        executed: for the places that tests decide about, whether the answer passes.
    """
    by_id = {answer.task_id: answer for answer in answers}
    verdicts = executed or {}
    answered = [item for item in bench.items if item.task_id in by_id]
    results = {
        item.task_id: result_of(item, by_id[item.task_id], verdicts.get(item.task_id)) for item in answered
    }
    figures = []
    for kind in bench.origin.settings.kinds:
        of_kind = [item for item in answered if item.kind == kind]
        for language in ["all", *sorted({item.language for item in of_kind})]:
            items = [item for item in of_kind if language in ("all", item.language)]
            if items:
                figures.append(_figures(kind, language, items, results, bench.origin.settings.seed))
    too_long = {
        kind: sum(item.kind == kind for item in bench.items) - sum(item.kind == kind for item in answered)
        for kind in bench.origin.settings.kinds
    }
    return BenchReport(
        BENCH_REPORT_FORMAT_VERSION,
        bench.origin,
        dict(facts),
        too_long,
        tuple(figures),
        tuple(results.values()),
    )


def result_of(item: BenchItem, answer: BenchAnswer, executed: bool | None = None) -> ItemResult:
    """Compare one answer with what stands there."""
    wanted, got = item.canonical_solution, answer.completion
    python = item.language == "python" and parses(item.prompt + wanted + item.suffix)
    return ItemResult(
        task_id=item.task_id,
        completion=got,
        stopped=answer.stopped,
        exact=got == wanted,
        exact_stripped=got.strip() == wanted.strip(),
        first_line=_first_line(got) == _first_line(wanted),
        edit_similarity=edit_similarity(got, wanted),
        edit_similarity_stripped=edit_similarity(got.strip(), wanted.strip()),
        bits_per_byte=answer.bits / len(wanted.encode("utf-8")),
        parses=parses(item.prompt + got + item.suffix) if python else None,
        executed=executed,
    )


def _first_line(text: str) -> str:
    lines = split_lines(text)
    return without_end(lines[0]) if lines else ""


def _figures(
    kind: str, language: str, items: Sequence[BenchItem], results: Mapping[str, ItemResult], seed: int
) -> BenchFigures:
    files = {path: place for place, path in enumerate(dict.fromkeys(item.path for item in items))}
    own = [results[item.task_id] for item in items]
    places_N = np.array([files[item.path] for item in items])
    num_bytes_N = np.array([len(item.canonical_solution.encode("utf-8")) for item in items], dtype=np.float64)

    def by_file(values: Sequence[float] | NDArray[np.float64]) -> NDArray[np.float64]:
        sums_C = np.zeros(len(files))
        np.add.at(sums_C, places_N, np.asarray(values, dtype=np.float64))
        return sums_C

    num_items_C = by_file([1.0] * len(items))

    def share_of(values: Sequence[bool]) -> Interval:
        return intervals.share(by_file(values), num_items_C)

    def share_where_known(values: Sequence[bool | None]) -> Interval | None:
        known_C = by_file([value is not None for value in values])
        asked = known_C > 0
        if not asked.any():
            return None
        return intervals.share(by_file([value is True for value in values])[asked], known_C[asked])

    bits_N = np.array([result.bits_per_byte for result in own]) * num_bytes_N
    return BenchFigures(
        kind=kind,
        language=language,
        num_items=len(items),
        num_files=len(files),
        num_bytes=int(num_bytes_N.sum()),
        exact=share_of([result.exact for result in own]),
        exact_stripped=share_of([result.exact_stripped for result in own]),
        first_line=share_of([result.first_line for result in own]),
        stopped=share_of([result.stopped for result in own]),
        edit_similarity=intervals.ratio(
            by_file([result.edit_similarity for result in own]), num_items_C, seed
        ),
        edit_similarity_stripped=intervals.ratio(
            by_file([result.edit_similarity_stripped for result in own]), num_items_C, seed
        ),
        bits_per_byte=intervals.ratio(by_file(bits_N), by_file(num_bytes_N), seed),
        parses=share_where_known([result.parses for result in own]),
        executed=share_where_known([result.executed for result in own]),
    )
