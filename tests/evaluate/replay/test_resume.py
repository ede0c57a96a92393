"""A replay goes on exactly where it was ended, and never mixes answers that were got in two ways."""

import dataclasses
import os
import signal
import subprocess
import sys

import pytest

from spanmix.errors import InputError
from spanmix.evaluate.replay.history import HistorySettings
from spanmix.evaluate.replay.replay import replay
from spanmix.generate.infill import Infill

SETTINGS = HistorySettings(since="1970-01-03")


def sometimes_right(prefix, suffix):
    text = {0: "    y = x + 2\n\n    return y", 1: "    return y", 2: "def "}[len(prefix) % 3]
    return Infill(text, "stop", (1, 2), (), 0, 0)


def test_a_replay_that_was_cut_anywhere_goes_on_to_the_same_answers(steps, tmp_path, lines_of):
    settings = HistorySettings(max_events=30, since="1970-01-03")
    ask = sometimes_right
    whole = replay(steps, ask, settings, tmp_path / "whole.jsonl", facts={"model": "m"})
    content = (tmp_path / "whole.jsonl").read_bytes()
    num_asked = []
    for size in [
        0,
        1,
        5,
        len(content) // 3,
        len(content) // 2,
        content.rindex(b"{"),
        len(content) - 1,
        len(content),
    ]:
        path = tmp_path / f"{size}.jsonl"
        path.write_bytes(content[:size])
        settings_of = (tmp_path / "whole.jsonl.settings.json").read_bytes()
        path.with_name(path.name + ".settings.json").write_bytes(settings_of)
        asked = []

        def counted(prefix, suffix, asked=asked):
            asked.append(prefix)
            return ask(prefix, suffix)

        again = replay(steps, counted, settings, path, facts={"model": "m"})
        assert lines_of(path) == lines_of(tmp_path / "whole.jsonl")
        strip = lambda done: [dataclasses.replace(one, seconds=0) for one in done.events]  # noqa: E731
        assert strip(again) == strip(whole) and again.left_out == whole.left_out
        assert len(asked) == len(whole.events) - content[:size].count(b"\n")
        num_asked.append(len(asked))
    assert {one.num_lines_accepted > 0 for one in whole.events} == {True, False}
    assert num_asked[-1] == 0 and num_asked[-2] == num_asked[-3] == 1 and num_asked[0] == len(whole.events)


def test_answers_of_other_settings_are_never_mixed(steps, tmp_path, lines_of):
    path = tmp_path / "deep" / "er" / "a.jsonl"
    ask = sometimes_right
    few = HistorySettings(max_events=5, since="1970-01-03")
    replay(steps, ask, few, path, facts={"model": "m"})
    before = path.read_bytes()
    with pytest.raises(InputError, match=r'other settings: model "m" there, "other" now. Use those, or name'):
        replay(steps, ask, few, path, facts={"model": "other"})
    with pytest.raises(InputError, match="max_events 5 there, 6 now"):
        replay(steps, ask, HistorySettings(max_events=6, since="1970-01-03"), path, facts={"model": "m"})
    with pytest.raises(InputError, match=r"settings: head .* there, .* now"):
        replay(steps, ask, few, path, facts={"model": "m"}, revision="HEAD~1")
    with pytest.raises(InputError, match=r"more \(not given\) there, \[1\] now"):
        replay(steps, ask, few, path, facts={"model": "m", "more": (1,)})
    assert path.read_bytes() == before
    beside = path.with_name("a.jsonl.settings.json")
    kept = beside.read_bytes()
    beside.unlink()
    with pytest.raises(
        InputError, match=r"a.jsonl.settings.json beside it is missing, so nothing tells how they were made"
    ):
        replay(steps, ask, few, path, facts={"model": "m"})
    beside.write_bytes(kept)
    path.write_bytes(before.replace(b'"seconds": ', b'"seconds": "x', 1))
    with pytest.raises(InputError, match=r"a.jsonl, line 1 .*delete the line, and its answer is made again"):
        replay(steps, ask, few, path, facts={"model": "m"})


KILLED = """
import sys, time
from pathlib import Path
from spanmix.evaluate.replay.history import HistorySettings
from spanmix.evaluate.replay.replay import replay
from spanmix.generate.infill import Infill

def ask(prefix, suffix):
    print("asked", flush=True)
    time.sleep(float(sys.argv[3]))
    return Infill(prefix[-5:], "stop", (1, 2), (), 0, 0)

replay(Path(sys.argv[1]), ask, HistorySettings(), Path(sys.argv[2]), facts={})
"""


def start(folder, path, seconds):
    command = [sys.executable, "-c", KILLED, str(folder), str(path), str(seconds)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def test_a_replay_that_is_killed_goes_on_in_another_process(steps, tmp_path, lines_of):
    undisturbed = start(steps, tmp_path / "whole.jsonl", 0)
    num_asked = len(undisturbed.communicate()[0].splitlines())
    assert undisturbed.returncode == 0
    process = start(steps, tmp_path / "killed.jsonl", 0.002)
    for _ in range(num_asked // 2):
        process.stdout.readline()
    with pytest.raises(InputError, match="is being written by another process"):
        replay(steps, lambda prefix, suffix: None, SETTINGS, tmp_path / "killed.jsonl", facts={})
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    num_kept = (tmp_path / "killed.jsonl").read_bytes().count(b"\n")
    assert 0 < num_kept < num_asked
    last = start(steps, tmp_path / "killed.jsonl", 0)
    assert len(last.communicate()[0].splitlines()) == num_asked - num_kept
    assert last.returncode == 0
    assert lines_of(tmp_path / "killed.jsonl") == lines_of(tmp_path / "whole.jsonl")
