"""What does infill cost next-token prediction? The 50/50 mixture against pure causal, at equal tokens.

    python benchmarks/mixture_quality.py [CORPUS] [--full] [--seeds 3] [--out runs/mixture_quality]

Trains the built-in recipe `demo` twice for each seed, once as it stands and once with its causal objective
alone, on the same corpus for the same number of steps, and compares the held-out causal loss of both after
the last step (nats per token, `--held-out-rows` rows of each source). The seed decides first weights, order
and spans of both runs of a pair. Prints every pair and the mean difference with its 95 % interval (t
distribution over the seeds). The runs are kept, so the same command goes on after an interruption. Takes
about half a minute a run of 60 steps on two cores; `--full` makes 300. The last line is one JSON object.
"""

import argparse
import json
import math
import statistics
from dataclasses import replace
from pathlib import Path

from spanmix.config import Recipe
from spanmix.demo.corpus import demo_corpus
from spanmix.evaluate.held_out import make_hooks
from spanmix.recipes import load_recipe
from spanmix.train.metrics import read_metrics
from spanmix.train.run import train

T_95 = {2: 12.706, 3: 4.303, 4: 3.182, 5: 2.776, 6: 2.571, 8: 2.365, 10: 2.262}
"""Two-sided 95 % points of Student's t for n seeds (n - 1 degrees of freedom)."""


def make_recipe(args: argparse.Namespace, seed: int, kind: str) -> Recipe:
    """The demo's recipe for a number of steps, whole or with its causal objective alone."""
    recipe = load_recipe("demo", [f"corpus.path={args.corpus}"])
    steps = 300 if args.full else 60
    run = replace(recipe.run, seed=seed, num_steps=steps, save_every_steps=steps)
    evaluate = replace(recipe.evaluate, every_steps=steps, held_out_rows=args.held_out_rows)
    recipe = replace(recipe, run=run, evaluate=evaluate)
    return recipe if kind == "mixture" else replace(recipe, objectives=recipe.objectives[:1])


def held_out(folder: Path) -> dict[int, dict[str, float]]:
    """The held-out losses of a run: step -> source/objective -> nats per token."""
    found: dict[int, dict[str, float]] = {}
    for m in read_metrics(folder / "metrics.jsonl"):
        if m["kind"] == "held_out":
            found.setdefault(m["step"], {})[m["name"]] = m["value"]
    return found


def interval(values: list[float]) -> list[float]:
    """The mean of one value a seed, and both ends of its 95 % interval."""
    mean = statistics.mean(values)
    half = T_95[len(values)] * statistics.stdev(values) / math.sqrt(len(values))
    return [mean, mean - half, mean + half]


def main() -> None:
    """Train the pairs, and print what they differ by."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("corpus", type=Path, nargs="?")
    parser.add_argument("--full", action="store_true")
    parser.add_argument("--seeds", type=int, default=3, choices=sorted(T_95))
    parser.add_argument("--held-out-rows", type=int, default=128)
    parser.add_argument("--out", type=Path, default=Path("runs/mixture_quality"))
    args = parser.parse_args()
    if args.corpus is None:
        args.corpus = demo_corpus(Path("runs/demo")).path
    losses: dict[str, list[dict[str, float]]] = {"mixture": [], "causal": []}
    for seed in range(1, args.seeds + 1):
        for kind, found in losses.items():
            folder = args.out / f"{kind}-{seed}{'-full' if args.full else ''}"
            train(make_recipe(args, seed, kind), folder, make_hooks)
            last = max(held_out(folder).items())[1]
            found.append({name.split("/")[0]: x for name, x in last.items() if name.endswith("/causal")})
            print(f"seed {seed}, {kind}: {json.dumps(found[-1])}", flush=True)
    figures: dict[str, object] = {"full": args.full, "losses": losses}
    for source in losses["causal"][0]:
        pairs = zip(losses["mixture"], losses["causal"], strict=True)
        mean, low, high = interval([mixture[source] - causal[source] for mixture, causal in pairs])
        print(f"{source}: mixture - causal = {mean:+.4f} [{low:+.4f}, {high:+.4f}] nats per token")
        figures[source] = [mean, low, high]
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
