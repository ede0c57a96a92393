"""The tokenizer gives back every byte, fills its vocabulary exactly, and is what transformers opens."""

import json
import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spanmix.errors import InputError
from spanmix.text import text_tokenizer as text_tokenizer_module
from spanmix.text.text_tokenizer import split_text
from spanmix.text.tokenizer import Tokenizer
from spanmix.text.tokenizer_training import BLANK_RUNS

SAMPLE = [Path(json.__file__).read_text(encoding="utf-8"), Path(random.__file__).read_text(encoding="utf-8")]
TOKENIZER = Tokenizer.train(SAMPLE, vocab_size=1024, num_sentinels=99)

pieces = st.one_of(
    st.text(max_size=20),
    st.sampled_from(
        ["<mask_1>", "<|endoftext|>", "<sep>", "<eom>", "<pad>", "<unused_0>", "\r\n", "👩‍👩‍👧‍👦", "é"]
    ),
    st.integers(1, 80).map(lambda n: " " * n),
    st.integers(1, 30).map(lambda n: "\t" * n),
    st.integers(1, 9).map(lambda n: "\n" * n),
)
texts = st.lists(pieces, max_size=12).map("".join)


@given(texts)
def test_every_text_comes_back(text):
    ids = TOKENIZER.encode(text)
    assert TOKENIZER.decode(ids) == text
    assert TOKENIZER.decode_bytes(ids) == text.encode()
    assert TOKENIZER.num_bytes[ids].sum() == len(text.encode())


@given(st.lists(texts, max_size=5))
def test_batch_equals_one_by_one(batch):
    assert TOKENIZER.encode_batch(batch) == [TOKENIZER.encode(text) for text in batch]


def test_every_byte_has_its_token():
    singles = {piece for piece in TOKENIZER.token_bytes if len(piece) == 1}
    assert singles == {bytes([byte]) for byte in range(256)}
    id_of = {piece: i for i, piece in enumerate(TOKENIZER.token_bytes)}
    data = random.Random(0).randbytes(1000)
    ids = [id_of[bytes([byte])] for byte in data]
    assert TOKENIZER.decode_bytes(ids) == data
    assert TOKENIZER.decode_bytes([id_of[b"\xed"], id_of[b"\xa0"]]) == b"\xed\xa0"
    assert "\ufffd" in TOKENIZER.decode([id_of[b"\xed"]])


def test_lone_surrogate_is_refused():
    with pytest.raises(InputError, match="lone surrogate at character 2"):
        TOKENIZER.encode("ab\ud800")


def test_layout():
    control, size = TOKENIZER.control, TOKENIZER.vocab_size
    assert size == 1024 == len(TOKENIZER.token_bytes) == len(TOKENIZER.num_bytes) == len(TOKENIZER.ends_line)
    assert list(control.masks) == [size - n for n in range(1, 100)]
    assert (control.eom, control.sep) == (size - 100, size - 101)
    assert [TOKENIZER.encode(run) for run in BLANK_RUNS] == [
        [control.eot + 1 + i] for i in range(len(BLANK_RUNS))
    ]
    assert control.pad == control.eot + len(BLANK_RUNS) + 1
    assert TOKENIZER.decode([control.eot, control.masks[0], control.eom]) == "<|endoftext|><mask_1><eom>"
    assert TOKENIZER.decode_bytes([control.eot, *TOKENIZER.encode("x"), control.eom]) == b"x"
    assert TOKENIZER.num_bytes.dtype == np.int32
    assert TOKENIZER.num_bytes[TOKENIZER.is_control].sum() == 0
    newline = TOKENIZER.encode("\n")[0]
    assert TOKENIZER.ends_line[newline] and not TOKENIZER.ends_line[newline - 1]


def test_little_text_leaves_fillers():
    small = Tokenizer.train(["abab abab\n"], vocab_size=448, num_sentinels=9)
    assert small.vocab_size == 448
    fillers = small.suppressed_ids - {small.control.pad}
    assert len(fillers) > 100
    assert small.is_control[list(small.suppressed_ids)].all()
    assert max(fillers) == small.control.sep - 1


def test_too_small_a_vocabulary_is_refused():
    with pytest.raises(InputError, match=r"vocab_size is 384; .* need 397; use 448 or another mult"):
        Tokenizer.train(["a"], vocab_size=384, num_sentinels=99)


def test_merges_are_not_wasted_on_blank_runs():
    blank = [piece for piece in TOKENIZER.token_bytes if len(piece) > 1 and not piece.strip(b" ")]
    assert sorted(blank) == sorted(b" " * n for n in range(2, 32))


def test_training_is_the_same_in_another_process(tmp_path):
    code = (
        "import sys; from pathlib import Path; from spanmix.text.tokenizer import Tokenizer\n"
        "Tokenizer.train([Path(p).read_text() for p in sys.argv[2:]], 1024, 99).save(sys.argv[1])"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "a"), json.__file__, random.__file__]
    subprocess.run(command, check=True, timeout=60)
    TOKENIZER.save(tmp_path / "b")
    names = sorted(path.name for path in (tmp_path / "b").iterdir())
    assert names == [
        "merges.txt",
        "special_tokens_map.json",
        "tokenizer.json",
        "tokenizer_config.json",
        "vocab.json",
    ]
    for name in names:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes(), name


def test_save_and_load(tmp_path):
    TOKENIZER.save(tmp_path)
    loaded = Tokenizer.load(tmp_path)
    assert loaded.fingerprint == TOKENIZER.fingerprint
    assert loaded.encode("def f():  <mask_1>") == TOKENIZER.encode("def f():  <mask_1>")
    assert loaded.control == TOKENIZER.control
    other = Tokenizer.train(SAMPLE, vocab_size=1088, num_sentinels=99)
    assert other.fingerprint != TOKENIZER.fingerprint


def test_missing_and_broken_folders_are_named(tmp_path):
    with pytest.raises(InputError, match=r"no tokenizer\.json"):
        Tokenizer.load(tmp_path)
    path = tmp_path / "tokenizer.json"
    path.write_text("{")
    with pytest.raises(InputError, match=r"tokenizer\.json cannot be read"):
        Tokenizer.load(tmp_path)
    from tokenizers import Tokenizer as Inner
    from tokenizers import models

    Inner(models.BPE(vocab={"a": 0}, merges=[])).save(str(path))
    with pytest.raises(InputError, match=r"no special token <\|endoftext\|>, <sep>"):
        Tokenizer.load(tmp_path)


def test_transformers_gives_the_same_ids(tmp_path):
    from transformers import AutoTokenizer

    TOKENIZER.save(tmp_path)
    theirs = AutoTokenizer.from_pretrained(tmp_path)
    control = TOKENIZER.control
    assert len(theirs) == TOKENIZER.vocab_size
    assert (theirs.eos_token_id, theirs.pad_token_id) == (control.eot, control.pad)
    assert theirs.convert_tokens_to_ids("<mask_7>") == control.masks[6]
    text = SAMPLE[0] + "\n\t\t\tx  =  'ünï👩‍👩‍👧'" + " " * 70 + "\r\n"
    ids = TOKENIZER.encode(text)
    assert theirs.encode(text) == ids
    assert theirs.decode(ids) == text
    attack = "a <mask_1>  <|endoftext|>"
    assert theirs.encode(attack, split_special_tokens=True) == TOKENIZER.encode(attack)
    assert theirs.encode("<mask_1>") == [control.masks[0]]


@given(st.lists(pieces, min_size=20, max_size=60).map("".join), st.integers(8, 60))
def test_chunks_join_to_the_text(text, size):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(text_tokenizer_module, "CHUNK_CHARACTERS", size)
        patch.setattr(text_tokenizer_module, "_BOUNDARY_SEARCH", size // 2)
        chunks = list(split_text(text))
        assert "".join(chunks) == text
        assert all(len(chunk) <= size for chunk in chunks)
        assert TOKENIZER.decode(TOKENIZER.encode(text)) == text


def test_cuts_between_words_change_no_token(monkeypatch):
    text = SAMPLE[1]
    whole = TOKENIZER.encode(text)
    assert len(text) < text_tokenizer_module.CHUNK_CHARACTERS
    monkeypatch.setattr(text_tokenizer_module, "CHUNK_CHARACTERS", 300)
    monkeypatch.setattr(text_tokenizer_module, "_BOUNDARY_SEARCH", 200)
    chunks = list(split_text(text))
    assert len(chunks) > 50
    assert [i for chunk in chunks for i in TOKENIZER.encode(chunk)] == whole


@pytest.mark.parametrize("unit", ["a", " ", "\n", "中", "ab,1 "])
def test_long_lines_are_encoded_in_bounded_time(unit):
    text = unit * (600_000 // len(unit))
    assert TOKENIZER.decode(TOKENIZER.encode(text)) == text


def test_long_runs_do_not_slow_training():
    trained = Tokenizer.train(["a" * 2_000_000, "\n" * 2_000_000, "1 +\n" * 100], 512, 9)
    assert b"a" * 64 not in trained.token_bytes
