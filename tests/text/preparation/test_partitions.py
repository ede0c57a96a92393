"""However a corpus is cut into partitions, and whenever its making is interrupted, it is the same."""

import dataclasses
import json
import pickle
import signal
import subprocess
import sys

import pyarrow.parquet
import pytest

from spanmix.config import CorpusConfig, SourceFilesConfig, TokenizerConfig
from spanmix.corpus_configs.duplicates import DuplicatesConfig
from spanmix.corpus_configs.layout import LayoutConfig
from spanmix.corpus_configs.redaction import RedactionConfig
from spanmix.errors import InputError
from spanmix.text import pipeline
from spanmix.text.corpus import Corpus
from spanmix.text.pipeline import prepare

TOKENIZER = TokenizerConfig(vocab_size=512, num_sentinels=20)


def write_sources(folder):
    """Files of 12 repositories with copies and near-copies, as rows of a dataset, beside plain files."""
    folder.mkdir()
    rows = []
    for i in range(60):
        lines = [f"def function_{i}_{j}(x):\n    return x * {i * j}  # naïve\n" for j in range(12)]
        row = {"path": f"src/f{i}.py", "repository": f"owner/r{i % 12}", "license": "MIT", "stars": i % 7}
        rows.append(row | {"text": "\n".join(lines)})
        if i % 5 == 0:
            rows.append(row | {"path": f"copy{i}.py", "text": "\n".join(lines), "stars": 100})
        if i % 5 == 1:
            rows.append(row | {"path": f"near{i}.py", "text": "\n".join(lines) + "\n# the end\n"})
    with (folder / "rows.jsonl").open("w") as stream:
        stream.writelines(json.dumps(row) + "\n" for row in rows)
    (folder / "plain").mkdir()
    for i in range(15):
        (folder / "plain" / f"p{i:02}.txt").write_text(f"Chapter {i}.\n" + "It was a dark night. " * (i + 3))
    (folder / "plain" / "p99.txt").write_bytes(b"\0")
    return (
        SourceFilesConfig("rows", (str(folder / "rows.jsonl"),)),
        SourceFilesConfig("plain", (str(folder / "plain"),)),
    )


def config_of(sources, partition_bytes=32_000_000, near="drop", **layout):
    return CorpusConfig(
        "",
        sources,
        held_out_share=0.2,
        seed=3,
        duplicates=DuplicatesConfig(near=near),
        layout=LayoutConfig(**layout),
        partition_bytes=partition_bytes,
    )


def contents(folder):
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def without_name(files):
    """All but what knows how the corpus was cut: the recipe, its hash, those of files, and the pages."""
    report = json.loads(files["corpus.json"])
    del report["made_from"], report["made_with"], report["content_sha256"]
    report["files"] = sorted(report["files"])
    files = {name: data for name, data in files.items() if name not in ("report.html", "README.md")}
    tables = {name: data for name, data in files.items() if name.endswith(".parquet")}
    read = {name: pyarrow.parquet.read_table(pyarrow.BufferReader(data)) for name, data in tables.items()}
    return files | {"corpus.json": report} | read


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    return write_sources(tmp_path_factory.mktemp("sources") / "in")


@pytest.mark.parametrize("layout", [{}, {"unit": "repository", "path_share": 0.5, "language_tag": True}])
def test_any_partitions_and_workers_make_the_same(tmp_path, sources, monkeypatch, layout):
    prepare(config_of(sources, **layout), TOKENIZER, tmp_path / "one")
    expected = without_name(contents(tmp_path / "one"))
    report = expected["corpus.json"]["sources"]["rows"]
    assert report["dropped"] == {"exact copy": 12, "near-copy": 12} and report["read"]["kept"] == 60
    if not layout:
        assert report["train"]["documents"] + report["held_out"]["documents"] == 60
    monkeypatch.setattr(pipeline, "_FEW_BYTES", 0)
    for partition_bytes, workers in ((3000, 1), (5000, 2)):
        out = tmp_path / f"{partition_bytes}-{workers}"
        prepare(config_of(sources, partition_bytes, **layout), TOKENIZER, out, workers=workers)
        assert without_name(contents(out)) == expected
    assert sorted(path.name for path in tmp_path.iterdir()) == ["3000-1", "5000-2", "one"]


def test_a_repository_lies_together_and_on_one_side(tmp_path, sources):
    config = config_of(sources, 4000, unit="repository")
    prepare(config, TOKENIZER, tmp_path / "out", workers=1)
    corpus = Corpus.open(tmp_path / "out")
    texts = [
        side.text(i) for side in (corpus.train["rows"], corpus.held_out["rows"]) for i in range(len(side))
    ]
    assert len(texts) == 12 and all(text.count("<|file|>") == 5 for text in texts)
    for text in texts:
        numbers = {int(line.split("_")[1]) % 12 for line in text.splitlines() if line.startswith("def ")}
        assert len(numbers) == 1


def test_the_salt_of_redaction_is_shown_nowhere(tmp_path, sources):
    config = dataclasses.replace(config_of(sources), redaction=RedactionConfig(salt="only-ours-to-know"))
    prepare(config, TOKENIZER, tmp_path / "out")
    assert all(b"only-ours-to-know" not in data for data in contents(tmp_path / "out").values())


def test_every_drop_is_on_record(tmp_path, sources):
    prepare(config_of(sources, 4000), TOKENIZER, tmp_path / "out", workers=1)
    rows = pyarrow.parquet.read_table(tmp_path / "out" / "audit" / "rows.dropped.parquet").to_pylist()
    assert len(rows) == 24 and all(row["num_bytes"] > 100 for row in rows)
    for row in rows:
        number = int("".join(filter(str.isdigit, row["path"])))
        if row["reason"] == "exact copy":  # the copy has more stars, so the original goes
            names = [f"src/f{number}.py", f"copy{number}.py"]
            assert row["path"] == names[0]
        else:
            names = [f"near{number}.py", f"src/f{number}.py"]
        repository = f"owner/r{number % 12}"
        told = {f"{row['repository']}: {row['path']}", row["value"]}
        assert told == {f"{repository}: {name}" for name in names}
    plain = pyarrow.parquet.read_table(tmp_path / "out" / "audit" / "plain.dropped.parquet").to_pylist()
    assert [row["reason"] for row in plain] == ["binary (NUL byte)"]


def test_what_is_kept_out_is_in_no_corpus(tmp_path, sources):
    outside = tmp_path / "outside"
    outside.mkdir()
    lines = [f"def function_3_{j}(x):\n    return x * {3 * j}  # naïve\n" for j in range(12)]
    (outside / "a.py").write_text("\n".join(lines))
    (outside / "b.py").write_text("# a header\n" + "\n".join(line.replace("3_", "4_") for line in lines))
    config = config_of(sources)
    duplicates = dataclasses.replace(config.duplicates, against=(str(outside),))
    report = prepare(dataclasses.replace(config, duplicates=duplicates), TOKENIZER, tmp_path / "out")
    assert report.sources["rows"].dropped["copy of what is kept out"] == 1
    assert set(report.sources) == {"rows", "plain"}


KILLED = """
import os, pickle, sys
from spanmix.text import pipeline
pipeline._FEW_BYTES = 0
config, tokenizer, out, at = pickle.loads(bytes.fromhex(sys.argv[1]))
calls = 0
def kill(stage, done, total):
    global calls
    calls += 1
    if calls == at: os.kill(os.getpid(), 9)
if __name__ == "__main__":
    pipeline.prepare(config, tokenizer, out, kill, workers=2)
"""


def test_killed_in_any_stage_it_goes_on(tmp_path, sources):
    config = config_of(sources, 4000)
    calls = []
    prepare(
        config,
        TOKENIZER,
        tmp_path / "whole",
        lambda stage, done, total: calls.append((stage, done)),
        workers=1,
    )
    (tmp_path / "killed.py").write_text(KILLED)
    out = tmp_path / "out"
    middle = {stage: [i for i, call in enumerate(calls) if call[0] == stage] for stage, _ in calls}
    moments = [places[len(places) // 2] + 1 for places in middle.values()]
    assert list(middle) == ["read", "copies", "tokenizer", "encode"]
    for at in moments:
        argument = pickle.dumps((config, TOKENIZER, str(out), at)).hex()
        done = subprocess.run([sys.executable, str(tmp_path / "killed.py"), argument], timeout=120)
        assert done.returncode == -signal.SIGKILL and not out.exists()
    work = tmp_path / ".out.spanmix-work"
    finished = {path: path.stat().st_mtime_ns for path in (work / "clean").iterdir() if path.suffix == ""}
    assert len(finished) > 4
    again = {}

    def look(stage, done, total):
        if stage == "copies" and not again:
            again.update({path: path.stat().st_mtime_ns for path in finished})

    prepare(config, TOKENIZER, out, look, workers=1)
    assert again == finished  # no partition was read twice
    assert contents(out) == contents(tmp_path / "whole")
    assert not work.exists()


@pytest.mark.parametrize("unit", ["file", "repository"])
def test_each_stage_ends_at_its_total_though_copies_are_dropped(tmp_path, sources, unit):
    last, totals = {}, {}

    def progress(stage, done, total):
        assert totals.setdefault(stage, total) == total and last.get(stage, 0) <= done <= total
        last[stage] = done

    report = prepare(config_of(sources, 4000, unit=unit), TOKENIZER, tmp_path / "out", progress)
    assert sum(source.dropped.get("near-copy", 0) for source in report.sources.values()) == 12
    assert last == totals and list(totals) == ["read", "copies", "tokenizer", "encode"]


def test_work_is_kept_after_an_error_if_there_is_much(tmp_path, sources, monkeypatch):
    from spanmix.text.preparation import work as work_module

    bad = tmp_path / "bad.jsonl"
    bad.write_text('{"text": "fine"}\n{"text": 5}\n')
    config = config_of((*sources, SourceFilesConfig("bad", (str(bad),))))
    for kept_from, left in ((100_000_000, ["bad.jsonl"]), (1, [".out.spanmix-work", "bad.jsonl"])):
        monkeypatch.setattr(work_module, "KEPT_FROM_BYTES", kept_from)
        with pytest.raises(InputError, match="has no text in the field") as error:
            prepare(config, TOKENIZER, tmp_path / "out")
        assert sorted(path.name for path in tmp_path.iterdir()) == left
        assert ("is kept in" in "".join(getattr(error.value, "__notes__", []))) == (kept_from == 1)
    bad.write_text('{"text": "fine"}\n{"text": "fine too"}\n')
    prepare(config, TOKENIZER, tmp_path / "out")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bad.jsonl", "out"]


@pytest.mark.nightly
def test_a_ray_cluster_makes_the_same_bytes(tmp_path, sources):
    config = config_of(sources, 4000, unit="repository")
    prepare(config, TOKENIZER, tmp_path / "here", workers=1)
    script = tmp_path / "on_ray.py"
    script.write_text(
        "import pickle, sys\n"
        "from spanmix.text.pipeline import prepare\n"
        "config, tokenizer, out = pickle.loads(bytes.fromhex(sys.argv[1]))\n"
        "if __name__ == '__main__':\n"
        "    prepare(config, tokenizer, out, workers=2, cluster='ray://local')\n"
    )
    argument = pickle.dumps((config, TOKENIZER, str(tmp_path / "ray"))).hex()
    subprocess.run([sys.executable, str(script), argument], check=True, timeout=280)
    assert contents(tmp_path / "ray") == contents(tmp_path / "here")
