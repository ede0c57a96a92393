"""Record where a source was read for the last time, and which shares hold from there (law 8)."""

from __future__ import annotations

from spanmix.data.loader import Loader, LoaderState
from spanmix.train.events import EventLog


class MixtureWatch:
    """Follows the sources of a run.

    Args:
        loader: makes the rows.
        state: where they begin.
        events: where a source's end is recorded.
    """

    def __init__(self, loader: Loader, state: LoaderState, events: EventLog) -> None:
        self._loader = loader
        self._state = state
        self._events = events

    def update(self, step: int, state: LoaderState) -> None:
        """Take the state behind a step, and say so if a source ended before it."""
        said = self._loader.news(self._state, state)
        self._state = state
        if said is not None:
            self._events.warn(step, "source_ended", said)
