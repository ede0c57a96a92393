"""Hand the rows of a run to any PyTorch trainer, as an iterable dataset that can be saved and resumed.

Which rows come, and in which order, does not depend on the number of workers or processes. With several
workers of a ``DataLoader``, each makes every n-th element, and the ``DataLoader`` takes them in turn::

    dataset = RowDataset(open_loader("recipe.yaml"), rows=8)
    for batch in DataLoader(dataset, batch_size=None, num_workers=2):
        ...                       # token_ids, targets, loss_weights, ... as in spanmix.types.Batch
    state = batch["state"]        # where to go on: RowDataset.load_state_dict(state)
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import torch
from torch.utils.data import IterableDataset, get_worker_info

from spanmix.data.loader import Loader, LoaderState
from spanmix.data.packing import Row, collate
from spanmix.errors import EndOfDataError, InputError
from spanmix.types import Batch

Element = dict[str, Any]


class RowDataset(IterableDataset[Element]):
    """The rows of a run, without end, or until every source has been read ``max_epochs`` times.

    Each element is a dict: the six arrays of `spanmix.types.Batch` as tensors [rows, T]; ``first_row``, the
    number of its first row in the run; and ``state``, with which to go on behind it. Elements that are not
    whole for every process are left out at the end. Every pass begins at the same row: the first one, or that
    of the state that was loaded.

    `state_dict` and `load_state_dict` are what torchdata's ``StatefulDataLoader`` calls. With workers of
    PyTorch's own ``DataLoader``, whose copies of the dataset are ahead of what has been trained on, take
    the ``state`` of the last element instead.

    Args:
        loader: the rows; see `spanmix.data.build.open_loader`.
        rows: rows in an element.
        rank, world_size: this process takes the rank-th of every `world_size` elements. Where the trainer
            shares the elements out itself (Hugging Face's does), leave them.
    """

    def __init__(self, loader: Loader, rows: int = 1, rank: int = 0, world_size: int = 1) -> None:
        numbers = (rows, rank, world_size)
        if not all(isinstance(n, int) for n in numbers) or rows < 1 or not 0 <= rank < world_size:
            raise InputError(
                f"rows is {rows}, rank {rank} of {world_size}; use rows >= 1, 0 <= rank < world_size"
            )
        self._loader = loader
        self._rows = rows
        self._rank = rank
        self._world_size = world_size
        self._start = self._state = _Place(loader.start())

    def state_dict(self) -> dict[str, Any]:
        """Return where this copy of the dataset goes on, as plain values."""
        return self._state.to_json()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a state, of any number of rows in an element and of processes.

        Raises:
            InputError: it is of another corpus.
        """
        place = _Place.from_json(state)
        self._loader.rows(place.loader)  # checks the corpus and the recipe
        self._start = self._state = place

    def __iter__(self) -> Iterator[Element]:
        info = get_worker_info()
        worker, num_workers = (info.id, info.num_workers) if info is not None else (0, 1)
        num_passed = self._start.num_passed(worker, num_workers)
        state, step_rows = self._start.loader, self._rows * self._world_size
        stream = self._loader.rows(state)
        try:
            while True:
                for _ in range(num_passed * step_rows):
                    next(stream)
                first, taken = state.next_row + num_passed * step_rows, []
                for _ in range(step_rows):
                    row, state = next(stream)
                    taken.append(row)
                num_passed = num_workers - 1
                self._state = _Place(state, num_passed, worker, num_workers)
                yield self._element(taken, first, state)
        except EndOfDataError:
            return

    def _element(self, taken: list[Row], first: int, state: LoaderState) -> Element:
        own = self._rank * self._rows
        loader = self._loader
        batch = collate(taken[own : own + self._rows], loader.config, loader.pad_id, first + own)
        return tensors(batch) | {"first_row": batch.first_row, "state": _Place(state).to_json()}


def tensors(batch: Batch) -> dict[str, torch.Tensor]:
    """Return a batch's arrays as tensors, [rows, T] each, without copying them."""
    names = ("token_ids", "targets", "loss_weights", "segment_ids", "positions", "in_prefix")
    return {name: torch.from_numpy(getattr(batch, name)) for name in names}


@dataclasses.dataclass(frozen=True)
class _Place:
    """Where a copy of the dataset goes on.

    Args:
        loader: the next row.
        passed: elements of other workers that come first.
        worker, num_workers: whose copy it is; `num_workers` 1 stands for all of them together.
    """

    loader: LoaderState
    passed: int = 0
    worker: int = 0
    num_workers: int = 1

    def num_passed(self, worker: int, num_workers: int) -> int:
        """Return how many elements a worker passes over before its own.

        Raises:
            InputError: the place is that of one worker among another number of them.
        """
        if self.num_workers == 1:
            return worker
        if (self.worker, self.num_workers) != (worker, num_workers):
            raise InputError(
                f"the saved data state is of worker {self.worker} of {self.num_workers}, this is worker "
                f"{worker} of {num_workers}; keep num_workers, or go on from the `state` of the last element"
            )
        return self.passed

    def to_json(self) -> dict[str, Any]:
        return {
            "loader": self.loader.to_json(),
            "passed": self.passed,
            "worker": self.worker,
            "num_workers": self.num_workers,
        }

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> _Place:
        names = ("passed", "worker", "num_workers")
        if not isinstance(value, dict) or not {"loader", *names} <= value.keys():
            held = ", ".join(value) if isinstance(value, dict) else type(value).__name__
            raise InputError(f"the saved data state holds {held}, not what RowDataset.state_dict returned")
        if not all(type(value[name]) is int and value[name] >= 0 for name in names):
            raise InputError(f"the saved data state holds {[value[n] for n in names]} as {', '.join(names)}")
        loader = LoaderState.from_json(value["loader"])
        return cls(loader, value["passed"], value["worker"], value["num_workers"])
