"""Gather what was measured into the table that ``results.json`` holds.

::

    title, facts {name: value}, seconds {phase: seconds}
    sources {name: {loss: SourceLoss, xz: XzPerFile, ratio_to_xz: Interval,
                    xz_after_training: XzAfterTraining}}
    infill [InfillFigures]
    memorization [MemorizationFigures], absent if there is none

Each dataclass stands there field by field, without what it has per file and without samples. Whatever
was not measured is absent.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spanmix.evaluate.compressors import XzAfterTraining, XzPerFile, ratio_to_xz
from spanmix.evaluate.infill_match import InfillFigures
from spanmix.evaluate.losses import SourceLoss
from spanmix.evaluate.memorization import MemorizationFigures
from spanmix.files import follow, write_json

RESULTS_FORMAT_VERSION = 1
_PER_FILE = frozenset({"files", "compressed_bytes", "samples"})


@dataclass(frozen=True)
class SourceResult:
    """What was measured on the held-out files of one source; xz on the same files in the same order."""

    loss: SourceLoss
    xz: XzPerFile | None = None
    xz_after_training: XzAfterTraining | None = None


def gather(
    *,
    title: str,
    seed: int,
    sources: Sequence[SourceResult] = (),
    infill: Sequence[InfillFigures] = (),
    memorization: Sequence[MemorizationFigures] = (),
    facts: Mapping[str, str | int | float] | None = None,
    seconds: Mapping[str, float] | None = None,
) -> dict[str, Any]:
    """Return the results as one dictionary that JSON can hold; see the module's header.

    Args:
        title: the run's name.
        seed: the run's seed, for the intervals that are made here.
        sources: held-out losses, with xz beside them.
        infill: one entry per kind of spans.
        memorization: one entry per source and side.
        facts: what the run was: recipe, versions, counts; written as given, in this order.
        seconds: how long each phase took.
    """
    results = {
        "format_version": RESULTS_FORMAT_VERSION,
        "title": title,
        "facts": dict(facts or {}),
        "seconds": dict(seconds or {}),
        "sources": {result.loss.source: _source(result, seed) for result in sources},
        "infill": [_fields(figures) for figures in infill],
    }
    if memorization:
        results["memorization"] = [dataclasses.asdict(figures) for figures in memorization]
    return results


def write_results(path: Path, results: Mapping[str, Any]) -> None:
    """Write ``results.json``, whole or not at all, in a folder that is made if it is missing."""
    follow(path).parent.mkdir(parents=True, exist_ok=True)
    write_json(path, results)


def _source(result: SourceResult, seed: int) -> dict[str, Any]:
    entry: dict[str, Any] = {"loss": _fields(result.loss)}
    if result.xz is not None:
        entry["xz"] = _fields(result.xz)
        nats = [file.nats for file in result.loss.files]
        entry["ratio_to_xz"] = dataclasses.asdict(ratio_to_xz(nats, result.xz, seed=seed))
    if result.xz_after_training is not None:
        entry["xz_after_training"] = _fields(result.xz_after_training)
    return entry


def _fields(value: Any) -> dict[str, Any]:
    return {name: field for name, field in dataclasses.asdict(value).items() if name not in _PER_FILE}
