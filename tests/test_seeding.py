"""Randomness is a pure function whose values are part of the format."""

import json
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spanmix.seeding import below, draw, draw_one, mix, name_key, stream_key, torch_generator

GOLDEN = Path(__file__).parent / "golden" / "seeding.json"
GAMMA = 0x9E3779B97F4A7C15
MASK = 2**64 - 1

words = st.integers(0, MASK)
document_ids = st.integers(0, 2**63 - 1)


def integer_draw(seed: int, purpose: str, source_key: int, epoch: int, document_id: int, n: int) -> list[int]:
    """What `draw` gives for one document, written once more with Python's integers only."""
    state = mix(stream_key(seed, purpose, source_key, epoch) ^ mix(document_id + GAMMA))
    return [mix(state + i * GAMMA) for i in range(1, n + 1)]


def test_mix_is_splitmix64():
    # The first three outputs of Vigna's splitmix64.c for the seed 1234567.
    outputs = [mix(1234567 + i * GAMMA) for i in (1, 2, 3)]
    assert outputs == [6457827717110365317, 3203168211198807973, 9817491932198370423]


def test_draws_equal_the_committed_vectors():
    golden = json.loads(GOLDEN.read_text(encoding="utf-8"))
    assert len(golden["draws"]) >= 8
    for case in golden["draws"]:
        source_key = name_key(case["source"])
        assert f"{source_key:#x}" == case["source_key"]
        drawn = draw(
            case["seed"], case["purpose"], source_key, case["epoch"], case["document_ids"], case["n"]
        )
        assert drawn.dtype == np.uint64
        assert [[f"{word:#x}" for word in row] for row in drawn.tolist()] == case["words"]


@given(
    words,
    st.text(max_size=8),
    words,
    st.integers(0, 2**40),
    st.lists(document_ids, max_size=5),
    st.integers(0, 6),
)
def test_arrays_equal_integers(seed, purpose, source_key, epoch, documents, n):
    drawn = draw(seed, purpose, source_key, epoch, documents, n)
    assert drawn.shape == (len(documents), n)
    expected = [integer_draw(seed, purpose, source_key, epoch, document, n) for document in documents]
    assert drawn.tolist() == expected


@given(words, st.lists(document_ids, min_size=1, max_size=6), st.integers(1, 5), st.integers(0, 5))
def test_a_documents_words_depend_on_nothing_beside_it(seed, documents, n, more):
    together = draw(seed, "spans", 7, 2, documents, n + more)
    for row, document in zip(together, documents, strict=True):
        assert draw(seed, "spans", 7, 2, [document], n)[0].tolist() == row[:n].tolist()


def test_streams_differ_by_every_part_of_the_key():
    parts = product((0, 1, 2**63), ("spans", "order"), (name_key("code"), name_key("prose")), (0, 1, 2))
    seen = set()
    num = 0
    for seed, purpose, source_key, epoch in parts:
        rows = draw(seed, purpose, source_key, epoch, [0, 1, 2, 10**12], 4)
        seen |= set(rows.ravel().tolist())
        num += rows.size
    assert num == 3 * 2 * 2 * 3 * 4 * 4
    assert len(seen) == num


@given(words, st.integers(1, 2**64))
def test_below_stays_in_bounds_and_is_unbiased(word, bound):
    value = below(word, bound)
    assert 0 <= value < bound
    # `value` is reached from this many of the 2**64 words: never more than one off the fair share.
    first = -(-(value << 64) // bound)
    last = -(-((value + 1) << 64) // bound) - 1
    assert first <= word <= last
    assert (last - first + 1) in (2**64 // bound, 2**64 // bound + 1)


def test_below_refuses_an_empty_range():
    with pytest.raises(ValueError, match="bound is 0"):
        below(5, 0)


def test_draws_fill_a_range_evenly():
    values = [below(int(word), 10) for word in draw(3, "check", 0, 0, np.arange(20_000), 1)[:, 0]]
    counts = np.bincount(values, minlength=10)
    chi_squared = float(((counts - 2000) ** 2 / 2000).sum())
    assert chi_squared < 27.9  # 9 degrees of freedom, p = 0.001; the draw is fixed, so this never flickers


def test_torch_generators_repeat_and_differ():
    first, again, other = (
        torch_generator(5, purpose).initial_seed() for purpose in ("weights", "weights", "x")
    )
    assert first == again != other


@given(words, document_ids, st.integers(0, 60), st.integers(0, 40))
def test_one_document_s_words_are_its_row(source_key, document_id, n, first):
    row = draw(3, "spans", source_key, 2, [document_id], n, first)[0]
    assert draw_one(3, "spans", source_key, 2, document_id, n, first) == row.tolist()
    assert row.tolist() == draw(3, "spans", source_key, 2, [document_id], n + first)[0, first:].tolist()
