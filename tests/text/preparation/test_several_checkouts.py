"""Several checkouts in one source: what is told of a file says of which, and of joined files of each."""

import json

import pyarrow.parquet
import pytest

from spanmix.config import CorpusConfig, SourceFilesConfig, TokenizerConfig
from spanmix.corpus_configs.layout import LayoutConfig
from spanmix.corpus_configs.licences import LicencesConfig
from spanmix.text.corpus import Corpus
from spanmix.text.corpus_page.card import corpus_card
from spanmix.text.corpus_page.figures import read_figures
from spanmix.text.corpus_page.held_out import differences
from spanmix.text.corpus_page.page import PAGE_FILE
from spanmix.text.pipeline import prepare

TOKENIZER = TokenizerConfig(512, 20)
KNOWN = "# SPDX-License-Identifier: PSF-2.0\n"


def checkout(folder, owner, files):
    """A folder with what git says of a remote, and files."""
    git = {".git/HEAD": "ref: refs/heads/main\n"}
    git[".git/config"] = f'[remote "origin"]\n\turl = https://forge.example/{owner}/{folder.name}.git\n'
    for name, text in (git | files).items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def code(number):
    return "\n".join(f"def of_{number}_{i}(x):\n    return x * {number} + {i}" for i in range(4)) + "\n"


@pytest.fixture
def checkouts(tmp_path):
    """Two with the same names, a file that both have, and one that both leave out."""
    for number, name in enumerate(("one", "two")):
        files = {f"src/f{i}.py": code(100 * number + i) for i in range(11)}
        same = {"README.md": "Read this, as all do.\n", "blank.txt": " ", "LICENCES.py": "x = 1\n"}
        checkout(tmp_path / "in" / name, "me", files | same)
    return tmp_path / "in"


def made(folder, out, held_out_share=0.0, licences=None, **layout):
    source = SourceFilesConfig("code", (str(folder),), licences=licences)
    config = CorpusConfig("", (source,), held_out_share, seed=1, layout=LayoutConfig(**layout))
    return prepare(config, TOKENIZER, out)


def test_a_file_is_told_with_its_repository(checkouts, tmp_path):
    out = tmp_path / "out"
    made(checkouts, out)
    table = pyarrow.parquet.read_table(out / "code.documents.parquet").to_pylist()
    assert len({(row["repository"], row["path"]) for row in table}) == len(table) == 24
    assert len({row["path"] for row in table}) == 13
    rows = pyarrow.parquet.read_table(out / "audit" / "code.dropped.parquet").to_pylist()
    told = {(row["repository"], row["path"], row["reason"], row["value"]) for row in rows}
    assert told == {
        ("me/one", "blank.txt", "empty", ""),
        ("me/two", "blank.txt", "empty", ""),
        ("me/two", "README.md", "exact copy", "me/one: README.md"),
        ("me/two", "LICENCES.py", "exact copy", "me/one: LICENCES.py"),
    }
    page = (out / PAGE_FILE).read_text()
    for name in ("me/one: blank.txt", "me/two: blank.txt", "me/two: README.md", "me/one: README.md"):
        assert name in page
    source = Corpus.open(out).train["code"]
    names = {source.name_of(i) for i in range(len(source))}
    assert {"me/one: README.md", "me/one: src/f0.py", "me/two: src/f0.py"} <= names and len(names) == 24


def test_files_of_unknown_licence_are_counted_though_they_are_joined(tmp_path):
    files = {f"f{i:02}.py": code(i) for i in range(21)} | {"f21.py": KNOWN + code(21)}
    checkout(tmp_path / "in", "me", files)
    licences = LicencesConfig(("permissive",), unknown="keep")
    report = made(tmp_path / "in", tmp_path / "out", licences=licences, unit="repository").sources["code"]
    assert report.train.documents == 1
    assert report.licences == {"": 21, "PSF-2.0": 1} and report.languages == {"python": 22}
    (row,) = pyarrow.parquet.read_table(tmp_path / "out" / "code.documents.parquet").to_pylist()
    assert (row["path"], row["repository"], row["licence"], row["language"]) == (
        "me/in",
        "me/in",
        "",
        "python",
    )
    figures = read_figures(tmp_path / "out")
    side = figures.sources[0].train
    assert (side.licences[""].number, side.licences["PSF-2.0"].number, figures.num_files) == (21, 1, 22)
    assert side.licences["PSF-2.0"].bytes == len(files["f21.py"])
    assert side.languages["python"].bytes == sum(map(len, files.values())) < report.train.bytes
    page = (tmp_path / "out" / PAGE_FILE).read_text()
    assert "21 of 22 files have no licence that is known" in page and "0 of 22 files have none" in page
    card = corpus_card(figures)
    assert "**21 files have no licence that is known**" in card and "| not known | 21 | 95.5 % |" in card


def test_both_sides_of_joined_repositories_are_compared_by_their_files(tmp_path):
    for number in range(8):
        files = {f"f{i}.py": (KNOWN if i % 2 else "") + code(10 * number + i) for i in range(4)}
        checkout(tmp_path / "in" / f"r{number}", "me", files)
    licences = LicencesConfig(("permissive",), unknown="keep")
    made(tmp_path / "in", tmp_path / "out", 0.3, licences, unit="repository")
    (source,) = read_figures(tmp_path / "out").sources
    assert source.report.held_out.documents > 1 and source.report.train.documents > 1
    apart = {one.what: one.distance for one in differences(source.report, source.train, source.held_out)}
    assert apart["languages"] == 0 and apart["licences"] < 0.05
    assert source.held_out.num_files == 4 * source.report.held_out.documents


def test_an_older_corpus_counts_documents_as_it_did(tmp_path):
    checkout(tmp_path / "in", "me", {f"f{i}.py": code(i) for i in range(3)})
    made(tmp_path / "in", tmp_path / "out", unit="repository")
    for path in (tmp_path / "out").glob("*.documents.parquet"):
        pyarrow.parquet.write_table(pyarrow.parquet.read_table(path).drop_columns(["repository"]), path)
    record = json.loads((tmp_path / "out" / "corpus.json").read_text())
    del record["content_sha256"]
    record["sources"]["code"] |= {"licences": {"": 1}, "languages": {"python": 1}}
    (tmp_path / "out" / "corpus.json").write_text(json.dumps(record))
    assert read_figures(tmp_path / "out").num_files == 1
