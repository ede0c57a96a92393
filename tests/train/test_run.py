"""A run goes on after a crash as if nothing had happened, and refuses to become another run."""

import json
import random
from dataclasses import replace

import pytest

from spanmix.errors import InputError, SpanmixError
from spanmix.recipes import load_recipe, to_yaml
from spanmix.train.metrics import read_metrics
from spanmix.train.run import train
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


def test_kill_9_at_three_random_steps_changes_nothing(
    recipe, tmp_path, run_forked, assert_same_run, measured
):
    def train_until(stop: int, out) -> int:
        """Train in a process of its own, which is killed after step `stop` (0: never)."""
        return run_forked(TRAIN_UNTIL, recipe_file, out, stop).returncode

    recipe_file = tmp_path / "recipe.yaml"
    recipe_file.write_text(to_yaml(recipe))
    assert train_until(0, tmp_path / "whole") == 0
    stops = sorted(random.SystemRandom().sample(range(1, recipe.run.num_steps), 3))
    for stop in stops:
        assert train_until(stop, tmp_path / "killed") == -9, stops
    assert train_until(0, tmp_path / "killed") == 0, stops
    assert_same_run(tmp_path / "whole", tmp_path / "killed", recipe)
    lines = measured(tmp_path / "killed")
    keys = [(m["step"], m["kind"], m["name"], m.get("source"), m.get("objective")) for m in lines]
    assert len(keys) == len(set(keys)) and {m["step"] for m in lines} == set(range(1, 13))


def listing(folder):
    return sorted((str(path.relative_to(folder)), path.stat().st_size) for path in folder.rglob("*"))


def test_a_changed_field_is_refused_with_both_values(finished):
    short, out = finished
    before = listing(out)
    hotter = replace(
        short,
        optimizer=replace(short.optimizer, learning_rate=0.5, beta2=0.9),
        data=replace(short.data, window_documents=2),
    )
    with pytest.raises(InputError) as error:
        train(hotter, out)
    assert "optimizer.learning_rate: 0.003 -> 0.5" in str(error.value)
    assert "optimizer.beta2: 0.95 -> 0.9" in str(error.value)
    assert f"data.window_documents: {short.data.window_documents} -> 2" in str(error.value)
    assert listing(out) == before


def test_what_may_change_on_resume(finished):
    short, out = finished
    longer = replace(
        short,
        run=replace(
            short.run,
            num_steps=5,
            save_every_steps=5,
            log_every_steps=5,
            keep_checkpoints=1,
            keep_every_steps=10,
            skip_bad_batches=2,
        ),
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


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "is missing"),
        ("null", "None"),
        ("[]", r"\[\]"),
        ("{", "not JSON"),
        ('{"format_version": 2, "corpus_fingerprint": 5, "versions": {}}', "corpus_fingerprint 5"),
        ('{"format_version": 2, "corpus_fingerprint": "f", "versions": [1]}', r"versions \[1\]"),
        ('{"format_version": 7}', "format version 7, this Spanmix reads 2"),
        ("{}", "no format_version"),
    ],
)
def test_a_damaged_run_json_is_refused(finished, content, said):
    short, out = finished
    (out / "run.json").unlink()
    if content is not None:
        (out / "run.json").write_text(content)
    with pytest.raises(InputError, match=rf"run\.json .*{said}.*another --out"):
        train(short, out)


def test_micro_batches_give_the_same_gradients(recipe, tmp_path, measured):
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


def with_rate(recipe, rate: float, num_steps: int):
    run = replace(recipe.run, num_steps=num_steps)
    return replace(recipe, run=run, optimizer=replace(recipe.optimizer, learning_rate=rate))


def test_an_exploding_loss_stops_before_the_update_with_advice_that_works(recipe, tmp_path):
    said = r"nothing was updated.* another --out and a lower optimizer\.learning_rate"
    with pytest.raises(SpanmixError, match=said):
        train(with_rate(recipe, 1e30, 3), tmp_path / "run")
    assert not (tmp_path / "run" / "model").exists()
    with pytest.raises(InputError, match="or another --out"):
        train(with_rate(recipe, 1e-3, 3), tmp_path / "run")
    assert train(with_rate(recipe, 1e-3, 3), tmp_path / "other").is_dir()


class Broken:
    """A hook whose figure is no number."""

    every_steps, kind = 1, "held_out"

    def run(self, model, step):
        return {"loss": float("nan")}


def test_weights_that_are_not_finite_are_neither_measured_nor_saved(recipe, tmp_path):
    said = r"the update of step 1 made the tensor \S+ NaN or infinite.* another --out"
    with pytest.raises(SpanmixError, match=said):
        train(with_rate(recipe, 1e39, 1), tmp_path / "run", lambda recipe, corpus: [Broken()])
    assert not (tmp_path / "run" / "model").exists()
    assert not (tmp_path / "run" / "checkpoints").exists()


def test_a_figure_that_is_not_finite_is_named(recipe, tmp_path):
    with pytest.raises(SpanmixError, match="held_out/loss is nan after step 1"):
        train(with_rate(recipe, 1e-3, 1), tmp_path / "run", lambda recipe, corpus: [Broken()])


def test_a_corpus_of_another_tokenizer_is_refused(recipe, tmp_path):
    from spanmix.text.tokenizer import Tokenizer

    other = Tokenizer.train(["something else entirely, " * 50], 512, 16)
    other.save(tmp_path / "tokenizer")
    wrong = replace(recipe, tokenizer=replace(recipe.tokenizer, path=str(tmp_path / "tokenizer")))
    with pytest.raises(InputError, match="made with another tokenizer"):
        train(wrong, tmp_path / "run")
    assert not (tmp_path / "run").exists()
