"""Print how a model did on somebody's own code."""

from __future__ import annotations

from typing import TYPE_CHECKING

from spanmix.cli.terminal import print_table, tell

if TYPE_CHECKING:
    from spanmix.evaluate.intervals import Interval
    from spanmix.evaluate.replay.bench_report import BenchReport
    from spanmix.evaluate.replay.executed import Executed
    from spanmix.evaluate.replay.replay_report import ReplayReport


def print_bench(report: BenchReport, executed: Executed | None) -> None:
    """Print how well places were filled in, by kind and language, and what was not asked for."""
    header = ["places", "number", "exact", "first line", "edit similarity", "bits per byte"]
    rows = [
        [
            f"{one.kind}, {one.language}",
            f"{one.num_items:,}",
            _shown(one.exact_stripped),
            _shown(one.first_line),
            _shown(one.edit_similarity_stripped),
            _shown(one.bits_per_byte),
            *([] if executed is None else [_shown(one.executed)]),
        ]
        for one in report.figures
    ]
    print_table(header if executed is None else [*header, "tests pass"], rows)
    print()
    for kind, count in report.num_too_long.items():
        if count:
            tell(f"not asked for, as an answer has no room for their text: {count:,} of kind {kind}")
    for reason, count in ({} if executed is None else executed.undecided).items():
        tell(f"places that the tests do not decide about: {count:,} ({reason})")


def print_replay(report: ReplayReport) -> None:
    """Print what a replay has shown, by kind of cursor and language."""
    header = ["cursors", "commits", "number", "first line accepted", "keys saved", "p50 (s)", "p90", "p99"]
    rows = [
        [
            one.name,
            f"{one.num_commits:,}",
            f"{one.num_events:,}",
            _shown(one.acceptance),
            _shown(one.saved),
            *(f"{value:.2f}" for value in (one.latency.p50, one.latency.p90, one.latency.p99)),
        ]
        for one in (report.overall, *report.by_cursor, *report.by_language)
    ]
    print_table(header, rows)
    print()


def _shown(interval: Interval | None) -> str:
    return "-" if interval is None else f"{interval.value:.3f} [{interval.low:.3f}, {interval.high:.3f}]"
