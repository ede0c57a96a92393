"""Does Muon learn more than AdamW from the same tokens, and what does a step of each cost?

    python benchmarks/optimizers.py [CORPUS] [--full] [--steps N] [--seeds 3] [--rates 2e-3 4e-3] [--out DIR]

Trains the built-in recipe `demo` with both, on the same corpus for the same number of steps of 4,096 tokens,
a third of them warm-up. The seed decides first weights, order and spans of both runs of a pair. Held-out
losses (nats per token, `--held-out-rows` rows of each source) are measured at six points of each run; `all`
is their mean, weighted as the mixture is.

`--full` first trains both with each of `--rates` (four by default) and seed 0, and goes on with the rate
of each that has the least `all`; without it both take the recipe's own rate. Then it trains the seeds, and
prints

- each held-out loss of Muon less that of AdamW: mean over the pairs, 95 % interval (t distribution);
- the share of tokens after which Muon has the `all` that AdamW has at its end, on straight lines between the
  points; if Muon ends above it, the inverse for AdamW. The learning rate is still high in the middle of a
  run, so a share below 1 is a cautious one;
- seconds of a step of each, in turn, without evaluation.

Runs are kept under `--out`, named by what they are of, and finished ones are not trained again, so the same
command goes on after an interruption, and more rates or seeds add to what is there. After a change of the
code give another `--out`. A run of 60 steps takes about half a minute on two cores, and there are six;
`--full` makes 14 runs of 300 steps. The last line is one JSON object.
"""

import argparse
import itertools
import json
import math
import platform
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from mixture_quality import T_95, held_out, interval
from spanmix.config import Recipe
from spanmix.data.build import build_loader
from spanmix.demo.corpus import demo_corpus
from spanmix.errors import InputError, SpanmixError
from spanmix.evaluate.held_out import make_hooks
from spanmix.model.decoder import Decoder
from spanmix.recipes import load_recipe
from spanmix.text.corpus import Corpus
from spanmix.train import machine
from spanmix.train.base import build_architecture
from spanmix.train.metrics import Metric
from spanmix.train.optimizer import build_optimizers
from spanmix.train.run import train
from spanmix.train.step import TrainStep

KINDS = ("adamw", "muon")
POINTS = 6
WARM_UP, TIMED = 3, 12
Curve = list[tuple[int, float]]
"""Step, and the loss `all` there."""


@dataclass(frozen=True)
class Settings:
    """What the runs have in common."""

    recipe: Recipe
    out: Path
    num_steps: int
    held_out_rows: int

    def make_recipe(self, kind: str, rate: float, seed: int) -> Recipe:
        """The demo's recipe with an optimizer, its learning rate and a seed."""
        recipe, steps = self.recipe, self.num_steps
        every = steps // POINTS
        run = replace(recipe.run, seed=seed, num_steps=steps, save_every_steps=every, keep_checkpoints=1)
        return replace(
            recipe,
            optimizer=replace(recipe.optimizer, name=kind, learning_rate=rate),
            schedule=replace(recipe.schedule, warmup_steps=steps // 3),
            run=run,
            evaluate=replace(recipe.evaluate, every_steps=every, held_out_rows=self.held_out_rows),
        )

    def losses(self, kind: str, rate: float, seed: int) -> dict[int, dict[str, float]]:
        """Train, unless that was done; return step -> source/objective, and `all`, -> nats per token.

        Raises:
            SpanmixError: the loss is not finite.
        """
        name = f"{kind}-{rate:g}-seed{seed}-{self.num_steps}steps"
        folder, label = self.out / name, f"{kind}, rate {rate:g}, seed {seed}"
        start = time.monotonic()

        def report(done: int, total: int, metrics: Sequence[Metric]) -> None:
            measured = {m.name: m.value for m in metrics if m.kind == "held_out"}
            if measured:
                loss, spent = self.mean_loss(measured), time.monotonic() - start
                print(f"{label}: step {done} of {total}, held-out {loss:.4f}, {spent:.0f} s", flush=True)

        if not (folder / "model").exists():
            train(self.make_recipe(kind, rate, seed), folder, make_hooks, report)
        found = held_out(folder)
        return {step: {**losses, "all": self.mean_loss(losses)} for step, losses in found.items()}

    def mean_loss(self, losses: dict[str, float]) -> float:
        """The mean of held-out losses, weighted as the mixture is."""
        parts = [
            (source.weight * objective.weight, losses[f"{source.name}/{objective.name}"])
            for source, objective in itertools.product(self.recipe.data.sources, self.recipe.objectives)
        ]
        return sum(weight * loss for weight, loss in parts) / sum(weight for weight, _ in parts)


def tried_rates(settings: Settings, rates: list[float]) -> dict[str, dict[float, float]]:
    """Train both with each rate; return optimizer -> rate -> the last `all`, infinite where a run failed."""
    tried: dict[str, dict[float, float]] = {kind: {} for kind in KINDS}
    for rate, kind in itertools.product(rates, KINDS):
        try:
            tried[kind][rate] = settings.losses(kind, rate, 0)[settings.num_steps]["all"]
        except InputError:
            raise
        except SpanmixError as error:
            print(f"{kind}, rate {rate:g}: {error}", flush=True)
            tried[kind][rate] = math.inf
    print("\nlearning rate " + "".join(f"{kind:>10}" for kind in KINDS))
    for rate in rates:
        print(f"{rate:<14g}" + "".join(f"{tried[kind][rate]:10.4f}" for kind in KINDS))
    for kind, found in tried.items():
        best = min(found, key=lambda rate: found[rate])
        at_end = best in (min(rates), max(rates))
        print(f"{kind}: best at {best:g}" + (", the end of what was tried" if at_end else ""), flush=True)
    return tried


def first_step_at(curve: Curve, loss: float) -> float | None:
    """The step at which a curve first comes down to a loss, between its points on a line.

    >>> first_step_at([(10, 5.0), (20, 4.0), (30, 3.0)], 3.5)
    25.0
    """
    if curve[0][1] <= loss:
        return float(curve[0][0])
    for (step, above), (next_step, below) in itertools.pairwise(curve):
        if below <= loss:
            return step + (next_step - step) * (above - loss) / (above - below)
    return None


def share_of_tokens(adamw: Curve, muon: Curve) -> float:
    """The share of its tokens after which Muon is where AdamW ends; above 1, the inverse for AdamW."""
    step = first_step_at(muon, adamw[-1][1])
    if step is not None:
        return step / adamw[-1][0]
    behind = first_step_at(adamw, muon[-1][1])
    assert behind is not None, "one of two curves ends no lower than the other"
    return muon[-1][0] / behind


def seconds_a_step(settings: Settings, corpus: Corpus) -> dict[str, list[float]]:
    """Time steps of both in turn, on the same batches."""
    recipe = machine.resolve(settings.recipe)
    machine.prepare_process(recipe.run.num_threads)
    loader = build_loader(recipe, corpus)
    steps: dict[str, TrainStep] = {}
    for kind in KINDS:
        config = replace(recipe.optimizer, name=kind)
        model = Decoder(build_architecture(recipe, corpus.tokenizer), seed=0)
        rows = recipe.parallel.micro_batch_rows
        optimizers = build_optimizers(model, config)
        steps[kind] = TrainStep(model, optimizers, machine.compute_dtype(recipe), rows, config)
    seconds: dict[str, list[float]] = {kind: [] for kind in KINDS}
    batches = loader.batches(loader.start(), recipe.data.global_batch_rows)
    for batch, _ in itertools.islice(batches, WARM_UP + TIMED):
        for kind, step in steps.items():
            start = time.perf_counter()
            step(batch, 1e-4)
            seconds[kind].append(time.perf_counter() - start)
    return {kind: found[WARM_UP:] for kind, found in seconds.items()}


def compared(settings: Settings, rates: dict[str, float], seeds: int) -> dict[str, object]:
    """Train the pairs; print and return what they differ by."""
    runs: dict[str, list[dict[int, dict[str, float]]]] = {kind: [] for kind in KINDS}
    for seed, kind in itertools.product(range(1, seeds + 1), KINDS):
        runs[kind].append(settings.losses(kind, rates[kind], seed))
    last = {kind: [found[settings.num_steps] for found in runs[kind]] for kind in KINDS}
    print(f"\nheld-out loss after {settings.num_steps} steps, mean of {seeds} seeds, nats per token")
    print(f"{'':<16}{'adamw':>8}{'muon':>8}  muon - adamw, 95 %")
    differences = {}
    for name in last["adamw"][0]:
        means = [statistics.mean(losses[name] for losses in last[kind]) for kind in KINDS]
        pairs = zip(last["adamw"], last["muon"], strict=True)
        mean, low, high = differences[name] = interval([muon[name] - adamw[name] for adamw, muon in pairs])
        shown = "".join(f"{value:8.4f}" for value in means)
        print(f"{name:<16}{shown}  {mean:+.4f} [{low:+.4f}, {high:+.4f}]")
    curves = {
        kind: [[(step, losses["all"]) for step, losses in sorted(found.items())] for found in runs[kind]]
        for kind in KINDS
    }
    shares = [share_of_tokens(*pair) for pair in zip(curves["adamw"], curves["muon"], strict=True)]
    mean, low, high = interval(shares)
    print(f"share of tokens to AdamW's last loss: {mean:.3f} [{low:.3f}, {high:.3f}]", flush=True)
    return {
        "losses": runs,
        "difference": differences,
        "share_of_tokens": [mean, low, high],
        "shares_of_tokens": shares,
    }


def main() -> None:
    """Try learning rates, train the pairs, time both, and print what they differ by."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("corpus", type=Path, nargs="?")
    parser.add_argument("--full", action="store_true")
    parser.add_argument("--seeds", type=int, default=3, choices=sorted(T_95))
    parser.add_argument("--rates", type=float, nargs="+", default=[1.5e-3, 3e-3, 6e-3, 1.2e-2])
    parser.add_argument("--steps", type=int, help="of each run (60; with --full 300)")
    parser.add_argument("--held-out-rows", type=int, default=64)
    parser.add_argument("--out", type=Path, default=Path("runs/optimizers"))
    args = parser.parse_args()
    corpus = Corpus.open(args.corpus) if args.corpus else demo_corpus(Path("runs/demo"))
    recipe = load_recipe("demo", [f"corpus.path={corpus.path}"])
    num_steps = args.steps or (300 if args.full else 60)
    settings = Settings(recipe, args.out, num_steps, args.held_out_rows)
    rates = dict.fromkeys(KINDS, recipe.optimizer.learning_rate)
    tried: dict[str, dict[float, float]] = {}
    if args.full:
        tried = tried_rates(settings, sorted(args.rates))
        rates = {kind: min(found, key=lambda rate: found[rate]) for kind, found in tried.items()}
    figures = compared(settings, rates, args.seeds)
    seconds = seconds_a_step(settings, corpus)
    medians = {kind: statistics.median(found) for kind, found in seconds.items()}
    ratio = medians["muon"] / medians["adamw"]
    for kind, found in seconds.items():
        print(f"{kind}: {medians[kind]:.3f} s a step ({min(found):.3f} to {max(found):.3f})")
    print(f"a step of muon takes {ratio:.3f} times as long as one of adamw")
    versions = {"python": platform.python_version(), "torch": torch.__version__}
    figures = {
        "full": args.full,
        "rates": rates,
        "tried": {kind: {f"{rate:g}": loss for rate, loss in found.items()} for kind, found in tried.items()},
        **figures,
        "seconds_a_step": seconds,
        "ratio_seconds": ratio,
        "versions": versions,
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
