"""Number the rows of a run 0, 1, 2, …, and hand them out as batches; no generator has any state.

Row r depends only on the data part of the recipe, the corpus and the run's seed. The stream of mixed
documents is cut into windows of `window_documents`; each window is packed by itself, and the last one in
front of a new stage ends where that begins. What has to be saved to go on is where the current window
began, and how many of its rows were taken.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from spanmix.data.packing import Row, collate, pack
from spanmix.data.sequences import lay_out
from spanmix.data.sources import Mixture, Positions, SourcePosition, without_debts
from spanmix.data_configs import DataConfig
from spanmix.errors import EndOfDataError, InputError
from spanmix.objectives.choose import ObjectiveMixture
from spanmix.types import Batch, Example

_LEAST_ROWS, _MOST_ROWS = 64, 4096
"""Of a window: fewer would pad too much, as where documents are tiny; more take memory and time."""


@dataclass(frozen=True)
class LoaderState:
    """Where the next row lies, in integers, and of which corpus.

    Args:
        fingerprint: the corpus and the data part of the recipe.
        next_row: number of the next row in the run.
        window: number of the window that holds it.
        row_in_window: its place there.
        window_rows: rows of that window; 0 in front of its first one.
        stage: number of the stage in which the window before it began.
        positions: how far each source was read when the window began.
    """

    fingerprint: str
    next_row: int
    window: int
    row_in_window: int
    stage: int
    positions: Positions
    window_rows: int = 0

    def to_json(self) -> dict[str, Any]:
        """Return the state as plain values."""
        return {
            "fingerprint": self.fingerprint,
            "next_row": self.next_row,
            "window": self.window,
            "row_in_window": self.row_in_window,
            "stage": self.stage,
            "positions": [position.to_json() for position in self.positions],
            "window_rows": self.window_rows,
        }

    @classmethod
    def from_json(cls, value: Any) -> LoaderState:
        """Read what `to_json` returned; raises `InputError` naming what is wrong with anything else."""
        names = ("next_row", "window", "row_in_window", "stage", "window_rows")
        needed = {"fingerprint", "positions", *names[:3]}  # the others came later
        if not isinstance(value, dict) or not needed <= value.keys() or type(value["fingerprint"]) is not str:
            held = ", ".join(map(str, value)) if isinstance(value, dict) else type(value).__name__
            raise InputError(f"the saved data state holds {held}, not the fields of LoaderState.to_json")
        numbers = [value.get(name, 0) for name in names]
        positions = value["positions"]
        whole = isinstance(positions, list | tuple) and all(
            isinstance(place, list | tuple) and len(place) == 3 for place in positions
        )
        numbers += [number for place in positions for number in place] if whole else [None]
        if not all(type(number) is int and 0 <= number < 1 << 62 for number in numbers):
            raise InputError(
                f"the saved data state holds {value}, where every number is whole and not negative"
            )
        places = tuple(SourcePosition.from_json(place) for place in positions)
        next_row, window, row_in_window, stage, window_rows = numbers[:5]
        return cls(value["fingerprint"], next_row, window, row_in_window, stage, places, window_rows)


class Loader:
    """Makes the rows of a run.

    Args:
        config: the recipe's ``data``.
        mixture: the sources.
        objectives: what a document is written as.
        pad_id: id of padding.
        fingerprint: of the corpus and of the data part of the recipe, with a colon between.
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
        self._stage_rows = [stage.from_step * config.global_batch_rows for stage in config.stages]
        if config.unit == "sequence" and not objectives.same_for_all_sources:
            raise InputError(
                "data.unit: sequence gives every row one objective, whatever its sources; leave out "
                "objectives.sources"
            )

    def start(self) -> LoaderState:
        """Return the state before row 0."""
        return LoaderState(self.fingerprint, 0, 0, 0, 0, self.mixture.start())

    def stage_of(self, row: int) -> int:
        """Return the number of the stage that a row belongs to, to within the row in which a stage begins."""
        return bisect_right(self._stage_rows, row)

    def news(self, before: LoaderState, after: LoaderState) -> str | None:
        """Say what changed in the mixture between two states: sources that reached their ``max_epochs``."""
        said = self.mixture.caps_reached(before.positions, after.positions, self.stage_of(after.next_row))
        return None if said is None else f"by row {after.next_row:,} {said}"

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
            EndOfDataError: see `rows`.
        """
        if num_rows % world_size:
            raise InputError(
                f"data.global_batch_rows is {num_rows}, which {world_size} processes cannot share evenly"
            )
        share = num_rows // world_size
        stream = self.rows(state)
        while True:
            first = state.next_row
            taken = []
            for _ in range(num_rows):
                row, state = next(stream)
                taken.append(row)
            mine = taken[rank * share : (rank + 1) * share]
            yield collate(mine, self.config, self.pad_id, first + rank * share), state

    def rows(self, state: LoaderState) -> Iterator[tuple[Row, LoaderState]]:
        """Yield rows from a state on, each with the state after it.

        Raises:
            InputError: the state is of another corpus.
            EndOfDataError: every source has been read as often as it may be.
        """
        if state.fingerprint != self.fingerprint:
            (corpus, recipe), (ours, our_recipe) = (
                fingerprint.split(":") if ":" in fingerprint else (fingerprint, "")
                for fingerprint in (state.fingerprint, self.fingerprint)
            )
            if corpus != ours:
                raise InputError(f"the saved data state is of corpus {corpus[:12]}, this is {ours[:12]}")
            raise InputError(
                f"the saved data state is of another recipe ({recipe}, this is {our_recipe}): objectives, "
                "data or run.seed differ, so its rows would not follow on; use the recipe that it was "
                "saved with"
            )
        self.mixture.check(state.positions, state.stage)
        return self._rows(state)

    def _rows(self, state: LoaderState) -> Iterator[tuple[Row, LoaderState]]:
        while True:
            first_row = state.next_row - state.row_in_window
            rows, stage, after = self._window(state, first_row)
            if state.row_in_window >= len(rows) or state.window_rows not in (0, len(rows)):
                step = -(-(first_row + state.window_rows) // self.config.global_batch_rows)
                raise InputError(
                    f"the saved data state is at row {state.row_in_window} of a window of "
                    f"{state.window_rows}, which now has {len(rows)}: a stage was changed that begins "
                    f"inside it, or the state; let other stages begin from step {step} on"
                )
            for place in range(state.row_in_window, len(rows)):
                next_row = first_row + place + 1
                state = LoaderState(
                    self.fingerprint,
                    next_row,
                    state.window,
                    place + 1,
                    state.stage,
                    state.positions,
                    len(rows),
                )
                if place + 1 == len(rows):
                    state = LoaderState(self.fingerprint, next_row, state.window + 1, 0, stage, after)
                yield rows[place], state

    def _window(self, state: LoaderState, first_row: int) -> tuple[list[Row], int, Positions]:
        """Return the rows of a window, its stage, and the positions after its documents."""
        # A run may go on with other global_batch_rows; a stage that has begun stays.
        stage = max(state.stage, self.stage_of(first_row))
        positions = state.positions if stage == state.stage else without_debts(state.positions)
        left = (self._stage_rows[stage] - first_row) if stage < len(self._stage_rows) else None
        room = None if left is None else left * self.config.row_tokens
        if self.config.unit == "sequence":
            rows, positions = lay_out(
                self.mixture,
                self.objectives,
                self.config,
                positions,
                stage,
                first_row,
                self._is_whole,
                room,
            )
        else:
            rows, positions = self._packed(state.window, positions, stage, room)
        if not rows:
            raise EndOfDataError(
                f"after {first_row:,} rows every source of the stage has been read as often as "
                f"data.sources.max_epochs allows; ask for no more rows (lower run.num_steps to "
                f"{first_row // self.config.global_batch_rows:,}), or raise max_epochs"
            )
        return rows, stage, positions

    def _is_whole(self, num_documents: int, filled: int) -> bool:
        """Whether a window holds enough: `window_documents`, but some rows at least, and not too many."""
        rows = filled // self.config.row_tokens
        return rows >= _MOST_ROWS or (num_documents >= self.config.window_documents and rows >= _LEAST_ROWS)

    def _packed(
        self, window: int, positions: Positions, stage: int, room: int | None
    ) -> tuple[list[Row], Positions]:
        """Write the documents of a window, until `room` positions are full, and pack them."""
        examples: list[Example] = []
        filled = 0
        num_documents = 0
        while not self._is_whole(num_documents, filled):
            key = self.mixture.next_document(positions, stage)
            if key is None or (room is not None and filled >= room):
                break
            num_documents += 1
            written = self.objectives.examples(self.mixture.document(key), key)
            examples += written
            taken = sum(example.num_positions for example in written)
            filled += taken
            positions = self.mixture.advance(positions, key.source, taken)
        return pack(examples, self.config.row_tokens, self.mixture.seed, window), positions
