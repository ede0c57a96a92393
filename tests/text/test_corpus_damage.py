"""A corpus that is damaged, or that a recipe did not ask for, is refused before anything is read from it."""

import copy
import dataclasses
import functools
import json
import shutil

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest

from spanmix.errors import InputError
from spanmix.text import corpus as corpus_module
from spanmix.text.corpus import Corpus
from spanmix.text.report import CorpusReport


@pytest.fixture
def folder(corpus_folder, tmp_path):
    return shutil.copytree(corpus_folder, tmp_path / "corpus")


def refusal(folder) -> str:
    with pytest.raises(InputError) as caught:
        Corpus.open(folder)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_any_flipped_bit_of_the_ids_is_refused(folder):
    places = np.random.default_rng(1)
    files = [*folder.glob("*.bin"), *folder.glob("*.idx")]
    assert len(files) == 8
    for file in files:
        whole = file.read_bytes()
        for at in [0, len(whole) - 1, *places.integers(len(whole), size=8).tolist()]:
            damaged = bytearray(whole)
            damaged[at] ^= 1 << int(places.integers(8))
            file.write_bytes(damaged)
            refusal(folder)
        file.write_bytes(whole)
    Corpus.open(folder)


def test_changed_ids_are_refused_with_both_fingerprints(folder):
    ids = np.fromfile(folder / "code.bin", dtype=np.uint16)
    assert ids[0] != ids[1]
    ids[:2] = ids[1], ids[0]  # the same sizes, ids of the same tokenizer
    ids.tofile(folder / "code.bin")
    recorded = json.loads((folder / "corpus.json").read_text())["fingerprint"]
    message = refusal(folder)
    assert f"says {recorded[:12]}" in message and "prepare it again" in message


def test_a_long_check_is_reported(folder, monkeypatch):
    calls = []
    Corpus.open(folder, lambda *call: calls.append(call))
    assert calls == []
    monkeypatch.setattr(corpus_module, "_QUIET_BYTES", 0)
    Corpus.open(folder, lambda *call: calls.append(call))
    size = sum(file.stat().st_size for file in folder.iterdir() if file.suffix in (".bin", ".idx"))
    assert {(stage, total) for stage, _, total in calls} == {("check", size)} and calls[-1][1] == size


def test_a_report_that_was_changed_by_hand_is_refused(folder):
    file = folder / "corpus.json"
    report = json.loads(file.read_text())
    own = report["content_sha256"]
    tried = 0
    for place in parts(report):
        value = functools.reduce(dict.__getitem__, place, report) if place else None
        if type(value) in (int, str):
            file.write_text(json.dumps(replaced(report, place, value * 2 + type(value)(1))))
            message = refusal(folder)
            tried += "was changed by hand" in message and "prepare it again" in message
    assert tried > 20
    report["sources"]["code"]["dropped"] = {}
    file.write_text(json.dumps(report | {"more": 1}, indent=1))
    assert f"was written with {own[:12]}" in refusal(folder)
    del report["content_sha256"]  # as those that were made before it was written
    file.write_text(json.dumps(report, indent=1))
    Corpus.open(folder)


def test_a_report_that_is_laid_out_anew_is_the_same(folder):
    file = folder / "corpus.json"
    report = json.loads(file.read_text())
    file.write_text(json.dumps(dict(reversed(report.items()))))
    assert Corpus.open(folder).report == CorpusReport.load(folder)


def parts(value, place=()):
    """Every place in a JSON value."""
    yield place
    for key, item in value.items() if isinstance(value, dict) else ():
        yield from parts(item, (*place, key))


def replaced(value, place, new):
    value = {"": copy.deepcopy(value)}
    node = value
    for key in ("", *place)[:-1]:
        node = node[key]
    node[("", *place)[-1]] = new
    return value[""]


def test_a_value_of_another_type_in_the_report_names_the_file(folder):
    file = folder / "corpus.json"
    report = json.loads(file.read_text())
    del report["content_sha256"], report["made_with"]  # written for people, of any form
    fitting = {
        **{
            name: [None]
            for name in ("settings", "read", "copies", "agreements", "mean_share", "held_out_draw")
        },
        **{name: [{}] for name in ("licences", "dropped", "dropped_bytes", "changed")},
        **{name: [None, {}] for name in ("languages", "files", "text_fields")},
        "ends_with_eod": [True],
        **{name: ["x"] for name in ("made_from", "sha256", "repository")},
    }
    tried = 0
    for place in parts(report):
        for value in (None, [], {}, "x", True):
            if not (place and value in fitting.get(place[-1], [])):
                file.write_text(json.dumps(replaced(report, place, value)))
                assert str(folder) in refusal(folder)
                tried += 1
    assert tried > 100


@pytest.mark.parametrize("data", [b"", b"[]", b"null", b"\xff", b"[" * 100_000, b"1" * 5000])
def test_a_report_that_is_none_names_the_file(folder, data):
    (folder / "corpus.json").write_bytes(data)
    assert "corpus.json" in refusal(folder)


@pytest.mark.parametrize("name", ["../code", "", "a" * 101, "\ud800", "a\0"])
def test_a_source_in_the_report_cannot_lead_elsewhere(folder, name):
    report = json.loads((folder / "corpus.json").read_text())
    del report["content_sha256"]
    report["sources"][name] = report["sources"]["code"]
    (folder / "corpus.json").write_text(json.dumps(report))
    assert "corpus.json" in refusal(folder)


def without_path(table):
    return table.drop_columns(["path"])


def bytes_as_text(table):
    return table.set_column(4, "num_bytes", table["num_bytes"].cast(pyarrow.string()))


def other_bytes(table):
    return table.set_column(4, "num_bytes", pyarrow.array([None, *[7] * (len(table) - 1)], pyarrow.int64()))


def one_row_less(table):
    return table.slice(1)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (without_path, "has the columns repository"),
        (bytes_as_text, r"num_bytes \(string\)"),
        (other_bytes, r"corpus\.json says"),
        (one_row_less, r"corpus\.json says"),
    ],
)
def test_a_changed_table_of_documents_is_refused(folder, change, said):
    file = folder / "code.documents.parquet"
    pyarrow.parquet.write_table(change(pyarrow.parquet.read_table(file)), file)
    assert "code.documents.parquet has " in refusal(folder)
    report = json.loads((folder / "corpus.json").read_text())
    del report["files"], report["content_sha256"]  # as those that were made before these were written
    (folder / "corpus.json").write_text(json.dumps(report))
    source = Corpus.open(folder).train["code"]  # the table is read when first asked for
    with pytest.raises(InputError, match=rf"code\.documents\.parquet .*{said}.*prepare it again"):
        source.path(0)


def test_a_table_of_the_same_size_in_another_order_is_refused(folder):
    file = folder / "code.held_out.documents.parquet"
    before = file.read_bytes()
    table = pyarrow.parquet.read_table(file)
    pyarrow.parquet.write_table(table.take(list(range(len(table)))[::-1]), file)
    file.write_bytes(file.read_bytes()[: len(before)].ljust(len(before), b"x"))
    assert file.read_bytes() != before
    message = refusal(folder)
    assert "code.held_out.documents.parquet has other contents than were written. Restore it" in message
    file.write_bytes(before)
    Corpus.open(folder)


# What conftest.py makes the corpus with; none is a default.
MADE_WITH = {"corpus.held_out_share": 0.2, "tokenizer.vocab_size": 512, "tokenizer.num_sentinels": 16}


def with_fields(recipe, fields):
    for name, value in fields.items():
        section, field = name.split(".")
        part = dataclasses.replace(getattr(recipe, section), **{field: value})
        recipe = dataclasses.replace(recipe, **{section: part})
    return recipe


def test_a_recipe_must_ask_for_this_corpus(folder, recipe):
    corpus = Corpus.open(folder)
    corpus.check_recipe(recipe)  # all at their defaults: nothing is asked for
    corpus.check_recipe(with_fields(recipe, MADE_WITH))
    others = {"corpus.seed": 5, "corpus.max_document_bytes": 100, "corpus.held_out_share": 0.3}
    others |= {"tokenizer.vocab_size": 576, "tokenizer.num_sentinels": 17}
    for name, value in others.items():
        with pytest.raises(InputError, match=rf"{name} is {value} in the recipe and \d[\d.]* in the corpus"):
            corpus.check_recipe(with_fields(recipe, {name: value}))
    corpus.check_recipe(with_fields(recipe, {"tokenizer.path": str(folder / "tokenizer")}))


def test_a_recipe_with_another_tokenizer_is_refused(folder, recipe, tokenizer, tmp_path):
    tokenizer.save(tmp_path / "other")
    with pytest.raises(InputError, match="made with another tokenizer"):
        Corpus.open(folder).check_recipe(with_fields(recipe, {"tokenizer.path": str(tmp_path / "other")}))


def test_a_corpus_made_before_its_settings_were_written_down_opens(folder, recipe):
    file = folder / "corpus.json"
    report = json.loads(file.read_text())
    del report["settings"], report["content_sha256"]
    file.write_text(json.dumps(report))
    corpus = Corpus.open(folder)
    corpus.check_recipe(with_fields(recipe, {"corpus.held_out_share": 0.3}))
    with pytest.raises(InputError, match=r"vocab_size is 576"):
        corpus.check_recipe(with_fields(recipe, {"tokenizer.vocab_size": 576}))
