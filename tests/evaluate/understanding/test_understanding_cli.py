"""The tasks of understanding, as `spanmix evaluate` asks for them."""

import argparse
import json

import pytest

from spanmix.cli import understanding
from spanmix.cli.understanding import add_understanding, measure_understanding, print_understanding
from spanmix.config import CorpusConfig, SourceFilesConfig, TokenizerConfig
from spanmix.errors import InputError
from spanmix.model.folder import save_model_folder
from spanmix.text.corpus import Corpus
from spanmix.text.pipeline import prepare


@pytest.fixture(scope="module")
def place(made_up_folder, make_decoder, tmp_path_factory):
    """A corpus of the made-up files, and a tiny model of it."""
    folder = tmp_path_factory.mktemp("understanding")
    source = SourceFilesConfig("code", (str(made_up_folder),))
    config = CorpusConfig("", (source,), held_out_share=0.5)
    prepare(config, TokenizerConfig(vocab_size=448, num_sentinels=9), folder / "corpus")
    tokenizer = Corpus.open(folder / "corpus").tokenizer
    save_model_folder(folder / "model", make_decoder(1, 16, 2, 8, 128, vocab_size=448), tokenizer, {})
    return folder


@pytest.fixture(autouse=True)
def one_thread(monkeypatch):
    """Tests beside this one have the other processors."""
    monkeypatch.setattr(understanding, "_num_threads", lambda: 1)


def arguments(place, *flags):
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", default=str(place / "model"))
    parser.add_argument("--corpus")
    parser.add_argument("--seed", type=int, default=0)
    add_understanding(parser)
    return parser.parse_args(flags)


def test_sets_of_a_corpus_are_made_measured_and_kept(place, tmp_path, capsys):
    kept = tmp_path / "kept"
    flags = ["--corpus", str(place / "corpus"), "--tuned", str(kept), "--max-examples", "40"]
    args = arguments(place, *flags, "--fine-tune-epochs", "1", "--fine-tune-tokens", "64")
    results = measure_understanding(args, ["defects", "clones"])
    assert [(r["task"], r["representation"]) for r in results] == [
        (task, name) for task in ("defects", "clones") for name in ("causal", "bidirectional")
    ]
    json.dumps(results, allow_nan=False)
    assert results[0]["place"].startswith(f"the corpus {place / 'corpus'} (")
    assert {path.name for path in kept.iterdir()} == {
        "defects", "clones", "defects.causal.predictions.jsonl", "defects.bidirectional.predictions.jsonl",
        "clones.causal.predictions.jsonl", "clones.bidirectional.predictions.jsonl",
    }  # fmt: skip
    print_understanding(results)
    printed = capsys.readouterr()
    assert "clones: seeing all of the text changes the accuracy by" in printed.out
    assert "defects, causal, all trained" in printed.out
    assert "defects: a set is made of the corpus" in printed.err

    # What was kept is a set like any other.
    args = arguments(place, "--head-only", "--representation", "causal", "--max-examples", "10")
    [again] = measure_understanding(args, [f"defects={kept / 'defects'}"])
    assert again["examples_read"] == results[0]["examples"] and again["examples"]["train"] == 10
    assert "10 of the 40 examples of train are taken" in capsys.readouterr().err


def test_a_set_is_made_of_a_folder_of_python(place, made_up_folder):
    args = arguments(place, "--head-only", "--representation", "bidirectional", "--max-examples", "30")
    [found] = measure_understanding(args, [f"clones={made_up_folder}"])
    assert found["examples"]["train"] == 30 and found["trained"] == "head"


def test_a_model_that_cannot_be_trained_is_refused(place, tmp_path):
    args = arguments(place, "--model", "http://localhost:1/v1")
    with pytest.raises(
        InputError, match=r"http://localhost:1/v1 is a server, and fine-tuning needs the weights"
    ):
        measure_understanding(args, ["defects"])
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "model.bin").write_bytes(b"")
    args = arguments(place, "--model", str(tmp_path))
    with pytest.raises(InputError, match="is a CTranslate2 folder, which cannot be trained"):
        measure_understanding(args, ["defects"])


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        (["defect"], "--tasks: there is no 'defect' .did you mean 'defects'"),
        (["defects", "defects=x"], "--tasks names defects twice"),
        (["clones="], "--tasks clones= names no folder; give clones=FOLDER"),
        (["boolq-tuned"], "--tasks boolq-tuned names no folder; give boolq-tuned=FOLDER"),
        (["clones"], "give clones=FOLDER with its files, or --corpus"),
        (["clones=no/such"], "there is no folder no/such"),
    ],
)
def test_what_cannot_be_asked_is_told(place, asked, told):
    with pytest.raises(InputError, match=told):
        measure_understanding(arguments(place), asked)


def test_other_errors_come_before_all_work(place):
    with pytest.raises(InputError, match=r"learning_rate is -1\.0"):
        measure_understanding(arguments(place, "--fine-tune-lr", "-1"), ["defects"])
