"""Law 2: row r depends only on the data part of the recipe, the corpus and the seed."""

import itertools
import json
import threading

import numpy as np
import pytest

from spanmix.data.loader import Loader, LoaderState
from spanmix.data.prefetch import prefetch
from spanmix.errors import InputError

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


@pytest.fixture(scope="module")
def expected(made):
    """The first rows of every kind of loader, read one by one."""
    num_rows = {name: 2000 if name == "default" else 480 for name in made.variants}
    return {
        name: first_rows(made.loader(**variant), num_rows[name], 1) for name, variant in made.variants.items()
    }


@pytest.mark.parametrize("variant", ["default", "sequence", "stages", "prefix"])
@pytest.mark.parametrize(("batch_rows", "world_size"), [(4, 1), (4, 2), (6, 3), (8, 4), (12, 1), (12, 4)])
def test_rows_do_not_depend_on_batch_size_or_world_size(batch_rows, world_size, variant, made, expected):
    loader = made.loader(**made.variants[variant])
    num_rows = len(expected[variant]) // batch_rows * batch_rows
    assert first_rows(loader, num_rows, batch_rows, world_size) == expected[variant][:num_rows]


@pytest.mark.parametrize("depth", [1, 2, 5])
def test_rows_do_not_depend_on_prefetching(depth, made, expected):
    loader = made.loader()
    batches = prefetch(loader.batches(loader.start(), 4), depth)
    assert rows_of(itertools.islice(batches, 120)) == expected["default"][:480]
    assert "prefetch" in {thread.name for thread in threading.enumerate()}
    batches.close()
    assert "prefetch" not in {thread.name for thread in threading.enumerate()}


@pytest.mark.parametrize("variant", ["default", "sequence", "stages", "prefix"])
def test_rows_do_not_depend_on_where_a_run_was_resumed(variant, made, expected):
    def make():
        return made.loader(**made.variants[variant])

    epochs = set()
    num_steps = len(expected[variant]) // 4
    states = [s for _, s in itertools.islice(make().batches(make().start(), 4), num_steps - 3)]
    for step, state in enumerate(states):
        saved = LoaderState.from_json(json.loads(json.dumps(state.to_json())))
        assert saved == state and state.next_row == 4 * (step + 1)
        rows = rows_of(itertools.islice(make().batches(saved, 4), 3))
        assert rows == expected[variant][4 * (step + 1) : 4 * (step + 4)]
        epochs.add(tuple(position.epoch for position in state.positions))
    assert len(epochs) >= 3, f"no epoch edge was crossed: {epochs}"


def test_another_seed_or_epoch_gives_other_rows(made, expected):
    # A piece that fills its row is the same whenever it is written causally.
    first = expected["default"][:480]
    assert len(set(first) & set(first_rows(made.loader(seed=6), 480, 4))) < 0.25 * len(first)
    written: dict[tuple[int, int], set[bytes]] = {}
    for batch, _ in itertools.islice(made.loader().batches(made.loader().start(), 4), 400):
        for segment in batch.segments:
            key = (segment.ref.source, segment.ref.document)
            row = batch.token_ids[segment.row, segment.start : segment.start + segment.length]
            if segment.ref.piece == 0:
                written.setdefault(key, set()).add(repr(segment.ref.epoch).encode() + row.tobytes())
    long = [
        {w[1:] for w in texts}
        for (source, document), texts in written.items()
        if len(list(made.stores.values())[source].tokens(document)) > 60 and len(texts) >= 4
    ]
    assert len(long) > 10
    # Causal twice is the same text twice; otherwise every epoch hides something else.
    assert all(len(texts) >= 2 for texts in long)


def test_targets_are_the_next_tokens(made):
    batch, _ = next(made.loader().batches(made.loader().start(), 8))
    for s in batch.segments:
        inside = slice(s.start, s.start + s.length)
        assert (batch.targets[s.row, inside][:-1] == batch.token_ids[s.row, inside][1:]).all()
        assert (batch.positions[s.row, inside] == np.arange(s.length)).all()
        assert len(set(batch.segment_ids[s.row, inside].tolist())) == 1


def test_a_state_of_another_corpus_is_refused(made):
    loader = made.loader()
    loader.fingerprint = "corpus-b"
    with pytest.raises(InputError, match="corpus-a"):
        next(loader.batches(made.loader().start(), 4))


def test_a_batch_that_cannot_be_shared_is_refused(made):
    loader = made.loader()
    with pytest.raises(InputError, match="4, which 3 processes"):
        next(loader.batches(loader.start(), 4, 0, 3))
