"""A finished corpus is taken as it is only if it is what was asked for, and whole."""

import dataclasses
import json

import pytest

from spanmix.config import CorpusConfig, SourceFilesConfig, TokenizerConfig
from spanmix.corpus_configs.layout import LayoutConfig
from spanmix.corpus_configs.licences import LicencesConfig
from spanmix.corpus_configs.redaction import RedactionConfig
from spanmix.errors import InputError
from spanmix.text.corpus import Corpus
from spanmix.text.pipeline import prepare
from spanmix.text.preparation.differences import differences

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
    needed = [name for name in made if name not in ("README.md", "report.html")]
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


def test_many_damaged_files_are_counted(sources, out):
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


def test_a_corpus_from_before_files_were_written_down_is_counted_instead(sources, made, out):
    report = json.loads(made["corpus.json"])
    del report["files"]
    (out / "corpus.json").write_text(json.dumps(report))
    assert prepare(config_of(sources), TOKENIZER, out).files is None
    (out / "code.documents.parquet").write_bytes(b"x")
    assert "code.documents.parquet cannot be read" in refusal(config_of(sources), TOKENIZER, out)


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
        "the recipe is the same": config_of(sources, redaction=RedactionConfig(salt="a secret of ours")),
    }
    for said, other in others.items():
        message = refusal(other, TOKENIZER, out)
        if said == "the recipe is the same":  # a salt is not kept
            assert "corpus.redaction.salt" in message and "a secret" not in message
        else:
            assert f"from other files: {said}. Choose another folder, or remove it" in message
    message = refusal(config, dataclasses.replace(TOKENIZER, vocab_size=576), out)
    assert "tokenizer.vocab_size is 512 there and 576 here" in message
    assert snapshot(out) == made


def test_a_corpus_of_other_files_says_of_which_source(sources, out, tmp_path):
    import shutil

    shutil.copytree(sources, tmp_path / "in")
    config = config_of(tmp_path / "in")
    prepare(config, TOKENIZER, tmp_path / "other")
    (tmp_path / "in" / "code" / "more.py").write_text("more = 1\n")
    message = refusal(config, TOKENIZER, tmp_path / "other")
    assert "the files of source code were 7 with" in message and "and are 8 with" in message
    (tmp_path / "in" / "code" / "more.py").unlink()
    (tmp_path / "in" / "code" / "0.py").touch()
    assert "the recipe is the same, so a file that it reads" in refusal(config, TOKENIZER, tmp_path / "other")


def test_differences_are_few_and_short():
    there = {"corpus": {f"field_{i}": i for i in range(9)}, "tokenizer": {"path": "x" * 500}}
    here = {"corpus": {f"field_{i}": -i for i in range(9)}, "tokenizer": {"path": None}}
    said = differences(there, here)
    assert said.count(";") == 4 and said.endswith("; and 5 more") and len(said) < 300
    assert differences({"tokenizer": there["tokenizer"]}, {"tokenizer": here["tokenizer"]}).endswith(
        "not set here"
    )
    assert differences(there, there) == ""
