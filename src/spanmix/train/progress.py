"""How far a run is: the part of a checkpoint that is no tensor, ``state.json``."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from spanmix.config import RUN_FORMAT_VERSION
from spanmix.data.loader import LoaderState
from spanmix.errors import InputError
from spanmix.files import read_versioned, write_json
from spanmix.train.meter import Unreported
from spanmix.train.spikes import LossTrend

STATE = "state.json"
_Count = Annotated[int, Field(ge=0, lt=2**63)]
_Finite = Annotated[float, Field(allow_inf_nan=False)]


@dataclass(frozen=True)
class Progress:
    """How far a run is, in a few numbers.

    Args:
        step: optimizer steps done.
        tokens: tokens that carried loss so far.
        loader: where the next row lies.
        skipped: batches passed over so far.
        trend: what the loss of the next step is compared with.
        unreported: what was measured since the last report.
    """

    step: int
    tokens: int
    loader: LoaderState
    skipped: int = 0
    trend: LossTrend = field(default_factory=LossTrend)
    unreported: Unreported = field(default_factory=Unreported)


def write_progress(folder: Path, progress: Progress) -> None:
    """Write ``state.json``."""
    state = {
        "format_version": RUN_FORMAT_VERSION,
        "step": progress.step,
        "tokens": progress.tokens,
        "loader": progress.loader.to_json(),
        "skipped": progress.skipped,
        "trend": asdict(progress.trend),
        "unreported": asdict(progress.unreported),
    }
    write_json(folder / STATE, state)


def read_progress(folder: Path) -> Progress:
    """Read ``state.json``; raises `InputError` naming the field that cannot be used."""
    state = read_versioned(folder / STATE, _State, RUN_FORMAT_VERSION)
    trend = LossTrend(**asdict(state.trend))
    try:
        loader = LoaderState.from_json(state.loader)
    except InputError as error:
        raise InputError(f"{folder / STATE} has a loader that cannot be used: {error}") from None
    unreported = Unreported(**asdict(state.unreported))
    return Progress(state.step, state.tokens, loader, state.skipped, trend, unreported)


@dataclass(frozen=True)
class _Trend:
    steps: _Count = 0
    mean: _Finite = 0.0
    variance: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0


@dataclass(frozen=True)
class _Unreported:
    sums: tuple[tuple[_Count, _Count, _Finite, _Finite], ...] = ()
    positions: _Count = 0
    packed: _Count = 0


@dataclass(frozen=True)
class _State:
    """What ``state.json`` holds."""

    step: _Count
    tokens: _Count
    loader: Any  # which `LoaderState` checks
    skipped: _Count = 0
    trend: _Trend = field(default_factory=_Trend)
    unreported: _Unreported = field(default_factory=_Unreported)
