"""`spanmix prepare` takes what it needs and no more, and says in one paragraph what it cannot take."""

import errno
import json
import os
import signal

import pytest

from spanmix.cli import main
from spanmix.cli.corpus_recipes import RECIPES
from spanmix.cli.recipe_inputs import corpus_recipe
from spanmix.errors import InputError
from spanmix.recipes import builtin_recipes, load_corpus_recipe
from spanmix.text import corpus
from spanmix.text.corpus import Corpus
from spanmix.text.preparation import encode_partition


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
        (("--out", "out", "--held-out-share", "nan"), "corpus.held_out_share is 'nan'"),
    ],
)
def test_what_cannot_be_made_is_refused_before_the_work(capsys, here, arguments, said):
    assert said in refusal(capsys, "code.yaml", *arguments)
    assert [path.name for path in here.iterdir()] == ["code.yaml"]


def paths_of(*inputs):
    return {source.name: source.paths for source in corpus_recipe(inputs, "out").corpus.sources}


def test_a_mistyped_recipe_is_answered_with_the_nearest_and_all(capsys):
    error = refusal(capsys, "local-pyton", "--out", "out")
    assert "there is no recipe, folder or file 'local-pyton' (did you mean 'local-python'?)" in error
    assert all(name in error for name in RECIPES)
    error = refusal(capsys, "qqqq", "code.yaml", "--out", "out")
    assert "did you mean" not in error and all(error.count(name) == 1 for name in RECIPES)
    assert "nowhere does not exist" in refusal(capsys, "code.yaml", "nowhere", "--out", "out")


def test_help_has_a_line_for_every_recipe_of_a_corpus(capsys):
    named = sorted(name for name, path in builtin_recipes().items() if "corpora" in str(path))
    assert sorted(RECIPES) == named and len(named) >= 4
    with pytest.raises(SystemExit):
        main(["prepare", "--help"])
    lines = capsys.readouterr().out.splitlines()
    for name, about in RECIPES.items():
        assert any(line.split() == [name, *about.split()] for line in lines)


def test_a_named_path_takes_the_place_of_those_of_the_recipe():
    before = {source.name: source.paths for source in load_corpus_recipe("local-python").corpus.sources}
    assert before["code"] and before["prose"]
    assert paths_of("local-python", "code=a", "code=b") == before | {"code": ("a", "b")}
    assert paths_of("my-repositories", "a", "b") == {"code": ("a", "b")}
    assert paths_of("my-repositories", "code=a", "corpus.seed=3") == {"code": ("a",)}
    assert corpus_recipe(["my-repositories", "a", "corpus.seed=3"], "out").corpus.seed == 3
    with pytest.raises(InputError, match=r"has paths for all its sources.* takes the place of: code=a"):
        paths_of("local-python", "a")


def test_sources_without_a_recipe_may_be_named_too(here):
    (here / "a=b").write_text("x = 1\n")
    assert paths_of("code=a", "prose=b", "code=c", "code.yaml") == {
        "code": ("a", "c"),
        "prose": ("b",),
        "code.yaml": ("code.yaml",),
    }
    assert paths_of("code.yaml", "a=b") == {"code.yaml": ("code.yaml",), "a_b": ("a=b",)}
    recipe = corpus_recipe(["code.yaml", "corpus.redaction={}", "corpus.seed=3"], "out", ["corpus.seed=4"])
    assert recipe.corpus.redaction is not None and recipe.corpus.seed == 4
    with pytest.raises(InputError, match="one=x/src two=y/src, or make them one, as src=x/src src=y/src"):
        paths_of("code.yaml", "x/src", "y/src")
    with pytest.raises(InputError, match="fields alone make no corpus"):
        paths_of("corpus.seed=3")
    with pytest.raises(InputError, match=r"unknown key corpus\.sed"):
        paths_of("code.yaml", "corpus.sed=3")


def test_what_is_read_is_said_first_and_that_nothing_was_left_to_do(capsys, monkeypatch):
    monkeypatch.setattr(corpus, "_QUIET_BYTES", 0)  # so that checking is a stage, as for a large corpus
    command = ["prepare", "code.yaml", "--out", "out", "--vocab-size", "512"]
    assert main(command) == 0
    assert capsys.readouterr().err.splitlines()[0] == "sources: code.yaml from code.yaml"
    assert main(command) == 0
    again = capsys.readouterr()
    said = "spanmix: out was made of the same recipe and files before, and is whole"
    assert said in again.err.splitlines() and "check: " in again.err
    assert "sources:" not in again.err and "code.yaml, train" in again.out


@pytest.mark.parametrize(
    ("out", "said"),
    [
        ("file/out", "file is a file; name a folder"),
        ("file", "--out: "),
        ("/proc/nothing", "nothing can be written to /proc/nothing"),
        ("code.yaml", "--out code.yaml is the folder of source code.yaml"),
        ("a" * 300, "name another"),
    ],
)
def test_a_place_where_no_corpus_can_be_is_refused_before_reading(capsys, here, out, said):
    (here / "file").write_text("mine")
    before = sorted(path.relative_to(here) for path in here.rglob("*"))
    error = refusal(capsys, "code.yaml", "--out", out)
    assert said in error and "--out" in error and "sources:" not in error
    assert sorted(path.relative_to(here) for path in here.rglob("*")) == before


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device", "train.bin"),
        OSError("2432 requested and 992 written"),  # NumPy's
        Exception("No space left on device (os error 28)"),  # that of the library tokenizers
    ],
)
def test_a_full_disk_leaves_nothing_and_says_what_to_do(capsys, here, monkeypatch, error):
    def full(job, folder):
        (folder / "train.bin").write_bytes(b"x" * 9)
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(encode_partition, "_encode", full)
        assert main(["prepare", "code.yaml", "--out", "new/out", "--vocab-size", "512"]) == 1
    error = capsys.readouterr().err.splitlines()[-1]
    assert "--out new/out" in error and "No space left on device" in error and "make room" in error
    assert [path.name for path in here.iterdir()] == ["code.yaml"]
    assert main(["prepare", "code.yaml", "--out", "new/out", "--vocab-size", "512"]) == 0
    assert Corpus.open("new/out").report.sources["code.yaml"].read.kept == 2


def test_a_recipe_of_another_ending_or_a_slip_is_suggested(capsys, here):
    (here / "mine.yaml").write_text("corpus: {path: out}")
    for name in ("mine.yml", "mine", "mien.yaml"):
        assert "did you mean 'mine.yaml'?" in refusal(capsys, name, "--out", "out")
    assert "did you mean 'the-stack'?" in refusal(capsys, "the-stak", "--out", "out")


def test_a_recipe_without_paths_says_how_to_name_some(capsys, here):
    said = refusal(capsys, "my-repositories", "--out", "out")
    assert "source code has no paths" in said and "code=FOLDER" in said


def test_a_pattern_in_the_place_of_a_field_is_to_be_quoted(capsys, here):
    for text in ("*.rs", "[*.rs]", "[a, *.rs]"):
        said = refusal(capsys, "code=.", f"corpus.sources.0.include={text}", "--out", "out")
        assert "*.rs begins with *" in said and """'corpus.sources.0.include=["*.rs"]'""" in said
    assert "not valid YAML" in refusal(capsys, "code=.", "corpus.seed=[1]]", "--out", "out")


def test_a_value_of_a_wrong_type_is_named_by_its_field(capsys, here):
    wrong = {
        "filters={preset: none, max_line_length: '2000'}": "filters.max_line_length is '2000'",
        "filters={preset: none, max_line_length: [1]}": "filters.max_line_length is [1]",
        "filters={preset: none, comment_share: [0.1, x]}": "filters.comment_share.1 is 'x'",
        "filters={preset: none, max_top_ngram: {2: x}}": "filters.max_top_ngram.2 is 'x'",
        "paths=3": "paths is 3",
    }
    for field, said in wrong.items():
        message = refusal(capsys, "code=.", f"corpus.sources.0.{field}", "--out", "out")
        assert f"corpus.sources.0.{said}; " in message
    (here / "part.yaml").write_text("corpus: {path: out, sources: [{paths: [code.yaml]}]}")
    said = refusal(capsys, "part.yaml", "--out", "out")
    assert "corpus.sources.0.name is missing" in said


def test_a_damaged_index_is_named_and_mended(capsys, here):
    arguments = ("code.yaml", "--out", "out", "--vocab-size", "512")
    assert main(["prepare", *arguments, "--trace"]) == 0
    capsys.readouterr()
    (here / "out" / "trace" / "00000.json").unlink()
    assert "its trace index is not: trace/00000.json is missing" in refusal(capsys, *arguments)
    assert main(["prepare", *arguments, "--trace"]) == 0
    assert main(["prepare", *arguments]) == 0


def test_another_field_of_the_text_is_told(capsys, here):
    rows = [{"body": f"def area(r):\n    return {i} * r\n"} for i in range(3)]
    (here / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    said = "the text of 3 documents was taken from the field body, as their files have no field text"
    for fields, is_told in (((), True), (("corpus.sources.0.text_field=body",), False)):
        out = here / f"out{len(fields)}"
        assert main(["prepare", "rows.jsonl", *fields, "--out", str(out), "--vocab-size", "512"]) == 0
        assert (f"rows: {said}\n" in capsys.readouterr().out) == is_told
        assert (f"rows: {said}." in (out / "report.html").read_text()) == is_told
        read = json.loads((out / "corpus.json").read_text())["sources"]["rows"]["read"]
        assert read["text_fields"] == ({"body": 3} if is_told else {})


def test_sigterm_ends_it_like_ctrl_c_and_what_is_kept_is_told(capsys, here, monkeypatch):
    from spanmix.text import pipeline
    from spanmix.text.preparation import work

    find_copies = pipeline.find_copies

    def signalled(*args):
        os.kill(os.getpid(), signal.SIGTERM)
        return find_copies(*args)

    command = ["prepare", "code.yaml", "--out", "out", "--vocab-size", "512"]
    before = signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr(pipeline, "find_copies", signalled)
    assert main(command) == 130
    assert capsys.readouterr().err.splitlines()[-1] == "spanmix: interrupted"
    monkeypatch.setattr(work, "KEPT_FROM_BYTES", 1)
    for _ in range(2):
        assert main(command) == 130
        last = capsys.readouterr().err.splitlines()[-1]
        assert last.startswith("spanmix: interrupted. what was done so far is kept in ")
        assert last.endswith("and the same command goes on from there")
    assert signal.getsignal(signal.SIGTERM) == before
    monkeypatch.setattr(pipeline, "find_copies", find_copies)
    assert main(command) == 0
