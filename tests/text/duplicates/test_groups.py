"""Copies are found however the search is cut, and what is dropped is a copy of what stays."""

import dataclasses
import json
import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spanmix.corpus_configs.duplicates import DuplicatesConfig
from spanmix.text.duplicates import pairs as pairs_module
from spanmix.text.duplicates.check import jaccard
from spanmix.text.duplicates.components import components
from spanmix.text.duplicates.decide import (
    EXACT_COPY,
    HELD_OUT,
    KEPT_OUT,
    NEAR_COPY,
    TRAIN,
    Documents,
    Rules,
    decide,
)
from spanmix.text.duplicates.facts import Facts, FactsWriter
from spanmix.text.duplicates.pairs import Pairs, find_pairs, pair_jobs, similarity
from spanmix.text.duplicates.signatures import bands_for

CONFIG = DuplicatesConfig(num_hashes=64)
WORDS = [f"w{i}" for i in range(500)]


def write_facts(folder, partitions):
    """Write the facts of texts, partition by partition."""
    folders = []
    for number, texts in enumerate(partitions):
        writer = FactsWriter(CONFIG)
        for text in texts:
            writer.add(text, None)
        folders.append(folder / str(number))
        folders[-1].mkdir(parents=True)
        writer.save(folders[-1])
    return Facts.of(folders, [len(texts) for texts in partitions])


def search(facts, folder, num_jobs):
    folder.mkdir()
    jobs = pair_jobs(facts, 1 + bands_for(CONFIG).num_bands, CONFIG.threshold, folder, num_jobs)
    for job in jobs:
        find_pairs(json.dumps(dataclasses.asdict(job)))
    found = [Pairs.load(job.out) for job in jobs]
    exact = {tuple(pair) for some in found for pair in some.exact.tolist()}
    near = {tuple(pair) for some in found for pair in some.near.tolist()}
    return exact, near, sum(some.num_agreements for some in found), len(jobs)


def family(rng, size):
    """A text, exact copies, near-copies and copies of those, the later the less like the first."""
    words = rng.choices(WORDS, k=120)
    texts = []
    for _ in range(size):
        texts.append(" ".join(words))
        if rng.random() < 0.7:
            words = list(words)
            for _ in range(rng.randint(1, 4)):
                words[rng.randrange(len(words))] = rng.choice(WORDS)
    return texts


def some_texts(seed):
    rng = random.Random(seed)
    texts = [text for _ in range(40) for text in family(rng, rng.randint(1, 8))]
    texts += ["", "short", "short", "{}"]
    rng.shuffle(texts)
    return texts


def test_the_search_may_be_cut_anyhow(tmp_path, monkeypatch):
    texts = some_texts(1)
    one = write_facts(tmp_path / "one", [texts])
    several = write_facts(tmp_path / "several", [texts[:5], [], texts[5:90], texts[90:]])
    whole = search(one, tmp_path / "a", 1)
    assert whole[3] == 1 and len(whole[0]) > 10 and len(whole[1]) > 50
    assert search(several, tmp_path / "b", 5)[:3] == whole[:3]
    monkeypatch.setattr(pairs_module, "KEYS_AT_ONCE", 20)
    monkeypatch.setattr(pairs_module, "_PAIRS_AT_ONCE", 3)
    cut = search(several, tmp_path / "c", 5)
    assert cut[3] > 50 and cut[:3] == whole[:3]


def test_pairs_are_what_they_are_said_to_be(tmp_path):
    texts = some_texts(2)
    facts = write_facts(tmp_path / "facts", [texts[:30], texts[30:]])
    exact, near, num_agreements, _ = search(facts, tmp_path / "pairs", 3)
    same = {(i, j) for j in range(len(texts)) for i in range(j) if texts[i] == texts[j]}
    assert exact <= same
    joined = components(len(texts), lambda: [np.array(sorted(exact))], tmp_path / "groups")
    assert all(joined[i] == joined[j] for i, j in same)
    assert all(similarity(facts, np.array([pair]))[0] >= CONFIG.threshold for pair in near)
    assert not near & same and len(same) > 10
    assert num_agreements >= len(near) > 50


@given(st.integers(1, 40), st.data())
def test_components_are_those_of_the_graph(tmp_path_factory, count, data):
    ends = st.integers(0, count - 1)
    edges = data.draw(st.lists(st.tuples(ends, ends), max_size=60))
    roots = list(range(count))

    def root(i):
        while roots[i] != i:
            i = roots[i]
        return i

    for a, b in edges:
        low, high = sorted((root(a), root(b)))
        roots[high] = low
    some = np.array(edges, np.int64).reshape(-1, 2)
    chunks = [some[: len(some) // 2], some[len(some) // 2 :]]
    path = tmp_path_factory.getbasetemp() / "components"
    assert components(count, lambda: chunks, path).tolist() == [root(i) for i in range(count)]


def test_long_chains(tmp_path):
    count = 20_000
    order = np.random.default_rng(3).permutation(count)
    chain = np.stack([order[:-1], order[1:]], axis=1)
    assert (components(count, lambda: np.array_split(chain, 7), tmp_path / "groups") == 0).all()


def decided(texts, tmp_path, near="drop", sources=None, stars=None, share=0.2):
    facts = write_facts(tmp_path / "facts", [texts[: len(texts) // 3], texts[len(texts) // 3 :]])
    exact, near_pairs, _, _ = search(facts, tmp_path / "pairs", 2)
    edges = [np.array(sorted(some), np.int64).reshape(-1, 2) for some in (exact, near_pairs)]
    groups = [
        np.array(components(len(texts), lambda some=some: some, tmp_path / f"groups{len(some)}"))
        for some in (edges[:1], edges)
    ]
    documents = Documents(
        np.array([hash(text) >> 2 & (2**62 - 1) for text in texts], np.int64),
        np.zeros(len(texts), np.int64) if sources is None else np.array(sources, np.int64),
        np.full(len(texts), -1) if stars is None else np.array(stars, np.int64),
        groups[0],
        groups[1],
        groups[1],
    )
    rules = Rules(near == "drop", CONFIG.threshold, share, 5)
    return facts, documents, decide(documents, lambda pairs: similarity(facts, pairs), rules)


@pytest.mark.parametrize("seed", range(4))
def test_what_is_dropped_is_a_copy_of_what_stays(tmp_path, seed):
    texts = some_texts(10 + seed)
    rng = random.Random(seed)
    stars = [rng.choice([-1, 0, 5, 500]) for _ in texts]
    facts, documents, decisions = decided(texts, tmp_path, stars=stars)
    kept = np.isin(decisions.fates, (TRAIN, HELD_OUT))
    assert kept[decisions.copy_of].all() and (decisions.copy_of[kept] == np.flatnonzero(kept)).all()
    near = np.flatnonzero(decisions.fates == NEAR_COPY)
    exact = np.flatnonzero(decisions.fates == EXACT_COPY)
    assert len(near) > 40 and len(exact) > 20
    pairs = np.stack([near, decisions.copy_of[near]], axis=1)
    assert (similarity(facts, pairs) >= CONFIG.threshold).all()
    for i in exact.tolist():
        twins = [j for j in range(len(texts)) if texts[j] == texts[i]]
        assert max((stars[j], -j) for j in twins) > (stars[i], -i)
    # No two that stay are near-copies, if one group holds them.
    inside = 0
    for group in set(documents.near.tolist()):
        mine = np.flatnonzero((documents.near == group) & kept).tolist()
        for a in mine:
            for b in mine:
                if a < b:
                    inside += 1
                    assert similarity(facts, np.array([[a, b]]))[0] < CONFIG.threshold
    assert inside > 5  # groups hold copies of copies, which are unlike the first


def test_near_copies_stay_on_one_side_where_they_are_kept(tmp_path):
    texts = some_texts(30)
    _, documents, decisions = decided(texts, tmp_path, near="together", share=0.3)
    assert not (decisions.fates == NEAR_COPY).any() and (decisions.fates == EXACT_COPY).any()
    for group in set(documents.near.tolist()):
        fates = set(decisions.fates[documents.near == group].tolist()) - {EXACT_COPY}
        assert len(fates) == 1
    assert (decisions.fates == HELD_OUT).sum() > 10


@pytest.mark.parametrize("near", ["drop", "together"])
def test_copies_of_what_is_kept_out_are_dropped(tmp_path, near):
    texts = some_texts(40)
    outside = [i % 9 == 0 for i in range(len(texts))]
    sources = [-1 if out else 0 for out in outside]
    facts, _, decisions = decided(texts, tmp_path, near=near, sources=sources)
    num_copies = 0
    for i in range(len(texts)):
        copies = any(outside[j] and texts[j] == texts[i] for j in range(len(texts)))
        if outside[i] or copies:
            assert decisions.fates[i] == KEPT_OUT
            num_copies += not outside[i]
    fell = [i for i in np.flatnonzero(decisions.fates == KEPT_OUT).tolist() if not outside[i]]
    assert num_copies > 3 and len(fell) > num_copies + 5
    pairs = np.stack([np.array(fell), decisions.copy_of[fell]], axis=1)
    assert (similarity(facts, pairs) >= CONFIG.threshold).all()
    assert all(outside[j] for j in decisions.copy_of[fell].tolist())


def test_planted_near_copies_of_known_similarity(tmp_path):
    rng = random.Random(7)
    texts, planted = [], []
    for number in range(500):
        words = [*rng.choices(WORDS, k=300), f"unique{number}"]
        copy = [rng.choice(WORDS) if rng.random() < number / 500 * 0.1 else word for word in words]
        texts += [" ".join(words), " ".join(copy)]
        planted.append(jaccard(texts[-2], texts[-1], 5))
    _, _, decisions = decided(texts, tmp_path, share=0)
    found = decisions.fates[1::2] != TRAIN
    shares = np.array(planted)
    assert (decisions.fates[::2] == TRAIN).all()
    assert found[shares >= 0.8].mean() >= 0.95 and (shares >= 0.8).sum() > 100
    assert found[shares < 0.55].mean() <= 0.05 and (shares < 0.55).sum() > 50
