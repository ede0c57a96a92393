"""Number the rows of a run 0, 1, 2, …, and hand them out as batches; no generator has any state.

Row r depends only on the data part of the recipe, the corpus and the run's seed. The stream of mixed
documents is cut into windows of `window_documents`; each window is packed by itself. What has to be
saved to go on is where the current window began, and how many of its rows were taken.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from spanmix.config import DataConfig
from spanmix.data.packing import Row, collate, pack
from spanmix.data.sources import Mixture, SourcePosition
from spanmix.errors import InputError
from spanmix.objectives.choose import ObjectiveMixture
from spanmix.types import Batch


@dataclass(frozen=True)
class LoaderState:
    """Where the next row lies, in integers, and of which corpus.

    Args:
        fingerprint: the corpus.
        next_row: number of the next row in the run.
        window: number of the window that holds it.
        row_in_window: its place there.
        positions: how far each source was read when the window began.
    """

    fingerprint: str
    next_row: int
    window: int
    row_in_window: int
    positions: tuple[SourcePosition, ...]

    def to_json(self) -> dict[str, Any]:
        """Return the state as plain values."""
        return {
            "fingerprint": self.fingerprint,
            "next_row": self.next_row,
            "window": self.window,
            "row_in_window": self.row_in_window,
            "positions": [position.to_json() for position in self.positions],
        }

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> LoaderState:
        """Read what `to_json` returned."""
        positions = tuple(SourcePosition.from_json(position) for position in value["positions"])
        return cls(
            value["fingerprint"], value["next_row"], value["window"], value["row_in_window"], positions
        )


class Loader:
    """Makes the rows of a run.

    Args:
        config: the recipe's ``data``.
        mixture: the sources.
        objectives: what a document is written as.
        pad_id: id of padding.
        fingerprint: of the corpus.
    """

    def __init__(
        self,
        config: DataConfig,
        mixture: Mixture,
        objectives: ObjectiveMixture,
        pad_id: int,
        fingerprint: str,
    ) -> None:
        self.config = config
        self.mixture = mixture
        self.objectives = objectives
        self.pad_id = pad_id
        self.fingerprint = fingerprint

    def start(self) -> LoaderState:
        """Return the state before row 0."""
        return LoaderState(self.fingerprint, 0, 0, 0, self.mixture.start())

    def batches(
        self, state: LoaderState, num_rows: int, rank: int = 0, world_size: int = 1
    ) -> Iterator[tuple[Batch, LoaderState]]:
        """Yield batches without end, each with the state after it.

        Args:
            state: where to begin.
            num_rows: rows of the global batch.
            rank, world_size: this process takes the rank-th of `world_size` equal parts of each batch.

        Raises:
            InputError: the state is of another corpus, or the batch cannot be divided evenly.
        """
        if state.fingerprint != self.fingerprint:
            raise InputError(
                f"the saved data state is of corpus {state.fingerprint[:12]}, this is {self.fingerprint[:12]}"
            )
        if num_rows % world_size:
            raise InputError(
                f"data.global_batch_rows is {num_rows}, which {world_size} processes cannot share evenly"
            )
        share = num_rows // world_size
        stream = self._rows(state)
        while True:
            first = state.next_row
            taken = []
            for _ in range(num_rows):
                row, state = next(stream)
                taken.append(row)
            mine = taken[rank * share : (rank + 1) * share]
            yield collate(mine, self.config.row_tokens, self.pad_id, first + rank * share), state

    def _rows(self, state: LoaderState) -> Iterator[tuple[Row, LoaderState]]:
        """Yield rows from a state on, each with the state after it."""
        number, window, skip, positions = state.next_row, state.window, state.row_in_window, state.positions
        while True:
            rows, after = self._window(window, positions)
            for place in range(skip, len(rows)):
                number += 1
                last = place + 1 == len(rows)
                if last:
                    yield rows[place], LoaderState(self.fingerprint, number, window + 1, 0, after)
                else:
                    yield rows[place], LoaderState(self.fingerprint, number, window, place + 1, positions)
            window, skip, positions = window + 1, 0, after

    def _window(
        self, window: int, positions: tuple[SourcePosition, ...]
    ) -> tuple[list[Row], tuple[SourcePosition, ...]]:
        """Return the rows of one window, and the positions after its documents."""
        examples = []
        for _ in range(self.config.window_documents):
            key = self.mixture.next_document(positions)
            written = self.objectives.examples(self.mixture.tokens(key), key)
            examples += written
            positions = self.mixture.advance(positions, key.source, sum(e.num_positions for e in written))
        return pack(examples, self.config.row_tokens, self.mixture.seed, window), positions


def prefetch(batches: Iterator[tuple[Batch, LoaderState]], depth: int) -> Iterator[tuple[Batch, LoaderState]]:
    """Make up to `depth` batches ahead in a thread; the values and their order are unchanged.

    An error in the thread is raised at the place where its batch was due.
    """
    ready: queue.Queue[Any] = queue.Queue(maxsize=depth)
    closed = threading.Event()

    def work() -> None:
        try:
            for item in batches:
                if not _put(ready, item, closed):
                    return
        except BaseException as error:
            _put(ready, error, closed)

    threading.Thread(target=work, name="prefetch", daemon=True).start()
    try:
        while True:
            item = ready.get()
            if isinstance(item, BaseException):
                raise item
            yield item
    finally:
        closed.set()


def _put(ready: queue.Queue[Any], item: Any, closed: threading.Event) -> bool:
    """Put an item unless the reader is gone."""
    while not closed.is_set():
        try:
            ready.put(item, timeout=0.1)
            return True
        except queue.Full:
            continue
    return False
