"""`prepare` makes a corpus that holds every document once, whole or not at all."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet
import pytest

from spanmix.config import CorpusConfig, SourceFilesConfig, TokenizerConfig
from spanmix.errors import InputError
from spanmix.text.corpus import Corpus
from spanmix.text.duplicates.pairs import pair_jobs
from spanmix.text.pipeline import prepare
from spanmix.text.preparation import copies
from spanmix.text.readers.source import read_source
from spanmix.text.tokenizer import Tokenizer

TOKENIZER = TokenizerConfig(vocab_size=512, num_sentinels=20)
CODE = Path(json.__file__).parent


def make_sources(folder):
    """Twelve Python files with an exact copy and a near-copy, beside prose as JSONL."""
    code = folder / "code"
    code.mkdir(parents=True)
    for i in range(12):
        lines = [f"def function_{i}_{j}(x):\n    return x + {i * j}  # naïve <mask_1>\n" for j in range(20)]
        (code / f"f{i:02}.py").write_text("\n".join(lines))
    (code / "g_copy.py").write_text((code / "f00.py").read_text())
    (code / "g_near.py").write_text((code / "f01.py").read_text() + "\n# the end\n")
    (code / "h.bin").write_bytes(b"\0\1")
    records = [
        {"text": f"Chapter {i}.\n" + "It was a dark night. " * (i + 3), "license": "MIT"} for i in range(9)
    ]
    (folder / "prose.jsonl").write_text("\n".join(map(json.dumps, records)))
    return CorpusConfig(
        path="",
        sources=(
            SourceFilesConfig("code", (str(code),)),
            SourceFilesConfig("prose", (str(folder / "prose.jsonl"),)),
        ),
        held_out_share=0.25,
        seed=3,
    )


def contents(folder):
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_every_document_is_there_once(tmp_path):
    config = make_sources(tmp_path / "in")
    report = prepare(config, TOKENIZER, tmp_path / "new" / "out")
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == ["out"]
    corpus = Corpus.open(tmp_path / "new" / "out")
    assert corpus.report == report and corpus.tokenizer.vocab_size == 512
    assert report.sources["code"].dropped == {"binary (NUL byte)": 1, "exact copy": 1}
    assert report.sources["prose"].licences == {"MIT": 9}
    for source in config.sources:
        expected = {item.path: item.text for item in read_source(source) if hasattr(item, "text")}
        found = {}
        for side in (corpus.train[source.name], corpus.held_out[source.name]):
            assert side.num_documents == len(side) > 0
            assert side.num_tokens == side.lengths.sum() == sum(len(side.tokens(i)) for i in range(len(side)))
            assert side.num_bytes == sum(side.num_bytes_of(i) for i in range(len(side)))
            for i in range(len(side)):
                assert len(side.text(i).encode()) == side.num_bytes_of(i)
                found[side.path(i)] = side.text(i)
        expected = {path: text for path, text in expected.items() if not path.endswith("g_copy.py")}
        assert found == expected
    sides = [
        {Path(side.path(i)).name for i in range(len(side))}
        for side in (corpus.train["code"], corpus.held_out["code"])
    ]
    assert any({"f01.py", "g_near.py"} <= side for side in sides)
    table = pyarrow.parquet.read_table(tmp_path / "new" / "out" / "code.documents.parquet")
    assert table.column_names == ["path", "repository", "language", "licence", "num_bytes", "files"]
    assert set(table["language"].to_pylist()) == {"python"}


def test_same_input_gives_the_same_bytes_and_a_second_run_returns_at_once(tmp_path):
    config = make_sources(tmp_path / "in")
    calls = []
    first = prepare(config, TOKENIZER, tmp_path / "a", lambda *call: calls.append(call))
    assert list(dict.fromkeys(call[0] for call in calls)) == ["read", "copies", "tokenizer", "encode"]
    assert all(0 <= done <= total for _, done, total in calls)
    assert calls[-1][1] == calls[-1][2]
    prepare(config, TOKENIZER, tmp_path / "b")
    assert contents(tmp_path / "a") == contents(tmp_path / "b")
    before = (tmp_path / "a").stat().st_mtime_ns
    calls.clear()
    assert prepare(config, TOKENIZER, tmp_path / "a", lambda *call: calls.append(call)) == first
    assert calls == [] and (tmp_path / "a").stat().st_mtime_ns == before


def test_another_corpus_is_never_overwritten(tmp_path):
    config = make_sources(tmp_path / "in")
    out = tmp_path / "out"
    out.mkdir()
    prepare(config, TOKENIZER, out)  # an empty folder is fine
    with pytest.raises(InputError, match="other settings"):
        prepare(config, TokenizerConfig(576, 20), out)
    (tmp_path / "in" / "code" / "f00.py").write_text("changed\n")
    with pytest.raises(InputError, match="from other files"):
        prepare(config, TOKENIZER, out)
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    (foreign / "thesis.tex").write_text("years of work")
    with pytest.raises(InputError, match="not empty"):
        prepare(config, TOKENIZER, foreign)
    with pytest.raises(InputError, match="is a file"):
        prepare(config, TOKENIZER, foreign / "thesis.tex")
    assert contents(foreign) == {"thesis.tex": b"years of work"}


@pytest.mark.parametrize("out", ["in/corpus", "in/code/deep/corpus", "link"])
def test_a_corpus_inside_its_source_is_not_read(tmp_path, out):
    make_sources(tmp_path / "in")
    (tmp_path / "in" / "place").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "in" / "place")
    config = CorpusConfig("", (SourceFilesConfig("all", (str(tmp_path / "in"),)),), held_out_share=0.25)
    first = prepare(config, TOKENIZER, tmp_path / out)
    assert prepare(config, TOKENIZER, tmp_path / out) == first
    corpus = Corpus.open(tmp_path / out)
    found = [side.path(i) for side in (corpus.train["all"], corpus.held_out["all"]) for i in range(len(side))]
    assert len(found) == 14 and {Path(path).suffix for path in found} == {".py", ".jsonl"}


def test_a_given_tokenizer_is_used(tmp_path):
    config = make_sources(tmp_path / "in")
    Tokenizer.train(["abc\n"], 448, 30).save(tmp_path / "tokenizer")
    report = prepare(config, TokenizerConfig(path=str(tmp_path / "tokenizer")), tmp_path / "out")
    assert report.vocab_size == 448
    assert report.tokenizer == Tokenizer.load(tmp_path / "tokenizer").fingerprint


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, "source code .* has no text: no file was found"),
        (
            {"a.bin": b"\0", "b.bin": b"\0\1", "c": b"\xff"},
            r"2 binary \(NUL byte\) \(first .*/a\.bin\), 1 not UTF-8 \(first .*/c\)",
        ),
        ({"a.py": b""}, r"dropped 1 empty \(first .*/a\.py\)"),
    ],
)
def test_sources_without_text_leave_nothing_behind(tmp_path, files, message):
    folder = tmp_path / "in"
    folder.mkdir()
    for name, data in files.items():
        (folder / name).write_bytes(data)
    config = CorpusConfig("", (SourceFilesConfig("code", (str(folder),)),))
    with pytest.raises(InputError, match=message):
        prepare(config, TOKENIZER, tmp_path / "new" / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


@pytest.mark.parametrize("name", ["", "a/b", "..", "x.held_out", "a b"])
def test_source_names_must_be_file_names(tmp_path, name):
    config = CorpusConfig("", (SourceFilesConfig(name, (str(CODE),)),))
    with pytest.raises(InputError, match="cannot be a file name"):
        prepare(config, TOKENIZER, tmp_path / "out")


def test_bad_settings_are_refused_before_reading(tmp_path):
    config = make_sources(tmp_path / "in")
    with pytest.raises(InputError, match="vocab_size is 256"):
        prepare(config, TokenizerConfig(256, 20), tmp_path / "out")
    with pytest.raises(InputError, match="is empty"):
        prepare(CorpusConfig(""), TOKENIZER, tmp_path / "out")
    with pytest.raises(InputError, match="occurs 2 times"):
        prepare(CorpusConfig("", config.sources[:1] * 2), TOKENIZER, tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


def test_a_changed_file_stops_the_work(tmp_path):
    config = make_sources(tmp_path / "in")

    def change(stage, done, total):
        if stage == "read" and done == 0:
            (tmp_path / "in" / "code" / "f03.py").write_text("changed\n")

    with pytest.raises(InputError, match=r"f03\.py changed while it was read"):
        prepare(config, TOKENIZER, tmp_path / "out", change)
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


KILLED = """
import os, sys, pickle
from spanmix.text.pipeline import prepare
config, tokenizer, out, at = pickle.loads(bytes.fromhex(sys.argv[1]))
calls = 0
def kill(stage, done, total):
    global calls
    calls += 1
    if calls == at: os.kill(os.getpid(), 9)
prepare(config, tokenizer, out, kill)
"""


def test_killed_anywhere_it_leaves_no_corpus_and_the_next_run_makes_the_same(tmp_path):
    import pickle

    config = make_sources(tmp_path / "in")
    stages = []
    prepare(config, TOKENIZER, tmp_path / "whole", lambda stage, done, total: stages.append(stage))
    out = tmp_path / "out"
    moments = [stages.index(stage) + 1 for stage in ("read", "copies", "tokenizer", "encode")]
    moments += [stages.index("read") + 2, stages.index("tokenizer") + 3, len(stages)]
    for at in moments:
        argument = pickle.dumps((config, TOKENIZER, str(out), at)).hex()
        done = subprocess.run([sys.executable, "-c", KILLED, argument], timeout=60)
        assert done.returncode == -signal.SIGKILL
        assert not out.exists()
    assert (tmp_path / ".out.spanmix-work").exists()
    prepare(config, TOKENIZER, out)
    assert contents(out) == contents(tmp_path / "whole")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in", "out", "whole"]


def test_few_documents_are_compared_at_once_and_it_makes_no_difference(tmp_path, monkeypatch):
    config = make_sources(tmp_path / "in")
    counts = []

    def counted(*arguments):
        counts.append(len(jobs := pair_jobs(*arguments)))
        return jobs

    monkeypatch.setattr(copies, "pair_jobs", counted)
    prepare(config, TOKENIZER, tmp_path / "a")
    monkeypatch.setattr(copies, "_DOCUMENTS_OF_A_JOB", 1)
    prepare(config, TOKENIZER, tmp_path / "b")
    assert counts[0] == 1 and counts[1] >= 7
    assert contents(tmp_path / "a") == contents(tmp_path / "b")


def test_steps_that_are_not_asked_for_are_not_imported():
    script = "import sys; import spanmix.text.pipeline; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    found = set(done.stdout.split())
    assert "spanmix.text.preparation.steps_of" in found
    steps = {"filters.step", "decontamination.step", "redaction.step", "licences.step", "trace.build"}
    heavy = {"torch", "transformers", "datasets", "daft", "ray", "detect_secrets", "py3langid"}
    assert not found & (heavy | {f"spanmix.text.{step}" for step in steps})


def test_two_writers_are_refused(tmp_path):
    config = make_sources(tmp_path / "in")
    errors = []

    def second(stage, done, total):
        if stage == "encode" and done == 0:
            with pytest.raises(InputError, match="being written by another process") as error:
                prepare(config, TOKENIZER, tmp_path / "out")
            errors.append(error)

    prepare(config, TOKENIZER, tmp_path / "out", second)
    assert len(errors) == 1
    Corpus.open(tmp_path / "out")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("made")
    prepare(make_sources(folder / "in"), TOKENIZER, folder / "out")
    return contents(folder / "out")


def restore(made, folder):
    for name, data in made.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)


def test_a_corpus_that_lacks_or_truncates_any_file_is_refused(tmp_path, made):
    for_people = ("tokenizer/", "audit/", "report.html", "README.md")
    needed = [name for name in made if not name.startswith(for_people)]
    needed.append("tokenizer/tokenizer.json")
    assert len(needed) == 1 + 4 * 3 + 1
    for name in needed:
        restore(made, tmp_path)
        (tmp_path / name).unlink()
        with pytest.raises(InputError):
            Corpus.open(tmp_path)
        (tmp_path / name).write_bytes(made[name][:-2])
        with pytest.raises(InputError, match=name.rpartition("/")[2].replace(".", r"\.")):
            Corpus.open(tmp_path)
    restore(made, tmp_path)
    Corpus.open(tmp_path)


def test_a_corpus_of_another_tokenizer_version_or_source_is_refused(tmp_path, made):
    restore(made, tmp_path)
    Tokenizer.train(["other text " * 9], 512, 20).save(tmp_path / "tokenizer")
    with pytest.raises(InputError, match="made with another tokenizer"):
        Corpus.open(tmp_path)
    restore(made, tmp_path)
    (tmp_path / "corpus.json").write_bytes(
        made["corpus.json"].replace(b'"format_version": 1', b'"format_version": 2')
    )
    with pytest.raises(InputError, match="format version 2, this Spanmix reads 1"):
        Corpus.open(tmp_path)
    (tmp_path / "corpus.json").write_bytes(b'{"format_version": 1, "sources": []}')
    with pytest.raises(InputError, match=r"corpus\.json has no fingerprint"):
        Corpus.open(tmp_path)
    restore(made, tmp_path)
    for ending in ("bin", "idx"):
        (tmp_path / f"code.{ending}").write_bytes(made[f"prose.{ending}"])
    with pytest.raises(InputError, match="belongs to another corpus"):
        Corpus.open(tmp_path)
    with pytest.raises(InputError, match="does not exist"):
        Corpus.open(tmp_path / "nowhere")


def test_fingerprint_follows_the_tokens(tmp_path):
    config = make_sources(tmp_path / "in")
    first = prepare(config, TOKENIZER, tmp_path / "a")
    os.utime(tmp_path / "in" / "code" / "f00.py")
    second = prepare(config, TOKENIZER, tmp_path / "b")
    assert first.fingerprint == second.fingerprint and first.made_from == second.made_from
    (tmp_path / "in" / "code" / "z.py").write_text("z = 1\n")
    third = prepare(config, TOKENIZER, tmp_path / "c")
    assert third.fingerprint != first.fingerprint


def test_long_lines(tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "a.txt").write_text("a" * 1_500_000)
    (folder / "b.txt").write_text("x" + " " * 3_000_000)
    (folder / "c.txt").write_text("[1,2,3]," * 50_000)
    config = CorpusConfig("", (SourceFilesConfig("code", (str(folder),)),), held_out_share=0)
    prepare(config, TOKENIZER, tmp_path / "out")
    train = Corpus.open(tmp_path / "out").train["code"]
    assert [train.text(i) for i in range(3)] == [path.read_text() for path in sorted(folder.iterdir())]
