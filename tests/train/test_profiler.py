"""The profile of some steps changes nothing; the snapshot of a GPU's memory is written, here a fake one."""

import gzip
import json
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from spanmix.errors import InputError, StoppedEarlyError
from spanmix.train import profiler
from spanmix.train.events import EventLog, read_events
from spanmix.train.memory_snapshot import memory_recorded
from spanmix.train.run import train


def with_watch(recipe, num_steps, **fields):
    return replace(
        recipe, run=replace(recipe.run, num_steps=num_steps), watch=replace(recipe.watch, **fields)
    )


def kinds(out):
    path = out / "events.jsonl"
    return [(event.step, event.kind) for event in read_events(path)] if path.exists() else []


def test_a_profiled_run_computes_the_same_bits_and_leaves_trace_and_table(recipe, tmp_path, assert_same_run):
    told = []
    profiled = with_watch(recipe, 5, profile_steps=(3, 4))
    train(profiled, tmp_path / "profiled", tell=told.append)
    train(with_watch(recipe, 5), tmp_path / "plain")
    assert_same_run(tmp_path / "profiled", tmp_path / "plain", recipe)
    folder = tmp_path / "profiled" / "profile"
    assert sorted(path.name for path in folder.iterdir()) == ["steps-3-4.json.gz", "steps-3-4.txt"]
    events = json.loads(gzip.decompress((folder / "steps-3-4.json.gz").read_bytes()))["traceEvents"]
    names = [event.get("name") for event in events]
    assert sum(name == "Optimizer.step#AdamW.step" for name in names) == 2  # of two steps
    assert "aten::mm" in (folder / "steps-3-4.txt").read_text()
    assert kinds(tmp_path / "profiled") == [(4, "profiled")]
    assert len(told) == 2 and str(folder / "steps-3-4.json.gz") in told[1]  # behind the start
    assert not (tmp_path / "plain" / "profile").exists()


def test_a_resumed_or_stopped_run_profiles_what_it_makes_of_the_range(recipe, tmp_path):
    stops = with_watch(recipe, 5, profile_steps=(2, 4))
    done = [0]
    with pytest.raises(StoppedEarlyError):
        train(
            stops,
            tmp_path / "run",
            report=lambda d, t, m: done.append(d),
            stop=nullcontext(lambda: done[-1] >= 3),
        )
    train(stops, tmp_path / "run")
    names = {path.name for path in (tmp_path / "run" / "profile").glob("*.txt")}
    assert names == {"steps-2-3.txt", "steps-4-4.txt"}
    assert kinds(tmp_path / "run") == [(3, "profiled"), (3, "stopped"), (4, "profiled")]
    train(with_watch(recipe, 6, profile_steps=(2, 4)), tmp_path / "run")  # all of it lies behind
    assert len(kinds(tmp_path / "run")) == 3


def test_a_range_behind_the_last_step_is_a_warning(recipe, tmp_path):
    warned = []
    train(with_watch(recipe, 2, profile_steps=(3, 9)), tmp_path / "run", warn=warned.append)
    assert kinds(tmp_path / "run") == [(0, "profile_failed")]
    assert len(warned) == 1 and "begins at step 3, and the run ends with step 2" in warned[0]


def test_a_profiler_that_fails_is_one_warning(recipe, tmp_path, monkeypatch):
    def fails(*args, **keywords):
        raise RuntimeError("no profiler here")

    monkeypatch.setattr(profiler, "profile", fails)
    warned = []
    assert train(with_watch(recipe, 3, profile_steps=(1, 2)), tmp_path / "run", warn=warned.append).is_dir()
    assert len(warned) == 1 and "no profiler here" in warned[0] and "Training goes on" in warned[0]
    assert kinds(tmp_path / "run") == [(0, "profile_failed")]


def test_a_memory_snapshot_of_a_cpu_is_refused(recipe, tmp_path):
    asked = with_watch(replace(recipe, run=replace(recipe.run, device="cpu")), 3, memory_snapshot=True)
    with pytest.raises(InputError, match=r"watch\.memory_snapshot is true, but the run is computed on cpu"):
        train(asked, tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.fixture
def gpu(monkeypatch):
    """A stand-in for the calls of PyTorch that need a GPU: it shows when they are made, not what they do."""
    calls = []

    def dump(path):
        calls.append("dump")
        Path(path).write_bytes(b"snapshot")

    monkeypatch.setattr(
        torch.cuda.memory,
        "_record_memory_history",
        lambda enabled="all", **_: calls.append("record" if enabled else "end"),
    )
    monkeypatch.setattr(torch.cuda.memory, "_dump_snapshot", dump)
    return calls


def test_memory_is_written_behind_the_profiled_steps_and_when_it_runs_out(tmp_path, gpu):
    told = []
    events = EventLog(tmp_path, 0, told.append, told.append)
    with (
        pytest.raises(torch.OutOfMemoryError),
        memory_recorded(True, 3, 1, tmp_path / "memory", events) as after,
    ):
        for step in range(6):
            after(step)
        raise torch.OutOfMemoryError("CUDA out of memory")
    assert gpu == ["record", "dump", "dump", "end"]
    names = sorted(path.name for path in (tmp_path / "memory").iterdir())
    assert names == ["rank-1-step-3.pickle", "rank-1-step-5.pickle"]
    assert [event.kind for event in read_events(events.path)] == ["memory_snapshot"] * 2
    assert len(told) == 2 and "ran out" in told[1]


def test_memory_that_cannot_be_recorded_does_not_end_the_run(tmp_path, monkeypatch):
    def fails(*args, **keywords):
        raise RuntimeError("no such thing")

    monkeypatch.setattr(torch.cuda.memory, "_record_memory_history", fails)
    monkeypatch.setattr(torch.cuda.memory, "_dump_snapshot", fails)
    warned = []
    with memory_recorded(True, 1, 0, tmp_path, EventLog(tmp_path, 0, warned.append)) as after:
        after(1)
    assert len(warned) == 3 and all("no such thing" in text for text in warned)
