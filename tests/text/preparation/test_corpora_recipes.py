"""Every recipe of a corpus that comes with the package runs, on small samples in the true columns."""

import gzip
import json
import subprocess
import sysconfig

import pyarrow
import pyarrow.parquet
import pytest

from spanmix.cli import main
from spanmix.recipes import builtin_recipes, load_corpus_recipe
from spanmix.text.corpus import Corpus
from spanmix.text.readers import files as listing

CORPORA = ["local-python", "my-repositories", "pile-and-stack", "the-stack"]
PYTHON = (
    '"""Area of shapes."""\n\n\ndef area_{0}(width, height):\n'
    "    # {0} is a scale\n    return {0} * width * height\n"
)
PROSE = (
    "The keeper of the house number {0} had lived there for many years, and she knew every door of it. "
    "When the rain came in the evening she would walk from room to room and close the windows, one after "
    "the other, and then sit down with a book that she had read before. Nobody asked her why. It was what "
    "she did, and the house seemed to wait for it: a place in which {0} clocks ran, each of them a little "
    "late, as if they too had read the book. In the morning the sun would find all of this unchanged."
)


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def stack_rows(count, licence="mit"):
    """Rows of The Stack v1: its columns as its card lists them, as far as they decide anything."""
    for i in range(count):
        content = PYTHON.format(i) + f"\n\nprint(area_{i}({i}, {i + 1}))\n" * 3
        yield {
            "hexsha": f"{i:040x}",
            "size": len(content),
            "ext": "py",
            "lang": "Python",
            "max_stars_repo_path": f"src/area_{i}.py",
            "max_stars_repo_name": f"owner{i % 3}/shapes",
            "max_stars_repo_head_hexsha": f"{i + 1:040x}",
            "max_stars_repo_licenses": [licence],
            "max_stars_count": i,
            "content": content,
            "avg_line_length": 20.0,
            "max_line_length": 60,
            "alphanum_fraction": 0.6,
        }


def write_stack(folder):
    folder.mkdir(parents=True)
    rows = [*stack_rows(12), *stack_rows(3, "gpl-3.0")]
    strange = dict(rows[0], content="x = 1\n" * 3 + "y" * 2000, max_stars_repo_path="long.py")
    unknown = dict(
        rows[1], content="key = 1\n" * 9, max_stars_repo_licenses=[], max_stars_repo_path="none.py"
    )
    french = dict(
        rows[2], lang="Fortran", ext="f90", content="program x\nend program\n", max_stars_repo_path="x.f90"
    )
    table = pyarrow.Table.from_pylist([*rows, strange, unknown, french])
    pyarrow.parquet.write_table(table, folder / "train-00000.parquet", row_group_size=5)


def write_pile(folder):
    folder.mkdir(parents=True)
    lines = [
        json.dumps({"text": PROSE.format(i), "meta": {"pile_set_name": "Books3"}}) + "\n" for i in range(9)
    ]
    lines.append(json.dumps({"text": "too short", "meta": {"pile_set_name": "Enron Emails"}}) + "\n")
    with gzip.open(folder / "00.jsonl.gz", "wt") as stream:
        stream.writelines(lines)


def made(out):
    return Corpus.open(out).report.sources


def test_there_is_a_test_for_every_recipe():
    named = {name: path for name, path in builtin_recipes().items() if "corpora" in str(path)}
    assert sorted(named) == CORPORA
    for name in named:
        assert load_corpus_recipe(name).corpus.sources


def test_the_stack(here):
    write_stack(here / "stack")
    arguments = ["the-stack", "stack/train-00000.parquet", "--out", "out", "--vocab-size", "2048"]
    # The samples are made by one pattern, so they are near-copies.
    overrides = ["corpus.held_out_share=0.1", "corpus.duplicates.near=together"]
    assert main(["prepare", *arguments[:2], *overrides, *arguments[2:]]) == 0
    source = made("out")["code"]
    assert source.read is not None and source.read.documents == 18
    assert source.licences == {"MIT": 12} and source.languages == {"python": 12}
    assert source.dropped["licence not permitted"] == 3
    assert source.dropped["licence not known"] == 1
    assert sum(source.dropped.values()) == 6
    train = Corpus.open("out").train["code"]
    assert all(train.text(i).startswith('<|python|>"""Area') for i in range(len(train)))


def test_pile_and_stack(here):
    write_stack(here / "stack")
    write_pile(here / "pile")
    together = ["corpus.duplicates.near=together", "corpus.held_out_share=0.1"]
    arguments = ["prepare", "pile-and-stack", "code=stack", "prose=pile", *together, "--out", "out"]
    assert main([*arguments, "--vocab-size", "2048"]) == 0
    sources = made("out")
    assert sources["code"].licences == {"MIT": 12}
    assert sources["prose"].read.kept == 9 and sum(sources["prose"].dropped.values()) == 1


def test_my_repositories(here):
    for name in ("api", "web"):
        folder = here / name
        (folder / "src").mkdir(parents=True)
        subprocess.run(["git", "init", "-q", folder], check=True)
        for i in range(4):
            (folder / "src" / f"{name}_{i}.py").write_text(PYTHON.format(i) + f"NAME = '{name}'\n")
        (folder / "secret.py").write_text(PYTHON.format(9) + 'aws_key = "AKIAQ3EGRIWZ7NBX5TLC"\n')
        (folder / ".gitignore").write_text("build/\n")
        (folder / "build").mkdir()
        (folder / "build" / "made.py").write_text(PYTHON.format(77))
        (folder / "package-lock.json").write_text('{"lockfileVersion": 3}\n')
    together = "corpus.duplicates.near=together"
    assert (
        main(["prepare", "my-repositories", "api", "web", together, "--out", "out", "--vocab-size", "1024"])
        == 0
    )
    source = made("out")["code"]
    assert source.dropped["ignored by git"] >= 2 and source.dropped["exact copy"] == 1
    assert source.read.kept == 9
    corpus = Corpus.open("out")
    texts = [
        side.text(i) for side in (corpus.train["code"], corpus.held_out["code"]) for i in range(len(side))
    ]
    assert not any("AKIAQ3EGRIWZ7NBX5TLC" in text for text in texts)
    assert sum("aws_key" in text for text in texts) == 1
    assert "AKIAQ3EGRIWZ7NBX5TLC" not in (here / "out" / "audit" / "code.redactions.jsonl").read_text()


def test_local_python(here, monkeypatch):
    package = here / "site-packages"
    (package / "shapes").mkdir(parents=True)
    (package / "shapes-1.0.dist-info").mkdir()
    (package / "shapes-1.0.dist-info" / "METADATA").write_text(
        "Metadata-Version: 2.4\nName: shapes\nVersion: 1.0\nLicense-Expression: MIT\n"
    )
    names = [f"shapes/a{i}.py" for i in range(5)] + ["shapes/guide.rst"]
    (package / "shapes-1.0.dist-info" / "RECORD").write_text("".join(f"{name},,\n" for name in names))
    for i in range(5):
        (package / "shapes" / f"a{i}.py").write_text(PYTHON.format(i))
    (package / "shapes" / "guide.rst").write_text("Guide\n=====\n\n" + PROSE.format(3) + "\n")
    monkeypatch.setattr(listing, "_PYTHON_FOLDERS", {"python:stdlib": "stdlib", "python:packages": "purelib"})
    real = sysconfig.get_path
    monkeypatch.setattr(
        sysconfig, "get_path", lambda name: str(package) if name in ("stdlib", "purelib") else real(name)
    )
    together = "corpus.duplicates.near=together"
    assert main(["prepare", "local-python", together, "--out", "out", "--vocab-size", "1024"]) == 0
    sources = made("out")
    assert sources["code"].licences == {"MIT": 5} and sources["code"].dropped == {"exact copy": 5}
    assert sources["prose"].read.kept == 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            ["pile-and-stack", "stack"],
            "could belong to several sources of pile-and-stack; say which: code=stack",
        ),
        (["pile-and-stack", "cod=stack"], "has no source 'cod'"),
        (["local-python", "stack"], "has paths for all its sources; leave out stack, or say"),
        (["the-stack"], "code=FOLDER"),
        (["the-stack", "nowhere.parquet"], "nowhere.parquet does not exist"),
        (["my-repositories", "corpus.duplicates.nea=drop"], "nea"),
    ],
)
def test_wrong_inputs_are_refused(capsys, arguments, said):
    assert main(["prepare", *arguments, "--out", "out"]) == 2
    error = capsys.readouterr().err
    assert said in error and error.count("\n") == 1
