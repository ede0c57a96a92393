"""Count what was matched of each benchmark, from the rows of the audit file."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from spanmix.corpus_configs.decontamination import METHODS
from spanmix.text.decontamination.table import Program


@dataclass(frozen=True)
class MatchCounts:
    """How many of a benchmark's programs were found, by their ids, and in how many documents."""

    programs: int
    documents: int


@dataclass(frozen=True)
class BenchmarkSummary:
    """What was matched of a benchmark.

    Args:
        benchmark: its name.
        num_problems: problems in it.
        num_programs: those whose texts differ from one another's; matches are counted by these.
        matched: by any method.
        by_method: for each method.
    """

    benchmark: str
    num_problems: int
    num_programs: int
    matched: MatchCounts
    by_method: Mapping[str, MatchCounts]


def summarize(rows: Iterable[Mapping[str, Any]], programs: Sequence[Program]) -> list[BenchmarkSummary]:
    """Return a summary of each benchmark, in the order of `programs`, those without a match too.

    Args:
        rows: of the audit file ``contamination``, in any order; see `DecontaminationStep`.
        programs: what was searched for, `ProblemTable.programs`.
    """
    found: dict[tuple[str, str], set[str]] = {}
    held: dict[tuple[str, str], set[tuple[str, str, str]]] = {}
    for row in rows:
        for key in ((row["benchmark"], row["method"]), (row["benchmark"], "")):
            found.setdefault(key, set()).add(row["task_id"])
            held.setdefault(key, set()).add((row["source"], row.get("repository", ""), row["path"]))

    def counts(benchmark: str, method: str) -> MatchCounts:
        key = (benchmark, method)
        return MatchCounts(len(found.get(key, ())), len(held.get(key, ())))

    summaries = []
    for name in dict.fromkeys(program.benchmark for program in programs):
        ours = [program for program in programs if program.benchmark == name]
        num_problems = sum(program.num_problems for program in ours)
        by_method = {method: counts(name, method) for method in METHODS}
        summaries.append(BenchmarkSummary(name, num_problems, len(ours), counts(name, ""), by_method))
    return summaries


def summary_table(summaries: Sequence[BenchmarkSummary]) -> str:
    """Return the summaries as a Markdown table: for each method ``programs in documents``.

    >>> none = MatchCounts(0, 0)
    >>> some = {"exact": MatchCounts(1, 2), "n-gram": none}
    >>> print(summary_table([BenchmarkSummary("mbpp", 974, 970, MatchCounts(1, 2), some)]))
    | benchmark | problems | programs | matched | documents | exact | n-gram |
    |---|---|---|---|---|---|---|
    | mbpp | 974 | 970 | 1 | 2 | 1 in 2 | 0 in 0 |
    <BLANKLINE>
    """
    heads = ("benchmark", "problems", "programs", "matched", "documents", *METHODS)
    lines = [f"| {' | '.join(heads)} |", "|" + "---|" * len(heads)]
    for summary in summaries:
        name = summary.benchmark.replace("|", "\\|")
        numbers = (summary.num_problems, summary.num_programs, *_both(summary.matched))
        methods = ("{:,} in {:,}".format(*_both(summary.by_method[method])) for method in METHODS)
        lines.append(f"| {' | '.join((name, *(f'{number:,}' for number in numbers), *methods))} |")
    return "".join(line + "\n" for line in lines)


def _both(counts: MatchCounts) -> tuple[int, int]:
    return counts.programs, counts.documents
