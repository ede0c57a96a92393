"""Law 2: row r depends only on the data part of the recipe, the corpus and the seed. Also 4, 6 and 8."""

import itertools
import json
from collections import Counter

import numpy as np
import pytest

from spanmix.data.loader import Loader, LoaderState
from spanmix.data.prefetch import prefetch
from spanmix.data.sources import Mixture
from spanmix.data_configs import DataConfig, SourceConfig, StageConfig
from spanmix.errors import InputError
from spanmix.objective_configs import CausalConfig, InfillConfig, PrefixLMConfig
from spanmix.objectives.choose import ObjectiveMixture
from spanmix.objectives.objective import Alphabet
from spanmix.types import ControlIds

CONTROL = ControlIds(eot=0, sep=1, eom=2, pad=3, masks=tuple(range(63, 47, -1)))
ALPHABET = Alphabet(CONTROL, np.arange(64) == 10)
ROW_TOKENS = 96


class Store:
    """Made-up documents; every token id is in 4..47, and no two documents are alike."""

    def __init__(self, seed: int, num_documents: int) -> None:
        generator = np.random.default_rng(seed)
        lengths = np.maximum(1, generator.lognormal(4, 1.2, size=num_documents).astype(int))
        self.documents = [generator.integers(4, 48, size=n).astype(np.int32) for n in lengths]
        self.documents[0] = self.documents[0][:1]

    @property
    def num_documents(self) -> int:
        return len(self.documents)

    def tokens(self, document: int) -> np.ndarray:
        return self.documents[document]

    def num_prompt_tokens(self, document: int) -> int:
        return 0

    def language(self, document: int) -> str:
        raise AssertionError("no objective here wants to know")


STORES = {"code": Store(1, 120), "prose": Store(2, 30)}


SOURCES = (("code", 0.7), ("prose", 0.3))


HALF_INFILL = (CausalConfig(weight=0.5), InfillConfig(weight=0.5))


def make_loader(
    seed: int = 5, sources=SOURCES, stores=STORES, window_documents: int = 16, objectives=HALF_INFILL, **data
) -> Loader:
    chosen = tuple(SourceConfig(*source) for source in sources)
    config = DataConfig(ROW_TOKENS, 4, chosen, window_documents, **data)
    names = [source.name for source in chosen]
    written = ObjectiveMixture(objectives, ALPHABET, ROW_TOKENS, names)
    return Loader(config, Mixture(config, stores, seed), written, CONTROL.pad, "corpus-a")


VARIANTS = {
    "default": {},
    "sequence": {"unit": "sequence", "positions": "continue", "document_mask": False},
    "stages": {
        "sources": (("code", 0.7), ("prose", 0.3, 9)),
        "stages": (StageConfig(31, {"code": 0.2, "prose": 0.8}), StageConfig(77, {"code": 1.0})),
        "corruption": "fixed",
    },
    "prefix": {"objectives": (PrefixLMConfig(weight=1), InfillConfig(weight=1, bidirectional=True))},
}


ARRAYS = ("token_ids", "targets", "loss_weights", "segment_ids", "positions", "in_prefix")


def rows_of(batches) -> list[bytes]:
    """Every row as bytes, with what it was made of."""
    rows = []
    for batch, _ in batches:
        for r in range(batch.num_rows):
            refs = [segment.ref for segment in batch.segments if segment.row == r]
            arrays = [getattr(batch, name) for name in ARRAYS]
            rows.append(b"".join(array[r].tobytes() for array in arrays) + repr(refs).encode())
    return rows


def first_rows(loader: Loader, num_rows: int, batch_rows: int, world_size: int = 1) -> list[bytes]:
    num_steps = num_rows // batch_rows
    ranks = [
        rows_of(itertools.islice(loader.batches(loader.start(), batch_rows, rank, world_size), num_steps))
        for rank in range(world_size)
    ]
    share = batch_rows // world_size
    return [
        row for step in range(num_steps) for rank in ranks for row in rank[step * share : (step + 1) * share]
    ]


NUM_ROWS = {name: 2000 if name == "default" else 480 for name in VARIANTS}
EXPECTED = {name: first_rows(make_loader(**variant), NUM_ROWS[name], 1) for name, variant in VARIANTS.items()}


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize(("batch_rows", "world_size"), [(4, 1), (4, 2), (6, 3), (8, 4), (12, 1), (12, 4)])
def test_rows_do_not_depend_on_batch_size_or_world_size(batch_rows, world_size, variant):
    loader = make_loader(**VARIANTS[variant])
    num_rows = NUM_ROWS[variant] // batch_rows * batch_rows
    assert first_rows(loader, num_rows, batch_rows, world_size) == EXPECTED[variant][:num_rows]


@pytest.mark.parametrize("depth", [1, 2, 5])
def test_rows_do_not_depend_on_prefetching(depth):
    loader = make_loader()
    batches = prefetch(loader.batches(loader.start(), 4), depth)
    assert rows_of(itertools.islice(batches, 120)) == EXPECTED["default"][:480]
    batches.close()


@pytest.mark.parametrize("variant", VARIANTS)
def test_rows_do_not_depend_on_where_a_run_was_resumed(variant):
    def make():
        return make_loader(**VARIANTS[variant])

    epochs = set()
    num_steps = NUM_ROWS[variant] // 4
    states = [s for _, s in itertools.islice(make().batches(make().start(), 4), num_steps - 3)]
    for step, state in enumerate(states):
        saved = LoaderState.from_json(json.loads(json.dumps(state.to_json())))
        assert saved == state and state.next_row == 4 * (step + 1)
        rows = rows_of(itertools.islice(make().batches(saved, 4), 3))
        assert rows == EXPECTED[variant][4 * (step + 1) : 4 * (step + 4)]
        epochs.add(tuple(position.epoch for position in state.positions))
    assert len(epochs) >= 3, f"no epoch edge was crossed: {epochs}"


def test_another_seed_or_epoch_gives_other_rows():
    # A piece that fills its row is the same whenever it is written causally.
    expected = EXPECTED["default"][:480]
    assert len(set(expected) & set(first_rows(make_loader(seed=6), 480, 4))) < 0.25 * len(expected)
    written: dict[tuple[int, int], set[bytes]] = {}
    for batch, _ in itertools.islice(make_loader().batches(make_loader().start(), 4), 400):
        for segment in batch.segments:
            key = (segment.ref.source, segment.ref.document)
            row = batch.token_ids[segment.row, segment.start : segment.start + segment.length]
            if segment.ref.piece == 0:
                written.setdefault(key, set()).add(repr(segment.ref.epoch).encode() + row.tobytes())
    long = [
        {w[1:] for w in texts}
        for (source, document), texts in written.items()
        if len(list(STORES.values())[source].tokens(document)) > 60 and len(texts) >= 4
    ]
    assert len(long) > 10
    # Causal twice is the same text twice; otherwise every epoch hides something else.
    assert all(len(texts) >= 2 for texts in long)


@pytest.mark.parametrize("variant", ["default", "sequence", "prefix"])
def test_every_token_appears_once_an_epoch(variant):
    """Law 4, through the objective's inverse."""
    loader = make_loader(**VARIANTS[variant])
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
    for source, store in enumerate(STORES.values()):
        for epoch in range(2):
            for number in range(store.num_documents):
                found = pieces[source, epoch, number]
                whole = np.concatenate([found[piece] for piece in sorted(found)])
                assert whole.tolist() == store.tokens(number).tolist()


def test_shares_of_tokens_follow_the_weights_and_padding_is_small():
    positions: Counter[int] = Counter()
    padding = total = 0
    loader = make_loader(window_documents=256)
    for batch, _ in itertools.islice(loader.batches(loader.start(), 8), 400):
        for segment in batch.segments:
            positions[segment.ref.source] += segment.length
        padding += int((batch.segment_ids == 0).sum())
        total += batch.segment_ids.size
    assert abs(positions[0] / sum(positions.values()) - 0.7) <= 0.01
    assert padding / total < 0.02


def shares(loader: Loader, first_step: int, last_step: int) -> list[float]:
    """Each source's share of the packed positions in some steps."""
    counts: Counter[int] = Counter()
    for batch, _ in itertools.islice(loader.batches(loader.start(), 4), first_step, last_step):
        for segment in batch.segments:
            counts[segment.ref.source] += segment.length
    return [counts[source] / counts.total() for source in range(len(loader.mixture.names))]


@pytest.mark.parametrize("unit", ["document", "sequence"])
def test_stages_change_the_shares_where_they_begin(unit):
    """Law 8, at every stage's end."""
    stages = (StageConfig(200, {"code": 0.2, "prose": 0.8}), StageConfig(400, {"code": 1.0}))
    loader = make_loader(stages=stages, unit=unit, window_documents=64)
    for (first, last), wanted in {(0, 200): 0.7, (200, 400): 0.2, (400, 500): 1.0}.items():
        # The row in which a stage ends may hold a little of both.
        assert abs(shares(loader, first, last)[0] - wanted) <= 0.01, (first, last)


def test_a_source_that_is_used_up_leaves_its_share_to_the_others():
    sources = (("code", 0.5), ("prose", 0.3, 2), ("tests", 0.2))
    loader = make_loader(sources=sources, stores={**STORES, "tests": Store(3, 60)}, window_documents=8)
    batches = loader.batches(loader.start(), 4)
    seen: Counter[tuple[int, int]] = Counter()
    for batch, state in batches:
        for segment in batch.segments:
            seen[segment.ref.document, segment.ref.epoch] += (
                segment.ref.source == 1 and segment.ref.piece == 0
            )
        if state.positions[1].epoch == 2 and state.row_in_window == 0:
            break
    assert sorted(key for key, count in seen.items() if count) == [
        (d, e) for d in range(30) for e in range(2)
    ]
    counts: Counter[int] = Counter()
    for batch, _ in itertools.islice(batches, 1200):
        for segment in batch.segments:
            counts[segment.ref.source] += segment.length
    assert counts[1] == 0 and abs(counts[0] / counts.total() - 5 / 7) <= 0.01


def test_a_run_longer_than_its_epochs_says_so():
    loader = make_loader(sources=(("code", 0.7, 1), ("prose", 0.3, 2)))
    rows = 0
    with pytest.raises(
        InputError,
        match=r"after [0-9]+ rows every source.*; lower run.num_steps to [0-9]+ or raise max_epochs",
    ):
        for batch, _ in loader.batches(loader.start(), 1):
            rows += batch.num_rows
            assert rows < 1000
    assert rows > 50


def test_a_fixed_corruption_is_the_same_in_every_epoch():
    written: dict[str, dict[tuple[int, int, int], set[bytes]]] = {}
    for corruption in ("fresh", "fixed"):
        pieces = written.setdefault(corruption, {})
        loader = make_loader(corruption=corruption)
        for batch, _ in itertools.islice(loader.batches(loader.start(), 4), 400):
            for s in batch.segments:
                ids = batch.token_ids[s.row, s.start : s.start + s.length]
                pieces.setdefault((s.ref.source, s.ref.document, s.ref.piece), set()).add(ids.tobytes())
    assert all(len(texts) == 1 for texts in written["fixed"].values())
    assert sum(len(texts) > 1 for texts in written["fresh"].values()) > 100


def test_the_papers_rows_are_documents_end_to_end():
    loader = make_loader(**VARIANTS["sequence"], window_documents=64)
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
            kinds["full"] += ROW_TOKENS - used < 8
    assert kinds["full"] > 0.95 * 800 and min(kinds.values()) >= 100, kinds


def test_padding_never_carries_loss_and_the_three_ends_differ():
    """Law 6."""
    padded = 0
    for batch, _ in itertools.islice(make_loader().batches(make_loader().start(), 4), 100):
        pad = batch.segment_ids == 0
        padded += int(pad.sum())
        assert (batch.loss_weights[pad] == 0).all() and (batch.token_ids[pad] == CONTROL.pad).all()
        assert not (batch.token_ids[~pad] == CONTROL.pad).any()
        assert not (batch.targets[batch.loss_weights > 0] == CONTROL.pad).any()
    assert padded > 100
    assert len({CONTROL.pad, CONTROL.eot, CONTROL.eom}) == 3


def test_targets_are_the_next_tokens():
    batch, _ = next(make_loader().batches(make_loader().start(), 8))
    for s in batch.segments:
        inside = slice(s.start, s.start + s.length)
        assert (batch.targets[s.row, inside][:-1] == batch.token_ids[s.row, inside][1:]).all()
        assert (batch.positions[s.row, inside] == np.arange(s.length)).all()
        assert len(set(batch.segment_ids[s.row, inside].tolist())) == 1


def test_adding_a_source_does_not_change_what_the_others_draw():
    stores = {**STORES, "tests": Store(3, 20)}
    alone = make_loader(sources=(("code", 1.0),))
    mixed = make_loader(sources=(("tests", 0.5), ("code", 0.5)), stores=stores)
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


def test_objectives_for_some_sources_need_documents_as_their_unit():
    objectives = (CausalConfig(weight=1), InfillConfig(weight=1, sources=("code",)))
    with pytest.raises(InputError, match=r"leave out objectives\.sources"):
        make_loader(unit="sequence", objectives=objectives)


def test_a_state_of_another_corpus_is_refused():
    loader = make_loader()
    loader.fingerprint = "corpus-b"
    with pytest.raises(InputError, match="corpus-a"):
        next(loader.batches(make_loader().start(), 4))


def test_a_batch_that_cannot_be_shared_is_refused():
    loader = make_loader()
    with pytest.raises(InputError, match="4, which 3 processes"):
        next(loader.batches(loader.start(), 4, 0, 3))


def test_an_unknown_or_empty_source_is_refused():
    with pytest.raises(InputError, match="'novels'"):
        make_loader(sources=(("novels", 1.0),))
    empty = Store(4, 1)
    empty.documents = []
    with pytest.raises(InputError, match="no documents"):
        make_loader(sources=(("code", 1.0),), stores={"code": empty})
