"""Published tokenizers: transformers' ids, every byte back, and no control out of a text."""

import json
import unicodedata
from collections import Counter
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, normalizers
from transformers import AutoTokenizer

from spanmix.errors import InputError
from spanmix.generate.families import CONTROL_NAMES, open_published
from spanmix.text import text_tokenizer
from spanmix.text.published_files import read_published
from spanmix.text.published_tokenizer import PublishedTokenizer

NAMES = [
    "SantaCoder",
    "StarCoder",
    "Qwen2.5-Coder",
    "DeepSeek-Coder",
    "CodeLlama",
    "CodeGemma",
    "Codestral",
    "Seed-Coder",
]
BLANK_FIRST = {"CodeLlama", "Codestral"}
PLAIN = [
    "def quicksort(arr):\n    if len(arr) <= 1:\n        return arr\n",
    "\n\nx = 1234  # größer, 中文 😀\r\n\treturn\n",
    "value",
    "    indented()",
    "õ",
]


@pytest.fixture(scope="module", params=NAMES)
def family(request):
    return request.param


@pytest.fixture(scope="module")
def folder(family, published, tmp_path_factory):
    folder = tmp_path_factory.mktemp("published")
    published.write_tokenizer(folder, family)
    return folder


@pytest.fixture(scope="module")
def opened(folder, published):
    rows = published.num_rows(Tokenizer.from_file(str(folder / "tokenizer.json")))
    return open_published(folder, rows)


@pytest.fixture(scope="module")
def tokenizer(opened):
    return opened[0]


def test_plain_code_has_transformers_ids(folder, opened):
    tokenizer, asked = opened
    theirs = AutoTokenizer.from_pretrained(folder)
    for text in PLAIN:
        assert [*asked.start_ids, *tokenizer.encode(text)] == theirs(text).input_ids
        assert tokenizer.encode_batch([text, text]) == [tokenizer.encode(text)] * 2


def test_a_text_comes_back_wherever_it_is_cut_and_yields_no_control(family, tokenizer):
    names = [*tokenizer.special_ids, "<0x0A>", "▁", " <PRE>", "\N{COMBINING ACUTE ACCENT}", "\n", "  ", "\t"]
    met = Counter()

    @settings(max_examples=100)
    @given(st.lists(st.sampled_from(names) | st.text(max_size=6), max_size=8), st.integers(0, 2**31))
    def check(pieces, seed):
        text = "".join(pieces)
        if family == "Qwen2.5-Coder":
            text = unicodedata.normalize("NFC", text)
        random = Random(seed)
        start, stop = sorted(random.randint(0, len(text)) for _ in range(2))
        parts = [text[:start], text[start:stop], text[stop:]]
        if any(family == "Qwen2.5-Coder" and unicodedata.normalize("NFC", part) != part for part in parts):
            return
        ids = [tokenizer.encode_inside(part) for part in parts]
        assert tokenizer.decode_bytes(i for part in ids for i in part) == text.encode()
        at_start = tokenizer.encode(parts[0])
        found = tokenizer.decode_bytes(at_start)
        assert found in (
            {parts[0].encode(), b" " + parts[0].encode()} if family in BLANK_FIRST else {parts[0].encode()}
        )
        assert not any(tokenizer.is_control[i] for part in [at_start, *ids] for i in part)
        met["names of controls"] += any(piece in tokenizer.special_ids for piece in pieces)
        met["blanks of SentencePiece"] += "▁" in text
        met["cut inside"] += 0 < start < stop < len(text)

    check()
    cases = ("names of controls", "blanks of SentencePiece", "cut inside")
    assert all(met[case] >= 5 for case in cases), met


def test_the_blank_stands_in_front_of_a_text_and_nowhere_else(family, tokenizer):
    start, inside = tokenizer.encode("def f"), tokenizer.encode_inside("def f")
    assert tokenizer.decode_bytes(inside) == b"def f"
    assert tokenizer.decode_bytes(start) == (b" def f" if family in BLANK_FIRST else b"def f")
    assert (start != inside) == (family in BLANK_FIRST)
    assert tokenizer.encode("") == tokenizer.encode_inside("") == []


def test_long_texts_are_encoded_in_chunks(tokenizer, monkeypatch):
    text = "".join(PLAIN) * 40
    assert len(text) > 4_000
    whole = tokenizer.encode(text), tokenizer.encode_inside(text)
    monkeypatch.setattr(text_tokenizer, "CHUNK_CHARACTERS", 200)
    assert (tokenizer.encode(text), tokenizer.encode_inside(text)) == whole


def test_rows_without_an_entry_are_controls_without_a_name(folder, published):
    inner = Tokenizer.from_file(str(folder / "tokenizer.json"))
    known = set(inner.get_vocab(with_added_tokens=True).values())
    rows = published.num_rows(inner)
    tokenizer, _ = open_published(folder, rows)
    empty = set(range(rows)) - known
    assert len(empty) >= 10 and tokenizer.suppressed_ids == empty
    assert tokenizer.vocab_size == len(tokenizer.token_bytes) == len(tokenizer.num_bytes) == rows
    assert all(tokenizer.is_control[i] and tokenizer.token_bytes[i] == b"" for i in empty)
    assert not empty & set(tokenizer.special_ids.values())
    assert tokenizer.decode([min(empty)]) == f"<row {min(empty)}>"


def test_what_can_be_generated_is_known_byte_for_byte(tokenizer):
    plain = [
        piece
        for piece, control in zip(tokenizer.token_bytes, tokenizer.is_control, strict=True)
        if not control
    ]
    assert len(plain) > 250 and all(plain)
    assert tokenizer.fingerprint == tokenizer.fingerprint and len(tokenizer.fingerprint) == 64
    assert tokenizer.control.eot in tokenizer.end_ids


def test_controls_behind_the_embedding_are_left_out(published, tmp_path):
    inner = published.write_tokenizer(tmp_path, "Qwen2.5-Coder")
    first_fim = inner.token_to_id("<|fim_prefix|>")
    tokenizer, asked = open_published(tmp_path, first_fim)
    assert asked.infill is None and "<|fim_prefix|>" not in tokenizer.special_ids
    assert tokenizer.vocab_size == first_fim
    with pytest.raises(InputError, match=r"has the entry .* rows; the two do not belong together"):
        open_published(tmp_path, 300)


def read(folder, rows=512):
    return PublishedTokenizer(read_published(folder, CONTROL_NAMES), rows, [0])


def test_a_merge_that_makes_a_control_is_taken_out(published, tmp_path):
    published.write_tokenizer(tmp_path, "CodeLlama")
    path = tmp_path / "tokenizer.json"
    spec = json.loads(path.read_text())
    vocab = spec["model"]["vocab"]
    vocab |= {
        text: len(vocab) + n for n, text in enumerate(("▁<", "PRE>", "PR", "E>", "P", "R", "E", ">", "<"))
    }
    spec["model"]["merges"] += [["▁", "<"], ["P", "R"], ["E", ">"], ["PR", "E>"], ["▁<", "PRE>"]]
    path.write_text(json.dumps(spec))
    raw = Tokenizer.from_file(str(path))
    assert raw.token_to_id("▁<PRE>") in raw.encode("<PRE>").ids  # as published, text does yield it
    tokenizer = read(tmp_path)
    assert not tokenizer.is_control[tokenizer.encode("<PRE>")].any()
    assert tokenizer.decode_bytes(tokenizer.encode_inside(" <PRE>")) == b" <PRE>"


def broken(inner, **changes):
    for name, value in changes.items():
        setattr(inner, name, value)
    return inner


REFUSED = [
    (lambda p: Tokenizer(models.Unigram([("a", -1.0)])), "is a Unigram model; only byte-pair"),
    (lambda p: Tokenizer(models.BPE({"a": 0, "b": 1}, [])), "neither byte-level nor falls back to bytes"),
    (lambda p: broken(p.qwen(), normalizer=normalizers.Lowercase()), r"changes texts \(Lowercase\)"),
    (
        lambda p: broken(p.codellama(), normalizer=normalizers.Sequence([normalizers.Strip()])),
        r"changes texts \(Strip\)",
    ),
]


@pytest.mark.parametrize(("make", "message"), REFUSED)
def test_what_would_not_give_texts_back_is_refused(make, message, published, tmp_path):
    make(published).save(str(tmp_path / "tokenizer.json"))
    with pytest.raises(InputError, match=message):
        read(tmp_path)


def test_a_vocabulary_without_a_byte_is_refused(published, tmp_path):
    published.write_tokenizer(tmp_path, "SantaCoder")
    spec = json.loads((tmp_path / "tokenizer.json").read_text())
    vocab = spec["model"]["vocab"]
    lost = vocab.pop("Ĉ")
    vocab[max(vocab, key=vocab.get)] = lost
    spec["model"]["merges"] = []
    (tmp_path / "tokenizer.json").write_text(json.dumps(spec))
    with pytest.raises(InputError, match="no entry for the byte 0x08"):
        read(tmp_path)


@pytest.mark.parametrize("content", ["{", "[]", '{"model": {}}'])
def test_a_broken_file_is_refused(content, tmp_path):
    (tmp_path / "tokenizer.json").write_text(content)
    with pytest.raises(InputError, match="cannot be read"):
        read(tmp_path)


def test_a_missing_file_is_named_with_the_way_to_make_it(tmp_path):
    with pytest.raises(InputError, match=r"no tokenizer.json in it; write one with transformers"):
        read(tmp_path)
