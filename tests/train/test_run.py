"""A run goes on after a crash as if nothing had happened, and refuses to become another run."""

import json
import random
import subprocess
import sys
from dataclasses import replace

import pytest
import torch

from spanmix.errors import InputError
from spanmix.model.decoder import Decoder
from spanmix.recipes import load_recipe, to_yaml
from spanmix.text.corpus import Corpus
from spanmix.train.checkpoint import Checkpoints
from spanmix.train.metrics import read_metrics
from spanmix.train.optimizer import build_adamw
from spanmix.train.run import build_architecture, train
from spanmix.train.run_folder import locked

TRAIN_UNTIL = """
import os, signal, sys
from pathlib import Path
from spanmix.recipes import load_recipe
from spanmix.train.run import train
stop = int(sys.argv[3])
def report(done, total, metrics):
    if done == stop:
        os.kill(os.getpid(), signal.SIGKILL)
train(load_recipe(sys.argv[1]), Path(sys.argv[2]), report=report)
"""


def train_until(recipe_file, out, stop: int) -> int:
    """Train in a process of its own, which is killed after step `stop` (0: never)."""
    command = [sys.executable, "-c", TRAIN_UNTIL, str(recipe_file), str(out), str(stop)]
    return subprocess.run(command, check=False, timeout=240).returncode


def final_state(out, recipe):
    """Everything the newest checkpoint holds."""
    corpus = Corpus.open(recipe.corpus.path)
    model = Decoder(build_architecture(recipe, corpus.tokenizer), seed=99)
    optimizer = build_adamw(model, recipe.optimizer)
    checkpoints = Checkpoints(out / "checkpoints", 2)
    progress = checkpoints.load(checkpoints.newest(), model, optimizer)
    state = {f"model.{name}": tensor for name, tensor in model.state_dict().items()}
    for i, entry in optimizer.state_dict()["state"].items():
        state |= {f"optimizer.{i}.{name}": torch.as_tensor(value) for name, value in entry.items()}
    return progress, state


def measured(out) -> list[dict]:
    """Metric lines but for the speed, which no two runs share."""
    return [line for line in read_metrics(out / "metrics.jsonl") if line["kind"] != "speed"]


def test_kill_9_at_three_random_steps_changes_nothing(recipe, tmp_path):
    recipe_file = tmp_path / "recipe.yaml"
    recipe_file.write_text(to_yaml(recipe))
    assert train_until(recipe_file, tmp_path / "whole", 0) == 0
    stops = sorted(random.SystemRandom().sample(range(1, recipe.run.num_steps), 3))
    for stop in stops:
        assert train_until(recipe_file, tmp_path / "killed", stop) == -9, stops
    assert train_until(recipe_file, tmp_path / "killed", 0) == 0

    whole, killed = (final_state(tmp_path / name, recipe) for name in ("whole", "killed"))
    assert whole[0] == killed[0] and whole[0].step == recipe.run.num_steps
    assert whole[1].keys() == killed[1].keys() and len(whole[1]) > 100
    different = [name for name, tensor in whole[1].items() if not torch.equal(tensor, killed[1][name])]
    assert different == [], f"killed at {stops}"
    lines = measured(tmp_path / "killed")
    assert lines == measured(tmp_path / "whole")
    keys = [(m["step"], m["kind"], m["name"], m.get("source"), m.get("objective")) for m in lines]
    assert len(keys) == len(set(keys)) and {m["step"] for m in lines} == set(range(1, 13))
    weights = [(tmp_path / name / "model" / "model.safetensors").read_bytes() for name in ("whole", "killed")]
    assert weights[0] == weights[1]


@pytest.fixture
def finished(recipe, tmp_path):
    """A run of three steps."""
    short = replace(recipe, run=replace(recipe.run, num_steps=3))
    train(short, tmp_path / "run")
    return short, tmp_path / "run"


def listing(folder):
    return sorted((str(path.relative_to(folder)), path.stat().st_size) for path in folder.rglob("*"))


def test_a_changed_field_is_refused_with_both_values(finished):
    short, out = finished
    before = listing(out)
    hotter = replace(short, optimizer=replace(short.optimizer, learning_rate=0.5, beta2=0.9))
    with pytest.raises(InputError) as error:
        train(hotter, out)
    assert "optimizer.learning_rate: 0.003 -> 0.5" in str(error.value)
    assert "optimizer.beta2: 0.95 -> 0.9" in str(error.value)
    assert listing(out) == before


def test_what_may_change_on_resume(finished):
    short, out = finished
    longer = replace(
        short,
        run=replace(short.run, num_steps=5, save_every_steps=5, log_every_steps=5, keep_checkpoints=1),
        parallel=replace(short.parallel, micro_batch_rows=2),
        data=replace(short.data, global_batch_rows=2),
    )
    train(longer, out)
    last = [line for line in read_metrics(out / "metrics.jsonl") if line["name"] == "loss"][-1]
    assert last["step"] == 5 and last["rows"] == 3 * 4 + 2 * 2
    assert load_recipe(str(out / "recipe.yaml")).run.num_steps == 5
    assert [path.name for path in (out / "checkpoints").iterdir()] == ["step-5"]


def test_fewer_steps_than_the_run_has_made_are_refused(finished):
    short, out = finished
    with pytest.raises(InputError, match=r"num_steps is 2, but the run is already at step 3"):
        train(replace(short, run=replace(short.run, num_steps=2)), out)


def test_two_writers_are_refused(finished):
    short, out = finished
    with locked(out), pytest.raises(InputError, match="another process is writing"):
        train(short, out)


def test_a_folder_that_is_no_run_is_left_alone(recipe, tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match="neither empty nor a run"):
        train(recipe, tmp_path)
    assert listing(tmp_path) == [("notes.txt", 4)]


def test_another_corpus_is_refused(finished):
    short, out = finished
    facts = json.loads((out / "run.json").read_text())
    (out / "run.json").write_text(json.dumps({**facts, "corpus_fingerprint": "f" * 64}))
    with pytest.raises(InputError, match="trained on corpus ffffffffffff"):
        train(short, out)


@pytest.mark.parametrize("victim", ["__0_0.distcp", ".metadata"])
def test_a_damaged_checkpoint_is_refused_by_its_checksum(finished, victim):
    short, out = finished
    file = out / "checkpoints" / "step-3" / victim
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    with pytest.raises(InputError, match=f"{victim} is damaged"):
        train(replace(short, run=replace(short.run, num_steps=4)), out)


def test_micro_batches_give_the_same_gradients(recipe, tmp_path):
    """The loss is divided by the weight of the whole batch, however unevenly it is cut."""
    losses = []
    for rows in (0, 1, 3):
        exact = replace(
            recipe,
            run=replace(recipe.run, num_steps=2, precision="fp32"),
            parallel=replace(recipe.parallel, micro_batch_rows=rows),
        )
        train(exact, tmp_path / str(rows))
        lines = measured(tmp_path / str(rows))
        losses.append([m["value"] for m in lines if m["name"] in ("loss", "grad_norm") and "source" not in m])
    for other in losses[1:]:
        assert other == pytest.approx(losses[0], rel=1e-5)


def test_an_exploding_loss_stops_before_the_update(recipe, tmp_path):
    from spanmix.errors import SpanmixError

    wild = replace(recipe, optimizer=replace(recipe.optimizer, learning_rate=1e30))
    with pytest.raises(SpanmixError, match=r"nothing was updated.*optimizer.learning_rate"):
        train(wild, tmp_path / "run")
    assert not (tmp_path / "run" / "model").exists()


def test_a_corpus_of_another_tokenizer_is_refused(recipe, tmp_path):
    from spanmix.text.tokenizer import Tokenizer

    other = Tokenizer.train(["something else entirely, " * 50], 512, 16)
    other.save(tmp_path / "tokenizer")
    wrong = replace(recipe, tokenizer=replace(recipe.tokenizer, path=str(tmp_path / "tokenizer")))
    with pytest.raises(InputError, match="made with another tokenizer"):
        train(wrong, tmp_path / "run")
    assert not (tmp_path / "run").exists()
