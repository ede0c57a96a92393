"""The demo looks at what it is given before it works, and goes on from whatever it finds."""

import json
import os
import signal
from dataclasses import asdict

import pytest

from spanmix.cli import main
from spanmix.demo.length import steps_for
from spanmix.demo.run import _KeptXz
from spanmix.errors import InputError, StoppedEarlyError
from spanmix.evaluate.compressors import XzAfterTraining
from spanmix.files import read_json, write_json


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        *((["--minutes", value], f"--minutes is {value}") for value in ("0", "-1", "nan", "inf", "1e+09")),
        (["--out", "file"], "file is a file"),
        (["--out", "file/below"], "file is a file"),
        (["--out", ""], "--out is empty"),
        (["--out", "old"], "results.json is a folder"),
    ],
)
def test_the_demo_looks_at_its_values_before_it_gathers(capsys, tmp_path, monkeypatch, arguments, said):
    def gather(*_):
        raise AssertionError("it gathers")

    monkeypatch.setattr("spanmix.demo.corpus.gather", gather)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("mine")
    (tmp_path / "old" / "results.json").mkdir(parents=True)
    before = sorted(tmp_path.rglob("*"))
    assert main(["demo", *arguments]) == 2
    assert said in capsys.readouterr().err
    assert sorted(tmp_path.rglob("*")) == before


def test_a_run_that_was_killed_before_its_first_figures_is_timed_anew(recipe, tmp_path, monkeypatch):
    line = {"step": 1, "rows": 4, "tokens": 9, "kind": "train", "name": "loss", "value": 5.0}
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "metrics.jsonl").write_text(json.dumps(line) + "\n")
    monkeypatch.setattr("spanmix.demo.length._timed_rate", lambda *_: 2.0)
    assert steps_for(recipe, None, tmp_path, 5, print).run.num_steps == 600
    monkeypatch.setattr("spanmix.demo.length._timed_rate", lambda *_: 9.0)
    assert steps_for(recipe, None, tmp_path, 5, print).run.num_steps == 600


@pytest.mark.parametrize("content", ["", "[]", '{"5": "many"}'])
def test_a_damaged_length_is_named(recipe, tmp_path, content):
    (tmp_path / "length.json").write_text(content)
    with pytest.raises(InputError, match=r"length\.json"):
        steps_for(recipe, None, tmp_path, 5, print)


def test_what_xz_took_is_read_back(tmp_path):
    kept = _KeptXz("fingerprint", {"code": XzAfterTraining(1.5, 4, 3, 2, 1)})
    write_json(tmp_path / "xz.json", asdict(kept))
    assert read_json(tmp_path / "xz.json", _KeptXz) == kept


def test_sigterm_stops_the_training_of_the_demo_with_3(capsys, tmp_path, monkeypatch):
    def train(recipe, out, make_hooks, report, stop):
        with stop as should_stop:
            assert not should_stop()
            os.kill(os.getpid(), signal.SIGTERM)
            assert should_stop()
        raise StoppedEarlyError("stopped and saved")

    monkeypatch.setattr("spanmix.demo.run.demo_corpus", lambda *_: None)
    monkeypatch.setattr("spanmix.demo.run.steps_for", lambda base, *_: base)
    monkeypatch.setattr("spanmix.demo.run.train", train)
    assert main(["demo", "--out", str(tmp_path / "demo")]) == 3
    assert "stopped and saved" in capsys.readouterr().err
