"""Show a run's figures in Weights & Biases and in Trackio, kept on this machine.

Neither is told anything over the network unless the environment asks for it (``WANDB_MODE=online``). Both
add and never take back, so each step is reported once: a start first passes on what ``metrics.jsonl`` holds
and the tracker lacks (all of it, if the tracker is new; what it had not written when the run was killed), and
then leaves out the steps that are made again.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import groupby
from pathlib import Path
from typing import Any, Protocol

from spanmix.errors import InputError
from spanmix.files import write_text
from spanmix.train.metrics import Metric, Tracker, read_metrics
from spanmix.watch_config import WatchConfig

_ID = "watch_id"
_FILE_SECONDS = 30


@dataclass(frozen=True)
class TrackedRun:
    """What the trackers know a run by, the same at every start.

    Args:
        folder: the run's folder.
        project: the group of runs that it belongs to.
        id: of this run alone.
        config: the recipe's fields.
    """

    folder: Path
    project: str
    id: str
    config: Mapping[str, Any]

    @property
    def name(self) -> str:
        """What people see."""
        return self.folder.resolve().name


class WebTracker(Tracker, Protocol):
    """A tracker that never takes a step back."""

    last_step: int
    """The last step that earlier starts of the run have reported; 0 if none."""


class WeightsAndBiases:
    """Writes W&B's offline files into the run's folder; ``wandb sync`` sends them when it is wanted."""

    def __init__(self, run: TrackedRun) -> None:
        mode = os.environ.get("WANDB_MODE", "offline")
        if mode == "offline":
            # Otherwise the package reports its own errors and usage to its makers.
            os.environ.setdefault("WANDB_ERROR_REPORTING", "false")
        # The service of a process that started this one would still hold the id of a start that was killed.
        os.environ.pop("WANDB_SERVICE", None)
        import wandb

        from spanmix.train.wandb_files import drop_empty, last_step

        drop_empty(run.folder / "wandb", run.id)
        written = last_step(run.folder / "wandb", run.id)
        settings = wandb.Settings(
            console="off",
            disable_code=True,
            disable_git=True,
            silent=True,
            x_disable_meta=True,
            x_disable_stats=True,
            x_save_requirements=False,
        )
        self._run = wandb.init(
            config=dict(run.config),
            dir=str(run.folder),
            id=run.id,
            mode=mode,  # type: ignore[arg-type]
            name=run.name,
            project=run.project,
            reinit="create_new",
            resume="allow",
            settings=settings,
        )
        self._tracked = run
        self._offline = mode == "offline"
        # Online the server tells how far the run is; offline the package knows nothing of earlier starts.
        self.last_step = written if self._offline else max(self._run.starting_step - 1, 0)
        self._written = self.last_step

    def write(self, metrics: Sequence[Metric], step: int) -> None:
        """Report the figures of a step, all of them at once."""
        self._run.log({metric.tag: metric.value for metric in metrics}, step=step, commit=True)
        self._written = step

    def close(self) -> None:
        """End the file.

        Raises:
            RuntimeError: offline, and the file still lacks the last step after `_FILE_SECONDS`. The package's
                service writes the file, and nothing promises that it has when the run is finished.
        """
        from spanmix.train.wandb_files import last_step

        self._run.finish()
        folder = self._tracked.folder / "wandb"
        end = time.monotonic() + _FILE_SECONDS
        while self._offline and (found := last_step(folder, self._tracked.id)) < self._written:
            if time.monotonic() > end:
                raise RuntimeError(
                    f"after {_FILE_SECONDS} s the file in {folder} ends with step {found}, not "
                    f"{self._written}; metrics.jsonl has them all, and another start passes on the rest"
                )
            time.sleep(0.05)


class Trackio:
    """Writes Trackio's database, in ``TRACKIO_DIR`` or else in the run's folder, each step at once.

    Trackio's own run would write from a thread, whose failures are only printed, and would ask Hugging Face
    for the name of whoever is logged in.
    """

    def __init__(self, run: TrackedRun) -> None:
        folder = Path(os.environ.get("TRACKIO_DIR") or run.folder.resolve() / "trackio")
        with _environment("TRACKIO_DIR", str(folder)):
            from trackio import utils
            from trackio.sqlite_storage import SQLiteStorage
        if folder != utils.TRACKIO_DIR:
            raise RuntimeError(
                f"Trackio writes to one folder in a process, and here that is {utils.TRACKIO_DIR} already"
            )
        self._storage = SQLiteStorage
        self._tracked = run
        self._config: Mapping[str, Any] | None = run.config
        self.last_step = SQLiteStorage.get_max_step_for_run(run.project, run.name, run_id=run.id) or 0

    def write(self, metrics: Sequence[Metric], step: int) -> None:
        """Report the figures of a step."""
        run = self._tracked
        self._storage.bulk_log(
            run.project,
            run.name,
            [{metric.tag: metric.value for metric in metrics}],
            steps=[step],
            config=None if self._config is None else dict(self._config),
            log_ids=[f"{run.id}-{step}"],  # the database takes none twice
            run_id=run.id,
        )
        self._config = None

    def close(self) -> None:
        """Do nothing: all is written."""


class EachStepOnce:
    """Passes each step on once, and first what the tracker lacks of ``metrics.jsonl``.

    Args:
        tracker: is given the steps.
        path: the run's figures up to the checkpoint that it goes on from.
    """

    def __init__(self, tracker: WebTracker, path: Path) -> None:
        self._tracker = tracker
        lines = read_metrics(path) if path.exists() else []
        for step, found in groupby(lines, key=lambda line: line["step"]):
            self.write([_metric(line) for line in found], step)

    def write(self, metrics: Sequence[Metric], step: int) -> None:
        """Pass the figures of a step on, unless an earlier start has."""
        if metrics and step > self._tracker.last_step:
            self._tracker.write(metrics, step)

    def close(self) -> None:
        """End the tracker."""
        self._tracker.close()


TRACKERS: dict[str, tuple[str, type[WeightsAndBiases] | type[Trackio]]] = {
    "wandb": ("Weights & Biases", WeightsAndBiases),
    "trackio": ("Trackio", Trackio),
}
"""The name for people and the class of each tracker that a recipe may name."""


def require_installed(config: WatchConfig) -> None:
    """Raise `InputError` if a tracker is asked for and its package is not there."""
    for name in config.trackers:
        spec = find_spec(name)
        if spec is None or spec.origin is None:  # a folder of that name is no package
            raise InputError(
                f"watch.trackers names {name}, and the package {name} is not installed; install it with "
                f"pip install 'spanmix[{name}]', or leave it out"
            )


def tracked_run(folder: Path, project: str, config: Mapping[str, Any]) -> TrackedRun:
    """Return what the trackers know the run of a folder by; its id is made and kept at the first start."""
    path = folder / _ID
    if not path.exists():
        made = hashlib.sha256(f"{folder.resolve()} {time.time_ns()}".encode()).hexdigest()
        write_text(path, f"{made[:12]}\n")
    return TrackedRun(folder, project, path.read_text(encoding="utf-8").strip(), config)


@contextmanager
def _environment(name: str, value: str) -> Iterator[None]:
    """Set a variable for what is imported within."""
    before = os.environ.get(name)
    os.environ[name] = value
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before


def _metric(line: Mapping[str, Any]) -> Metric:
    return Metric(line["kind"], line["name"], line["value"], line.get("source"), line.get("objective"))
