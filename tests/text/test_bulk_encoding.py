"""Texts that are encoded at once have exactly the ids of the `tokenizers` library."""

import collections
import itertools
import json
import random
import re
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import tokenizers
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import AddedToken, models, pre_tokenizers

from spanmix.errors import InputError
from spanmix.interchange.tokenizers import codegen2_tokenizer, codegen25_tokenizer
from spanmix.text import bulk_encoding, text_tokenizer
from spanmix.text.bulk_encoding import BulkEncoder, bulk_encoder
from spanmix.text.bulk_rules import BulkRules, bulk_rules
from spanmix.text.byte_level import byte_alphabet, byte_level_bpe, split_as_gpt2
from spanmix.text.tokenizer import Tokenizer
from spanmix.text.tokenizer_training import EOM, EOT, PAD, SEP, mask_name

SAMPLE = (
    Path(json.__file__).read_text(encoding="utf-8")
    + "d'être, größer, 中文字 😀 I'll don't\u3000x\u00a0\n" * 20
)
TRAINED = Tokenizer.train([SAMPLE], vocab_size=1024, num_sentinels=99)
CONTROLS = list(TRAINED.special_ids)


def small(*runs, merges_reversed=False):
    """A tokenizer with the trained one's merges, other runs, and the fewest controls."""
    model = json.loads(TRAINED._inner.to_str())["model"]
    merges = [tuple(pair) for pair in model["merges"]]
    if merges_reversed:
        merges.reverse()
    added = {EOT: True} | dict.fromkeys(runs, False) | dict.fromkeys([PAD, SEP, EOM, mask_name(1)], True)
    return Tokenizer(byte_level_bpe(model["vocab"], merges, added))


SIDES = {
    "trained": TRAINED,
    "no runs": small(),
    "short runs": small("  ", "   ", "\t\t"),
    "merges in another order": small("  ", merges_reversed=True),
    "CodeGen2": codegen2_tokenizer(),
    "CodeGen2.5": codegen25_tokenizer(),
}
NO_RUNS = {"no runs", "CodeGen2.5"}


def library(tokenizer, texts):
    return [e.ids for e in tokenizer._inner.encode_batch_fast(texts, add_special_tokens=False)]


def new_encoder(tokenizer) -> BulkEncoder:
    encoder = bulk_encoder(tokenizer._inner, tokenizer.num_bytes)
    assert encoder is not None
    return encoder


def ids_of(encoder, texts):
    return [ids.tolist() for ids in encoder.encode(texts)]


ENCODERS = {name: new_encoder(side) for name, side in SIDES.items()}

WIDE_BLANKS = "\u0085\u00a0\u1680\u2003\u2028\u202f\u3000"
HARD = {
    "contraction": [
        "'s",
        "'t",
        "'re",
        "'ve",
        "'m",
        "'ll",
        "'d",
        "'S",
        "'LL",
        "'r",
        "'l",
        "'",
        "''s",
        "'sa",
        "s",
    ],
    "wide blank": list(WIDE_BLANKS),
    "narrow blank": ["\n", "\r\n", "\v", "\f", "\x1c", "\x1f", "\x00", "\u200b", "\ufeff", "\u180e"],
    "mark": ["e\u0301", "\u0301", "ก็", "\u0903", "👩‍👩‍👧"],
    "foreign digit": ["٣", "४", "５", "½", "Ⅷ", "𝟘", "٣1", "一"],
    "beyond the BMP": ["😀", "𐐷", "𠮷", "\U0010ffff", "\U000e0001"],
    "control": [*CONTROLS[:3], *CONTROLS[-3:], "<mask_", "<dummy_0>"],
}
runs = (
    st.sampled_from([31, 32, 62, 63]).map(" ".__mul__)
    | st.integers(1, 70).map(" ".__mul__)
    | st.integers(1, 25).map("\t".__mul__)
    | st.integers(1, 4).map("\n".__mul__)
)
pieces = st.one_of(
    st.sampled_from([piece for group in HARD.values() for piece in group]),
    st.text(max_size=6),
    st.sampled_from(["a", "Bc", "12", "(", "_", "é", " x", " '", " 1", " 中"]),
    runs,
)
texts = st.lists(st.lists(pieces, max_size=14).map("".join), min_size=1, max_size=4)


def test_every_text_has_the_ids_of_the_library():
    met = Counter()

    @given(texts)
    def check(batch):
        for name, side in SIDES.items():
            expected = library(side, batch)
            assert ids_of(ENCODERS[name], batch) == expected, name
        assert ids_of(new_encoder(SIDES["trained"]), batch) == library(SIDES["trained"], batch)
        for text in batch:
            for group, members in HARD.items():
                met[group] += any(piece in text for piece in members)
            met["run longer than any entry"] += " " * 32 in text
            lengths = [len(run) for run in re.findall(" +", text)]
            met["one blank left of a run"] += any(n > 31 and n % 31 == 1 for n in lengths)
            met["tabs beside spaces"] += "\t\t  " in text or "  \t\t" in text
        met["several texts"] += len(batch) > 1
        met["an empty text"] += "" in batch

    check()
    assert len(met) == len(HARD) + 5 and all(count >= 10 for count in met.values()), met


@pytest.mark.parametrize("name", ["trained", "no runs", "short runs"])
def test_runs_of_every_length_have_the_ids_of_the_library(name):
    beside = ["", "x", "1", ".", "'s", "\n", "\t\t", "  ", "\u3000"]
    batch = [
        left + blank * n + right
        for blank in (" ", "\t")
        for n in range(1, 100)
        for left, right in itertools.product(beside, repeat=2)
    ]
    assert len(batch) == 2 * 99 * 81
    assert ids_of(ENCODERS[name], batch) == library(SIDES[name], batch)


# One of each kind, and of each that the rule names: what a place becomes depends on few neighbors.
ALPHABET = ["a", "s", "l", "é", "1", "٣", ".", "'", "\u0301", " ", "\t", "\n", "\u00a0", "\u3000"]


@pytest.mark.parametrize("name", ["trained", "no runs", "short runs"])
def test_every_text_of_four_characters_has_the_ids_of_the_library(name):
    batch = ["".join(text) for text in itertools.product(ALPHABET, repeat=4)]
    assert len(batch) == 14**4
    assert ids_of(ENCODERS[name], batch) == library(SIDES[name], batch)


def test_random_characters_of_all_planes_are_of_the_librarys_kinds():
    """Whatever Unicode version the library was built with, its own patterns say what a letter is."""
    choose = random.Random(3)
    points = [*range(0x80, 0x3100), *choose.sample(range(0x3100, 0x110000), 9000)]
    points = [point for point in points if not 0xD800 <= point < 0xE000]
    # Beside a letter, a digit, a point and a line's end each kind is cut otherwise.
    batch = [
        "".join(f"a{chr(p)}1{chr(p)}.{chr(p)}\n{chr(p)} {chr(p)}" for p in points[at::40]) for at in range(40)
    ]
    assert sum(map(len, batch)) > 200_000
    for name in ("trained", "no runs"):
        assert ids_of(ENCODERS[name], batch) == library(SIDES[name], batch), name


@pytest.mark.parametrize("name", SIDES)
def test_code_has_the_ids_of_the_library(name):
    files = [Path(module.__file__).read_text(encoding="utf-8") for module in (json, random, collections)]
    batch = [file[start : start + 3000] for file in files for start in range(0, len(file), 3000)]
    assert len(batch) >= 10
    assert ids_of(ENCODERS[name], batch) == library(SIDES[name], batch)


@pytest.mark.parametrize("unit", ["a", "ab", "=", "\n", " ", "\t", "é", "中", "'s", "\u3000", "'"])
def test_long_words_have_the_ids_of_the_library(unit):
    text = "x" + unit * (100_000 // len(unit)) + "y"
    for name in ("trained", "CodeGen2.5"):
        assert ids_of(ENCODERS[name], [text]) == library(SIDES[name], [text])


def test_texts_are_cut_between_words_only(monkeypatch):
    monkeypatch.setattr(bulk_encoding, "BATCH_BYTES", 100)
    base64 = "".join(random.Random(1).choices("abcXYZ0123456789+/", k=3000))
    batch = [SAMPLE, "", base64, "x", SAMPLE[:50]]
    found = [len(list(bulk_encoding._pieces(text))) for text in batch]
    assert found[0] > 50 and found[2] > 20 and found[1] == found[3] == found[4] == 1
    assert ["".join(bulk_encoding._pieces(text)) for text in batch] == batch
    for name, side in SIDES.items():
        assert ids_of(ENCODERS[name], batch) == library(side, batch)


def test_only_words_longer_than_the_limit_are_cut_inside(monkeypatch):
    monkeypatch.setattr(bulk_encoding, "BATCH_BYTES", 100)
    monkeypatch.setattr(bulk_encoding, "MAX_WORD_CHARACTERS", 400)
    fits, does_not = "a" * 450 + " b", "a" * 1200 + " b"
    assert ids_of(ENCODERS["trained"], [fits]) == library(TRAINED, [fits])
    assert [len(piece) for piece in bulk_encoding._pieces(does_not)] == [500, 500, 200, 2]
    (ids,) = ENCODERS["trained"].encode([does_not])
    assert TRAINED.decode_bytes(ids) == does_not.encode()


def test_so_many_words_are_remembered_and_no_more(monkeypatch):
    monkeypatch.setattr(bulk_encoding, "MAX_KNOWN_WORDS", 50)
    monkeypatch.setattr(bulk_encoding, "BATCH_BYTES", 300)
    encoder = new_encoder(TRAINED)
    sizes = []
    for start in range(0, len(SAMPLE), 250):
        text = SAMPLE[start : start + 250] + " " + "z" * 80
        assert ids_of(encoder, [text]) == library(TRAINED, [text])
        sizes.append(len(encoder._known))
    assert len(sizes) > 20 and max(sizes) <= 50
    assert sum(later < earlier for earlier, later in itertools.pairwise(sizes)) >= 3  # it began anew
    assert all(b"z" * 80 not in word for word in encoder._known)  # nor are long words


def test_threads_share_one_encoder(monkeypatch):
    monkeypatch.setattr(bulk_encoding, "MAX_KNOWN_WORDS", 200)
    encoder = new_encoder(TRAINED)
    batches = [[SAMPLE[start : start + 700], SAMPLE[: start + 100]] for start in range(0, 8000, 200)]
    expected = [library(TRAINED, batch) for batch in batches]
    with ThreadPoolExecutor(4) as pool:
        for _ in range(5):
            assert list(pool.map(lambda batch: ids_of(encoder, batch), batches)) == expected


def test_long_texts_are_encoded_at_once_and_short_ones_by_the_library(monkeypatch):
    tokenizer = Tokenizer(TRAINED._inner)
    asked = []
    encode = BulkEncoder.encode
    monkeypatch.setattr(
        BulkEncoder, "encode", lambda self, texts: asked.append(len(texts)) or encode(self, texts)
    )
    limit = text_tokenizer.BULK_CHARACTERS
    short, long = SAMPLE[: limit - 1], SAMPLE[:limit]
    for batch in ([short], [long], ["x"] * (limit - 1), ["x"] * limit):
        assert tokenizer.encode_batch(batch) == library(tokenizer, batch)
    assert asked == [1, limit]
    assert tokenizer.encode_inside(long) == library(tokenizer, [long])[0] and len(asked) == 3


def test_no_long_text_yields_a_control_id():
    attack = "".join(f"{control} {control}x  {control}\t\t{control}\n" for control in CONTROLS) * 2
    assert len(attack) > text_tokenizer.BULK_CHARACTERS and len(CONTROLS) > 100
    ids = TRAINED.encode(attack)
    assert TRAINED._bulk is not None and not TRAINED.is_control[ids].any()
    assert TRAINED.decode_bytes(ids) == attack.encode()


def test_a_lone_surrogate_in_a_long_text_is_refused():
    with pytest.raises(InputError, match="lone surrogate at character 9000"):
        TRAINED.encode_arrays(["x", "a" * 9000 + "\udc80"])


def test_ids_are_arrays_of_their_own():
    arrays = ENCODERS["trained"].encode([SAMPLE, "", "x"])
    assert all(ids.dtype == np.int32 and ids.flags.owndata for ids in arrays)
    assert arrays[1].size == 0 and ids_of(ENCODERS["trained"], ["", ""]) == [[], []]
    assert ids_of(ENCODERS["trained"], []) == []


def test_the_rules_are_read_from_the_tokenizer():
    most = {name: bulk_rules(side._inner) for name, side in SIDES.items()}
    assert most["trained"] == most["CodeGen2"] == BulkRules(31, 9)
    assert most["no runs"] == most["CodeGen2.5"] == BulkRules(1, 1)
    assert most["short runs"] == BulkRules(3, 2) and most["merges in another order"] == BulkRules(2, 1)


def added(content, **flags):
    return lambda inner: inner.add_tokens([AddedToken(content, normalized=False, **flags)])


def whole(name, value):
    return lambda inner: setattr(inner, name, value)


def in_model(**changes):
    return lambda spec: spec["model"].update(changes)


BY_DIGITS = pre_tokenizers.Sequence(
    [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
)

NOT_OURS = {
    "another added token": added("word"),
    "a single blank": added(" "),
    "a gap in the runs": added(" " * 40),
    "a run of both blanks": added(" \t"),
    "a run of another blank": added("\n\n"),
    "a run that swallows blanks": added("\t" * 10, lstrip=True),
    "a run that is a word": added("\t" * 10, single_word=True),
    "a run that is looked for later": lambda inner: inner.add_tokens(
        [AddedToken("\t" * 10, normalized=True)]
    ),
    "a special token with a blank": lambda inner: inner.add_special_tokens(["<a  b>"]),
    "a normalizer": whole("normalizer", tokenizers.normalizers.NFC()),
    "a space in front": whole("pre_tokenizer", pre_tokenizers.ByteLevel(add_prefix_space=True)),
    "another rule": whole("pre_tokenizer", pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)),
    "no rule": whole("pre_tokenizer", None),
    "another splitter": whole("pre_tokenizer", pre_tokenizers.Whitespace()),
    "two splitters": whole("pre_tokenizer", BY_DIGITS),
}


@pytest.mark.parametrize("why", NOT_OURS)
def test_other_rules_are_left_to_the_library(why):
    inner = tokenizers.Tokenizer.from_str(TRAINED._inner.to_str())
    NOT_OURS[why](inner)
    assert bulk_encoder(inner, TRAINED.num_bytes) is None


MODELS = [
    models.WordLevel({"a": 0}, unk_token="a"),
    models.BPE({"a": 0}, []),
    *(
        models.BPE({letter: i for i, letter in enumerate(byte_alphabet())}, [], **changes)
        for changes in ({"dropout": 0.1}, {"continuing_subword_prefix": "##"}, {"end_of_word_suffix": "</w>"})
    ),
]


@pytest.mark.parametrize("model", MODELS)
def test_other_models_are_left_to_the_library(model):
    inner = tokenizers.Tokenizer(model)
    split_as_gpt2(inner)
    assert bulk_rules(inner) is None
    inner.model = models.BPE({letter: i for i, letter in enumerate(byte_alphabet())}, [])
    assert bulk_rules(inner) == BulkRules(1, 1)


def test_one_splitter_in_a_sequence_is_ours():
    inner = tokenizers.Tokenizer.from_str(TRAINED._inner.to_str())
    inner.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.ByteLevel(add_prefix_space=False)])
    assert bulk_encoder(inner, TRAINED.num_bytes) is not None


def test_what_is_left_to_the_library_is_encoded_all_the_same():
    inner = tokenizers.Tokenizer.from_str(TRAINED._inner.to_str())
    inner.pre_tokenizer = BY_DIGITS
    tokenizer = Tokenizer(inner)
    assert len(SAMPLE) > text_tokenizer.BULK_CHARACTERS
    assert tokenizer.encode(SAMPLE) == library(tokenizer, [SAMPLE])[0] != TRAINED.encode(SAMPLE)
    assert tokenizer._bulk is None
