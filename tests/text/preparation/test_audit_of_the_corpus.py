"""The audit files and figures speak of what is in the corpus, and of opt-outs line by line."""

import dataclasses
import json
from types import SimpleNamespace

import pyarrow.parquet
import pytest

from spanmix.cli import main
from spanmix.config import CorpusConfig, SourceFilesConfig, TokenizerConfig
from spanmix.corpus_configs.decontamination import DecontaminationConfig
from spanmix.corpus_configs.duplicates import DuplicatesConfig
from spanmix.corpus_configs.licences import LicencesConfig
from spanmix.corpus_configs.redaction import RedactionConfig
from spanmix.errors import InputError
from spanmix.text.corpus_page.notes import count_redactions
from spanmix.text.licences.opt_out_counts import read_counts
from spanmix.text.pipeline import prepare

TOKENIZER = TokenizerConfig(vocab_size=512, num_sentinels=20)
PROBLEM = "def total_of(queue):\n    limit = sum(queue)\n    return limit if queue else None\n"
ASKED = "Return the sum of all the numbers in a queue, or nothing if there are none."


def rows_of(out, name):
    path = out / "audit" / name
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


@pytest.fixture(scope="module")
def code(tmp_path_factory):
    """Files by an author with an address: originals, copies, near-copies, and three with a problem."""
    folder = tmp_path_factory.mktemp("in") / "code"
    (folder / "src").mkdir(parents=True)
    header = "# SPDX-License-Identifier: MIT\n# Copyright 2020 Ann Author <ann@bo.com>\n"
    originals = []
    for i in range(10):
        lines = [f"def function_{i}_{j}(x):\n    return x * {i * j}\n" for j in range(30)]
        originals.append(header + "\n".join(lines))
        (folder / "src" / f"f{i}.py").write_text(originals[-1])
    for i in range(6):
        (folder / "src" / f"g{i}.py").write_text(originals[i])
    for i in range(2):
        (folder / "src" / f"h{i}.py").write_text(originals[6 + i] + "\n# the end\n")
    for name in ("p0.py", "p1.py", "z_copy_of_p0.py"):
        (folder / name).write_text(header + ("# another\n" * (name == "p1.py")) + PROBLEM)
    benchmark = folder.parent / "ours.jsonl"
    benchmark.write_text(json.dumps({"task_id": "1", "prompt": ASKED, "canonical_solution": PROBLEM}) + "\n")
    return SimpleNamespace(folder=folder, benchmark=str(benchmark))


def config_of(code, action="report", partition_bytes=32_000_000, path=None, **kwargs):
    licences = LicencesConfig(repository_files=False, **kwargs)
    source = SourceFilesConfig("code", (path or str(code.folder),), licences=licences)
    return CorpusConfig(
        "",
        (source,),
        held_out_share=0.2,
        duplicates=DuplicatesConfig(near="drop"),
        redaction=RedactionConfig(),
        decontamination=DecontaminationConfig((code.benchmark,), action=action),
        partition_bytes=partition_bytes,
    )


def documents_of(out):
    tables = [
        pyarrow.parquet.read_table(out / name)
        for name in ("code.documents.parquet", "code.held_out.documents.parquet")
    ]
    return sorted(path for table in tables for path in table["path"].to_pylist())


@pytest.mark.parametrize(
    ("action", "partition_bytes"), [("report", 10**8), ("report", 3_000), ("drop", 3_000)]
)
def test_notes_are_of_documents_in_the_corpus(tmp_path, code, action, partition_bytes):
    report = prepare(config_of(code, action, partition_bytes), TOKENIZER, tmp_path / "out", workers=1)
    source = report.sources["code"]
    inside = documents_of(tmp_path / "out")
    problems = {"code/p0.py", "code/p1.py"}
    assert len(inside) == source.read.kept == (12 if action == "report" else 10)
    assert source.dropped["exact copy"] == (7 if action == "report" else 6)
    assert [row["path"] for row in rows_of(tmp_path / "out", "code.attribution.jsonl")] == inside
    assert sorted(row["path"] for row in rows_of(tmp_path / "out", "code.redactions.jsonl")) == inside
    assert source.read.changed == {"redaction": len(inside)}
    matched = {row["path"] for row in rows_of(tmp_path / "out", "code.contamination.jsonl")}
    if action == "report":  # of those that are there
        assert matched == problems & set(inside) and len(matched) == 2
    else:  # of those that are not, since this is why
        assert matched == {*problems, "code/z_copy_of_p0.py"}
        assert source.dropped["holds a benchmark's problem"] == len(matched)
    page = (tmp_path / "out" / "report.html").read_text()
    assert "of those kept" in page


def test_files_of_one_path_in_two_repositories_are_two_documents(tmp_path, code):
    rows = [
        {
            "path": "README.md",
            "repository": f"ann/r{i}",
            "text": f"Tool {i}, by ann@bo.com. " * 9,
            "license": "MIT",
        }
        for i in range(5)
    ]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    source = SourceFilesConfig("rows", (str(tmp_path / "rows.jsonl"),))
    config = CorpusConfig("", (source,), redaction=RedactionConfig())
    prepare(config, TOKENIZER, tmp_path / "out", workers=1)
    found = count_redactions(tmp_path / "out" / "audit" / "rows.redactions.jsonl")["email"]
    assert (found.places, found.documents) == (45, 5)


LINES = "# who asked\nAnn\nsrc/f1.py\nsrc/f?.py  # all of them\ncode/p*.py\nsrc/*.rs\ncode/p9.py\n"


@pytest.mark.parametrize("partition_bytes", [3_000, 10**8])
def test_each_line_of_an_opt_out_list_is_counted_over_the_whole_corpus(
    tmp_path, code, monkeypatch, partition_bytes
):
    listed = tmp_path / "opt_out.txt"
    listed.write_text(LINES)
    monkeypatch.chdir(code.folder.parent)
    counts = []
    for number, path in enumerate((str(code.folder), "../" + code.folder.parent.name + "/code")):
        out = tmp_path / f"out{number}"
        config = config_of(code, "report", partition_bytes, path, opt_out=str(listed))
        report = prepare(config, TOKENIZER, out, workers=1)
        assert report.sources["code"].dropped["opted out"] == 12
        counts.append({one.entry: one.documents for one in read_counts(out)})
        assert {one.path for one in read_counts(out)} == {"opt_out.txt"}  # not where it lay
        assert len(rows_of(out, "code.opt_out.jsonl")) == 13  # two lines fit one of them
    expected = {"Ann": 0, "src/f1.py": 1, "src/f?.py": 10, "code/p*.py": 2, "src/*.rs": 0, "code/p9.py": 0}
    assert counts == [expected] * 2
    page, card = ((out / name).read_text() for name in ("report.html", "README.md"))
    assert "Ann, src/*.rs, code/p9.py</span>" in page
    assert "The list opt\\_out.txt has 6 lines; 3 fit no document" in card and "src/*.rs" not in card


def write_recipe(folder, code, **fields):
    recipe = {"corpus": {"path": "x", "sources": [{"name": "code", "paths": [str(code.folder)]}]}}
    recipe["tokenizer"] = {"vocab_size": 512}
    recipe["corpus"]["sources"][0]["licences"] = {"repository_files": False, **fields}
    path = folder / "recipe.yaml"
    path.write_text(json.dumps(recipe))
    return str(path)


def test_prepare_ends_with_a_line_that_names_what_fits_nothing(tmp_path, code, capsys):
    (tmp_path / "list.txt").write_text("src/f11.py\nsrc/f?.py\nann\n")
    recipe = write_recipe(tmp_path, code, opt_out=str(tmp_path / "list.txt"))
    for _ in range(2):  # made, and found to be there
        assert main(["prepare", recipe, "--out", str(tmp_path / "out")]) == 0
        error = capsys.readouterr().err
        assert (
            "2 of 3 lines of the opt-out list" in error
            and "fit no document of code: src/f11.py, ann" in error
        )


@pytest.mark.parametrize(
    ("licences", "message"),
    [
        ({"permitted": ("MIT", "MITT")}, "licences.permitted holds 'MITT', which is no SPDX id"),
        ({"opt_out": "none.txt"}, "licences.opt_out names none.txt, which cannot be read"),
        ({"opt_out": "bad.txt"}, "bad.txt, line 2, is 'two words'"),
    ],
)
def test_a_fault_of_a_step_is_met_before_a_source_is_listed(tmp_path, code, monkeypatch, licences, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bad.txt").write_text("ann\ntwo words\n")
    calls = []
    config = config_of(code, path=str(tmp_path / "no such folder"), **licences)
    with pytest.raises(InputError, match=message):
        prepare(config, TOKENIZER, tmp_path / "out", lambda *call: calls.append(call))
    assert calls == [] and [path.name for path in tmp_path.iterdir()] == ["bad.txt"]


def test_the_card_has_the_contact_or_says_that_there_is_none(tmp_path, code):
    config = config_of(code)
    prepare(config, TOKENIZER, tmp_path / "without", workers=1)
    card = (tmp_path / "without" / "README.md").read_text()
    assert "**Placeholder.** No contact is set (`corpus.opt_out_contact`)" in card
    config = dataclasses.replace(config, opt_out_contact="https://bo.com/opt-out?corpus=1")
    prepare(config, TOKENIZER, tmp_path / "with", workers=1)
    card = (tmp_path / "with" / "README.md").read_text()
    assert "write to <https://bo.com/opt-out?corpus=1>." in card and "Placeholder" not in card


def test_a_contact_is_an_address():
    for right in (
        "ann@bo.com",
        "opt-out+code@mail.our-company.org",
        "http://bo.com",
        "https://a.bo.com:80/x#y",
    ):
        assert CorpusConfig("", opt_out_contact=right).opt_out_contact == right
    for wrong in ("", "ann", "ann@bo", "ann@bo.com, bo@bo.com", "bo.com/x", "ftp://bo.com", "https://bo",
                  "https://bo.com/<b>", "ann@bo.com\n", "[x](https://bo.com)"):  # fmt: skip
        with pytest.raises(InputError, match=r"corpus.opt_out_contact is .*; use an e-mail address"):
            CorpusConfig("", opt_out_contact=wrong)
