"""What decides beside the bytes of files counts: licences that folders state, tokenizers, libraries."""

import json
import os
import shutil
from pathlib import Path

import pyarrow.parquet
import pytest

from spanmix.config import CorpusConfig, SourceFilesConfig, TokenizerConfig
from spanmix.corpus_configs.licences import LicencesConfig
from spanmix.errors import InputError
from spanmix.text import pipeline
from spanmix.text.corpus import Corpus
from spanmix.text.pipeline import prepare
from spanmix.text.preparation import clean_partition, inputs, work

TOKENIZER = TokenizerConfig(vocab_size=384, num_sentinels=9)
MIT = """Permission is hereby granted, free of charge, to any person obtaining a copy of this software.
The above copyright notice and this permission notice shall be included in all copies or substantial portions.
"""
GPL = "GNU GENERAL PUBLIC LICENSE\nVersion 2, June 1991\n"
NEEDS = LicencesConfig(permitted=("MIT", "ISC"))


class Killed(BaseException):
    """Stands for a signal that cannot be caught."""


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(work, "KEPT_FROM_BYTES", 1)
    monkeypatch.setattr(os, "fsync", lambda handle: None)
    return tmp_path


def write(files):
    for name, text in files.items():
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_text(text)


def code(folder, number=3):
    texts = (f"def f_{i}(x):\n    return x + {i}  # {folder}\n" * 20 for i in range(number))
    return {f"{folder}/f{i}.py": text for i, text in enumerate(texts)}


def config_of(path, licences=NEEDS, partition_bytes=32_000_000, **fields):
    source = SourceFilesConfig("code", (path,), licences=licences, **fields)
    return CorpusConfig("", (source,), held_out_share=0.3, partition_bytes=partition_bytes)


def make(config, **kwargs):
    return prepare(config, TOKENIZER, "out", workers=1, **kwargs)


def interrupt(config):
    """End when all is read, before a tokenizer is trained."""

    def kill(stage, done, total):
        if stage == pipeline.TOKENIZER:
            raise Killed

    with pytest.raises(Killed):
        make(config, progress=kill)


def refusal(config):
    with pytest.raises(InputError) as caught:
        make(config)
    return str(caught.value)


def licences_in(out="out"):
    tables = [pyarrow.parquet.read_table(path) for path in Path(out).glob("code.*documents.parquet")]
    return {licence for table in tables for licence in table["licence"].to_pylist()}


CHECKOUT = {".git/HEAD": "ref: refs/heads/main\n"}
LISTING = "pkg/f0.py,,\npkg/f1.py,,\npkg/f2.py,,\n"
WHERE = {  # what is read, the file that states, and what it holds before and after
    "of no document": ("in", {}, "in/LICENSE", MIT, GPL, "in/LICENSE"),
    "above the source": (
        "in/src/deep",
        {f"in/{name}": text for name, text in CHECKOUT.items()},
        "in/LICENSE",
        MIT,
        GPL,
        "LICENSE",
    ),
    "of a package": (
        "site-packages",
        {"site-packages/pkg-1.dist-info/RECORD": LISTING},
        "site-packages/pkg-1.dist-info/METADATA",
        "Metadata-Version: 2.4\nLicense-Expression: MIT\n",
        "Metadata-Version: 2.4\nLicense-Expression: GPL-2.0-only\n",
        "site-packages/pkg-1.dist-info/METADATA",
    ),
}


@pytest.mark.parametrize("where", WHERE)
def test_a_file_that_states_a_licence_decides_wherever_it_lies(where):
    path, others, stating, before, after, called = WHERE[where]
    folder = f"{path}/pkg" if where == "of a package" else path
    write(code(folder) | others | {stating: before})
    config = config_of(path, include=("*.py",))
    make(config)
    assert licences_in() == {"MIT"}
    rows = [row for row in inputs.load_inputs(Path("out")) if not row.path.endswith(".py")]
    assert called in [row.path for row in rows]
    os.utime(stating, (1_700_000_000, 1_700_000_000))
    make(config)  # the same bytes
    write({stating: after})
    assert f"{called} of source code had " in refusal(config)
    write({stating: before[:-1] + " "})
    assert f"{called} of source code has other contents than it had" in refusal(config)
    Path(stating).unlink()
    assert f"{called} of source code is gone" in refusal(config)


def test_work_is_done_again_if_a_licence_was_changed_since():
    write(code("in/src") | {f"in/{name}": text for name, text in CHECKOUT.items()} | {"in/LICENSE": MIT})
    interrupt(config_of("in/src"))
    write({"in/LICENSE": "ISC License\n\nPermission to use, copy, modify, and/or distribute this software\n"})
    write({"in/package.json": '{"license": "ISC"}'})
    make(config_of("in/src"))
    assert licences_in() == {"ISC"}


def test_what_states_licences_is_told_once_however_a_source_is_cut():
    write(code("in/a") | code("in/b") | {"in/LICENSE": MIT, "in/b/package.json": '{"license": "ISC"}'})
    config = config_of("in", partition_bytes=1000, include=("*.py",))
    prepare(config, TOKENIZER, "cut", workers=1)
    make(config_of("in", include=("*.py",)))
    names = [row.path for row in inputs.load_inputs(Path("out"))]
    assert names[-2:] == ["in/LICENSE", "in/b/package.json"] and len(names) == 8
    assert inputs.load_inputs(Path("cut")) == inputs.load_inputs(Path("out"))
    assert licences_in("cut") == {"MIT", "ISC"}
    # Read as well, they are rows like all others.
    prepare(config_of("in", partition_bytes=1000), TOKENIZER, "all", workers=1)
    names = [row.path for row in inputs.load_inputs(Path("all"))]
    assert len(names) == len(set(names)) == 8


def test_a_link_that_is_left_out_counts_by_where_the_search_went_on():
    write(code("in/lib") | {f"in/{name}": text for name, text in CHECKOUT.items()} | {"in/LICENSE": MIT})
    Path("in/lib/LICENSE").symlink_to("../LICENSE")
    config = config_of("in/lib", LicencesConfig(permitted=("MIT",), unknown="keep"))
    make(config)
    Path("in/lib/LICENSE").unlink()
    Path("in/lib/LICENSE").symlink_to("/nowhere/LICENSE")
    assert "LICENSE of source code is gone" in refusal(config)
    shutil.rmtree("out")
    interrupt(config)
    Path("in/lib/LICENSE").unlink()
    make(config)
    assert licences_in() == {"MIT"}


def test_rules_of_git_count_by_what_they_leave_out():
    write(code("in") | {f"in/{name}": text for name, text in CHECKOUT.items()} | {"in/.gitattributes": ""})
    config = config_of("in", None, include=("*.py",))
    make(config)
    for rules in (".gitattributes", ".gitignore"):
        text = "f1.py linguist-vendored\n" if rules == ".gitattributes" else "f1.py\n"
        write({f"in/{rules}": text})
        assert "f1.py of source code was read, and is left out" in refusal(config)
        write({f"in/{rules}": ""})
    make(config)
    shutil.rmtree("out")
    interrupt(config)
    write({"in/.gitignore": "f1.py\n"})
    assert make(config).sources["code"].read.kept == 2


def test_a_licence_that_changes_while_files_are_read_is_an_error(monkeypatch):
    write(code("in") | {"in/LICENSE": MIT})
    plain = clean_partition.read_unit

    def read_unit(*arguments):
        write({"in/LICENSE": GPL})
        return plain(*arguments)

    monkeypatch.setattr(clean_partition, "read_unit", read_unit)
    assert "in/LICENSE changed while it was read" in refusal(config_of("in", include=("*.py",)))


def keeping_its_times(path, text):
    """Write a file so that its size and the time at which it was written are what they were."""
    before = Path(path).stat()
    Path(path).write_text(text)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    after = Path(path).stat()
    assert (after.st_size, after.st_mtime_ns) == (before.st_size, before.st_mtime_ns)


def texts_of(corpus):
    sides = (*corpus.train.values(), *corpus.held_out.values())
    return "".join(side.text(i) for side in sides for i in range(len(side)))


def test_a_file_whose_time_was_set_back_is_read_again():
    write(code("in"))
    config = config_of("in", None)
    interrupt(config)
    keeping_its_times("in/f1.py", Path("in/f1.py").read_text().replace("f_1", "g_1"))
    make(config)
    assert "g_1" in texts_of(Corpus.open("out"))
    keeping_its_times("in/f1.py", Path("in/f1.py").read_text().replace("g_1", "h_1"))
    assert "f1.py of source code has other contents" in refusal(config)


@pytest.mark.parametrize("is_written", [False, True])
def test_rights_may_change_while_a_file_is_read_and_its_bytes_may_not(monkeypatch, is_written):
    write(code("in"))
    plain = clean_partition.read_unit

    def read_unit(*arguments):
        Path("in/f1.py").chmod(0o600)
        if is_written:
            keeping_its_times("in/f1.py", Path("in/f1.py").read_text().replace("f_1", "g_1"))
        return plain(*arguments)

    monkeypatch.setattr(clean_partition, "read_unit", read_unit)
    if is_written:
        assert "f1.py changed while it was read" in refusal(config_of("in", None))
    else:
        assert make(config_of("in", None)).sources["code"].read.kept == 3


def test_work_is_done_again_if_the_tokenizer_of_a_source_was_changed_since(foreign):
    inner = json.loads(foreign.FOREIGN["bytes"].to_str())
    write({"tok.json": json.dumps(inner)})
    Path("in").mkdir()
    documents = [foreign.ids_of("bytes", text) for text in code("in").values()]
    foreign.write_ds(Path("in/a.ds"), documents)
    config = config_of("in", None, tokenizer="tok.json")
    interrupt(config)
    vocab = inner["model"]["vocab"]
    vocab["f"], vocab["g"] = vocab["g"], vocab["f"]
    write({"tok.json": json.dumps(inner)})
    make(config)
    text = texts_of(Corpus.open("out"))
    assert "deg g_0" in text and "def" not in text


def test_work_of_another_version_of_a_library_is_done_again_with_a_word(monkeypatch):
    write(code("in"))
    config = config_of("in", None)
    told = []
    versions = {"Spanmix": "1", "detect-secrets": "1.4"}
    monkeypatch.setattr(pipeline, "libraries", lambda config: versions)
    interrupt(config)
    del versions["detect-secrets"]  # not asked for now, and not forgotten
    versions["Python"] = "3"
    interrupt(config)
    with monkeypatch.context() as patched:
        patched.setattr(pipeline, "libraries", lambda config: versions | {"detect-secrets": "1.5"})
        make(config, tell=told.append)
    (words,) = told
    assert "held 1 finished task of another version of detect-secrets (1.4, now 1.5), which" in words
    shutil.rmtree("out")
    interrupt(config)
    make(config, tell=told.append)  # of the same versions
    assert len(told) == 1


def test_libraries_are_those_of_the_steps_that_are_asked_for():
    plain = pipeline.libraries(config_of("in", None))
    assert {*plain} == {"Spanmix", "Python", "daft", "tokenizers"}
    assert {*pipeline.libraries(config_of("in", prose=True))} - {*plain} == {
        "selectolax",
        "google-re2",
        "license-expression",
    }
