"""A replay asks at the cursors of the plan, counts what an author takes, and goes on where it ended."""

import dataclasses
import json
import time
from collections import Counter

import pytest

from spanmix.errors import InputError
from spanmix.evaluate.replay.asking import ask_engine, first_lines, last_lines
from spanmix.evaluate.replay.author import author_lines
from spanmix.evaluate.replay.git import Repository
from spanmix.evaluate.replay.history import HistorySettings, LeftOut, commits_to_replay, planned
from spanmix.evaluate.replay.replay import replay
from spanmix.evaluate.replay.replay_report import report_of
from spanmix.generate.formats import codegen2_format
from spanmix.generate.infill import Infill
from spanmix.generate.text import Sampling
from spanmix.generate.torch_engine import TorchEngine


def proposal(text):
    return Infill(text, "stop", tuple(range(len(text))), (), 0, 0)


def hunks_in(folder, settings):
    with Repository(folder) as repository:
        commits = commits_to_replay(repository, repository.resolve(), settings, LeftOut())
        return list(planned(repository, commits, settings, LeftOut()))


def knows(folder, settings, change=lambda lines: lines):
    """Ask somebody who knows what was typed, from the cursor on; `change` makes it another proposal.

    Cursors may be alike, as those in empty files are, so it has to be asked in the order of the plan.
    """
    cursors = iter(
        (hunk.prefix + hunk.typed[: line.start], hunk.suffix, [later.text for later in hunk.lines[place:]])
        for hunk in hunks_in(folder, settings)
        for place, line in enumerate(hunk.lines)
    )

    def ask(prefix, suffix):
        return next(
            proposal("".join(change(rest))) for *around, rest in cursors if around == [prefix, suffix]
        )

    return ask


SETTINGS = HistorySettings(since="1970-01-03")


def test_who_knows_all_is_asked_once_a_place_and_saves_all_but_a_key_a_line(steps, tmp_path):
    done = replay(steps, knows(steps, SETTINGS), SETTINGS, tmp_path / "a.jsonl", facts={})
    hunks = hunks_in(steps, SETTINGS)
    assert len(done.events) == done.num_hunks == len(hunks) > 30
    assert all(event.num_lines_accepted >= 1 for event in done.events)
    figures = report_of(done, {}).overall
    assert figures.acceptance.value == 1.0
    keys = sum(line.num_keys for hunk in hunks for line in hunk.lines)
    num_lines = num_blank = 0
    for hunk in hunks:
        num_lines += len(hunk.lines)
        trailing = len(hunk.lines) - max(n for n, line in enumerate(hunk.lines, 1) if not line.is_blank)
        leading = min(n for n, line in enumerate(hunk.lines) if not line.is_blank)
        num_blank += trailing + leading
    assert figures.num_keys == keys and figures.num_saved == keys - num_lines
    assert figures.num_lines_accepted == num_lines - num_blank
    assert num_blank > 0


def test_who_knows_nothing_is_asked_at_every_line_that_is_not_blank(steps, tmp_path):
    asked = []

    def ask(prefix, suffix):
        asked.append((prefix, suffix))
        return proposal("nothing like it")

    done = replay(steps, ask, SETTINGS, tmp_path / "a.jsonl", facts={})
    hunks = hunks_in(steps, SETTINGS)
    wanted = [
        (hunk.prefix + hunk.typed[: line.start], hunk.suffix)
        for hunk in hunks
        for line in hunk.lines
        if not line.is_blank
    ]
    assert asked == wanted and len(asked) > len(hunks)
    report = report_of(done, {"model": "m"})
    assert report.overall.acceptance.value == report.overall.num_saved == 0
    assert report.overall.acceptance.high > 0  # so few events do not say never
    assert report.overall.num_keys == sum(line.num_keys for hunk in hunks for line in hunk.lines)
    assert [figures.name for figures in report.by_language] == ["c", "python"]
    assert [figures.name for figures in report.by_cursor] == ["inside a line", "line start"]
    for group in (report.by_language, report.by_cursor):
        assert sum(figures.num_events for figures in group) == report.overall.num_events
        assert sum(figures.num_keys for figures in group) == report.overall.num_keys
    inside = [prefix for prefix, _ in asked if prefix and prefix[-1] != "\n"]
    assert report.by_cursor[0].num_events == len(inside) > 3
    assert report.warning is None and report.facts == {"model": "m"}
    undated = dataclasses.replace(done, settings=HistorySettings())
    assert report_of(undated, {}).warning.startswith(
        "no date was given, so the model may have been trained on"
    )
    assert json.loads(json.dumps(report.as_json()))["overall"]["acceptance"]["value"] == 0


def test_behind_what_was_accepted_the_author_goes_on(steps, tmp_path):
    """Proposals of two right lines and a wrong one."""
    ask = knows(steps, SETTINGS, lambda lines: [*lines[:2], "" if lines[0][-1:] == "\n" else "\n", "wrong"])
    done = replay(steps, ask, SETTINGS, tmp_path / "a.jsonl", facts={})
    by_hunk = {}
    for event in done.events:
        by_hunk.setdefault(event.id.rsplit("/", 1)[0], []).append(event)
    met = Counter()
    hunks = {f"{hunk.commit}/{hunk.file_index}": [] for hunk in hunks_in(steps, SETTINGS)}
    for hunk in hunks_in(steps, SETTINGS):
        hunks[f"{hunk.commit}/{hunk.file_index}"].append(hunk)
    for key, events in by_hunk.items():
        lines = {hunk.line + place: line for hunk in hunks[key] for place, line in enumerate(hunk.lines)}
        assert sum(event.num_keys for event in events) == sum(line.num_keys for line in lines.values())
        for event in events:
            assert event.wanted == lines[event.line].text.rstrip("\n") and event.num_lines_accepted in (1, 2)
            met[event.num_lines_accepted] += 1
    assert min(met[1], met[2]) >= 5, met
    assert len(done.events) == len({event.id for event in done.events})


def test_half_of_the_answers(steps, tmp_path):
    right = knows(steps, SETTINGS, lambda lines: lines[:1])
    asked = []

    def ask(prefix, suffix):
        asked.append(prefix)
        return right(prefix, suffix) if len(asked) % 2 else proposal("")

    done = replay(steps, ask, SETTINGS, tmp_path / "a.jsonl", facts={})
    report = report_of(done, {})
    taken = [event for place, event in enumerate(done.events) if place % 2 == 0]
    assert report.overall.num_accepted == len(taken) and abs(report.overall.acceptance.value - 0.5) < 0.02
    saved = sum(author_lines(event.wanted, "")[0].num_keys for event in taken)
    assert 0 < report.overall.num_saved < report.overall.num_keys
    # Of a line the accepting key goes off; its end counts where there is one.
    assert saved - len(taken) <= report.overall.num_saved <= saved
    assert report.overall.saved.low < report.overall.saved.value < report.overall.saved.high
    assert report.overall.saved.value == report.overall.num_saved / report.overall.num_keys


def test_a_model_is_asked_with_what_fits_and_timed(steps, tmp_path, tokenizer, make_decoder, lines_of):
    engine = TorchEngine(make_decoder(1, 32, 1, 8, 64))
    settings = HistorySettings(max_events=12, since="1970-01-20")
    ask = ask_engine(engine, tokenizer, codegen2_format(tokenizer.control), Sampling(max_tokens=16))
    began = time.perf_counter()
    first = replay(steps, ask, settings, tmp_path / "a.jsonl", facts={})
    passed = time.perf_counter() - began
    again = replay(steps, ask, settings, tmp_path / "b.jsonl", facts={})
    assert lines_of(tmp_path / "a.jsonl") == lines_of(tmp_path / "b.jsonl")
    assert 0 < sum(one.seconds for one in first.events) <= passed
    assert all(0 < one.num_tokens <= 16 for one in again.events)
    assert any(one.num_prefix_cut for one in again.events)
    report = report_of(again, {})
    assert report.warning is None and report.since == "1970-01-20"
    latency = report.overall.latency
    assert 0 < latency.p50 <= latency.p90 <= latency.p99
    events = [one for one in again.events if one.finish_reason == "length"]
    assert all(one.num_tokens == 16 for one in events)


def test_long_texts_are_cut_at_lines():
    text = "".join(f"line {n}\n" for n in range(100))
    for most in (1, 7, 8, 20, len(text) - 1, len(text)):
        head, tail = first_lines(text, most), last_lines(text, most)
        assert (
            text.startswith(head) and text.endswith(tail) and 0 < len(head) <= most and 0 < len(tail) <= most
        )
        if most >= 8:
            assert head.endswith("\n") and (tail == text or text[-len(tail) - 1] == "\n")
            assert min(len(head), len(tail)) > most - 8


def test_a_history_in_which_nobody_typed_is_said(make_history, tmp_path):
    history = make_history()
    history.commit({"a.py": "one = 1\ntwo = 2\n"}, day=1)
    history.commit({"a.py": "one = 1\n"}, day=2)
    with pytest.raises(
        InputError, match=r"nothing was typed in 1 commits .*'deletion': 1.*name an earlier date"
    ):
        replay(history.write(), None, HistorySettings(since="1970-01-03"), tmp_path / "a.jsonl", facts={})
