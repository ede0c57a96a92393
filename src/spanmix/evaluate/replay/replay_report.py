"""Say what a replay has shown: how often proposals were taken, the keys they saved, how long they took."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from spanmix.evaluate import intervals
from spanmix.evaluate.intervals import Interval
from spanmix.evaluate.replay.replay import Event, Replay

REPLAY_FORMAT_VERSION = 1
LINE_START, INSIDE_LINE = "line start", "inside a line"
NO_DATE = (
    "no date was given, so the model may have been trained on these commits; give --since the day up to "
    "which its training data was collected"
)


@dataclass(frozen=True)
class Latency:
    """Seconds that half of the answers, nine of ten and 99 of 100 took at most."""

    p50: float
    p90: float
    p99: float


@dataclass(frozen=True)
class ReplayFigures:
    """What all events show, or those of one language or one kind of cursor, with 95 % intervals over commits.

    Args:
        name: ``all``, the language, or `LINE_START` or `INSIDE_LINE`.
        num_commits, num_events: how many.
        num_accepted: events at which at least the first line was taken.
        num_lines_accepted: lines that were taken.
        num_keys: keys that it takes to type all of it.
        num_saved: keys that were saved, those pressed to accept taken off.
        acceptance: share of events at which the first proposed line was the author's.
        saved: share of keys that were saved.
        latency: of the answers.
    """

    name: str
    num_commits: int
    num_events: int
    num_accepted: int
    num_lines_accepted: int
    num_keys: int
    num_saved: int
    acceptance: Interval
    saved: Interval
    latency: Latency


@dataclass(frozen=True)
class ReplayReport:
    """The report of a replay, field by field as its JSON has it.

    Args:
        repository, head, since, seed: what was replayed.
        warning: what speaks against the figures, or None.
        facts: the model, and how it was asked.
        num_commits: commits that could be replayed.
        num_hunks: places at which something was typed and asked for.
        overall: figures of all events.
        by_language: of each language.
        by_cursor: of cursors at the beginning of a line, and of those inside one.
        left_out: ``commits``, ``files`` and ``hunks`` that were not replayed, by reason.
    """

    format_version: int
    repository: str
    head: str
    since: str | None
    seed: int
    warning: str | None
    facts: dict[str, Any]
    num_commits: int
    num_hunks: int
    overall: ReplayFigures
    by_language: tuple[ReplayFigures, ...]
    by_cursor: tuple[ReplayFigures, ...]
    left_out: dict[str, dict[str, int]]

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON can hold it."""
        return dataclasses.asdict(self)


def report_of(replay: Replay, facts: Mapping[str, Any]) -> ReplayReport:
    """Gather the figures of a replay.

    Args:
        replay: the replay.
        facts: the model, and how it was asked; written as given.
    """
    settings, left_out = replay.settings, replay.left_out

    def grouped(names: Sequence[str]) -> tuple[ReplayFigures, ...]:
        groups: dict[str, list[Event]] = {}
        for name, event in zip(names, replay.events, strict=True):
            groups.setdefault(name, []).append(event)
        return tuple(figures_of(events, name, settings.seed) for name, events in sorted(groups.items()))

    return ReplayReport(
        format_version=REPLAY_FORMAT_VERSION,
        repository=replay.repository,
        head=replay.head,
        since=settings.since,
        seed=settings.seed,
        warning=NO_DATE if settings.since is None else None,
        facts=dict(facts),
        num_commits=replay.num_commits,
        num_hunks=replay.num_hunks,
        overall=figures_of(replay.events, "all", settings.seed),
        by_language=grouped([event.language for event in replay.events]),
        by_cursor=grouped([INSIDE_LINE if event.inside_line else LINE_START for event in replay.events]),
        left_out={
            "commits": dict(left_out.commits),
            "files": dict(left_out.files),
            "hunks": dict(left_out.hunks),
        },
    )


def figures_of(events: Sequence[Event], name: str, seed: int) -> ReplayFigures:
    """Return the figures of some events, at least one.

    Args:
        events: which.
        name: what they have in common, for the result.
        seed: of the bootstrap.
    """
    commits = {commit: place for place, commit in enumerate(dict.fromkeys(event.commit for event in events))}
    # One row a commit: events, accepted at the first line, lines, keys, saved.
    columns_C5 = np.zeros((len(commits), 5))
    for event in events:
        taken = event.num_lines_accepted
        columns_C5[commits[event.commit]] += (1, taken > 0, taken, event.num_keys, event.num_saved)
    num_events, num_accepted, num_lines, num_keys, num_saved = columns_C5.sum(axis=0).astype(int).tolist()
    seconds = [event.seconds for event in events]
    return ReplayFigures(
        name=name,
        num_commits=len(commits),
        num_events=num_events,
        num_accepted=num_accepted,
        num_lines_accepted=num_lines,
        num_keys=num_keys,
        num_saved=num_saved,
        acceptance=intervals.share(columns_C5[:, 1], columns_C5[:, 0]),
        saved=intervals.ratio(columns_C5[:, 4], columns_C5[:, 3], seed),
        latency=Latency(*np.quantile(seconds, [0.5, 0.9, 0.99]).tolist()),
    )
