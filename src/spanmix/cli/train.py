"""``spanmix train``: train, continue or resume a model."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from spanmix.cli.arguments import add_verb
from spanmix.cli.signals import stop_signals
from spanmix.cli.terminal import Progress, tell, warn
from spanmix.files import out_folder

if TYPE_CHECKING:
    from spanmix.cli.arguments import Verbs
    from spanmix.train.metrics import Metric

EXAMPLE = """
spanmix train recipe.yaml --out runs/mine
spanmix train recipe.yaml --out runs/mine                 # after an interruption: goes on where it was
kill -TERM PID                                            # finishes the step, saves, and exits with code 3
spanmix train recipe.yaml --out runs/hot optimizer.learning_rate=2e-3 objectives.1.max_ratio=0.3
"""


def add(verbs: Verbs) -> None:
    """Add the verb."""
    parser = add_verb(verbs, "train", "train a model; the same --out goes on with a run", EXAMPLE, run)
    parser.add_argument("recipe", metavar="RECIPE", help="a recipe file, or the name of a built-in recipe")
    parser.add_argument(
        "overrides", nargs="*", metavar="section.field=value", help="change a field of the recipe"
    )
    parser.add_argument("--out", type=out_folder, required=True, metavar="RUN", help="folder of the run")


def run(args: argparse.Namespace) -> None:
    """Read the recipe, whole and checked, and train."""
    from spanmix.recipes import load_recipe

    recipe = load_recipe(args.recipe, args.overrides)
    from spanmix.evaluate.loop_hooks import prepare_hooks
    from spanmix.train.checkpoint import Checkpoints
    from spanmix.train.ranks import is_first_process
    from spanmix.train.run import train
    from spanmix.train.run_folder import checkpoints_folder

    make_hooks = prepare_hooks(recipe, tell, warn)
    try:
        with Progress() as progress:
            report = TrainingReport(progress)
            model = train(recipe, args.out, make_hooks, report, progress, stop_signals(), warn, tell)
    except KeyboardInterrupt as error:
        if (newest := Checkpoints(checkpoints_folder(args.out), keep=1).newest()) is not None:
            error.add_note(f"the same command goes on from {newest}")
        raise
    if is_first_process():
        trained = "trained" if report.num_steps else "was finished already:"
        print(f"{trained} {recipe.run.num_steps:,} steps; the model is {model}")


class TrainingReport:
    """Shows the steps: a bar that carries the newest figures, or a line of the first, and when there are new
    figures."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._figures = ""
        self.num_steps = 0
        """Steps that were reported on."""

    def __call__(self, done: int, total: int, metrics: Sequence[Metric]) -> None:
        """Report on a step."""
        self.num_steps += 1
        if metrics:
            self._figures = ", ".join(_figure(metric) for metric in metrics if _is_shown(metric))
        if self._progress.is_drawn:
            self._progress("train", done, total, self._figures)
        elif metrics or self.num_steps == 1:
            figures = f": {self._figures}" if metrics else ""
            print(f"step {done:,} of {total:,}{figures}", file=sys.stderr, flush=True)


def _is_shown(metric: Metric) -> bool:
    shown = ("loss", "tokens_per_second", "mfu")
    return (metric.name in shown and metric.source is None) or metric.kind not in ("train", "speed")


def _figure(metric: Metric) -> str:
    """Write a figure for people.

    >>> from spanmix.train.metrics import Metric
    >>> _figure(Metric("train", "loss", 2.34567, objective="infill"))
    'infill loss 2.346'
    >>> _figure(Metric("speed", "tokens_per_second", 7712.3)), _figure(Metric("speed", "mfu", 0.1234))
    ('7,712 tokens/s', 'mfu 12 %')
    >>> _figure(Metric("held_out", "code/causal", 3.21))
    'held out code/causal 3.210'
    """
    if metric.name == "tokens_per_second":
        return f"{metric.value:,.0f} tokens/s"
    if metric.name == "mfu":
        return f"mfu {metric.value:.0%}".replace("%", " %")
    label = metric.objective or metric.source
    if metric.kind not in ("train", "speed"):
        label = metric.kind.replace("_", " ")
    return f"{label} {metric.name} {metric.value:.3f}" if label else f"{metric.name} {metric.value:.3f}"
