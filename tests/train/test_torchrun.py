"""A run under torchrun: it changes its mesh in the middle, loses a process, and stops when it is asked to."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from spanmix.recipes import load_recipe, to_yaml
from spanmix.train.export import export_model
from spanmix.train.metrics import read_metrics
from spanmix.train.run import train

STEPS = 12


def command(*arguments, restarts=0):
    """Two processes that train."""
    start = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    start += [f"--max-restarts={restarts}", "--monitor-interval=0.1", "-m", "spanmix", "train"]
    return [*start, *map(str, arguments)]


def run(*arguments):
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    finished = subprocess.run(
        command(*arguments), capture_output=True, text=True, timeout=280, env=environment
    )
    assert finished.returncode == 0, finished.stderr[-3000:]


def losses(folder):
    """The loss of every step."""
    found = read_metrics(folder / "metrics.jsonl")
    return {
        m["step"]: m["value"]
        for m in found
        if m["name"] == "loss" and set(m) & {"source", "objective"} == set()
    }


@pytest.fixture
def recipe_file(recipe, tmp_path):
    path = tmp_path / "recipe.yaml"
    path.write_text(to_yaml(recipe))
    return path


FIXED = ("run.precision=fp32", "run.num_threads=1", "schedule.final_ratio=1.0")


def test_a_run_that_changes_its_mesh_follows_the_same_curve(recipe_file, tmp_path):
    train(load_recipe(str(recipe_file), FIXED), tmp_path / "alone")
    expected = losses(tmp_path / "alone")
    assert sorted(expected) == list(range(1, STEPS + 1))
    # With a constant learning rate the steps do not depend on how many there will be.
    out = ("--out", tmp_path / "changing")
    run(recipe_file, *out, *FIXED, "run.num_steps=3", "parallel.shard_size=0")
    run(recipe_file, *out, *FIXED, "run.num_steps=6", "parallel.tensor_size=2")
    train(load_recipe(str(recipe_file), [*FIXED, "parallel.checkpointing=full"]), tmp_path / "changing")
    found = losses(tmp_path / "changing")
    assert sorted(found) == sorted(expected)
    assert max(abs(found[step] / expected[step] - 1) for step in expected) < 1e-4


def test_what_two_processes_saved_is_exported_by_one(recipe_file, tmp_path):
    run(recipe_file, "--out", tmp_path / "run", *FIXED, "run.num_steps=2", "parallel.shard_size=0")
    assert export_model(tmp_path / "run", tmp_path / "exported") == 2
    weights = [folder / "model.safetensors" for folder in (tmp_path / "exported", tmp_path / "run" / "model")]
    assert weights[0].read_bytes() == weights[1].read_bytes()


def workers(parent):
    """Process ids of the ranks that torchrun started."""
    listed = subprocess.run(["ps", "-o", "pid=,args=", "--ppid", str(parent)], capture_output=True, text=True)
    return [int(line.split()[0]) for line in listed.stdout.splitlines() if "spanmix" in line]


def wait_for(condition):
    """Wait until something has happened; the test's own time limit ends it if it never does."""
    while not condition():
        time.sleep(0.02)


def test_a_dead_process_is_started_again_and_the_run_ends_as_if_it_had_lived(recipe_file, tmp_path):
    run(recipe_file, "--out", tmp_path / "undisturbed", *FIXED, "run.num_steps=15")
    arguments = [recipe_file, "--out", tmp_path / "run", *FIXED, "run.num_steps=15"]
    process = subprocess.Popen(
        command(*arguments, restarts=2), stderr=subprocess.PIPE, env={**os.environ, "OMP_NUM_THREADS": "1"}
    )
    wait_for(lambda: (tmp_path / "run" / "checkpoints" / "step-3").is_dir())
    os.kill(workers(process.pid)[-1], signal.SIGKILL)
    _, said = process.communicate()
    assert process.returncode == 0, said.decode()[-20000:]
    assert losses(tmp_path / "run") == losses(tmp_path / "undisturbed")
    events = [json.loads(line) for line in (tmp_path / "run" / "events.jsonl").read_text().splitlines()]
    assert [event["kind"] for event in events] == ["restarted"] and "restart 1" in events[0]["text"]
    said = said.decode()
    assert "another process of the run ended or does not answer" in said and "gloo" not in said, said
    assert "goes on from step" in said


def test_sigterm_to_torchrun_saves_in_all_processes(recipe_file, tmp_path):
    arguments = [recipe_file, "--out", tmp_path / "run", *FIXED, "run.num_steps=100000"]
    process = subprocess.Popen(
        command(*arguments, "run.save_every_steps=100000"),
        stderr=subprocess.PIPE,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    metrics = tmp_path / "run" / "metrics.jsonl"
    wait_for(lambda: metrics.is_file() and len(losses(tmp_path / "run")) >= 3)
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate()
    [saved] = (tmp_path / "run" / "checkpoints").glob("step-*")
    assert int(saved.name.removeprefix("step-")) >= 3, said.decode()[-20000:]
    events = [json.loads(line) for line in (tmp_path / "run" / "events.jsonl").read_text().splitlines()]
    assert [event["kind"] for event in events] == ["stopped"]
