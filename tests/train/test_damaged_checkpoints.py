"""A run goes on from the newest checkpoint that is whole, names the others, and never starts over unasked."""

import random
import shutil
from dataclasses import replace

import pytest

from spanmix.errors import InputError
from spanmix.recipes import to_yaml
from spanmix.train.checkpoint import Checkpoints
from spanmix.train.events import read_events
from spanmix.train.run import train


def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def truncate(path):
    path.write_bytes(path.read_bytes()[:-7])


def empty(path):
    path.write_bytes(b"")


def as_folder(path):
    path.unlink()
    path.mkdir()


DAMAGES = {
    "flip": flip,
    "truncate": truncate,
    "empty": empty,
    "folder": as_folder,
    "gone": lambda p: p.unlink(),
}


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """The checkpoints of steps 3, 6 and 9."""
    import torch

    from spanmix.data.loader import LoaderState
    from spanmix.train.checkpoint import training_state
    from spanmix.train.progress import Progress

    folder = tmp_path_factory.mktemp("saved")
    model = torch.nn.Linear(3, 2)
    optimizer = torch.optim.AdamW(model.parameters())
    sum(parameter.sum() for parameter in model.parameters()).backward()
    optimizer.step()
    for step in (3, 6, 9):
        progress = Progress(step, step, LoaderState("f" * 64, step, 0, 0, 0, ()))
        Checkpoints(folder, keep=3).save(progress, training_state(model, [optimizer]))
    return folder


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_any_damage_to_any_file_is_passed_over_and_kept(saved, tmp_path):
    cases = 0
    for damage in DAMAGES:
        for name in names(saved / "step-9"):
            folder = shutil.copytree(saved, tmp_path / f"{damage}{name}")
            DAMAGES[damage](folder / "step-9" / name)
            before = names(folder / "step-9")
            whole = Checkpoints(folder, keep=3).newest_whole()
            assert whole.path == folder / "step-6" and whole.progress.step == 6, (damage, name)
            assert names(folder) == ["damaged-step-9", "step-3", "step-6"]
            assert names(folder / "damaged-step-9") == before
            (said,) = whole.set_aside
            assert f"{folder / 'step-9'} is damaged" in said and "goes on from step-6" in said
            cases += 1
    assert cases == 5 * 4


def test_lines_missing_from_the_list_of_checksums_are_damage(saved, tmp_path):
    for number in range(3):
        folder = shutil.copytree(saved, tmp_path / str(number))
        listed = (folder / "step-9" / "SHA256SUMS").read_text().splitlines(keepends=True)
        (folder / "step-9" / "SHA256SUMS").write_text("".join(listed[:number] + listed[number + 1 :]))
        whole = Checkpoints(folder, keep=3).newest_whole()
        assert whole.path.name == "step-6" and "does not list" in whole.set_aside[0]


def test_several_damaged_ones_and_one_of_an_earlier_time(saved, tmp_path):
    folder = shutil.copytree(saved, tmp_path / "checkpoints")
    (folder / "damaged-step-9").mkdir()
    (folder / ".step-12.spanmix-partial").mkdir()
    for step in (6, 9):
        flip(folder / f"step-{step}" / "__0_0.distcp")
    whole = Checkpoints(folder, keep=3).newest_whole()
    assert whole.path.name == "step-3" and len(whole.set_aside) == 2
    assert names(folder) == ["damaged-step-6", "damaged-step-9", "damaged-step-9-2", "step-3"]


def test_none_that_is_whole_stops_with_every_folder_and_moves_nothing(saved, tmp_path):
    folder = shutil.copytree(saved, tmp_path / "checkpoints")
    for path in folder.glob("step-*"):
        empty(path / "state.json")
    (folder / "damaged-step-8").mkdir()
    before = names(folder)
    for _ in range(2):
        with pytest.raises(InputError) as error:
            Checkpoints(folder, keep=3).newest_whole()
        for name in before:
            assert str(folder / name) in str(error.value)
        assert f"or remove the folder {folder}" in str(error.value)
        assert names(folder) == before
    for path in folder.glob("step-*"):
        shutil.rmtree(path)
    with pytest.raises(InputError, match="damaged-step-8: set aside before"):
        Checkpoints(folder, keep=3).newest_whole()
    assert Checkpoints(tmp_path / "new", keep=3).newest_whole() is None


def test_a_run_goes_on_from_the_one_before_bit_for_bit(recipe, tmp_path, assert_same_run):
    train(recipe, tmp_path / "whole")
    shutil.copytree(tmp_path / "whole", tmp_path / "damaged")
    checkpoints = tmp_path / "damaged" / "checkpoints"
    damage = random.SystemRandom().choice(sorted(DAMAGES))
    DAMAGES[damage](checkpoints / "step-12" / "__0_0.distcp")
    shutil.rmtree(tmp_path / "damaged" / "model")
    warned = []
    train(recipe, tmp_path / "damaged", warn=warned.append)
    assert len(warned) == 1 and "step-12 is damaged" in warned[0] and "goes on from step-9" in warned[0]
    (event,) = read_events(tmp_path / "damaged" / "events.jsonl")
    assert (event.step, event.kind, event.text) == (9, "damaged_checkpoint", warned[0])
    assert names(checkpoints) == ["damaged-step-12", "step-12", "step-9"]
    assert_same_run(tmp_path / "whole", tmp_path / "damaged", recipe)


def test_the_command_line_warns_and_refuses(recipe, tmp_path, capsys):
    from spanmix.cli import main

    two = replace(recipe, run=replace(recipe.run, num_steps=2, save_every_steps=1))
    (tmp_path / "recipe.yaml").write_text(to_yaml(two))
    command = ["train", str(tmp_path / "recipe.yaml"), "--out", str(tmp_path / "run")]
    assert main(command) == 0
    flip(tmp_path / "run" / "checkpoints" / "step-2" / "state.json")
    capsys.readouterr()
    assert main(command) == 0
    warnings = [line for line in capsys.readouterr().err.splitlines() if "warning" in line]
    assert len(warnings) == 1 and warnings[0].startswith("spanmix: warning: the checkpoint ")
    for step in (1, 2):
        flip(tmp_path / "run" / "checkpoints" / f"step-{step}" / "state.json")
    before = names(tmp_path / "run" / "checkpoints")
    assert main(command) == 2
    assert "no checkpoint of this run is whole" in capsys.readouterr().err
    assert names(tmp_path / "run" / "checkpoints") == before
