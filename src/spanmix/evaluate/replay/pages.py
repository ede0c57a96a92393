"""Write pages with what a model got wrong on somebody's own code, to look at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from spanmix import html
from spanmix.evaluate.intervals import Interval
from spanmix.evaluate.replay.bench import Bench, BenchItem
from spanmix.evaluate.replay.bench_report import BenchFigures, BenchReport, ItemResult
from spanmix.evaluate.replay.lines import first_of, last_of
from spanmix.evaluate.replay.replay import Event, Replay
from spanmix.evaluate.replay.replay_report import ReplayFigures, ReplayReport
from spanmix.files import write_text
from spanmix.html import Html

_MOST_SHOWN = 100
"""Misses on a page; the JSON and the files of answers have all of them."""
_LINES_IN_FRONT, _LINES_BEHIND = 8, 4
_MOST_PROPOSED_LINES = 12
_NONE = html.text("–")


def write_bench_page(
    path: Path, report: BenchReport, bench: Bench, why: Mapping[str, str] | None = None
) -> None:
    """Write the figures of a benchmark and the answers that differ, whole or not at all.

    Args:
        path: the file.
        report: the figures and every answer.
        bench: the places.
        why: how the repository's tests ended with an answer, for those that they decide about.
    """
    origin = report.origin
    overall = [figures for figures in report.figures if figures.language == "all"]
    cards = [
        (f"{one.kind}: exact", _percent(one.exact_stripped.value), f"{one.num_items:,} places")
        for one in overall
    ]
    figures = html.join([html.cards(cards), _bench_table(report.figures)])
    places = {
        "repository": origin.repository,
        "commit": origin.commit,
        "files read": f"{origin.num_files_read:,}",
        **{f"places, {kind}": f"{count:,}" for kind, count in origin.num_items.items()},
        **{f"no room for the text, {kind}": f"{count:,}" for kind, count in report.num_too_long.items()},
        **{f"left out, {reason}": f"{count:,}" for reason, count in origin.left_out.items()},
    }
    sections = [
        ("Figures", figures),
        ("Answers that differ", _differing(report.items, bench, why or {})),
        ("Places", _facts(places)),
        ("The model", _facts(report.facts)),
    ]
    subtitle = "Filled in and measured by Spanmix. Intervals are 95 %, over files."
    write_text(path, html.page(f"Places of {origin.repository}", subtitle, sections))


def write_replay_page(path: Path, report: ReplayReport, replay: Replay) -> None:
    """Write the figures of a replay and the proposals that were not taken, whole or not at all.

    Args:
        path: the file.
        report: the figures.
        replay: the events.
    """
    overall, latency = report.overall, report.overall.latency
    cards = [
        ("First line accepted", _percent(overall.acceptance.value), f"of {overall.num_events:,} cursors"),
        ("Keys saved", _percent(overall.saved.value), f"of {overall.num_keys:,}"),
        ("Half of the answers within", f"{latency.p50:.2f} s", f"99 of 100: {latency.p99:.2f} s"),
    ]
    parts = [html.cards(cards), _replay_table((overall, *report.by_cursor, *report.by_language))]
    if report.warning is not None:
        parts.insert(0, html.warning(report.warning))
    left_out = {
        f"{what}: {reason}": f"{count:,}"
        for what, reasons in report.left_out.items()
        for reason, count in reasons.items()
    }
    history = {
        "repository": report.repository,
        "last commit": report.head,
        "since": report.since or "the beginning",
        "commits that could be replayed": f"{report.num_commits:,}",
        "commits that were": f"{overall.num_commits:,}",
        "places at which something was typed": f"{report.num_hunks:,}",
    }
    sections = [
        ("Figures", html.join(parts)),
        ("Not taken", _not_taken(replay)),
        ("The history", html.columns([_facts(history), _facts(left_out)])),
        ("The model", _facts(report.facts)),
    ]
    subtitle = "Replayed and measured by Spanmix. Intervals are 95 %, over commits."
    write_text(path, html.page(f"The history of {report.repository}", subtitle, sections))


def _percent(value: float) -> str:
    return f"{100 * value:.1f} %"


def _share(interval: Interval | None) -> Html:
    if interval is None:
        return _NONE
    return html.figure_with_range(*map(_percent, (interval.value, interval.low, interval.high)))


def _number(interval: Interval) -> Html:
    return html.figure_with_range(
        *(f"{value:.3f}" for value in (interval.value, interval.low, interval.high))
    )


def _bench_table(figures: Sequence[BenchFigures]) -> Html:
    headings = ("Kind", "Language", "Places", "Exact", "First line", "Edit similarity", "Bits per byte")
    more = ("Ended by itself", "Parses", "Tests pass")
    rows = [
        [
            html.text(one.kind),
            html.text(one.language),
            html.text(f"{one.num_items:,}"),
            _share(one.exact_stripped),
            _share(one.first_line),
            _number(one.edit_similarity_stripped),
            _number(one.bits_per_byte),
            _share(one.stopped),
            _share(one.parses),
            _share(one.executed),
        ]
        for one in figures
    ]
    note = (
        "Exact and edit similarity are of the text without blanks at both ends. Parses: Python that parses "
        "with the answer in it. Tests pass: of the answers that the repository's tests decide about."
    )
    return html.join(
        [
            html.table(
                (*headings, *more), rows, caption="Answers by kind of place and language", label_columns=2
            ),
            html.paragraph(note, note=True),
        ]
    )


def _replay_table(figures: Sequence[ReplayFigures]) -> Html:
    headings = ("Cursors", "Commits", "Number", "First line accepted", "Keys", "Keys saved")
    seconds = ("Seconds, p50", "p90", "p99")
    rows = [
        [
            html.text(one.name),
            html.text(f"{one.num_commits:,}"),
            html.text(f"{one.num_events:,}"),
            _share(one.acceptance),
            html.text(f"{one.num_keys:,}"),
            _share(one.saved),
            *(html.text(f"{value:.2f}") for value in (one.latency.p50, one.latency.p90, one.latency.p99)),
        ]
        for one in figures
    ]
    return html.table((*headings, *seconds), rows, caption="Proposals by cursor and language")


def _facts(facts: Mapping[str, Any]) -> Html:
    rows = [[html.text(name), html.text(value)] for name, value in facts.items()]
    return html.table(("Fact", "Value"), rows, label_columns=2) if rows else Html("")


def _missed(parts: Sequence[Html], num_missed: int, words: str) -> Html:
    if not parts:
        return html.paragraph("None.")
    if num_missed > len(parts):
        words = f"{words} These are the first {len(parts):,} of {num_missed:,}."
    return html.join([html.paragraph(words), *parts])


def _differing(results: Sequence[ItemResult], bench: Bench, why: Mapping[str, str]) -> Html:
    items = {item.task_id: item for item in bench.items}
    missed = [result for result in results if not result.exact_stripped]
    words = (
        "In the order of the places, which a seed decides. In each, what the model wrote comes first "
        "(green), then what stands there (orange); what stands behind is pale."
    )
    shown = [
        _differing_item(result, items[result.task_id], why.get(result.task_id))
        for result in missed[:_MOST_SHOWN]
    ]
    return _missed(shown, len(missed), words)


def _differing_item(result: ItemResult, item: BenchItem, why: str | None) -> Html:
    notes = [item.kind, f"line {item.line}", f"edit similarity {result.edit_similarity_stripped:.2f}"]
    notes += [] if result.stopped else ["not ended"]
    notes += ["does not parse"] if result.parses is False else []
    notes += [] if why is None else [f"tests: {first_of(why, 1)[:200]}"]
    around = last_of(item.prompt, _LINES_IN_FRONT), first_of(item.suffix, _LINES_BEHIND)
    return _compared(item.path, ", ".join(notes), around, result.completion, item.canonical_solution)


def _not_taken(replay: Replay) -> Html:
    missed = [event for event in replay.events if not event.num_lines_accepted]
    words = (
        "In the order of the commits, which a seed decides. In each, the proposal comes first (green), then "
        "the line that the author typed (orange); what stood behind is pale."
    )
    shown = [_not_taken_event(event, replay) for event in missed[:_MOST_SHOWN]]
    return _missed(shown, len(missed), words)


def _not_taken_event(event: Event, replay: Replay) -> Html:
    notes = [f"line {event.line} in {event.commit[:12]}", f"{event.seconds:.2f} s"]
    notes += ["not ended"] if event.finish_reason != "stop" else []
    return _compared(event.path, ", ".join(notes), replay.around[event.id], event.proposal, event.wanted)


def _compared(path: str, note: str, around: tuple[str, str], written: str, wanted: str) -> Html:
    in_front, behind = around
    proposed = first_of(written, _MOST_PROPOSED_LINES)
    if proposed != written:
        proposed += "...\n"
    compared = [*_on_a_line(proposed, "infill"), *_on_a_line(wanted, "truth")]
    return html.code([(in_front, ""), *compared, (behind, "hidden")], title=path, note=note)


def _on_a_line(text: str, role: str) -> list[tuple[str, str]]:
    return [(text, role), ("" if text.endswith("\n") else "\n", "")]
