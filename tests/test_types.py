"""The worked example in the header of `types.py`, checked: it is what all else is written against."""

import re

import numpy as np
import pytest

import spanmix.types
from spanmix.types import PAD_SEGMENT, Batch, ControlIds, DocumentRef, Example, Segment

PAD = -7


def table(name: str) -> list[int]:
    """Read one line of the packed row in the module's docstring."""
    lines = [
        line for line in (spanmix.types.__doc__ or "").splitlines() if re.match(rf"\s+{name}\s.*\|", line)
    ]
    assert len(lines) == 1
    return [PAD if cell == "P" else int(cell) for cell in lines[0].split()[1:] if cell != "|"]


def example(ids: list[int], document: int) -> Example:
    weights = np.ones(len(ids), np.float32)
    weights[0] = 0
    return Example(np.array(ids, np.int32), weights, 0, 0, DocumentRef(0, document, 0, 0))


def worked_example() -> Batch:
    """Pack the docstring's two examples by hand, as it says: n tokens take n - 1 positions."""
    infill = example([0, 10, 3, 12, 0, 1, 3, 11, 2, 0], 0)
    causal = example([0, 20, 21, 0], 1)
    ids, targets, weights, segment_ids, positions = [], [], [], [], []
    segments = []
    for number, item in enumerate((infill, causal), start=1):
        n = item.num_positions
        segments.append(Segment(0, len(ids), n, 0, 0, item.ref))
        ids += item.token_ids[:-1].tolist()
        targets += item.token_ids[1:].tolist()
        weights += item.loss_weights[1:].tolist()
        segment_ids += [number] * n
        positions += range(n)
    padding = 14 - len(ids)
    arrays = (
        ids + [PAD] * padding,
        targets + [PAD] * padding,
        weights + [0.0] * padding,
        segment_ids + [PAD_SEGMENT] * padding,
        positions + list(range(padding)),
        [False] * (len(ids) + padding),
    )
    kinds = (np.int32, np.int32, np.float32, np.int32, np.int32, np.bool_)
    rows = [np.array([array], kind) for array, kind in zip(arrays, kinds, strict=True)]
    return Batch(*rows, tuple(segments), 0)


def test_the_docstring_shows_what_packing_gives():
    batch = worked_example()
    assert batch.token_ids[0].tolist() == table("token_ids")
    assert batch.targets[0].tolist() == table("targets")
    assert batch.loss_weights[0].tolist() == table("loss_weights")
    assert batch.segment_ids[0].tolist() == table("segment_ids")
    assert batch.positions[0].tolist() == table("positions")


def test_targets_are_the_next_token_within_a_segment():
    batch = worked_example()
    met = 0
    for segment in batch.segments:
        span = slice(segment.start, segment.start + segment.length - 1)
        after = slice(segment.start + 1, segment.start + segment.length)
        assert batch.targets[0, span].tolist() == batch.token_ids[0, after].tolist()
        met += segment.length
    assert met == 12


def test_padding_carries_no_loss():
    batch = worked_example()
    padding = batch.segment_ids == PAD_SEGMENT
    assert padding.sum() == 2
    assert not batch.loss_weights[padding].any()


def test_rows_cuts_a_micro_batch():
    row = worked_example()
    second = tuple(Segment(1, s.start, s.length, s.prefix_length, s.objective, s.ref) for s in row.segments)
    arrays = [np.repeat(a, 3, axis=0) for a in (row.token_ids, row.targets, row.loss_weights)]
    arrays += [np.repeat(a, 3, axis=0) for a in (row.segment_ids, row.positions, row.in_prefix)]
    batch = Batch(*arrays, second, 40)
    part = batch.rows(1, 3)
    assert part.num_rows == 2 and part.first_row == 41
    assert [s.row for s in part.segments] == [0, 0]
    assert batch.rows(2, 3).segments == ()


@pytest.mark.parametrize(
    ("ids", "weights", "prefix_length"),
    [
        ([0], [0], 0),
        ([0, 5], [1, 1], 0),
        ([0, 5], [0], 0),
        ([0, 5], [0, 1], 2),
    ],
    ids=["one token", "start carries loss", "a weight is missing", "prefix covers everything"],
)
def test_a_broken_example_is_refused(ids, weights, prefix_length):
    with pytest.raises(AssertionError):
        Example(
            np.array(ids, np.int32), np.array(weights, np.float32), prefix_length, 0, DocumentRef(0, 0, 0, 0)
        )


def test_control_ids_are_distinct():
    """Law 6: PAD, <|endoftext|> and <eom> are three ids."""
    with pytest.raises(AssertionError, match="not distinct"):
        ControlIds(eot=0, sep=1, eom=2, pad=0, masks=(3,))
