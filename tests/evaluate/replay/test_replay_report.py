"""Figures of a replay are ratios of sums, with intervals over commits."""

import dataclasses

import pytest

from spanmix.evaluate.replay.replay import Event
from spanmix.evaluate.replay.replay_report import figures_of


def event(commit, accepted, keys, saved, seconds, language="python"):
    return Event(
        f"{commit}/0/1",
        commit,
        "a.py",
        language,
        1,
        False,
        "",
        "",
        "stop",
        accepted,
        keys,
        saved,
        seconds,
        3,
        0,
        0,
    )


def test_figures_are_ratios_of_sums_with_intervals_over_commits():
    events = [
        event("a", 1, 10, 9, 0.1),
        event("a", 0, 10, 0, 0.2),
        event("b", 3, 30, 27, 0.3),
        event("c", 0, 50, 0, 0.4),
    ]
    figures = figures_of(events, "all", seed=0)
    assert (figures.num_commits, figures.num_events, figures.num_accepted, figures.num_lines_accepted) == (
        3,
        4,
        2,
        4,
    )
    assert figures.acceptance.value == 0.5 and figures.saved.value == 0.36
    assert figures.saved.low == 0.0 and figures.saved.high == 0.9  # all of commit c, all of commit b
    assert figures.latency.p50 == pytest.approx(0.25) and figures.latency.p99 == pytest.approx(0.397)
    # The same events in one commit each tell more than in one commit for all.
    apart = [dataclasses.replace(one, commit=str(n)) for n, one in enumerate(events * 10)]
    together = [dataclasses.replace(one, commit=str(n % 4)) for n, one in enumerate(events * 10)]
    widths = [
        (interval.high - interval.low)
        for interval in (figures_of(x, "all", 0).acceptance for x in (apart, together))
    ]
    assert widths[0] < widths[1]
