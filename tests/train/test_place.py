"""Where a run can be written is known before any work is done."""

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from spanmix.cli import main
from spanmix.errors import InputError
from spanmix.files import require_makable
from spanmix.recipes import to_yaml
from spanmix.train.export import export_model
from spanmix.train.run import train


@pytest.fixture
def short(recipe):
    return replace(recipe, run=replace(recipe.run, num_steps=1))


def test_a_link_as_out_is_followed_also_where_nothing_is_yet(short, tmp_path):
    (tmp_path / "link").symlink_to("disk/run")
    train(short, tmp_path / "link")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "disk" / "run" / "model" / "config.json").is_file()


def test_the_models_place_as_a_link_is_followed(short, tmp_path):
    (tmp_path / "run").mkdir()
    train(short, tmp_path / "run")
    (tmp_path / "run" / "model").rename(tmp_path / "elsewhere")
    (tmp_path / "run" / "model").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "README.md").unlink()
    train(short, tmp_path / "run")
    assert (tmp_path / "run" / "model").is_symlink()
    assert (tmp_path / "elsewhere" / "README.md").is_file()


def test_places_that_cannot_hold_a_run_are_refused_before_the_corpus_is_read(short, tmp_path, monkeypatch):
    monkeypatch.setattr("spanmix.train.run.Corpus", None)
    (tmp_path / "file").write_text("mine")
    (tmp_path / "circle").symlink_to("circle")
    (tmp_path / "run" / "model").mkdir(parents=True)
    (tmp_path / "run" / "recipe.yaml").write_text(to_yaml(short))
    (tmp_path / "run" / "run.json").write_text("{}")
    (tmp_path / "run" / "model" / "thesis").write_text("mine")
    places = {"file": "is a file", "circle": "in a circle", "run": "is not a model folder", ".": "'circle'"}
    for name, said in places.items():
        with pytest.raises(InputError, match=said):
            train(short, tmp_path / name)
    (tmp_path / "run" / "model" / "thesis").unlink()
    monkeypatch.setattr(Path, "is_mount", lambda path: path.name == "model")
    with pytest.raises(InputError, match="model is a mount point"):
        train(short, tmp_path / "run")


@pytest.mark.parametrize(("out", "said"), [("", "--out is empty"), (os.fsdecode(b"r\xff"), "not UTF-8")])
def test_an_out_that_is_no_name_is_refused(capsys, short, tmp_path, monkeypatch, out, said):
    monkeypatch.chdir(tmp_path)
    Path("recipe.yaml").write_text(to_yaml(short))
    assert main(["train", "recipe.yaml", "--out", out]) == 2
    assert said in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["recipe.yaml"]


KILLED = """
import os, signal, sys
from pathlib import Path
from spanmix.recipes import load_recipe
from spanmix.train import run, run_folder
run_folder.write_text = lambda path, text: os.kill(os.getpid(), signal.SIGKILL)
run.train(load_recipe(sys.argv[1]), Path(sys.argv[2]))
"""


def test_a_run_killed_while_it_was_written_down_is_started_anew(short, tmp_path, run_forked):
    (tmp_path / "recipe.yaml").write_text(to_yaml(short))
    out = tmp_path / "run"
    assert run_forked(KILLED, tmp_path / "recipe.yaml", out).returncode == -9
    (out / ".recipe.yaml.partial-123").write_text("corpus:")  # killed a moment later
    assert sorted(path.name for path in out.iterdir()) == [".recipe.yaml.partial-123", "lock", "run.json"]
    assert (train(short, out) / "config.json").is_file()


def test_a_run_json_of_another_program_is_left_alone(short, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "run.json").write_text(json.dumps({"command": "make"}))
    with pytest.raises(InputError, match=r"neither empty nor a run: it holds 'run\.json'"):
        train(short, tmp_path / "run")


PLACES = {
    "a file as parent": ("file/run", "file is a file"),
    "no place for files": ("/proc/run", "nothing can be written to /proc/run"),
    "too long a name": ("n" * 300, "File name too long|300 bytes, and"),
    "too long while it is replaced": ("n" * 245, "245 bytes, and 237 is the most"),
    "too long a path": ("n/" * 3000 + "n", "File name too long"),
}


@pytest.mark.parametrize(("place", "said"), PLACES.values(), ids=PLACES)
def test_places_that_cannot_be_made_are_refused_before_any_work(short, finished, tmp_path, place, said):
    (tmp_path / "file").write_text("mine")
    before = sorted(tmp_path.iterdir())
    with pytest.raises(InputError, match=said):
        train(replace(short, corpus=replace(short.corpus, path="/nowhere")), tmp_path / place)
    with pytest.raises(InputError, match=said):
        export_model(finished[1], tmp_path / place)
    assert sorted(tmp_path.iterdir()) == before


def test_a_read_only_file_system_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr("os.access", lambda path, mode: False)
    with pytest.raises(InputError, match=r"Permission denied; name another place"):
        require_makable(tmp_path)
    flags = type("Flags", (), {"f_flag": os.ST_RDONLY})
    monkeypatch.setattr("os.statvfs", lambda path: flags)
    with pytest.raises(InputError, match="Read-only file system"):
        require_makable(tmp_path)


def test_a_folder_with_a_recipe_of_ones_own_is_no_run(short, tmp_path):
    (tmp_path / "recipe.yaml").write_text(to_yaml(short))
    with pytest.raises(InputError, match=r"neither empty nor a run: it holds 'recipe\.yaml'"):
        train(short, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["recipe.yaml"]


def test_what_killed_starts_left_aside_is_cleared_and_nothing_else(finished):
    recipe, out = finished
    ours = [f".{name}.partial-7" for name in ("run.json", "recipe.yaml", "metrics.jsonl", "events.jsonl")]
    for name in [*ours, ".notes.partial-7"]:
        (out / name).write_text("torn")
    train(recipe, out)
    assert [path.name for path in out.glob(".*.partial-*")] == [".notes.partial-7"]


def test_a_corpus_that_is_there_and_no_folder_is_not_said_to_be_missing(short, tmp_path):
    (tmp_path / "file").write_text("mine")
    wrong = replace(short, corpus=replace(short.corpus, path=str(tmp_path / "file")))
    with pytest.raises(InputError, match="file is not a folder"):
        train(wrong, tmp_path / "run")
