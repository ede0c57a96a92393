"""`spanmix prepare` takes what it needs and no more, and says in one paragraph what it cannot take."""

import json
import os

import pytest

from spanmix.cli import main


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    """Two files of code in the folder ``code.yaml``, which is the current one's only entry."""
    (tmp_path / "code.yaml").mkdir()
    for i in range(2):
        (tmp_path / "code.yaml" / f"{i}.py").write_text(f"def area_{i}(r):\n    return {i} * r * r\n" * 9)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def refusal(capsys, *arguments: str) -> str:
    assert main(["prepare", *arguments]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "fault of Spanmix" not in error
    return error


def test_a_recipe_of_corpus_and_tokenizer_alone(capsys, here):
    sources = "[{name: code, paths: [code.yaml]}]"
    (here / "part.yaml").write_text(
        f"corpus: {{path: out, sources: {sources}}}\ntokenizer: {{vocab_size: 512}}"
    )
    assert main(["prepare", "part.yaml", "--out", "out", "--held-out-share", "0.4", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["vocab_size"] == 512 and report["settings"]["held_out_share"] == 0.4


def test_a_folder_is_a_source_whatever_its_name(here):
    assert main(["prepare", "code.yaml", "--out", "out", "--vocab-size", "512"]) == 0
    assert (here / "out" / "code.yaml.bin").is_file()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--out", os.fsdecode(b"\xff")), "not UTF-8"),
        (("--out", ""), "--out is empty"),
        (("--out", "out", "--vocab-size", "64000000000"), "tokenizer.vocab_size is 64000000000"),
        (("--out", "out", "--held-out-share", "nan"), "corpus.held_out_share is nan"),
    ],
)
def test_what_cannot_be_made_is_refused_before_the_work(capsys, here, arguments, said):
    assert said in refusal(capsys, "code.yaml", *arguments)
    assert [path.name for path in here.iterdir()] == ["code.yaml"]
