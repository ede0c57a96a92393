"""What a document is called says nothing of where it lay, and all that lies in a folder is counted."""

import io
import json
import os
import re
import tarfile
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spanmix.config import CorpusConfig, SourceFilesConfig, TokenizerConfig
from spanmix.corpus_configs.filters import FiltersConfig
from spanmix.corpus_configs.licences import LicencesConfig
from spanmix.corpus_configs.redaction import RedactionConfig
from spanmix.errors import InputError
from spanmix.text.corpus import Corpus
from spanmix.text.dropped import Dropped
from spanmix.text.pipeline import prepare
from spanmix.text.readers.origin import distinct_names
from spanmix.text.readers.source import read_source
from spanmix.types import Document


def write(folder, files):
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)


def read(*paths, **kwargs):
    return list(read_source(SourceFilesConfig("code", tuple(map(str, paths)), **kwargs), 1000))


def test_names_are_short_and_tell_paths_apart():
    met = Counter()
    part = st.sampled_from(["a", "b", "src", "c d"])

    @given(st.lists(st.lists(part, min_size=1, max_size=4), min_size=1, max_size=6))
    def check(paths):
        whole = [Path("/", *parts) for parts in paths]
        names = distinct_names(whole)
        for path, name in zip(whole, names, strict=True):
            assert f"{path}".endswith(f"/{name}")
            others = {other for other in whole if other != path}
            fits = [other for other in others if f"{other}".endswith(f"/{name}")]
            assert not fits or f"/{name}" == f"{path}"
            # One part less would fit another one, too.
            shorter = name.partition("/")[2]
            assert not shorter or any(f"{other}".endswith(f"/{shorter}") for other in others)
            met["long"] += bool(shorter)
        met["equal paths"] += len(set(whole)) < len(whole)

    check()
    assert len(met) == 2 and min(met.values()) >= 10, met


def test_each_kind_of_document_is_called_by_what_was_named(tmp_path):
    secret = tmp_path / "home" / "anna"
    line = json.dumps({"text": "no path"}) + "\n" + json.dumps({"text": "a path", "path": "p/q.py"}) + "\n"
    write(
        secret,
        {
            "api/src/a.py": "a",
            "web/src/a.py": "b",
            "notes/deep/x.txt": "c",
            "alone.py": "d",
            "api/y/z.txt": "e",
            "web/z.txt": "f",
            "lines.jsonl": line,
        },
    )
    pq.write_table(pa.table({"text": ["row"]}), secret / "t.parquet")
    with tarfile.open(secret / "t.tar", "w") as archive:
        info = tarfile.TarInfo("m/a.py")
        info.size = 1
        archive.addfile(info, io.BytesIO(b"x"))
    names = ("api/src", "web/src", "notes", "alone.py", "api/y/z.txt", "web/z.txt", "lines.jsonl")
    documents = read(*(secret / name for name in (*names, "t.parquet", "t.tar")))
    assert [item.path for item in documents] == [
        *("api/src/a.py", "web/src/a.py", "notes/deep/x.txt", "alone.py", "y/z.txt", "web/z.txt"),
        *("lines.jsonl:1", "p/q.py", "t.parquet:1", "t.tar/m/a.py"),
    ]
    assert [item.root for item in documents] == [
        "api/src/",
        "web/src/",
        "notes/",
        "",
        "y/",
        "web/",
        *[""] * 4,
    ]
    assert all(item.file.startswith(str(secret)) for item in documents)


def folder_of_code(folder):
    files = {f"pkg/m{i}.py": f"def f{i}(a, b):\n    return a * {i} + b\n" * 3 for i in range(30)}
    files |= {
        "pkg/empty.py": "",
        "vendor/v.py": "v = 1\n" * 9,
        "pkg/.env": "x",
        "again.py": files["pkg/m3.py"],
    }
    files |= {"LICENSE": "MIT License\n", "secret.py": "mail = 'anna.smith@realmail.org'\n" * 2}
    write(folder, files)
    return folder


def source_paths(home):
    return str(home / "vendor"), str(home / "lines.jsonl")


def test_no_file_of_a_corpus_says_where_it_was_made(tmp_path):
    corpora = []
    for home in ("home/anna", "srv/elsewhere/work"):
        code = folder_of_code(tmp_path / home / "vendor")
        (code.parent / "lines.jsonl").write_text('{"text": "one line"}\n{"text": 3}\n')
        source = SourceFilesConfig(
            "code",
            source_paths(code.parent),
            on_error="drop",
            filters=FiltersConfig("none", drop_vendored=True),
            licences=LicencesConfig(("permissive",), unknown="keep"),
        )
        config = CorpusConfig("", (source,), held_out_share=0.2, redaction=RedactionConfig())
        prepare(config, TokenizerConfig(512), code.parent / "out")
        corpora.append(code.parent / "out")
    first, second = corpora
    with pytest.raises(InputError, match="the folders in front of an absolute path are"):
        prepare(config, TokenizerConfig(512), first)
    report = json.loads((first / "corpus.json").read_text())
    assert report["fingerprint"] == json.loads((second / "corpus.json").read_text())["fingerprint"]
    checked = 0
    for path in sorted(first.rglob("*")):
        if path.is_file():
            assert b"anna" not in path.read_bytes().replace(b"anna.smith@", b""), path
            other = second / path.relative_to(first)
            # Three have the recipe's hash; the times of files are for the next look at them alone.
            if path.name not in ("README.md", "corpus.json", "report.html", "inputs.seen.npy"):
                assert path.read_bytes() == other.read_bytes(), path
            checked += 1
    assert checked > 10
    dropped = pq.read_table(first / "audit" / "code.dropped.parquet").to_pylist()
    assert {row["path"]: row["reason"] for row in dropped} == {
        "vendor/pkg/.env": "hidden",
        "vendor/pkg/m3.py": "exact copy",
        "vendor/pkg/empty.py": "empty",
        "vendor/vendor/v.py": "vendored path",  # and not for the folder's own name
        "lines.jsonl:2": "no text in its field",
    }
    page = (first / "report.html").read_text()
    assert "vendor/pkg/empty.py" in page
    assert re.findall(r"  - (…/.*)", page) == ["…/vendor", "…/lines.jsonl"]
    assert report["made_with"]["corpus"]["sources"][0]["paths"] == ["…/vendor", "…/lines.jsonl"]
    # What is said of it to the user still leads there.
    only = SourceFilesConfig("code", (str(first.parent / "vendor" / "pkg" / "empty.py"),))
    with pytest.raises(InputError, match=rf"first {first.parent}/vendor/pkg/empty\.py"):
        prepare(CorpusConfig("", (only,)), TokenizerConfig(512), tmp_path / "out")


def test_what_was_read_is_what_was_kept_and_dropped_with_what_is_hidden(tmp_path):
    code = folder_of_code(tmp_path / "code")
    write(code, {".github/a.yml": "x", ".github/b/c.yml": "x", ".git/config": "x"})
    report = prepare(
        CorpusConfig("", (SourceFilesConfig("code", (str(code),)),)), TokenizerConfig(512), tmp_path / "o"
    )
    read = report.sources["code"].read
    assert report.sources["code"].dropped["hidden"] == 2  # a folder is one; .git is none
    num_files = sum(len(names) for _, _, names in os.walk(code))
    assert read.documents == num_files - 3 + 1 == read.kept + sum(report.sources["code"].dropped.values())


def test_a_corpus_inside_a_source_is_one_entry(tmp_path):
    code = folder_of_code(tmp_path / "code")
    source = SourceFilesConfig("code", (str(code),))
    before = prepare(CorpusConfig("", (source,)), TokenizerConfig(512), code / "corpora" / "one")
    write(code, {"corpora/.two.spanmix-work/clean/x.json": "{}", "corpora/mine/corpus.json": "{}"})
    # Its own output is passed over without a word, also what an interrupted run left.
    write(code, {"corpora/.three.spanmix-work/clean/x.json": "{}", "corpora/.three.spanmix-lock": ""})
    after = prepare(CorpusConfig("", (source,)), TokenizerConfig(512), code / "corpora" / "three")
    added = Counter(after.sources["code"].dropped) - Counter(before.sources["code"].dropped)
    assert added == {"corpus of Spanmix": 2}
    assert (
        after.sources["code"].read.kept == before.sources["code"].read.kept + 1
    )  # corpus.json of another kind
    dropped = [
        item for item in read(code) if isinstance(item, Dropped) and item.reason == "corpus of Spanmix"
    ]
    assert [item.path for item in dropped] == [
        *("code/corpora/.two.spanmix-work/", "code/corpora/one/", "code/corpora/three/")
    ]
    with pytest.raises(InputError, match=r"has no text: dropped 1 corpus of Spanmix \(first .*corpora/one"):
        prepare(
            CorpusConfig("", (SourceFilesConfig("code", (str(code / "corpora" / "one"),)),)),
            TokenizerConfig(512),
            tmp_path / "out",
        )


def test_bytes_are_counted_as_they_were_read(tmp_path):
    pages = {f"{i}.md": f"# Title {i}\n\n**bold {i}** and [a link {i}](http://x.y/{i})\n" for i in range(20)}
    notebook = {"cells": [{"cell_type": "code", "source": "x = 1", "outputs": ["y" * 500]}]}
    write(tmp_path / "s", {**pages, "copy.md": pages["3.md"], "only.md": "![](a.png)\n", "blank.md": " \n"})
    write(tmp_path / "s", {"n.ipynb": json.dumps(notebook), "long.md": "x" * 2000})
    (tmp_path / "s" / "z.bin").write_bytes(b"ab\0")
    (tmp_path / "s" / "gone").symlink_to(tmp_path / "nowhere")
    source = SourceFilesConfig("code", (str(tmp_path / "s"),), prose=True, follow_links=True)
    config = CorpusConfig("", (source,), max_document_bytes=1000)
    report = prepare(config, TokenizerConfig(512), tmp_path / "out").sources["code"]
    sizes = {path.name: path.stat().st_size for path in (tmp_path / "s").iterdir() if path.exists()}
    assert report.read.bytes == sum(sizes.values())
    expected = {
        "empty": sizes["only.md"] + sizes["blank.md"],
        "exact copy": sizes["copy.md"],
        "binary (NUL byte)": 3,
        "longer than 1,000 bytes": 2000,
        "unreadable": 0,
    }
    assert report.read.dropped_bytes == expected
    assert report.read.known_bytes("unreadable") is None
    rows = pq.read_table(tmp_path / "out" / "audit" / "code.dropped.parquet").to_pylist()
    assert sum(row["num_bytes"] for row in rows) == sum(expected.values())
    assert report.train.bytes + report.held_out.bytes < report.read.bytes - sum(expected.values())
    Corpus.open(tmp_path / "out")


def test_an_empty_path_and_patterns_that_match_nothing_are_refused(tmp_path):
    write(tmp_path, {"a.py": "x", ".b.go": "x"})
    with pytest.raises(InputError, match=r"corpus\.sources\.paths is ''; leave it out, or write \."):
        SourceFilesConfig("code", ("",))
    for include, said in (((), r"\[\]"), (("",), "''"), (("/src/*",), "'/src/\\*'"), (("src/",), "'src/'")):
        with pytest.raises(InputError, match=rf"corpus\.sources\.include is {said}"):
            SourceFilesConfig("code", (str(tmp_path),), include)
    for include, said in (
        (("*.rs", "*.c"), r"has no text: no file was found; include takes only \*\.rs, \*\.c"),
        (("*.go",), r"has no text: dropped 1 hidden \(first .*/\.b\.go\); include takes only \*\.go"),
    ):
        config = CorpusConfig("", (SourceFilesConfig("code", (str(tmp_path),), include),))
        with pytest.raises(InputError, match=said):
            prepare(config, TokenizerConfig(512), tmp_path / "out")


def test_hidden_files_do_not_tear_a_sample_of_a_web_data_set_apart(tmp_path):
    files = [
        ("1.py", "x"),
        ("._1.json", "\0"),
        ("1.json", '{"path": "p.py"}'),
        ("2.py", "y"),
        ("2.json", "{}"),
    ]
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        for name, text in files:
            info = tarfile.TarInfo(name)
            info.size = len(text)
            archive.addfile(info, io.BytesIO(text.encode()))
    found = read(tmp_path / "a.tar")
    assert sorted(item.path for item in found if isinstance(item, Document)) == ["a.tar/2.py", "p.py"]
    assert [(item.path, item.reason) for item in found if isinstance(item, Dropped)] == [
        ("a.tar/._1.json", "hidden")
    ]
