"""A run that is killed at any point of a save in the background goes on as if it had not been."""

from spanmix.recipes import to_yaml
from spanmix.train.run import train

# Holds what is done with the checkpoint of a step at one point, makes its last step and kills itself.
KILLED = """
import os, signal, sys, threading
from pathlib import Path
from torch.distributed.checkpoint.filesystem import FileSystemWriter
from spanmix import files
from spanmix.recipes import load_recipe
from spanmix.train import checkpoint
from spanmix.train.run import train
recipe, out, step, point, last = sys.argv[1:]
there = threading.Event()
def hold(owner, name, when):
    act = getattr(owner, name)
    def held(*arguments, **options):
        if when(str(arguments[0])):
            there.set()
            threading.Event().wait()
        return act(*arguments, **options)
    setattr(owner, name, held)
aside = f".step-{step}.spanmix-partial"
if point == "tensors":
    hold(FileSystemWriter, "write_data", lambda _: (Path(out) / "checkpoints" / aside).is_dir())
elif point == "rename":
    hold(Path, "rename", lambda path: path.endswith(aside))
elif point == "deletion":
    hold(checkpoint.shutil, "rmtree", lambda path: path.endswith(aside))
def report(done, total, metrics):
    if done == int(last):
        there.wait()
        os.kill(os.getpid(), signal.SIGKILL)
train(load_recipe(recipe), Path(out), report=report)
"""
KILLS = [
    # checkpoint, point, last step, checkpoints that are whole then
    (3, "tensors", 4, []),
    (6, "rename", 8, ["step-3"]),
    (3, "deletion", 10, ["step-6", "step-9"]),  # as there are two newer ones
]


def test_a_kill_at_any_point_of_a_save_changes_nothing(
    recipe, tmp_path, run_forked, whole_run, assert_same_run
):
    (tmp_path / "recipe.yaml").write_text(to_yaml(recipe))
    run = tmp_path / "run"
    while_saving = 0
    for step, point, last, whole in KILLS:
        ended = run_forked(KILLED, tmp_path / "recipe.yaml", run, step, point, last)
        assert ended.returncode == -9, ended.stderr
        found = sorted(path.name for path in (run / "checkpoints").iterdir())
        assert found == [f".step-{step}.spanmix-partial", *whole], (point, found)
        while_saving += 1
    assert while_saving == 3
    train(recipe, run)
    assert_same_run(whole_run, run, recipe)
    assert sorted(path.name for path in (run / "checkpoints").iterdir()) == ["step-12", "step-9"]
