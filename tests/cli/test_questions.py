"""`spanmix evaluate` asks questions of published files, and writes what lm-eval reads."""

import json

import pytest

from spanmix.cli import main
from spanmix.errors import InputError
from spanmix.evaluate.choice.readers import read_items
from spanmix.evaluate.choice.score import score_choices
from spanmix.generate.torch_engine import TorchEngine
from spanmix.model.folder import load_model_folder, save_model_folder

PIQA = [{"goal": "add", "sol1": "a + b", "sol2": "a - b"}, {"goal": "print", "sol1": "return", "sol2": "b"}]
LAMBADA = [{"text": "return a + b"}, {"text": "def add a class"}, {"text": "pass pass pass"}]
XSUM = [{"document": "A man adds a to b. " * 9, "summary": "He adds."}]


def write_lines(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture(scope="module")
def files(make_decoder, tokenizer, tmp_path_factory):
    place = tmp_path_factory.mktemp("questions")
    save_model_folder(place / "model", make_decoder(1, 32, 1, 8, 1024), tokenizer, {})
    write_lines(place / "piqa.jsonl", PIQA)
    (place / "piqa-labels.lst").write_text("0\n1\n")
    write_lines(place / "lambada.jsonl", LAMBADA)
    write_lines(place / "xsum.jsonl", XSUM)
    return place


def test_figures_are_those_of_the_library(files, capsys):
    asked = ",".join(f"{name}={files / name}.jsonl" for name in ("piqa", "lambada", "xsum"))
    model, out, lm_eval = files / "model", files / "out" / "all.json", files / "lm" / "results.json"
    verb = ["evaluate", str(model), "--tasks", asked]
    assert main([*verb, "--out", str(out), "--lm-eval", str(lm_eval)]) == 0
    printed = capsys.readouterr()
    assert "piqa, 2 questions" in printed.out and "rougeL" in printed.out and "perplexity" in printed.out
    found = json.loads(out.read_text())
    decoder, tokenizer = load_model_folder(model)
    engine = TorchEngine(decoder, pack=True)
    for name in ("piqa", "lambada"):
        result = score_choices(engine, tokenizer, name, read_items(name, files / f"{name}.jsonl"))
        told = found["questions"][name]
        assert told["figures"]["acc"]["interval"]["value"] == result.figures["acc"].interval.value
        assert [tuple(item["logprobs"]) for item in told["items"]] == [item.logprobs for item in result.items]
    assert found["how"]["weights_sha256"] and found["how"]["machine"]["torch"]
    theirs = json.loads(lm_eval.read_text())
    assert list(theirs["results"]) == ["piqa", "lambada_openai"]
    assert (
        theirs["results"]["piqa"]["acc,none"]
        == found["questions"]["piqa"]["figures"]["acc"]["interval"]["value"]
    )
    assert theirs["higher_is_better"]["lambada_openai"] == {"acc": True, "perplexity": False}
    assert theirs["n-samples"]["lambada_openai"] == {"original": 3, "effective": 3}
    assert main([*verb, "--json", "--start"]) == 0
    started = json.loads(capsys.readouterr().out)["questions"]
    assert started["piqa"]["start"] and not found["questions"]["piqa"]["start"]
    assert started["piqa"]["items"] != found["questions"]["piqa"]["items"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (["--tasks", "piqa"], "there is no 'piqa' (did you mean 'piqa=FILE'?)"),
        (["--tasks", "piqa=absent.jsonl"], "absent.jsonl is missing"),
        (["--tasks", "piqa="], "piqa has no file; give one, as in piqa=FILE"),
        (["--tasks", "piqa=piqa.jsonl,piqa=other.jsonl"], "--tasks names piqa twice"),
        (["--tasks", "lambada=piqa.jsonl"], "text"),
        (["--tasks", "boolq=xsum.jsonl", "--tokenizer", "model"], "passage"),
        (["--tasks", "lambada=lambada.jsonl", "--tokenizer", "model"], "--tokenizer is for servers"),
        (["--tasks", "lambada=lambada.jsonl", "--lm-eval", "model"], "model is a folder"),
        (["--tasks", "lambada=lambada.jsonl,defects"], "give defects=FOLDER"),
        (["--tasks", "lambada=lambada.jsonl,boolq-tuned=absent"], "there is no folder absent"),
    ],
)
def test_what_cannot_be_asked_is_refused(files, capsys, monkeypatch, changes, message):
    monkeypatch.chdir(files)
    assert main(["evaluate", "model", *changes]) == 2
    assert message in capsys.readouterr().err


def test_what_was_measured_is_kept_when_a_later_task_fails(files, capsys, monkeypatch):
    out = files / "kept.json"

    def fails(*_):
        raise InputError("no such set")

    monkeypatch.setattr("spanmix.cli.evaluate.measure_understanding", fails)
    tasks = f"piqa={files / 'piqa.jsonl'},boolq-tuned={files}"
    assert main(["evaluate", str(files / "model"), "--tasks", tasks, "--out", str(out)]) == 2
    printed = capsys.readouterr()
    assert "piqa, 2 questions" in printed.out and f"what was measured before is in {out}" in printed.err
    assert set(json.loads(out.read_text())) == {"how", "questions"}
