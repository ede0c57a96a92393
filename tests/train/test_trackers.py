"""TensorBoard shows every figure; if it fails, training goes on, and if metrics.jsonl fails, it ends."""

import errno
import os
from dataclasses import replace
from pathlib import Path

import pytest

from spanmix.errors import SpanmixError
from spanmix.train import lines, run, watch
from spanmix.train.events import read_events
from spanmix.train.metrics import Metric, read_metrics
from spanmix.train.run import train
from spanmix.train.trackers import TensorBoard, Tolerated


def shown(folder):
    """What TensorBoard reads: (step, value) by tag."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    reader = EventAccumulator(str(folder), size_guidance={"scalars": 0})
    reader.Reload()
    return {
        tag: [(event.step, event.value) for event in reader.Scalars(tag)] for tag in reader.Tags()["scalars"]
    }


def test_tensorboard_reads_the_figures_and_a_resume_takes_the_later_ones_back(tmp_path):
    for first, last in ((0, 6), (3, 8)):  # the second goes on from step 3
        board = TensorBoard(tmp_path, first)
        for step in range(first + 1, last + 1):
            board.write([Metric("train", "loss", first + 0.5 / step, source="code")], step)
        board.close()
    assert len(list(tmp_path.iterdir())) == 2
    assert [step for step, _ in shown(tmp_path)["train/loss/code"]] == list(range(1, 9))


def test_a_run_shows_the_same_as_it_wrote_down(finished):
    _, out = finished
    tags = shown(out / "tensorboard")
    losses = [(m["step"], m["value"]) for m in read_metrics(out / "metrics.jsonl") if m["name"] == "loss"]
    plain = [m for m in read_metrics(out / "metrics.jsonl") if m["name"] == "loss" and "source" not in m]
    plain = [m for m in plain if "objective" not in m]
    assert [step for step, _ in tags["train/loss"]] == [m["step"] for m in plain] == [1, 2, 3]
    assert [v for _, v in tags["train/loss"]] == pytest.approx([m["value"] for m in plain])
    assert len(losses) > 9


class Full(TensorBoard):
    """A TensorBoard whose disk is full from step 2 on."""

    def write(self, metrics, step):
        if step >= 2:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "events.out")
        super().write(metrics, step)


def test_a_full_disk_under_tensorboard_is_one_warning(recipe, tmp_path, monkeypatch):
    monkeypatch.setattr(watch, "TensorBoard", Full)
    short = replace(recipe, run=replace(recipe.run, num_steps=4))
    warned = []
    assert train(short, tmp_path / "run", warn=warned.append).is_dir()
    assert len(warned) == 1 and "TensorBoard gets no more figures" in warned[0]
    assert "No space left on device" in warned[0] and "metrics.jsonl" in warned[0]
    (event,) = read_events(tmp_path / "run" / "events.jsonl")
    assert (event.step, event.kind, event.text) == (2, "tracker_failed", warned[0])
    assert {m["step"] for m in read_metrics(tmp_path / "run" / "metrics.jsonl")} == {1, 2, 3, 4}


def test_a_real_write_that_fails_is_noticed(tmp_path):
    """The kernel's own error, from a file that is always full."""
    failed = []
    board = TensorBoard(tmp_path, 0)
    board._records._writer.close()
    with Path("/dev/full").open("wb", buffering=0) as always_full:
        board._records._writer = always_full
        tolerated = Tolerated("TensorBoard", lambda: board, lambda step, text: failed.append((step, text)), 0)
        for step in (1, 2, 3):
            tolerated.write([Metric("train", "loss", 1.0)], step)
        tolerated.close()
    assert [step for step, _ in failed] == [1] and "No space left" in failed[0][1]


def test_a_folder_that_cannot_be_written_is_one_warning(recipe, tmp_path):
    one = replace(recipe, run=replace(recipe.run, num_steps=1))
    train(one, tmp_path / "run")
    for path in (tmp_path / "run" / "tensorboard").iterdir():
        path.unlink()
    (tmp_path / "run" / "tensorboard").rmdir()
    (tmp_path / "run" / "tensorboard").write_text("a file in its place")
    warned = []
    train(replace(recipe, run=replace(recipe.run, num_steps=2)), tmp_path / "run", warn=warned.append)
    assert len(warned) == 1 and "FileExistsError" in warned[0]
    assert (tmp_path / "run" / "tensorboard").read_text() == "a file in its place"


def test_a_failing_metrics_file_stops_the_run_and_says_why(recipe, tmp_path):
    short = replace(recipe, run=replace(recipe.run, num_steps=2))
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "metrics.jsonl").symlink_to("/dev/full")

    def start():
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(lines, "cut", lambda *_: None)  # /dev/full would be read without end
            patch.setattr(run, "run_place", lambda out: out)
            train(short, tmp_path / "run")

    with pytest.raises(SpanmixError, match=r"metrics\.jsonl could not be written: No space.*bytes are free"):
        start()
    (tmp_path / "run" / "metrics.jsonl").unlink()
    (tmp_path / "run" / "metrics.jsonl").mkdir()
    with pytest.raises(SpanmixError, match=r"metrics\.jsonl could not be written: Is a directory.*newest"):
        start()
    assert not (tmp_path / "run" / "model").exists()
