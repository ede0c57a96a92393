"""Weights & Biases and Trackio get every step once, whatever befell the run, and no network is touched."""

import importlib.util
import json
import os
import socket
import struct
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from spanmix.errors import InputError
from spanmix.recipes import to_yaml
from spanmix.train.metrics import Metric, MetricsLog, read_metrics
from spanmix.train.run import train
from spanmix.train.wandb_files import drop_empty, last_step
from spanmix.train.watch import open_log
from spanmix.train.web_trackers import EachStepOnce, Trackio, WeightsAndBiases, tracked_run


def wandb_steps(folder):
    """The steps in a run's offline files, oldest file first, read in one go over each file."""
    from wandb.proto import wandb_internal_pb2 as proto

    found = []
    for path in sorted(folder.glob("wandb/offline-run-*/run-*.wandb")):
        data, at, record = path.read_bytes(), 7, b""
        assert data[:4] == b":W&B"
        while at + 7 <= len(data):
            if 32_768 - at % 32_768 < 7:
                at += 32_768 - at % 32_768
                continue
            _, length, kind = struct.unpack("<IHB", data[at : at + 7])
            record += data[at + 7 : at + 7 + length]
            at += 7 + length
            if at > len(data):
                break  # torn
            if kind in (1, 4):
                parsed, record = proto.Record.FromString(record), b""
                if parsed.WhichOneof("record_type") == "history":
                    found.append(parsed.history.step.num)
    return found


def expected_figures(out):
    """What metrics.jsonl holds: figures by tag, by step."""
    steps = {}
    for m in read_metrics(out / "metrics.jsonl"):
        metric = Metric(m["kind"], m["name"], m["value"], m.get("source"), m.get("objective"))
        steps.setdefault(m["step"], {})[metric.tag] = m["value"]
    return steps


def synced(out):
    """What W&B sends of a run, by its own reader: [(line of the history, figures)] and the config."""
    command = [sys.executable, str(Path(__file__).with_name("wandb_server.py")), str(out)]
    found = subprocess.run(command, capture_output=True, text=True, check=True)
    return json.loads(found.stdout)


TRACKIO = """
import json, sys
import trackio
from trackio.sqlite_storage import SQLiteStorage
runs = trackio.Api().runs("spanmix")
print(json.dumps([[r.name, r.id, r.config["optimizer"]["learning_rate"]] for r in runs]))
print(json.dumps(SQLiteStorage.get_logs("spanmix", sys.argv[1], run_id=runs[0].id)))
"""


def trackio_reads(out, environment=()):
    """(runs, logs) of a run's database, read by Trackio in a process of its own, as its folder is fixed."""
    found = subprocess.run(
        [sys.executable, "-c", TRACKIO, out.name],
        env={**os.environ, "TRACKIO_DIR": str(out / "trackio"), **dict(environment)},
        capture_output=True,
        text=True,
        check=True,
    )
    runs, logs = found.stdout.splitlines()[-2:]
    return json.loads(runs), json.loads(logs)


@pytest.fixture
def watched_recipe(recipe):
    short = replace(recipe.run, num_steps=6)
    return replace(recipe, run=short, watch=replace(recipe.watch, trackers=("wandb", "trackio")))


# Kills itself with SIGKILL right behind a step, so that nothing gets a chance to be written.
KILLED = """
import os, signal, sys
from spanmix.cli import main
from spanmix.train import metrics
write = metrics.MetricsLog.write
def killed(self, found, step, rows, tokens):
    write(self, found, step, rows, tokens)
    if str(step) == sys.argv[1]:
        os.kill(os.getpid(), signal.SIGKILL)
metrics.MetricsLog.write = killed
sys.exit(main(sys.argv[2:]))
"""


class Eavesdropper:
    """Listens where a proxy would, and counts who comes."""

    def __init__(self):
        self.calls = []
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self):
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            self.calls.append(connection.recv(200))
            connection.close()

    def close(self):
        self._socket.close()


@pytest.fixture
def eavesdropper(monkeypatch, tmp_path):
    heard = Eavesdropper()
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"):
        monkeypatch.setenv(name, heard.url)
    for name in ("NO_PROXY", "no_proxy", "WANDB_MODE", "WANDB_ERROR_REPORTING", "TRACKIO_DIR"):
        monkeypatch.delenv(name, raising=False)
    # As on the machine of somebody who is logged in to all of them.
    monkeypatch.setenv("HF_TOKEN", "hf_" + "x" * 34)
    monkeypatch.setenv("WANDB_API_KEY", "0" * 40)
    yield heard
    heard.close()


def test_a_killed_run_reports_each_step_once_and_calls_nobody(
    watched_recipe, tmp_path, eavesdropper, run_forked
):
    """Killed behind step 5, it goes on from the checkpoint of step 3."""
    (tmp_path / "recipe.yaml").write_text(to_yaml(watched_recipe))
    out = tmp_path / "mine"
    command = ["train", str(tmp_path / "recipe.yaml"), "--out", str(out)]
    # As if both were started by a process with a service of its own, which is not to be asked.
    service = {"WANDB_SERVICE": f"3-{os.getpid()}-unix-{tmp_path / 'socket'}"}
    for killed_at, returncode in ((5, -9), (0, 0)):
        ended = run_forked(KILLED, killed_at, *command, **service)
        assert ended.returncode == returncode, ended.stderr[-3000:]
        assert "warning" not in ended.stderr
    expected = expected_figures(out)
    assert sorted(expected) == [1, 2, 3, 4, 5, 6]

    assert eavesdropper.calls == []
    history, config = synced(out)
    assert [number for number, _ in history] == list(range(6))
    assert [figures["_step"] for _, figures in history] == [1, 2, 3, 4, 5, 6]
    assert config["optimizer"]["value"]["learning_rate"] == watched_recipe.optimizer.learning_rate
    runs, logs = trackio_reads(out)
    assert [log["step"] for log in logs] == [1, 2, 3, 4, 5, 6]
    assert [run[::2] for run in runs] == [["mine", watched_recipe.optimizer.learning_rate]]
    by_wandb = {figures["_step"]: figures for _, figures in history}
    for shown in (by_wandb, {log["step"]: log for log in logs}):
        for step, figures in expected.items():
            assert len(figures) > 6
            for tag, value in figures.items():
                if not tag.startswith("speed/"):  # no two starts share it
                    assert shown[step][tag] == pytest.approx(value, rel=1e-12), (step, tag)
    ids = {path.name.rsplit("-", 1)[1] for path in out.glob("wandb/offline-run-*")}
    assert ids == {runs[0][1]} == {(out / "watch_id").read_text().strip()}


def test_the_eavesdropper_would_have_heard_them(tmp_path, eavesdropper):
    """What the packages do when they are left to themselves."""
    code = (
        "import huggingface_hub, wandb\n"
        "try:\n    huggingface_hub.whoami()\nexcept Exception as error:\n    print(type(error))\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, cwd=tmp_path, timeout=100)
    assert any(call.startswith(b"CONNECT huggingface.co") for call in eavesdropper.calls)


class Listed:
    """A tracker that keeps what it is given."""

    def __init__(self, last_step):
        self.last_step = last_step
        self.steps = []

    def write(self, metrics, step):
        self.steps.append((step, [metric.tag for metric in metrics]))

    def close(self):
        pass


@pytest.mark.parametrize("known", [0, 2, 4, 9])
def test_a_tracker_is_brought_up_to_the_checkpoint_and_no_step_is_repeated(tmp_path, known):
    log = MetricsLog(tmp_path, 0)
    for step in range(1, 7):
        log.write([Metric("train", "loss", 1.0), Metric("train", "loss", 2.0, "code")], step, step, step)
    log = MetricsLog(tmp_path, 4)  # the checkpoint's step: 5 and 6 are made again
    tracker = Listed(known)
    log.show_in(EachStepOnce(tracker, log.path))
    for step in range(5, 12):
        log.write([Metric("train", "loss", 1.0)] if step != 7 else [], step, step, step)
    due = [step for step in range(1, 12) if step > known and step != 7]
    assert [step for step, _ in tracker.steps] == due
    assert all(tags == ["train/loss", "train/loss/code"] for step, tags in tracker.steps if step <= 4)


def test_the_last_step_is_found_at_the_end_of_a_long_or_torn_file(tmp_path, monkeypatch):
    monkeypatch.delenv("WANDB_MODE", raising=False)
    run = tracked_run(tmp_path, "p", {"a": {"b": 1}})
    assert tracked_run(tmp_path, "p", {}).id == run.id and last_step(tmp_path / "wandb", run.id) == 0
    tracker = WeightsAndBiases(run)
    assert tracker.last_step == 0
    tags = [f"{letter}{'x' * 60}" for letter in "abcdefghij"]
    for step in range(1, 3001):  # more than the blocks that are read first
        tracker.write([Metric("train", tag, step / 7) for tag in tags], step)
    tracker.close()
    (path,) = tmp_path.glob("wandb/offline-run-*/run-*.wandb")
    assert path.stat().st_size > 70 * 32_768
    assert wandb_steps(tmp_path) == list(range(1, 3001))
    assert last_step(tmp_path / "wandb", run.id) == 3000
    assert last_step(tmp_path / "wandb", "another") == 0
    whole = path.read_bytes()
    seen = set()
    for size in [*range(len(whole) - 5000, len(whole), 777), 100_000, 32_768, 32_771, 200, 7, 3, 0]:
        path.write_bytes(whole[:size])
        found = last_step(tmp_path / "wandb", run.id)
        assert 0 <= found <= 3000
        assert found == max(_whole_records(path), default=0)
        seen.add(found)
    assert len(seen) > 4 and 0 in seen
    path.write_bytes(whole[:200])
    drop_empty(tmp_path / "wandb", run.id)
    assert path.exists()
    path.write_bytes(whole[:7])  # what is left of a run that was killed at once
    drop_empty(tmp_path / "wandb", "another")
    assert path.exists()
    drop_empty(tmp_path / "wandb", run.id)
    assert not path.parent.exists()


def _whole_records(path):
    try:
        return wandb_steps(path.parents[2])
    except AssertionError:
        return []  # not even the header is whole


def test_a_file_that_is_written_late_is_waited_for_and_one_that_stays_short_is_named(tmp_path, monkeypatch):
    monkeypatch.delenv("WANDB_MODE", raising=False)
    for name in ("late", "short"):
        (tmp_path / name).mkdir()
    late, short = (tracked_run(tmp_path / name, "p", {}) for name in ("late", "short"))
    tracker = WeightsAndBiases(late)
    tracker.write([Metric("train", "loss", 0.5)], 7)
    real = tracker._run.finish
    timer = threading.Timer(0.5, real)
    monkeypatch.setattr(tracker._run, "finish", timer.start)
    tracker.close()
    assert wandb_steps(late.folder) == [7]
    timer.join()

    tracker = WeightsAndBiases(short)
    tracker.write([Metric("train", "loss", 0.5)], 9)
    real = tracker._run.finish
    monkeypatch.setattr(tracker._run, "finish", lambda: None)
    monkeypatch.setattr("spanmix.train.web_trackers._FILE_SECONDS", 0)
    with pytest.raises(RuntimeError, match=r"after 0 s the file in .*short/wandb ends with step 0, not 9"):
        tracker.close()
    real()


def test_the_run_goes_on_when_they_fail(watched_recipe, tmp_path, monkeypatch):
    monkeypatch.setattr(WeightsAndBiases, "__init__", lambda self, run: 1 / 0)
    monkeypatch.setattr(Trackio, "__init__", lambda self, run: setattr(self, "last_step", 0))
    warned = []
    one = replace(watched_recipe, run=replace(watched_recipe.run, num_steps=2))
    assert train(one, tmp_path / "run", warn=warned.append).is_dir()
    assert len(warned) == 2
    assert "Weights & Biases gets no more figures of this run: ZeroDivisionError" in warned[0]
    assert "Trackio gets no more figures of this run: AttributeError" in warned[1]
    assert sorted(expected_figures(tmp_path / "run")) == [1, 2]


def test_one_process_has_one_folder_of_trackio(watched_recipe, tmp_path, monkeypatch):
    monkeypatch.setenv("TRACKIO_DIR", str(tmp_path / "elsewhere"))
    import trackio.utils

    monkeypatch.setattr(trackio.utils, "TRACKIO_DIR", tmp_path / "first")
    failed = []
    only = replace(watched_recipe, watch=replace(watched_recipe.watch, trackers=("trackio",)))

    class Events:
        def warn(self, step, kind, text):
            failed.append((step, kind, text))

    open_log(only, tmp_path, 3, Events()).close()
    assert [event[:2] for event in failed] == [(3, "tracker_failed")]
    assert str(tmp_path / "first") in failed[0][2]


@pytest.mark.parametrize("name", ["wandb", "trackio"])
def test_a_missing_package_is_refused_before_anything_is_written(watched_recipe, tmp_path, monkeypatch, name):
    real = importlib.util.find_spec
    monkeypatch.setattr(
        "spanmix.train.web_trackers.find_spec", lambda asked: None if asked == name else real(asked)
    )
    with pytest.raises(InputError, match=rf"names {name}.*pip install 'spanmix\[{name}\]'"):
        train(watched_recipe, tmp_path / "run")
    assert not (tmp_path / "run").exists()
