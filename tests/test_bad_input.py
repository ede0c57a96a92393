"""Every kind of bad input, through the command line: one paragraph, exit code 2, nothing half-written."""

import json
import re

import pytest

from spanmix.cli import main
from spanmix.recipes import to_yaml
from spanmix.text.tokenizer import Tokenizer
from spanmix.train.run_folder import locked


def refuse(capsys, *arguments: object) -> str:
    """Run a command that must fail with exit code 2; return its one paragraph."""
    capsys.readouterr()
    assert main([str(argument) for argument in arguments]) == 2
    printed = capsys.readouterr()
    assert printed.out == "" and "Traceback" not in printed.err
    paragraphs = [line for line in printed.err.splitlines() if line.startswith("spanmix: ")]
    assert paragraphs == printed.err.splitlines()[-1:]
    return paragraphs[0]


def listing(folder):
    """Names and bytes of all files under a folder."""
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def sources(tmp_path):
    folder = tmp_path / "sources"
    folder.mkdir()
    return folder


def prepare(folder, out):
    return "prepare", folder, "--out", out, "--vocab-size", "512"


BAD_FILES = {
    "empty folder": ({}, "no file was found"),
    "binaries": ({"a.png": b"\x89PNG\0\0", "b.bin": bytes(range(256))}, "binary"),
    "not UTF-8": ({"latin.py": b"name = 'caf\xe9'\n"}, "UTF-8"),
    "NUL bytes": ({"zero.py": b"a = 1\n\0\0\n"}, "NUL"),
    "a line of 50 MB": ({"data.js": b"0," * 25_000_000}, "1 longer than 16,000,000 bytes"),
}


@pytest.mark.parametrize("kind", BAD_FILES)
def test_sources_without_usable_text(capsys, sources, tmp_path, kind):
    files, said = BAD_FILES[kind]
    for name, content in files.items():
        (sources / name).write_bytes(content)
    message = refuse(capsys, *prepare(sources, tmp_path / "corpus"))
    assert str(sources) in message and said in message
    assert not (tmp_path / "corpus").exists()


def test_bad_files_among_good_ones_are_left_out_and_counted(capsys, sources, tmp_path):
    for i in range(20):
        (sources / f"good_{i}.py").write_text(f"def function_{i}():\n    return {i} * {i}\n" * 5)
    for files, _ in BAD_FILES.values():
        for name, content in files.items():
            (sources / name).write_bytes(content)
    assert main([str(argument) for argument in prepare(sources, tmp_path / "corpus")] + ["--json"]) == 0
    source = json.loads(capsys.readouterr().out)["sources"]["sources"]
    assert sum(source["dropped"].values()) - source["dropped"].get("exact copy", 0) == 5


@pytest.fixture
def recipe_file(recipe, tmp_path):
    """A recipe of one step, as a file."""
    text = to_yaml(recipe).replace("num_steps: 12", "num_steps: 1")
    path = tmp_path / "recipe.yaml"
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (
            "learning_rate:",
            "learing_rate:",
            r"optimizer\.learing_rate \(did you mean 'learning_rate'",
        ),
        ("seed: 1\n  num_steps", "seed: one\n  num_steps", r"run\.seed is 'one'"),
        ("row_tokens: 64", "row_tokens: 64.5", r"data\.row_tokens is 64\.5"),
    ],
)
def test_a_recipe_with_a_mistake(capsys, recipe_file, tmp_path, old, new, said):
    text = recipe_file.read_text()
    assert old in text
    recipe_file.write_text(text.replace(old, new))
    message = refuse(capsys, "train", recipe_file, "--out", tmp_path / "run")
    assert "recipe.yaml" in message and re.search(said, message)
    assert not (tmp_path / "run").exists()


def test_a_corpus_made_with_another_tokenizer(capsys, recipe_file, tmp_path):
    Tokenizer.train(["another text\n" * 9], vocab_size=384, num_sentinels=16).save(tmp_path / "other")
    overrides = [f"tokenizer.path={tmp_path / 'other'}"]
    message = refuse(capsys, "train", recipe_file, "--out", tmp_path / "run", *overrides)
    assert "another tokenizer" in message
    assert not (tmp_path / "run").exists()


@pytest.fixture
def corpus_copy(corpus_folder, tmp_path):
    import shutil

    return shutil.copytree(corpus_folder, tmp_path / "copy")


def test_a_truncated_token_file(capsys, recipe_file, corpus_copy, tmp_path):
    data = (corpus_copy / "code.bin").read_bytes()
    (corpus_copy / "code.bin").write_bytes(data[:-2])
    arguments = ("train", recipe_file, "--out", tmp_path / "run", f"corpus.path={corpus_copy}")
    message = refuse(capsys, *arguments)
    assert "code.bin" in message and f"{len(data):,}" in message and f"{len(data) - 2:,}" in message
    assert not (tmp_path / "run").exists()


def test_a_swapped_tokenizer_inside_the_corpus(capsys, recipe_file, corpus_copy, tmp_path):
    Tokenizer.train(["another text\n" * 9], vocab_size=512, num_sentinels=16).save(corpus_copy / "tokenizer")
    arguments = ("train", recipe_file, "--out", tmp_path / "run", f"corpus.path={corpus_copy}")
    assert "another tokenizer" in refuse(capsys, *arguments)


def test_what_a_finished_run_refuses(capsys, recipe_file, tmp_path):
    out = tmp_path / "run"
    assert main(["train", str(recipe_file), "--out", str(out)]) == 0
    before = listing(out)
    changed = refuse(capsys, "train", recipe_file, "--out", out, "optimizer.learning_rate=0.5")
    assert "optimizer.learning_rate: 0.003 -> 0.5" in changed
    with locked(out):
        assert "another process" in refuse(capsys, "train", recipe_file, "--out", out)
    assert listing(out) == before


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--temperature", "1e-320"], "temperature is 1e-320; use 0 (greedy), or a number from 0.000001"),
        (["--temperature", "nan"], "temperature is nan"),
        (["--temperature", "inf"], "temperature is inf"),
        (["--top-p", "1.5"], "top_p is 1.5"),
        (["--top-k", "-1"], "top_k is -1"),
        (["--max-tokens", "0"], "max_tokens is 0"),
        (["--max-tokens", "many"], "--max-tokens"),
        (["--seed", "1.5"], "--seed"),
        (["--stop", "caf\udce9"], "--stop: 'caf\\udce9' is not UTF-8 text"),
        (["--prompt", "caf\udce9"], "--prompt: 'caf\\udce9' is not UTF-8 text"),
    ],
)
def test_a_value_out_of_range_is_refused_before_the_model_is_opened(capsys, flags, said):
    assert said in refuse(capsys, "complete", "no/such/model", "--prompt", "p", *flags)


def test_names_that_are_not_utf8(capsys):
    assert "MODEL: 'm\\udce9' is not UTF-8" in refuse(capsys, "complete", "m\udce9", "--prompt", "p")
    assert "--corpus: 'c\\udce9'" in refuse(capsys, "evaluate", "m", "--corpus", "c\udce9")


def test_preparing_leaves_the_neighbours_of_its_folder_alone(sources, tmp_path):
    (sources / "a.py").write_text("def area(r):\n    return 3 * r * r\n" * 9)
    for ending in ("lock", "partial", "replaced"):
        (tmp_path / f"poetry.{ending}").write_text("mine")
    before = {path: path.read_text() for path in tmp_path.glob("poetry.*")}
    assert main([str(argument) for argument in prepare(sources, tmp_path / "poetry")]) == 0
    assert {path: path.read_text() for path in before} == before and len(before) == 3
