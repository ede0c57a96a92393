"""A word has one hash wherever it stands, and a window one that depends on its words alone."""

import random

import pytest

from spanmix.text.decontamination.hashes import window_hashes, word_hashes
from spanmix.text.decontamination.normal_form import blanked

BLOCK = 1 << 16


LONG = [b"q" * (n + BLOCK // m) for n in (-2, -1, 0, 1) for m in (1, 2)]


def made_text(seed):
    """Words of all lengths, those around the length of a block twice, with runs of spaces between them."""
    rng = random.Random(seed)
    short = [bytes(rng.choices(b"abcxyz019_\xc3\xa9", k=rng.randint(1, 12))) for _ in range(500)]
    words = rng.choices(short, k=20_000) + LONG + LONG
    rng.shuffle(words)
    text = b"".join(b" " * rng.choice([1, 1, 1, 2, 40]) + word for word in words)
    return text[rng.choice([0, 1]) :]


@pytest.mark.parametrize("seed", range(4))
def test_a_word_has_one_hash_in_every_block(seed):
    text = made_text(seed)
    words = text.split()
    hashes = word_hashes(text).tolist()
    assert len(words) == len(hashes) > 5000
    of_word = {}
    for word, value in zip(words, hashes, strict=True):
        assert of_word.setdefault(word, value) == value
    assert len(set(of_word.values())) == len(of_word) > 400
    assert all(word in of_word for word in LONG)


@pytest.mark.parametrize("num_bytes", [BLOCK // 2, BLOCK // 2 + 1, *range(BLOCK - 2, BLOCK + 3)])
def test_a_word_as_long_as_a_block_has_one_hash_at_both_ends_of_a_text(num_bytes):
    word = b"q" * num_bytes
    alone, behind, first = word_hashes(word), word_hashes(b" a  " + word), word_hashes(word + b" a")
    assert len(alone) == 1 and len(behind) == len(first) == 2
    assert alone[0] == behind[1] == first[0] == word_hashes(b" " + word + b" ")[0]


@pytest.mark.parametrize("text", [b"", b" ", b"a", b" a", b"a ", b" " * (2 * BLOCK), b"a" * (2 * BLOCK)])
def test_edges_of_texts(text):
    assert len(word_hashes(text)) == len(text.split())


@pytest.mark.parametrize("num_words", [1, 2, 3, 5, 8, 13, 16, 31])
def test_windows_are_equal_if_and_only_if_their_words_are(num_words):
    rng = random.Random(num_words)
    words = [rng.choice(["a", "b", "ab"]) for _ in range(300)] * 2
    hashes = window_hashes(word_hashes(blanked(" ".join(words).encode())), num_words).tolist()
    windows = [tuple(words[i : i + num_words]) for i in range(len(words) - num_words + 1)]
    assert len(windows) == len(hashes)
    pairs = set(zip(windows, hashes, strict=True))
    assert len(pairs) == len(set(windows)) == len(set(hashes))
    assert len(windows) - len(pairs) >= 250, "windows that occur twice"


def test_fewer_words_than_a_window_have_none():
    assert len(window_hashes(word_hashes(b"a b"), 3)) == 0
