"""One run, killed thirty times at random moments beside a process that wants the processor too."""

import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import replace

import pytest

from spanmix.recipes import to_yaml
from spanmix.train.metrics import read_metrics

NUM_STEPS, KILLS = 200, 30

TRAIN = """
import sys
from pathlib import Path
from spanmix.recipes import load_recipe
from spanmix.train.run import train
def report(done, total, metrics):
    print(done, flush=True)
train(load_recipe(sys.argv[1]), Path(sys.argv[2]), report=report)
"""


def start(recipe_file, out):
    command = [sys.executable, "-c", TRAIN, str(recipe_file), str(out)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def saving(out):
    """Whether a checkpoint is half-written at this moment."""
    return any((out / "checkpoints").glob(".step-*.spanmix-partial"))


def wait_for(process, draw, out, last):
    """Let the process make some steps, at most until `last`, and then wait for a random moment."""
    first = int(process.stdout.readline())
    target = draw.randint(first, max(first, min(last, first + 11)))
    done, began = first, time.monotonic()
    while done < target:
        done = int(process.stdout.readline())
    pace = (time.monotonic() - began) / max(1, done - first)
    if draw.random() < 0.5:
        time.sleep(draw.uniform(0, 1.5 * max(pace, 0.05)))
        return
    deadline = time.monotonic() + 20 * max(pace, 0.05)  # while it saves; two of three steps do not
    while not saving(out) and time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.001)
    time.sleep(draw.uniform(0, 0.05))


@pytest.mark.nightly
@pytest.mark.timeout(3600)
def test_thirty_kills_at_random_moments_change_nothing(recipe, tmp_path, assert_same_run, measured):
    slow = replace(recipe.model, preset="demo")  # steps that last long enough to be hit
    recipe = replace(recipe, model=slow, run=replace(recipe.run, num_steps=NUM_STEPS))
    (tmp_path / "recipe.yaml").write_text(to_yaml(recipe))
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    seed = random.SystemRandom().getrandbits(32)
    draw = random.Random(seed)
    hog = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        undisturbed = start(tmp_path / "recipe.yaml", whole)
        undisturbed.communicate()
        assert undisturbed.returncode == 0
        while_saving, moments = 0, []
        for kill in range(KILLS):
            process = start(tmp_path / "recipe.yaml", killed)
            wait_for(process, draw, killed, NUM_STEPS - 6 * (KILLS - kill))
            os.kill(process.pid, signal.SIGKILL)
            process.communicate()
            assert process.returncode == -9, (seed, kill)
            while_saving += saving(killed)
            moments.append(max(m["step"] for m in read_metrics_of(killed)))
        last = start(tmp_path / "recipe.yaml", killed)
        last.communicate()
        assert last.returncode == 0, seed
    finally:
        hog.kill()
        hog.wait()
    print(f"seed {seed}: killed at steps {moments}, {while_saving} of {KILLS} times while it saved")
    assert while_saving >= 3 and len(set(moments)) > 10, (seed, moments)
    assert_same_run(whole, killed, recipe)
    assert {m["step"] for m in measured(killed)} == set(range(1, NUM_STEPS + 1))
    assert [path.name for path in sorted((killed / "checkpoints").iterdir())] == ["step-198", "step-200"]


def read_metrics_of(out):
    """The whole lines of a log whose last may be torn."""
    path = out / "metrics.jsonl"
    text = path.read_text()
    copy = out.parent / "copy.jsonl"
    copy.write_text(text[: text.rindex("\n") + 1])
    return read_metrics(copy)
