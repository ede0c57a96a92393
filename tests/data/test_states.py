"""A saved state goes on with the rows that it was saved among, or is refused."""

import itertools
import json

import pytest

from spanmix.data.build import open_loader
from spanmix.data.loader import LoaderState
from spanmix.data.torch_rows import RowDataset
from spanmix.errors import InputError


@pytest.fixture
def opened(corpus_folder):
    def make(*overrides):
        fields = [f"corpus.path={corpus_folder}", "data.row_tokens=64", "objectives.1.max_spans=4"]
        return open_loader("demo", [*fields, *overrides])

    return make


def state_after(loader, num_rows):
    *_, (_, state) = itertools.islice(loader.rows(loader.start()), num_rows)
    return state


@pytest.mark.parametrize(
    "override",
    [
        "data.row_tokens=96",
        "data.window_documents=9",
        "run.seed=7",
        "objectives.1.max_ratio=0.4",
        "data.sources=[{name: prose, weight: 0.15}, {name: code, weight: 0.85}]",
        "data.sources.0.max_epochs=3",
        "data.corruption=fixed",
    ],
)
def test_a_state_of_another_recipe_is_refused(override, opened):
    state = state_after(opened(), 50)
    with pytest.raises(InputError, match=r"state is of another recipe .*would not follow on"):
        opened(override).rows(state)
    dataset = RowDataset(opened(override))
    with pytest.raises(InputError, match="another recipe"):
        dataset.load_state_dict(RowDataset(opened()).state_dict())


@pytest.mark.parametrize(
    "override", ["data.global_batch_rows=16", "data.stages=[{from_step: 2000, weights: {code: 1}}]"]
)
def test_the_batch_size_and_later_stages_may_change(override, opened):
    state = state_after(opened(), 50)
    expected = [row for row, _ in itertools.islice(opened().rows(state), 3)]
    found = [row for row, _ in itertools.islice(opened(override).rows(state), 3)]
    assert [[e.ref for e in row] for row in found] == [[e.ref for e in row] for row in expected]


def test_a_stage_inside_the_window_in_progress_is_refused(opened):
    state = state_after(opened(), 50)
    later = opened("data.stages=[{from_step: 20, weights: {code: 1}}]")
    with pytest.raises(InputError, match=r"a stage was changed .* let other stages begin from step \d+ on"):
        next(later.rows(state))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"next_row": -1}, "every number is whole and not negative"),
        ({"next_row": 1 << 70}, "every number is whole"),
        ({"window": "x"}, "every number is whole"),
        ({"window": True}, "every number is whole"),
        ({"positions": "abcd"}, "every number is whole"),
        ({"positions": [[0, 0, "x"]] * 2}, "every number is whole"),
        ({"positions": [[0, 0]] * 2}, "every number is whole"),
        ({"positions": [[0, 0, 0]]}, "as .epoch, place, tokens. of its sources"),
        ({"positions": [[0, 999_999, 5]] * 2}, "as .epoch, place, tokens. of its sources"),
        ({"stage": 7}, "has stage 7 .*there are 1 stages"),
        ({"row_in_window": 10**6}, r"at row 1000000 of a window of \d+, which now has \d+"),
        ({"window_rows": 51}, r"at row 50 of a window of 51, which now has \d+"),
        ({"fingerprint": "other:0"}, "is of corpus other"),
        ({"fingerprint": 7}, "not the fields of LoaderState.to_json"),
    ],
)
def test_a_damaged_state_is_refused_and_says_what_is_wrong(changes, words, opened):
    loader = opened()
    value = json.loads(json.dumps(state_after(loader, 50).to_json())) | changes
    with pytest.raises(InputError, match=words):
        next(loader.rows(LoaderState.from_json(value)))


@pytest.mark.parametrize(
    "value", [{}, None, [], {"loader": None}, {"loader": {}, "passed": 0, "worker": 0, "num_workers": 1}]
)
def test_what_is_no_state_is_refused(value, opened):
    with pytest.raises(InputError, match="the saved data state holds"):
        RowDataset(opened()).load_state_dict(value)


@pytest.mark.parametrize("num_workers", [0, 2])
def test_every_pass_begins_at_the_same_row(num_workers, opened):
    from torch.utils.data import DataLoader

    elements = DataLoader(RowDataset(opened(), 2), None, num_workers=num_workers)
    firsts = [[element["first_row"] for element in itertools.islice(elements, 3)] for _ in range(2)]
    assert firsts == [[0, 2, 4], [0, 2, 4]]
