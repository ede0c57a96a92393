"""Law 2 for PyTorch's own loaders: rows do not depend on workers, processes, or where a run was resumed."""

import itertools
import json

import pytest
import torch
from torch.utils.data import DataLoader
from torchdata.stateful_dataloader import StatefulDataLoader

from spanmix.data.torch_rows import RowDataset, tensors
from spanmix.errors import InputError

# A DataLoader with more workers than the machine has cores says so.
pytestmark = [
    pytest.mark.filterwarnings("ignore:This DataLoader will create"),
    pytest.mark.filterwarnings("ignore:.set_vital. is deprecated"),
]

ARRAYS = ("token_ids", "targets", "loss_weights", "segment_ids", "positions", "in_prefix")
NUM_ROWS = 2000


def rows_of(element) -> list[bytes]:
    """Every row of an element as bytes."""
    return [
        b"".join(element[name][r].numpy().tobytes() for name in ARRAYS)
        for r in range(len(element["targets"]))
    ]


@pytest.fixture(scope="module")
def expected(made):
    """The first rows, read one by one by the loader itself."""
    loader = made.loader()
    batches = itertools.islice(loader.batches(loader.start(), 1), NUM_ROWS)
    return [row for batch, _ in batches for row in rows_of(tensors(batch))]


@pytest.mark.parametrize("num_workers", [0, 1, 2, 3])
@pytest.mark.parametrize(("world_size", "rows"), [(1, 8), (2, 4), (3, 4), (4, 5)])
def test_the_first_rows_do_not_depend_on_workers_and_processes(num_workers, world_size, rows, made, expected):
    num_steps = NUM_ROWS // (rows * world_size)
    ranks = []
    for rank in range(world_size):
        dataset = RowDataset(made.loader(), rows, rank, world_size)
        elements = DataLoader(dataset, batch_size=None, num_workers=num_workers)
        ranks.append([rows_of(element) for element in itertools.islice(elements, num_steps)])
    found = [row for step in zip(*ranks, strict=True) for element in step for row in element]
    assert found == expected[: num_steps * rows * world_size] and len(found) > 0.99 * NUM_ROWS


@pytest.mark.parametrize("num_workers", [0, 2, 3])
def test_a_run_goes_on_from_the_state_of_any_element(num_workers, made, expected):
    """With other workers, other rows in an element, and other processes than before."""
    elements = list(
        itertools.islice(DataLoader(RowDataset(made.loader(), 4), None, num_workers=num_workers), 120)
    )
    epochs = set()
    for step in range(0, 120, 7):
        state = json.loads(json.dumps(elements[step]["state"]))
        first = 4 * (step + 1)
        assert state["loader"]["next_row"] == first
        for rank in range(2):
            dataset = RowDataset(made.loader(), 3, rank, 2)
            dataset.load_state_dict(state)
            [element] = itertools.islice(DataLoader(dataset, None, num_workers=step % 3), 1)
            assert rows_of(element) == expected[first + 3 * rank : first + 3 * rank + 3]
            assert element["first_row"] == first + 3 * rank
        epochs.add(tuple(position[0] for position in state["loader"]["positions"]))
    assert len(epochs) >= 3, f"no epoch edge was crossed: {epochs}"


@pytest.mark.parametrize("num_workers", [0, 1, 2, 3])
@pytest.mark.parametrize("num_taken", [0, 1, 2, 5, 33])
def test_torchdata_saves_and_resumes_it(num_workers, num_taken, made, expected):
    def make():
        return StatefulDataLoader(RowDataset(made.loader(), 4), batch_size=None, num_workers=num_workers)

    loader = make()
    iterator = iter(loader)
    for _ in range(num_taken):
        next(iterator)
    state = loader.state_dict()
    again = make()
    again.load_state_dict(state)
    found = [row for element in itertools.islice(again, 6) for row in rows_of(element)]
    assert found == expected[4 * num_taken : 4 * num_taken + 24]


def test_the_data_end_where_the_sources_do(made):
    dataset = RowDataset(made.loader(sources=(("code", 0.7, 1), ("prose", 0.3, 1))), 4)
    elements = list(DataLoader(dataset, None, num_workers=2))
    firsts = [element["first_row"] for element in elements]
    assert firsts == list(range(0, 4 * len(firsts), 4)) and len(firsts) > 20


def test_a_state_of_another_worker_or_corpus_is_refused(made):
    dataset = RowDataset(made.loader())
    state = dataset.state_dict()
    other = made.loader()
    other.fingerprint = "corpus-b"
    with pytest.raises(InputError, match="is of corpus corpus-a, this is corpus-b"):
        RowDataset(other).load_state_dict(state)
    dataset.load_state_dict(state | {"worker": 1, "num_workers": 2})
    with pytest.raises(InputError, match=r"worker 1 of 2, this is worker 0 of 1; keep num_workers"):
        next(iter(dataset))


def test_bad_sizes_are_refused(made):
    for arguments in ((0,), (1, 2, 2), (1, -1, 2)):
        with pytest.raises(InputError, match="use rows >= 1"):
            RowDataset(made.loader(), *arguments)


def test_elements_are_tensors_of_the_batch(made):
    element = next(iter(RowDataset(made.loader(), 3)))
    assert {name: element[name].dtype for name in ARRAYS} == {
        "token_ids": torch.int32,
        "targets": torch.int32,
        "loss_weights": torch.float32,
        "segment_ids": torch.int32,
        "positions": torch.int32,
        "in_prefix": torch.bool,
    }
    assert all(element[name].shape == (3, made.row_tokens) for name in ARRAYS)
