"""The step: what is kept and dropped and why, and the attribution file."""

import json
import pickle

import pytest

from spanmix.corpus_configs.licences import LicencesConfig
from spanmix.corpus_configs.sources import SourceFilesConfig
from spanmix.text.dropped import Dropped
from spanmix.text.licences.attribution import write_attribution
from spanmix.text.licences.reasons import NOT_KNOWN, NOT_PERMITTED
from spanmix.text.licences.step import LicenceStep
from spanmix.text.readers.source import read_source
from spanmix.types import Document

TAG = "# SPDX-License-Identifier: {}\n# Copyright 2020 Ann Author\nx = 1\n"


def run(text="x = 1\n", licence="", repository="", path="row:1", file="", **kwargs):
    rows = []
    step = LicenceStep(LicencesConfig(**kwargs))
    document = Document(text, "code", path, licence=licence, repository=repository, file=file)
    return step(document, lambda kind, row: rows.append((kind, row))), rows


@pytest.mark.parametrize(
    ("header", "column", "expected"),
    [
        ("MIT", "", "MIT"),
        ("", "mit", "MIT"),
        ("MIT", "apache-2.0", "Apache-2.0 AND MIT"),
        ("MIT OR GPL-3.0-only", "", "MIT OR GPL-3.0-only"),
        ("MIT", "MIT OR GPL-3.0", "MIT"),
        ("", "mit; bsd-3-clause", "BSD-3-Clause AND MIT"),
    ],
)
def test_kept(header, column, expected):
    kept, rows = run(TAG.format(header) if header else "x = 1\n", column)
    assert isinstance(kept, Document) and kept.licence == expected
    assert rows[0][0] == "attribution" and rows[0][1]["licence"] == expected
    assert rows[0][1]["copyright"] == ("Copyright 2020 Ann Author" if header else "")


@pytest.mark.parametrize(
    ("header", "column", "reason", "value"),
    [
        ("GPL-3.0-only", "", NOT_PERMITTED, "GPL-3.0-only"),
        ("MIT", "gpl-3.0", NOT_PERMITTED, "GPL-3.0-only AND MIT"),
        ("GPL-2.0-or-later", "mit", NOT_PERMITTED, "GPL-2.0-or-later AND MIT"),
        ("", "mit; gpl-2.0", NOT_PERMITTED, "GPL-2.0-only AND MIT"),
        ("", "", NOT_KNOWN, None),
        ("", "other", NOT_KNOWN, "other"),
        ("MIT", "own terms", NOT_KNOWN, "own terms"),
        ("", "UNLICENSED", NOT_PERMITTED, "LicenseRef-proprietary"),
    ],
)
def test_dropped_with_its_reason_and_value(header, column, reason, value):
    dropped, rows = run(TAG.format(header) if header else "x = 1\n", column)
    assert isinstance(dropped, Dropped) and (dropped.reason, dropped.value) == (reason, value) and rows == []


def test_what_is_unknown_can_be_kept_and_what_is_not_permitted_cannot():
    kept, _ = run(unknown="keep")
    assert isinstance(kept, Document) and kept.licence == ""
    dropped, _ = run(TAG.format("GPL-2.0-only"), "own terms", unknown="keep")
    assert isinstance(dropped, Dropped) and dropped.reason == NOT_PERMITTED


@pytest.mark.parametrize(
    "column",
    [
        ["mit", ["gpl-3.0"]],
        [["gpl-3.0"]],
        ["MIT/Apache-2.0", "gpl-3.0"],
        {"id": "mit"},
        ["mit", {"id": "x"}],
        5,
    ],
)
def test_nothing_that_a_row_says_of_its_licence_is_lost(tmp_path, column):
    (tmp_path / "LICENSE").write_text("MIT License\n")  # of the data set
    (tmp_path / "a.jsonl").write_text(json.dumps({"text": "x = 1", "license": column}) + "\n")
    (document,) = read_source(SourceFilesConfig("code", (str(tmp_path / "a.jsonl"),)), 1_000)
    assert isinstance(run(licence=document.licence, file=document.file)[0], Dropped)
    assert isinstance(run(licence="mit AND apache-2.0")[0], Document)


def test_lists_and_ids_can_be_joined():
    assert isinstance(run(licence="mpl-2.0", permitted=("permissive", "MPL-2.0"))[0], Document)
    assert isinstance(run(licence="mpl-2.0", permitted=("stack",))[0], Dropped)
    assert isinstance(run(licence="cc-by-4.0", permitted=("stack",))[0], Document)


def test_a_file_on_disk_has_its_repositorys_licence(tmp_path):
    (tmp_path / ".git").mkdir()
    (tmp_path / "COPYING").write_text("GNU GENERAL PUBLIC LICENSE\nVersion 3, 29 June 2007\n")
    path = tmp_path / "a.py"
    path.write_text(TAG.format("MIT"))
    dropped, _ = run(path.read_text(), path="a.py", file=str(path))
    assert isinstance(dropped, Dropped) and dropped.value == "GPL-3.0-only AND MIT"
    assert isinstance(run(path.read_text(), file=str(path), repository_files=False)[0], Document)
    assert isinstance(
        run(path.read_text(), "mit", file=str(path))[0], Document
    )  # a row's column counts for it


def test_the_attribution_file_names_each_licence_repository_and_copyright(tmp_path):
    rows = []
    for number in range(30):
        _, written = run(TAG.format("MIT"), repository="ann/tool", path=f"src/{number:02}.py")
        rows += [row for _, row in written]
    rows += [row for _, row in run(licence="apache-2.0", path="a`b\n.py")[1]]
    out = tmp_path / "ATTRIBUTION.md"
    write_attribution(reversed(rows), out)
    text = out.read_text()
    assert text.startswith(
        "# Attribution\n\n31 documents under 2 licences.\n\n## Apache-2.0\n\n### without a repository\n"
    )
    assert "## MIT\n\n### ann/tool\n\n- Copyright 2020 Ann Author\n\n30 documents: `src/00.py`" in text
    assert text.count("Ann Author") == 1 and "and 10 more" in text and "`ab .py`" in text
    write_attribution(rows, out)
    assert out.read_text() == text


def test_the_step_is_built_anew_from_its_configuration():
    config = LicencesConfig(permitted=("stack", "MPL-2.0"), unknown="keep")
    assert pickle.loads(pickle.dumps(config)) == config


def test_odd_text_is_never_fatal():
    for text in (
        "",
        "\ud800 copyright licence \udfff",
        "license " * 3_000,
        "SPDX-License-Identifier:" * 500,
        "\x00©\n" * 99,
    ):
        assert isinstance(run(text)[0], Dropped)
