"""The exported model is what the checkpoint holds, whoever wrote it and whatever the run does meanwhile."""

import shutil
from dataclasses import replace

import pytest
import torch

from spanmix.cli import main
from spanmix.errors import InputError, SpanmixError
from spanmix.model.folder import load_model_folder, resolve_model
from spanmix.text.report import CorpusReport
from spanmix.train import checkpoint, export
from spanmix.train.export import export_model
from spanmix.train.run import train
from spanmix.train_configs import LoraConfig


@pytest.fixture(scope="module")
def trained(recipe, tmp_path_factory):
    """A run of six steps with the checkpoints of steps 3 and 6; to be read only."""
    out = tmp_path_factory.mktemp("trained") / "run"
    train(replace(recipe, run=replace(recipe.run, num_steps=6)), out)
    return out


@pytest.fixture
def run(trained, tmp_path):
    """The same, to be changed."""
    return shutil.copytree(trained, tmp_path / "run")


def contents(folder):
    found = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert len(found) > 5 and len(found["model.safetensors"]) > 100_000
    return found


def weights(folder):
    return load_model_folder(folder)[0].state_dict()


def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def test_of_the_last_step_it_is_the_model_of_the_run_byte_for_byte(trained, tmp_path):
    assert export_model(trained, tmp_path / "new") == 6
    assert contents(tmp_path / "new") == contents(trained / "model")
    assert export_model(trained, tmp_path / "named", 6) == 6
    assert contents(tmp_path / "named") == contents(trained / "model")


def test_of_any_other_step_it_has_the_weights_of_that_step(trained, tmp_path, final_state):
    shutil.copytree(trained, tmp_path / "earlier")
    shutil.rmtree(tmp_path / "earlier" / "checkpoints" / "step-6")
    from spanmix.train.run_folder import recorded_recipe

    progress, expected = final_state(tmp_path / "earlier", recorded_recipe(trained))
    assert export_model(trained, tmp_path / "model", 3) == progress.step == 3
    found, last = weights(tmp_path / "model"), weights(trained / "model")
    assert len(found) > 20
    for name, tensor in found.items():
        assert torch.equal(tensor, expected[f"model.{name}"]) and not torch.equal(tensor, last[name]), name
    cards = [(folder / "README.md").read_text() for folder in (tmp_path / "model", trained / "model")]
    assert "- steps: 3\n" in cards[0] and "- steps: 6\n" in cards[1]


def test_only_the_weights_are_read(trained, tmp_path, monkeypatch):
    asked = []
    load = checkpoint.load_tensors

    def watched(state, **options):
        asked.append(state)
        load(state, **options)

    monkeypatch.setattr(checkpoint, "load_tensors", watched)
    export_model(trained, tmp_path / "model")
    (state,) = asked
    assert state.keys() == {"model"} and state["model"].keys() == weights(tmp_path / "model").keys()


def test_with_lora_it_is_the_merged_model(recipe, base_folder, tmp_path):
    lora = LoraConfig(rank=3, alpha=12.0)
    model = replace(recipe.model, preset=None, init_from=str(base_folder), lora=lora)
    changed = replace(recipe, model=model, run=replace(recipe.run, num_steps=3))
    train(changed, tmp_path / "run")
    export_model(tmp_path / "run", tmp_path / "model")
    assert contents(tmp_path / "model") == contents(tmp_path / "run" / "model")
    before, after = weights(base_folder), weights(tmp_path / "model")
    assert any(not torch.equal(before[name], after[name]) for name in before)


def test_while_the_run_goes_on(recipe, tmp_path, assert_same_run):
    """The run holds its lock, and what it computes stays the same."""
    out, steps = tmp_path / "run", []
    at_once = replace(recipe, run=replace(recipe.run, async_checkpoints=False))

    def report(done, total, metrics):
        if done in (4, 8):
            steps.append(export_model(out, tmp_path / f"model-{done}"))

    train(at_once, out, report=report)
    train(at_once, tmp_path / "undisturbed")
    assert steps == [3, 6]
    assert load_model_folder(tmp_path / "model-4") and load_model_folder(tmp_path / "model-8")
    assert_same_run(tmp_path / "undisturbed", out, at_once)


def test_a_checkpoint_that_is_deleted_while_it_is_read(run, trained, tmp_path, monkeypatch):
    """As `keep_checkpoints` does once newer ones are there."""
    read = export.read_model

    def deleted(path):
        monkeypatch.setattr(export, "read_model", read)
        path.rename(path.with_name(f".{path.name}.spanmix-partial"))
        shutil.copytree(trained / "checkpoints" / "step-3", path.with_name("step-9"), dirs_exist_ok=True)
        return read(path)

    monkeypatch.setattr(export, "read_model", deleted)
    assert export_model(run, tmp_path / "newest") == 3  # as what lies in step-9 says of itself
    monkeypatch.setattr(export, "read_model", deleted)
    with pytest.raises(InputError, match="no checkpoint of step 3, or no longer: it has step-9"):
        export_model(run, tmp_path / "named", 3)
    assert not (tmp_path / "named").exists()


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_checkpoint_that_is_replaced_while_it_is_read_is_read_again(
    run, trained, tmp_path, monkeypatch, when
):
    """As a run does that was set back: both are whole, and what is half of each is not."""
    read, reads = export.read_model, []

    def replaced(path):
        reads.append(path)
        if len(reads) > 1:
            return read(path)
        state = read(path) if when == "after" else None
        path.rename(tmp_path / "old")
        shutil.copytree(trained / "checkpoints" / "step-3", path)
        return state or read(path)

    monkeypatch.setattr(export, "read_model", replaced)
    assert export_model(run, tmp_path / "model") == 3
    assert reads == [run / "checkpoints" / "step-6"] * 2
    export_model(trained, tmp_path / "expected", 3)
    assert contents(tmp_path / "model") == contents(tmp_path / "expected")


def test_a_damaged_one_is_passed_over_with_a_warning_unless_it_is_asked_for(run, tmp_path):
    warned = []
    flip(run / "checkpoints" / "step-6" / "__0_0.distcp")
    assert export_model(run, tmp_path / "model", warn=warned.append) == 3
    (said,) = warned
    assert "step-6 is damaged" in said and "the model is that of step-3" in said
    with pytest.raises(InputError, match=r"step-6/__0_0\.distcp is damaged"):
        export_model(run, tmp_path / "named", 6)
    (run / "checkpoints" / "step-3" / "state.json").unlink()
    with pytest.raises(InputError, match=r"no checkpoint of the run .* is whole: .*step-6.*; .*step-3"):
        export_model(run, tmp_path / "named")
    assert not (tmp_path / "named").exists()
    assert {path.name for path in (run / "checkpoints").iterdir()} == {"step-3", "step-6"}


def test_what_cannot_be_is_refused_and_nothing_is_written(run, base_folder, tmp_path):
    out = tmp_path / "model"
    for step in (4, 12):
        with pytest.raises(InputError, match=f"no checkpoint of step {step}, .* it has step-3, step-6"):
            export_model(run, out, step)
    with pytest.raises(InputError, match=r"is not a run: there is no recipe\.yaml"):
        export_model(tmp_path, out)
    for inside in (run / "model", run / "checkpoints" / "step-9", run / "exported"):
        with pytest.raises(InputError, match="lies in the run"):
            export_model(run, inside)
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "thesis.txt").write_text("chapter 1")
    with pytest.raises(InputError, match="exists and is not a model folder"):
        export_model(run, tmp_path / "taken")
    shutil.rmtree(run / "checkpoints")
    with pytest.raises(InputError, match="has no checkpoint yet"):
        export_model(run, out)
    assert not out.exists() and not (run / "exported").exists()


def test_the_corpus_has_to_be_that_of_the_run(run, corpus_folder, tmp_path):
    recipe = run / "recipe.yaml"
    text = recipe.read_text()
    recipe.write_text(text.replace(str(corpus_folder), str(tmp_path / "gone")))
    with pytest.raises(InputError, match=r"corpus .*gone does not exist"):
        export_model(run, tmp_path / "model")
    other = shutil.copytree(corpus_folder, tmp_path / "other")
    report = CorpusReport.load(other)
    replace(report, fingerprint="0" + report.fingerprint).save(other)
    recipe.write_text(text.replace(str(corpus_folder), str(other)))
    with pytest.raises(InputError, match="was trained on corpus"):
        export_model(run, tmp_path / "model")
    assert not (tmp_path / "model").exists()


def test_a_full_disk_leaves_no_half_of_a_model(run, tmp_path, monkeypatch):
    import errno

    from spanmix.model import folder

    def full(*arguments):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(folder, "write_weights", full)
    with pytest.raises(SpanmixError, match="No space left on device"):
        export_model(run, tmp_path / "model")
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_the_command_line(run, tmp_path, capsys):
    out = tmp_path / "model"
    assert main(["export", str(run), "--step", "3", "--out", str(out)]) == 0
    assert capsys.readouterr().out == f"the model of step 3 of {run} is {out}\n"
    shutil.rmtree(run / "model")
    with pytest.raises(InputError, match=rf"`spanmix export {run} --out FOLDER`"):
        resolve_model(run)
    with pytest.raises(InputError, match=rf"`spanmix export {run} --step 6 --out FOLDER`"):
        resolve_model(run / "checkpoints" / "step-6")
    flip(run / "checkpoints" / "step-6" / ".metadata")
    before = contents(out)
    assert main(["export", str(run), "--out", str(out)]) == 0
    printed = capsys.readouterr()
    assert printed.out.startswith("the model of step 3 of ") and "warning: the checkpoint " in printed.err
    assert contents(out) == before
    assert main(["export", str(run), "--step", "0", "--out", str(out)]) == 2
    assert main(["export", str(run / "nowhere"), "--out", str(out)]) == 2
