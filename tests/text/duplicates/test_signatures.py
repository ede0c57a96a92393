"""Signatures estimate the share of windows in common, and bands find what has enough of it."""

import random

import numpy as np
import pytest

from spanmix.corpus_configs.duplicates import DuplicatesConfig
from spanmix.errors import InputError
from spanmix.text.duplicates.check import jaccard
from spanmix.text.duplicates.signatures import Bands, band_keys, bands_for, sign

WORDS = [f"name_{i}" for i in range(3000)]
CONFIG = DuplicatesConfig()


def changed(rng, words, share):
    return [rng.choice(WORDS) if rng.random() < share else word for word in words]


@pytest.mark.parametrize("num_hashes", [64, 128, 256])
def test_the_estimate_is_the_share_of_windows_in_common(num_hashes):
    rng = random.Random(num_hashes)
    originals = [rng.choices(WORDS, k=rng.randint(50, 400)) for _ in range(300)]
    copies = [changed(rng, words, rng.choice([0, 0.01, 0.03, 0.1, 1])) for words in originals]
    config = DuplicatesConfig(num_hashes=num_hashes)
    left = sign([" ".join(words) for words in originals], config).hashes
    right = sign(["\n".join(words) for words in copies], config).hashes
    estimates = (left == right).mean(axis=1)
    shares = np.array([jaccard(" ".join(a), " ".join(b), 5) for a, b in zip(originals, copies, strict=True)])
    between = (shares > 0.1) & (shares < 0.9)
    assert between.sum() > 80 and (shares == 1).sum() > 20 and (shares < 0.01).sum() > 20
    errors = estimates - shares
    assert (errors[shares == 1] == 0).all()
    expected = np.sqrt(shares * (1 - shares) / num_hashes)
    assert abs(errors[between].mean()) < 0.02
    assert 0.7 < errors[between].std() / expected[between].mean() < 1.3


def test_only_words_count():
    one, other, more = sign(
        ["def f(x):\n  return naïve(x, 10)", " def f x return naïve x 10;", "über été"], CONFIG
    ).hashes
    assert (one == other).all() and not (one == more).all()


@pytest.mark.parametrize("threshold", [0.3, 0.5, 0.7, 0.9, 0.99])
def test_nine_of_ten_pairs_at_the_threshold_agree_in_a_band(threshold):
    bands = bands_for(DuplicatesConfig(threshold=threshold))
    assert bands.num_bands * bands.num_rows <= 128
    assert bands.found(threshold) >= 0.9
    longer = Bands(128 // (bands.num_rows + 1), bands.num_rows + 1)
    assert longer.found(threshold) < 0.9


def test_bands_find_as_often_as_they_say():
    rng = random.Random(8)
    originals = [rng.choices(WORDS, k=300) for _ in range(400)]
    texts = [" ".join(words) for words in originals]
    copies = [" ".join(changed(rng, words, 0.07)) for words in originals]
    digests = np.arange(len(texts), dtype=np.uint64)
    left = band_keys(sign(texts, CONFIG), digests, CONFIG)
    right = band_keys(sign(copies, CONFIG), digests + np.uint64(1000), CONFIG)
    found = (left[1:] == right[1:]).any(axis=0)
    bands = bands_for(CONFIG)
    shares = [jaccard(a, b, 5) for a, b in zip(texts, copies, strict=True)]
    expected = sum(bands.found(share) for share in shares)
    assert 0.1 * len(texts) < expected < 0.95 * len(texts)
    assert abs(found.sum() - expected) < 45


def test_short_documents_are_near_copies_of_none():
    texts = ["", "a", "a", "a b c d", "a b c d!", "{}", "[]", "a b c d e", "(a, b, c, d, e)"]
    signatures = sign(texts, CONFIG)
    assert signatures.num_words.tolist() == [0, 1, 1, 4, 4, 0, 0, 5, 5]
    keys = band_keys(signatures, np.arange(len(texts), dtype=np.uint64), CONFIG)[1:]
    same = (keys[:, :, None] == keys[:, None, :]).any(axis=0)
    assert same.sum() == len(texts) + 2 and same[7, 8]


def test_nothing_and_huge_documents():
    assert sign([], CONFIG).hashes.shape == (0, 128)
    texts = ["a " * 3_000_000, "x" * 5_000_000, "a " * 2_999_999]
    hashes = sign(texts, CONFIG).hashes
    assert (hashes[0] == hashes[2]).all() and not (hashes[0] == hashes[1]).all()


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"near": "keep"}, "duplicates.near is .keep"),
        ({"threshold": 1.0}, "duplicates.threshold is 1"),
        ({"threshold": 0.1}, "from 0.3"),
        ({"window_words": 0}, "window_words is 0"),
        ({"num_hashes": 8}, "num_hashes is 8"),
    ],
)
def test_settings_are_checked(fields, said):
    with pytest.raises(InputError, match=said):
        DuplicatesConfig(**fields)
