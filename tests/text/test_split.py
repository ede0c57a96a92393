"""A document's side does not depend on the others."""

import random

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from spanmix.text.split import held_out_documents


def split(keys, sources=None, groups=None, share=0.2, seed=0):
    sources = sources or [0] * len(keys)
    groups = np.arange(len(keys)) if groups is None else np.array(groups)
    return held_out_documents(keys, sources, groups, share, seed)


def test_share_and_seed():
    keys = random.Random(0).sample(range(2**62), 10_000)
    held = split(keys)
    assert 0.18 < held.mean() < 0.22
    assert (split(keys, seed=1) != held).sum() > 2000
    assert not split(keys, share=0).any()


def test_added_documents_move_no_other():
    keys = random.Random(1).sample(range(2**62), 500)
    held = dict(zip(keys[:300], split(keys[:300]), strict=True))
    shuffled = random.Random(2).sample(keys, 500)
    after = dict(zip(shuffled, split(shuffled), strict=True))
    assert all(after[key] == side for key, side in held.items())


@given(
    st.lists(
        st.tuples(st.integers(0, 2**62), st.integers(0, 3), st.integers(0, 9)),
        max_size=40,
        unique_by=lambda x: x[0],
    ),
    st.floats(0.01, 0.99),
)
def test_groups_stay_whole_and_no_source_is_emptied(documents, share):
    keys = [key for key, _, _ in documents]
    sources = [source for _, source, _ in documents]
    groups = np.array([group for _, _, group in documents], dtype=np.int64)
    held = held_out_documents(keys, sources, groups, share, 5)
    for group in set(groups.tolist()):
        assert len(set(held[groups == group].tolist())) == 1
    for source in set(sources):
        assert not held[np.array(sources) == source].all()


def test_a_small_source_has_a_held_out_document():
    assert split([5, 6, 7], share=0.001).sum() == 1
    assert split([5], share=0.9).sum() == 0
