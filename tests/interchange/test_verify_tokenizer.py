"""The published tokenizers, as they are and with one thing wrong."""

import json

import pytest

from spanmix.interchange.tokenizers import VOCAB_SIZE, codegen2_tokenizer, codegen25_tokenizer
from spanmix.interchange.verify.tokenizer import check_tokenizer


@pytest.fixture(scope="module")
def codegen2():
    return codegen2_tokenizer()


def results(folder, is_llama=False):
    right, checks = check_tokenizer(folder, "m", VOCAB_SIZE, is_llama)
    assert right.vocab_size == VOCAB_SIZE
    assert all(
        ("spanmix convert m DEST" in check.remedy) == (check.result == "wrong")
        for check in checks
        if check.remedy
    )
    return {check.name: check.result for check in checks if check.result != "ok"}


def test_the_familys_own_pass(codegen2, tmp_path):
    for name, tokenizer in (("codegen2", codegen2), ("codegen2.5", codegen25_tokenizer())):
        tokenizer.save(tmp_path / name)
        assert results(tmp_path / name, is_llama=name == "codegen2.5") == {}


def changed(folder, tokenizer, change):
    tokenizer.save(folder)
    spec = json.loads((folder / "tokenizer.json").read_text())
    change(spec)
    (folder / "tokenizer.json").write_text(json.dumps(spec))
    return folder


def exchange_entries(spec):
    vocab = spec["model"]["vocab"]
    vocab["def"], vocab["add"] = vocab["add"], vocab["def"]


def make_ordinary(spec):
    for token in spec["added_tokens"]:
        token["special"] = token["content"] == "<|endoftext|>"


def drop_last(spec):
    spec["added_tokens"].pop()


FAULTS = {
    "other ids": (exchange_entries, {"tokenizer": "wrong"}),
    "as published": (make_ordinary, {"controls in a text": "wrong"}),
    "one entry less": (drop_last, {"tokenizer": "wrong"}),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_each_fault_is_found_and_nothing_else(fault, codegen2, tmp_path):
    change, expected = FAULTS[fault]
    assert results(changed(tmp_path, codegen2, change)) == expected


def test_a_folder_without_files_is_wrong_for_others_and_read_with_the_familys(tmp_path):
    assert results(tmp_path) == {"tokenizer": "wrong"}
