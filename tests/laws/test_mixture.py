"""Laws 4, 6 and 8 for packed rows: every token once an epoch, no loss on padding, shares as weighted."""

import itertools
from collections import Counter

import numpy as np
import pytest

from spanmix.data.loader import Loader
from spanmix.data.sources import Mixture
from spanmix.data_configs import DataConfig, SourceConfig, StageConfig
from spanmix.errors import InputError
from spanmix.objective_configs import CausalConfig, InfillConfig
from spanmix.objectives.choose import ObjectiveMixture
from spanmix.objectives.objective import Alphabet


@pytest.mark.parametrize("variant", ["default", "sequence", "prefix"])
def test_every_token_appears_once_an_epoch(variant, made):
    """Law 4, through the objective's inverse."""
    loader = made.loader(**made.variants[variant])
    pieces: dict[tuple[int, int, int], dict[int, np.ndarray]] = {}
    stopped = None
    for batch, state in loader.batches(loader.start(), 4):
        for s in batch.segments:
            objective = loader.objectives.of(s.objective)
            end = s.start + s.length
            ids = np.append(batch.token_ids[s.row, s.start : end], batch.targets[s.row, end - 1])
            weights = np.append(np.float32(0), batch.loss_weights[s.row, s.start : end])
            example = type("Read", (), {"token_ids": ids, "loss_weights": weights})()
            document = pieces.setdefault((s.ref.source, s.ref.epoch, s.ref.document), {})
            assert s.ref.piece not in document
            document[s.ref.piece] = objective.restore(example)
        if min(position.epoch for position in state.positions) >= 2:
            stopped = state
            break
    assert stopped is not None
    for source, store in enumerate(made.stores.values()):
        for epoch in range(2):
            for number in range(store.num_documents):
                found = pieces[source, epoch, number]
                whole = np.concatenate([found[piece] for piece in sorted(found)])
                assert whole.tolist() == store.tokens(number).tolist()


def test_shares_of_tokens_follow_the_weights_and_padding_is_small(made):
    positions: Counter[int] = Counter()
    padding = total = 0
    loader = made.loader(window_documents=256)
    for batch, _ in itertools.islice(loader.batches(loader.start(), 8), 400):
        for segment in batch.segments:
            positions[segment.ref.source] += segment.length
        padding += int((batch.segment_ids == 0).sum())
        total += batch.segment_ids.size
    assert abs(positions[0] / sum(positions.values()) - 0.7) <= 0.01
    assert padding / total < 0.02


@pytest.mark.parametrize(
    ("unit", "row_tokens"),
    # Laid end to end, a row ends where an infill example no longer fits, which is much of a row of 64.
    [("document", 64), ("document", 512), ("document", 2048), ("sequence", 512), ("sequence", 2048)],
)
def test_tiny_documents_and_huge_ones_pad_little(row_tokens, unit, made):
    """Law 4, where 512 documents are a few rows, and where they are thousands."""

    class Sized(made.Store):
        def __init__(self, lengths):
            generator = np.random.default_rng(1)
            self.documents = [generator.integers(4, 48, size=n).astype(np.int32) for n in lengths]

    draw = np.random.default_rng(2).integers
    for lengths in (draw(1, 6, 500), draw(1, row_tokens // 2, 300), draw(20_000, 60_000, 30)):
        config = DataConfig(row_tokens, 4, (SourceConfig("code", 1.0),), unit=unit)
        objectives = (CausalConfig(weight=0.5), InfillConfig(weight=0.5))
        written = ObjectiveMixture(
            objectives, Alphabet(made.control, np.arange(64) == 10), row_tokens, ["code"]
        )
        mixture = Mixture(config, {"code": Sized(lengths)}, 5)
        loader = Loader(config, mixture, written, made.control.pad, "corpus-a")
        rows = 4 * max(64, 100_000 // row_tokens)
        used = sum(
            example.num_positions
            for row, _ in itertools.islice(loader.rows(loader.start()), rows)
            for example in row
        )
        assert 1 - used / (rows * row_tokens) < 0.02, (lengths[0], row_tokens)


def shares(loader: Loader, first_step: int, last_step: int) -> list[float]:
    """Each source's share of the packed positions in some steps."""
    counts: Counter[int] = Counter()
    for batch, _ in itertools.islice(loader.batches(loader.start(), 4), first_step, last_step):
        for segment in batch.segments:
            counts[segment.ref.source] += segment.length
    return [counts[source] / counts.total() for source in range(len(loader.mixture.names))]


@pytest.mark.parametrize("unit", ["document", "sequence"])
def test_stages_change_the_shares_where_they_begin(unit, made):
    """Law 8, at every stage's end."""
    stages = (StageConfig(200, {"code": 0.2, "prose": 0.8}), StageConfig(400, {"code": 1.0}))
    loader = made.loader(stages=stages, unit=unit, window_documents=64)
    for (first, last), wanted in {(0, 200): 0.7, (200, 400): 0.2, (400, 500): 1.0}.items():
        # The row in which a stage ends may hold a little of both.
        assert abs(shares(loader, first, last)[0] - wanted) <= 0.01, (first, last)


def test_a_source_that_is_used_up_leaves_its_share_to_the_others(made):
    sources = (("code", 0.5), ("prose", 0.3, 2), ("tests", 0.2))
    stores = {**made.stores, "tests": made.Store(3, 60)}
    loader = made.loader(sources=sources, stores=stores, window_documents=8)
    batches = loader.batches(loader.start(), 4)
    seen: Counter[tuple[int, int]] = Counter()
    before, said = loader.start(), []
    for batch, state in batches:
        said += [news] if (news := loader.news(before, state)) else []
        before = state
        for segment in batch.segments:
            seen[segment.ref.document, segment.ref.epoch] += (
                segment.ref.source == 1 and segment.ref.piece == 0
            )
        if state.positions[1].epoch == 2 and state.row_in_window == 0:
            break
    [said_once] = said  # law 8: the run says which source reached its cap, and which weights apply from there
    assert "prose has been read 2 times" in said_once
    assert said_once.endswith("from here the shares are code 0.7143, tests 0.2857")
    assert sorted(key for key, count in seen.items() if count) == [
        (d, e) for d in range(30) for e in range(2)
    ]
    counts: Counter[int] = Counter()
    for batch, _ in itertools.islice(batches, 1200):
        for segment in batch.segments:
            counts[segment.ref.source] += segment.length
    assert counts[1] == 0 and abs(counts[0] / counts.total() - 5 / 7) <= 0.01


def test_a_run_longer_than_its_epochs_says_so(made):
    loader = made.loader(sources=(("code", 0.7, 1), ("prose", 0.3, 2)))
    rows = 0
    with pytest.raises(
        InputError,
        match=r"after [0-9]+ rows every source.*; ask for no more rows .lower run.num_steps to [0-9]+., or",
    ):
        for batch, _ in loader.batches(loader.start(), 1):
            rows += batch.num_rows
            assert rows < 1000
    assert rows > 50


def test_a_fixed_corruption_is_the_same_in_every_epoch(made):
    written: dict[str, dict[tuple[int, int, int], set[bytes]]] = {}
    for corruption in ("fresh", "fixed"):
        pieces = written.setdefault(corruption, {})
        loader = made.loader(corruption=corruption)
        for batch, _ in itertools.islice(loader.batches(loader.start(), 4), 400):
            for s in batch.segments:
                ids = batch.token_ids[s.row, s.start : s.start + s.length]
                pieces.setdefault((s.ref.source, s.ref.document, s.ref.piece), set()).add(ids.tobytes())
    assert all(len(texts) == 1 for texts in written["fixed"].values())
    assert sum(len(texts) > 1 for texts in written["fresh"].values()) > 100


def test_the_papers_rows_are_documents_end_to_end(made):
    loader = made.loader(**made.variants["sequence"], window_documents=64)
    names = loader.objectives.names
    kinds: Counter[str] = Counter()
    for batch, _ in itertools.islice(loader.batches(loader.start(), 4), 200):
        for r in range(4):
            row = [segment for segment in batch.segments if segment.row == r]
            assert len({segment.objective for segment in row}) == 1
            kinds[names[row[0].objective]] += 1
            kinds["several documents"] += len({segment.ref[:2] for segment in row}) > 1
            kinds["part of a document"] += row[0].ref.piece > 0
            used = int((batch.segment_ids[r] != 0).sum())
            assert set(batch.segment_ids[r].tolist()) <= {0, 1}
            assert batch.positions[r, :used].tolist() == list(range(used))
            kinds["full"] += made.row_tokens - used < 8
    assert kinds["full"] > 0.95 * 800 and min(kinds.values()) >= 100, kinds


def test_padding_never_carries_loss_and_the_three_ends_differ(made):
    """Law 6."""
    padded = 0
    for batch, _ in itertools.islice(made.loader().batches(made.loader().start(), 4), 100):
        pad = batch.segment_ids == 0
        padded += int(pad.sum())
        assert (batch.loss_weights[pad] == 0).all() and (batch.token_ids[pad] == made.control.pad).all()
        assert not (batch.token_ids[~pad] == made.control.pad).any()
        assert not (batch.targets[batch.loss_weights > 0] == made.control.pad).any()
    assert padded > 100
    assert len({made.control.pad, made.control.eot, made.control.eom}) == 3


def test_adding_a_source_does_not_change_what_the_others_draw(made):
    stores = {**made.stores, "tests": made.Store(3, 20)}
    alone = made.loader(sources=(("code", 1.0),))
    mixed = made.loader(sources=(("tests", 0.5), ("code", 0.5)), stores=stores)
    seen = []
    for loader in (alone, mixed):
        written = {}
        for batch, _ in itertools.islice(loader.batches(loader.start(), 4), 60):
            for s in batch.segments:
                if loader.mixture.names[s.ref.source] == "code":
                    ids = batch.token_ids[s.row, s.start : s.start + s.length].tobytes()
                    written[s.ref.document, s.ref.epoch, s.ref.piece] = ids
        seen.append(written)
    both = seen[0].keys() & seen[1].keys()
    assert len(both) > 50
    assert all(seen[0][key] == seen[1][key] for key in both)


def test_objectives_for_some_sources_need_documents_as_their_unit(made):
    objectives = (CausalConfig(weight=1), InfillConfig(weight=1, sources=("code",)))
    with pytest.raises(InputError, match=r"leave out objectives\.sources"):
        made.loader(unit="sequence", objectives=objectives)


def test_an_unknown_or_empty_source_is_refused(made):
    with pytest.raises(InputError, match="'novels'"):
        made.loader(sources=(("novels", 1.0),))
    empty = made.Store(4, 1)
    empty.documents = []
    with pytest.raises(InputError, match="no documents"):
        made.loader(sources=(("code", 1.0),), stores={"code": empty})
