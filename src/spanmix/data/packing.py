"""Pack the examples of one window into rows, best fit first."""

from __future__ import annotations

import bisect
from collections.abc import Sequence

import numpy as np

from spanmix.data_configs import DataConfig
from spanmix.seeding import draw
from spanmix.types import PAD_SEGMENT, Batch, Example, Segment

Row = list[Example]


def pack(examples: Sequence[Example], row_tokens: int, seed: int, window: int) -> list[Row]:
    """Pack examples into rows of `row_tokens` positions.

    Longest first, each into the fullest row that still has room (best-fit decreasing; Johnson 1974), so
    an example is never cut. The rows are then put in an order keyed by the window, because packing
    leaves the long examples in front.

    Args:
        examples: the window's examples, each of at most `row_tokens` positions.
        row_tokens: positions in a row.
        seed: the run's seed.
        window: number of the window in the run.
    """
    rows: list[Row] = []
    room: list[tuple[int, int]] = []  # (free positions, row), sorted
    for example in sorted(examples, key=lambda example: -example.num_positions):
        needed = example.num_positions
        assert needed <= row_tokens, f"an example of {needed} positions in rows of {row_tokens}"
        found = bisect.bisect_left(room, (needed, 0))
        if found < len(room):
            free, row = room.pop(found)
            rows[row].append(example)
        else:
            free, row = row_tokens, len(rows)
            rows.append([example])
        if free > needed:
            bisect.insort(room, (free - needed, row))
    places = draw(seed, "rows", 0, 0, [window], len(rows))[0]
    return [rows[i] for i in np.argsort(places, kind="stable")]


def collate(rows: Sequence[Row], config: DataConfig, pad_id: int, first_row: int) -> Batch:
    """Lay packed rows out as a `Batch`; this is the only place where targets are shifted.

    Args:
        rows: each of at most ``config.row_tokens`` positions.
        config: length of rows; what sees what, and how positions are counted.
        pad_id: id of padding.
        first_row: number of the first row in the run.
    """
    row_tokens, continues = config.row_tokens, config.positions == "continue"
    shape = (len(rows), row_tokens)
    token_ids = np.full(shape, pad_id, dtype=np.int32)
    targets = np.full(shape, pad_id, dtype=np.int32)
    loss_weights = np.zeros(shape, dtype=np.float32)
    segment_ids = np.full(shape, PAD_SEGMENT, dtype=np.int32)
    positions = np.zeros(shape, dtype=np.int32)
    in_prefix = np.zeros(shape, dtype=np.bool_)
    segments: list[Segment] = []
    for r, row in enumerate(rows):
        start = 0
        for number, example in enumerate(row, start=1):
            n = example.num_positions
            part = slice(start, start + n)
            token_ids[r, part] = example.token_ids[:-1]
            targets[r, part] = example.token_ids[1:]
            loss_weights[r, part] = example.loss_weights[1:]
            segment_ids[r, part] = number if config.document_mask else 1
            positions[r, part] = np.arange(start, start + n) if continues else np.arange(n)
            in_prefix[r, start : start + example.prefix_length] = True
            segments.append(Segment(r, start, n, example.prefix_length, example.objective, example.ref))
            start += n
        positions[r, start:] = np.arange(row_tokens - start)
    arrays = (token_ids, targets, loss_weights, segment_ids, positions, in_prefix)
    return Batch(*arrays, tuple(segments), first_row)
