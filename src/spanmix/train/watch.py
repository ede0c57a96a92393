"""Build what watches a run: trackers, the profile of some steps, the record of its memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from spanmix.config import Recipe
from spanmix.errors import InputError
from spanmix.recipes import to_fields
from spanmix.train.events import EventLog
from spanmix.train.loop import Report
from spanmix.train.memory_snapshot import memory_recorded
from spanmix.train.metrics import Metric, MetricsLog, Tracker
from spanmix.train.profiler import profiled
from spanmix.train.ranks import Ranks
from spanmix.train.trackers import TensorBoard, Tolerated
from spanmix.train.web_trackers import TRACKERS, EachStepOnce, require_installed, tracked_run


def require_watchable(recipe: Recipe) -> None:
    """Check that a resolved recipe can be watched as it asks.

    Raises:
        InputError: a tracker's package is missing, or there is no GPU whose memory could be recorded.
    """
    require_installed(recipe.watch)
    if recipe.watch.memory_snapshot and recipe.run.device != "cuda":
        raise InputError(
            f"watch.memory_snapshot is true, but the run is computed on {recipe.run.device}: PyTorch records "
            "the memory of a GPU alone; use false, or run.device=cuda on a machine that has one"
        )


def open_log(recipe: Recipe, out: Path, step: int, events: EventLog) -> MetricsLog:
    """Open ``metrics.jsonl`` at a checkpoint's step, shown in TensorBoard and the recipe's trackers.

    Raises:
        InputError: a line that was there before is damaged.
    """
    log = MetricsLog(out, step)

    def show(name: str, build: Callable[[], Tracker]) -> None:
        def failed(at: int, text: str) -> None:
            events.warn(at, "tracker_failed", text)

        log.show_in(Tolerated(name, build, failed, step))

    show("TensorBoard", lambda: TensorBoard(out / "tensorboard", step))
    if recipe.watch.trackers:
        tracked = tracked_run(out, recipe.watch.project, to_fields(recipe))
        for key in recipe.watch.trackers:
            name, kind = TRACKERS[key]
            show(name, lambda kind=kind: EachStepOnce(kind(tracked), log.path))  # type: ignore[misc]
    return log


@contextmanager
def watched(
    recipe: Recipe, out: Path, step: int, ranks: Ranks, events: EventLog, report: Report
) -> Iterator[Report]:
    """Give what the loop calls after every step: the first process's `report`, and what records steps.

    The first process records the profile, and each its own memory.

    Args:
        recipe: its ``watch`` says what is recorded.
        out: the run's folder, which gets ``profile/`` and ``memory/``.
        step: steps done so far.
        ranks: the processes of the run.
        events: is told of what was written.
        report: what the caller of the run is shown.
    """
    steps, wanted = recipe.watch.profile_steps, recipe.watch.memory_snapshot
    profile_steps = steps if ranks.is_first else ()
    last = recipe.run.num_steps
    if steps and steps[0] > last:
        text = f"watch.profile_steps begins at step {steps[0]:,}, and the run ends with step {last:,}"
        events.warn(step, "profile_failed", f"{text}: nothing is profiled. Choose steps up to {last:,}")
    with (
        memory_recorded(wanted, steps[-1] if steps else 0, ranks.rank, out / "memory", events) as memory,
        profiled(profile_steps, out / "profile", recipe.run.device, events) as profile,
    ):

        def after_step(done: int, total: int, metrics: Sequence[Metric]) -> None:
            if ranks.is_first:
                report(done, total, metrics)
            memory(done)
            profile(done)

        memory(step)
        profile(step)
        yield after_step
