"""What was done before an interruption is used only if no bit of it was damaged since."""

import dataclasses
import json
import os
import shutil

import pytest

from spanmix.config import CorpusConfig, SourceFilesConfig, TokenizerConfig
from spanmix.corpus_configs.duplicates import DuplicatesConfig
from spanmix.corpus_configs.layout import LayoutConfig
from spanmix.corpus_configs.redaction import RedactionConfig
from spanmix.errors import InputError
from spanmix.text import partition_tables
from spanmix.text.pipeline import prepare
from spanmix.text.preparation import work
from spanmix.text.preparation.once import finished_folders

TOKENIZER = TokenizerConfig(vocab_size=384, num_sentinels=9)


class Killed(BaseException):
    """Stands for a signal that cannot be caught."""


@pytest.fixture
def config(tmp_path):
    """Two repositories with a copy, a file that is redacted and one that is dropped."""
    folder = tmp_path / "in"
    folder.mkdir()
    rows = []
    for i in range(8):
        text = "\n".join(f"def function_{i}_{j}(x):\n    return x * {i * j}  # naïve" for j in range(5))
        rows.append({"path": f"f{i}.py", "repository": f"owner/r{i % 2}", "text": text, "license": "MIT"})
    rows.append(rows[3] | {"path": "copy.py"})
    rows.append(rows[4] | {"path": "mail.py", "text": "# by ann.author@example-company.org\n" * 3})
    rows.append(rows[5] | {"path": "empty.py", "text": " "})
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return CorpusConfig(
        "",
        (SourceFilesConfig("code", (str(folder / "rows.jsonl"),)),),
        held_out_share=0.5,
        duplicates=DuplicatesConfig(num_hashes=16),
        redaction=RedactionConfig(),
        layout=LayoutConfig(unit="repository"),
    )


@pytest.fixture
def keeps_all(monkeypatch):
    monkeypatch.setattr(work, "KEPT_FROM_BYTES", 1)
    monkeypatch.setattr(os, "fsync", lambda handle: None)  # a third of the time, and nothing to be learned


def interrupt(config, out):
    """End when all tasks are done, before the corpus is put together; returns the folder that is left."""

    def kill(stage, done, total):
        if stage == "encode" and done:
            raise Killed

    with pytest.raises(Killed):
        prepare(config, TOKENIZER, out, kill)
    assert not out.exists()
    return out.with_name(f".{out.name}.spanmix-work")


def contents(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.mark.usefixtures("keeps_all")
def test_a_bit_that_was_flipped_in_any_file_of_the_work_changes_no_byte_of_the_corpus(tmp_path, config):
    prepare(config, TOKENIZER, tmp_path / "whole")
    expected = contents(tmp_path / "whole")
    left = interrupt(config, tmp_path / "out")
    files = contents(left)
    assert {name.partition("/")[0] for name in files} >= {"clean", "deal", "gather", "encode"}
    names = {name.rpartition("/")[2] for name in files}
    assert names >= {"train.bin", "train.idx", "encoded.json", "documents.parquet", "dropped.parquet"}
    assert names >= {"summary.json", "digests.npy", "files.json"}
    kept = left.rename(tmp_path / "kept")
    for number, (name, data) in enumerate(files.items()):
        if not data:
            continue
        shutil.copytree(kept, left)
        damaged = bytearray(data)
        damaged[len(data) * (number % 5) // 5] ^= 1 << number % 8
        (left / name).write_bytes(damaged)
        prepare(config, TOKENIZER, tmp_path / "out")
        assert contents(tmp_path / "out") == expected, name
        assert not left.exists()
        shutil.rmtree(tmp_path / "out")


def older_version(monkeypatch):
    monkeypatch.setattr(work, "_VERSION", work._VERSION - 1)


def older_columns(monkeypatch):
    monkeypatch.setattr(
        partition_tables, "_FIELDS", [name for name in partition_tables._FIELDS if name != "licence"]
    )


@pytest.mark.usefixtures("keeps_all")
@pytest.mark.parametrize("older", [older_version, older_columns])
def test_work_of_another_version_is_done_again_with_a_word(tmp_path, config, monkeypatch, older):
    prepare(config, TOKENIZER, tmp_path / "whole")
    told = []
    with monkeypatch.context() as patched:
        older(patched)
        left = interrupt(config, tmp_path / "out")
        assert interrupt(config, tmp_path / "out") == left  # its own work it goes on with
    number = len(finished_folders(left))
    assert number > 3
    prepare(config, TOKENIZER, tmp_path / "out", tell=told.append)
    (words,) = told
    assert f"held {number} finished tasks of another version of Spanmix" in words and str(left) in words
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")
    # What is of this version is gone on with, and nothing is told.
    interrupt(dataclasses.replace(config, seed=5), tmp_path / "other")
    prepare(dataclasses.replace(config, seed=5), TOKENIZER, tmp_path / "other", tell=told.append)
    assert len(told) == 1


@pytest.mark.usefixtures("keeps_all")
def test_what_is_kept_is_told_if_and_only_if_this_run_finished_some_of_it(tmp_path, config):
    bad = tmp_path / "in" / "bad.jsonl"
    bad.write_text('{"text": "fine"}\n{"text": 5}\n')
    only_bad = (SourceFilesConfig("bad", (str(bad),)),)
    left = tmp_path / ".out.spanmix-work"

    def notes(sources):
        with pytest.raises(InputError, match="has no text in the field") as error:
            prepare(dataclasses.replace(config, sources=sources), TOKENIZER, tmp_path / "out")
        return "".join(getattr(error.value, "__notes__", []))

    assert "is kept" not in notes(only_bad) and not left.exists()
    assert f"is kept in {left}" in notes((*config.sources, *only_bad))
    assert len(finished_folders(left)) == 1
    assert "is kept" not in notes((*config.sources, *only_bad))
    assert len(finished_folders(left)) == 1
