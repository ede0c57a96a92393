"""A finished corpus is taken as it is only if it is what was asked for, and whole."""

import dataclasses
import hashlib
import json
import os
import shutil
from pathlib import Path

import pytest

from spanmix.config import CorpusConfig, SourceFilesConfig, TokenizerConfig
from spanmix.corpus_configs.decontamination import DecontaminationConfig
from spanmix.corpus_configs.duplicates import DuplicatesConfig
from spanmix.corpus_configs.layout import LayoutConfig
from spanmix.corpus_configs.licences import LicencesConfig
from spanmix.corpus_configs.redaction import RedactionConfig
from spanmix.errors import InputError
from spanmix.text.corpus import Corpus
from spanmix.text.pipeline import prepare
from spanmix.text.preparation import inputs
from spanmix.text.preparation.differences import differences, few
from spanmix.text.preparation.inputs import SEEN_FILE

TOKENIZER = TokenizerConfig(vocab_size=512, num_sentinels=20)


def snapshot(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    """Two sources with e-mail addresses, licences and an exact copy, so that all audit files are there."""
    folder = tmp_path_factory.mktemp("sources")
    for name in ("code", "prose"):
        (folder / name).mkdir()
        for i in range(6):
            text = f"# SPDX-License-Identifier: MIT\n# ask person{i}@acme.org\n{name}_{i} = {i}\n"
            (folder / name / f"{i}.py").write_text(text * 3)
        (folder / name / "copy.py").write_bytes((folder / name / "0.py").read_bytes())
    return folder


def config_of(sources, **fields):
    licences = LicencesConfig()
    both = tuple(
        SourceFilesConfig(name, (str(sources / name),), licences=licences) for name in ("code", "prose")
    )
    return CorpusConfig("", both, **({"held_out_share": 0.3, "redaction": RedactionConfig()} | fields))


@pytest.fixture(scope="module")
def made(sources, tmp_path_factory):
    out = tmp_path_factory.mktemp("made") / "out"
    prepare(config_of(sources), TOKENIZER, out)
    return snapshot(out)


@pytest.fixture
def out(made, tmp_path):
    for name, data in made.items():
        path = tmp_path / "out" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return tmp_path / "out"


def refusal(*arguments):
    with pytest.raises(InputError) as caught:
        prepare(*arguments)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_every_file_that_is_lost_or_changed_is_named(sources, made, out):
    needed = [name for name in made if name not in ("README.md", "report.html", SEEN_FILE)]
    kinds = {name.partition("/")[2].partition(".")[2] for name in needed if name.startswith("audit/")}
    assert kinds >= {"dropped.parquet", "attribution.jsonl", "redactions.jsonl"}
    assert sum(name.endswith(".documents.parquet") for name in needed) == 4
    for name in needed:
        content = made[name]
        damages = {
            "lost": None,
            "cut": content[: len(content) // 2],
            "changed": bytes([content[0] ^ 1]) + content[1:],
        }
        for damage, data in damages.items():
            if damage == "lost":
                (out / name).unlink()
            else:
                (out / name).write_bytes(data)
            if name == "corpus.json" and damage == "lost":
                assert "not empty and holds no corpus" in refusal(config_of(sources), TOKENIZER, out)
            else:
                said = refusal(config_of(sources), TOKENIZER, out)
                assert "holds a damaged corpus" in said
                # The tokenizer and the stores are checked as wholes.
                assert name.rpartition("/")[2] in said or "tokenizer" in name or ".bin and .idx" in said, name
                assert "prepare it again" in said
            (out / name).write_bytes(content)
    assert prepare(config_of(sources), TOKENIZER, out) == Corpus.open(out).report
    assert snapshot(out) == made


def test_all_damage_is_named_at_once(sources, made, out):
    (out / "code.idx").unlink()
    (out / "tokenizer" / "vocab.json").unlink()
    (out / "prose.documents.parquet").write_bytes(b"x")
    said = refusal(config_of(sources), TOKENIZER, out)
    for name in (
        "code.idx is missing",
        "tokenizer/vocab.json is missing",
        "prose.documents.parquet has 1 byte",
    ):
        assert name in said
    for name in ("code.idx", "tokenizer/vocab.json", "prose.documents.parquet"):
        (out / name).write_bytes(made[name])
    ids = bytearray(made["code.bin"])
    ids[:2], ids[2:4] = ids[2:4], ids[:2]
    (out / "code.bin").write_bytes(ids)
    (out / "audit" / "code.dropped.parquet").unlink()
    said = refusal(config_of(sources), TOKENIZER, out)
    assert "code.dropped.parquet is missing" in said and ".bin and .idx files have the fingerprint" in said


def test_many_damaged_files_are_counted(sources, out):
    (out / SEEN_FILE).unlink()
    audit = sorted((out / "audit").iterdir())
    for path in (*audit, *out.glob("*.documents.parquet")):
        path.write_bytes(b"x")
    (out / "code.documents.parquet").write_bytes(b"x")
    assert f", and {len(audit) + 4 - 5} more. Restore" in refusal(config_of(sources), TOKENIZER, out)


@pytest.mark.parametrize("how", ["lost", "cut"])
def test_a_page_is_written_anew_alone(sources, made, out, how):
    page = out / "report.html"
    page.unlink() if how == "lost" else page.write_bytes(made["report.html"][:500])
    before = (out / "code.bin").stat().st_mtime_ns
    prepare(config_of(sources), TOKENIZER, out)
    assert snapshot(out) == made and (out / "code.bin").stat().st_mtime_ns == before


def test_a_card_is_written_anew_if_it_is_lost_and_never_over_what_people_wrote(sources, made, out):
    (out / "README.md").unlink()
    prepare(config_of(sources), TOKENIZER, out)
    assert snapshot(out) == made
    own = {
        "README.md": b"Ask us at corpus@example.org.\n",
        "notes.txt": b"mine",
        "audit/looked-at.md": b"mine",
    }
    for name, data in own.items():
        (out / name).write_bytes(data)
    prepare(config_of(sources), TOKENIZER, out)
    assert snapshot(out) == made | own


def test_a_corpus_of_another_recipe_says_which_fields_differ(sources, made, out):
    config = config_of(sources)
    first, second = config.sources
    others = {
        "corpus.seed is 0 there and 7 here": config_of(sources, seed=7),
        "corpus.layout.language_tag is False there and True here": config_of(
            sources, layout=LayoutConfig(language_tag=True)
        ),
        "corpus.redaction is set there and not set here": config_of(sources, redaction=None),
        "corpus.sources is ['code', 'prose'] there and ['code'] here": dataclasses.replace(
            config, sources=(first,)
        ),
        "corpus.sources.1.prose is False there and True here": dataclasses.replace(
            config, sources=(first, dataclasses.replace(second, prose=True))
        ),
        "corpus.redaction.salt is '' there and '(not shown)' here": config_of(
            sources, redaction=RedactionConfig(salt="a secret of ours")
        ),
    }
    for said, other in others.items():
        message = refusal(other, TOKENIZER, out)
        assert f"from other files: {said}" in message and ". Choose another folder, or remove it" in message
        assert "a secret" not in message
    message = refusal(config, dataclasses.replace(TOKENIZER, vocab_size=576), out)
    assert "tokenizer.vocab_size is 512 there and 576 here" in message
    assert snapshot(out) == made


@pytest.fixture(scope="module")
def other_made(sources, tmp_path_factory):
    """A corpus with a salt, of files in ``in``, where a list of opt-outs and a benchmark lie too."""
    base = tmp_path_factory.mktemp("other")
    folder = shutil.copytree(sources, base / "in")
    (folder / "no.txt").write_text("someone\n")
    problem = {"task_id": "1", "prompt": "Return how many islands there are in a grid of land and water."}
    (folder / "islands.jsonl").write_text(json.dumps(problem) + "\n")
    decontamination = DecontaminationConfig(("in/islands.jsonl",))
    plain = config_of(Path("in"), decontamination=decontamination, redaction=RedactionConfig(salt="a secret"))
    licences = LicencesConfig(opt_out="in/no.txt")
    listed = tuple(dataclasses.replace(source, licences=licences) for source in plain.sources)
    config = dataclasses.replace(plain, sources=listed)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(base)
        prepare(config, TOKENIZER, base / "other")
    return config, base


@pytest.fixture
def other(other_made, tmp_path, monkeypatch):
    """Its recipe, its files and the corpus, all to be changed."""
    config, base = other_made
    shutil.copytree(base, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return config, tmp_path / "in", tmp_path / "other"


def appended(name):
    def change(folder):
        with (folder / name).open("a") as stream:
            stream.write("more\n" if name == "no.txt" else '{"task_id": "2", "prompt": "Add."}\n')

    return change


def same_size(folder):
    data = (folder / "code" / "0.py").read_bytes()
    (folder / "code" / "0.py").write_bytes(data.replace(b"code_0", b"code_9"))


def a_corpus_inside(folder):
    (folder / "prose" / "sub").mkdir()
    for name in ("corpus.json", "x.documents.parquet", "x.bin", "x.idx"):
        (folder / "prose" / "sub" / name).touch()


CHANGES = {
    "more": (
        lambda folder: (folder / "code" / "more.py").write_text("more = 1\n"),
        "more.py of source code is",
    ),
    "gone": (lambda folder: (folder / "prose" / "3.py").unlink(), "3.py of source prose is gone"),
    "longer": (lambda folder: (folder / "prose" / "3.py").write_text("x"), "3.py of source prose had "),
    "same size": (same_size, "0.py of source code has other contents than it had, "),
    "corpus": (a_corpus_inside, "sub/ of source prose is new (corpus of Spanmix)"),
    "opt-out": (appended("no.txt"), "no.txt has other contents"),
    "benchmark": (appended("islands.jsonl"), "islands.jsonl has other contents"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_corpus_of_other_files_names_them(other, change):
    config, folder, out = other
    do, said = CHANGES[change]
    do(folder)
    before = snapshot(out)
    message = refusal(config, TOKENIZER, out)
    assert said in message and "salt" not in message
    assert snapshot(out) == before


def test_another_salt_is_what_remains(other):
    config, _, out = other
    message = refusal(
        dataclasses.replace(config, redaction=RedactionConfig(salt="other one")), TOKENIZER, out
    )
    assert (
        "corpus.redaction.salt is another" in message
        and "a secret" not in message
        and "other one" not in message
    )


def test_many_other_files_are_counted(other):
    config, folder, out = other
    for i in range(9):
        (folder / "code" / f"new{i}.py").write_text("more = 1\n")
    message = refusal(config, TOKENIZER, out)
    assert message.count(" is new") == 4 and "; and 5 more. Choose" in message


def test_a_file_with_its_bytes_is_the_same_whenever_it_was_written(other, monkeypatch):
    config, folder, out = other
    whole = {name: data for name, data in snapshot(out).items() if name != SEEN_FILE}
    prepare(config, TOKENIZER, out)  # of copies, which were written since
    read = []
    monkeypatch.setattr(
        inputs, "hash_input", lambda item, plain=inputs.hash_input: (read.append(item), plain(item))[1]
    )
    prepare(config, TOKENIZER, out)
    assert read == []  # nothing was written since
    for path in (folder / "code" / "0.py", folder / "prose" / "1.py", folder / "no.txt"):
        os.utime(path, (1_700_000_000, 1_700_000_000))
    prepare(config, TOKENIZER, out)
    assert sorted(item.file.name for item in read) == ["0.py", "1.py"]
    prepare(config, TOKENIZER, out)
    assert len(read) == 2  # that they are the same is known now
    (out / SEEN_FILE).write_bytes(b"x")  # may be lost: all is read again
    prepare(config, TOKENIZER, out)
    assert len(read) == 2 + 14
    prepare(config, TOKENIZER, out.with_name("again"))
    again = snapshot(out.with_name("again"))
    assert {name: data for name, data in again.items() if name != SEEN_FILE} == whole


def test_the_table_of_inputs_has_the_hashes_that_others_compute(other):
    _, folder, out = other
    rows = inputs.load_inputs(out)
    assert [(row.source, row.path) for row in rows[:2]] == [("code", "code/0.py"), ("code", "code/1.py")]
    assert len(rows) == 14
    for row in rows:
        data = (folder / row.path).read_bytes()
        assert (row.num_bytes, row.sha256) == (len(data), hashlib.sha256(data).hexdigest())


def test_a_corpus_without_its_inputs_cannot_be_compared(sources, made, out):
    report = json.loads(made["corpus.json"])
    del report["files"][inputs.INPUTS_FILE], report["content_sha256"]
    (out / "corpus.json").write_text(json.dumps(report))
    assert "did not write down what it read" in refusal(config_of(sources), TOKENIZER, out)
    Corpus.open(out)


def test_differences_are_few_and_short():
    there = {"corpus": {f"field_{i}": i for i in range(9)}, "tokenizer": {"path": "x" * 500}}
    here = {"corpus": {f"field_{i}": -i for i in range(9)}, "tokenizer": {"path": None}}
    said = few(differences(there, here))
    assert said.count(";") == 4 and said.endswith("; and 5 more") and len(said) < 300
    assert differences({"tokenizer": there["tokenizer"]}, {"tokenizer": here["tokenizer"]})[0].endswith(
        "not set here"
    )
    assert differences(there, there) == []


def test_what_is_kept_out_and_large_files_in_parts_are_inputs_too(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    lines = [json.dumps({"text": f"def f_{i}(x):\n    return x + {i}\n" * 3}) + "\n" for i in range(60)]
    Path("rows.jsonl").write_text("".join(lines))
    Path("own.py").write_text("own = 1\n" * 9)
    config = CorpusConfig(
        "",
        (SourceFilesConfig("rows", ("rows.jsonl",)),),
        held_out_share=0.2,
        duplicates=DuplicatesConfig(against=("own.py",)),
        partition_bytes=1000,
    )
    prepare(config, TOKENIZER, "out", workers=1)
    assert [(row.source, row.path) for row in inputs.load_inputs(Path("out"))] == [
        (inputs.KEPT_OUT, "own.py"),
        ("rows", "rows.jsonl"),  # once, though it is read in parts
    ]
    os.utime("rows.jsonl", (1_700_000_000, 1_700_000_000))
    prepare(config, TOKENIZER, "out", workers=1)
    Path("own.py").write_text("own = 2\n" * 9)
    said = refusal(config, TOKENIZER, "out")
    assert "own.py of corpus.duplicates.against has other contents" in said
