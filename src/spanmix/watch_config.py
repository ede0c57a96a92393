"""The recipe's ``watch``: where else a run's figures are shown, and what is recorded of its steps."""

from __future__ import annotations

import re
from dataclasses import dataclass

from spanmix.bounds import MANY, require

TRACKERS = ("wandb", "trackio")
MAX_PROFILED_STEPS = 100
_PROJECT = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")


@dataclass(frozen=True)
class WatchConfig:
    """How a run is watched beside ``metrics.jsonl`` and TensorBoard; none of it changes a bit of the result.

    Args:
        trackers: any of ``wandb`` (Weights & Biases, offline) and ``trackio`` (a local database).
        project: what both call the group of runs.
        profile_steps: the first and the last step, from 1, that PyTorch's profiler records; empty records
            none.
        memory_snapshot: keep PyTorch's record of GPU allocations, written when the profiled steps end and
            when memory runs out.
    """

    trackers: tuple[str, ...] = ()
    project: str = "spanmix"
    profile_steps: tuple[int, ...] = ()
    memory_snapshot: bool = False

    def __post_init__(self) -> None:
        names = self.trackers
        right = len(set(names)) == len(names) and set(names) <= set(TRACKERS)
        require(right, "watch.trackers", names, f"use any of {', '.join(TRACKERS)}, each once")
        rule = "use 1 to 64 letters, digits, - and _, the first a letter or a digit"
        require(_PROJECT.fullmatch(self.project) is not None, "watch.project", self.project, rule)
        steps = self.profile_steps
        if steps:
            rule = (
                f"use [first, last], steps from 1 on with the first not behind the last, and at most "
                f"{MAX_PROFILED_STEPS} of them, as each adds megabytes to the file; [] turns it off"
            )
            ordered = len(steps) == 2 and 1 <= steps[0] <= steps[1] <= MANY
            require(ordered and steps[1] - steps[0] < MAX_PROFILED_STEPS, "watch.profile_steps", steps, rule)
