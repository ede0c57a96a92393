"""Can evaluation say yes? A model that knows 20 problems by heart has to score exactly those.

    python benchmarks/memorize.py [MODEL] [--problems humaneval] [--number 20] [--out FOLDER]

Draws problems by a seed, trains MODEL (a model folder, or a run that has one) on their canonical solutions,
each behind its prompt, until every token of them is more likely than all others together, and writes that as
a model folder. Then `spanmix evaluate` lets it answer the whole set, greedily, runs the answers in the
sandbox, and writes its report; the problems that passed there have to be those that were learnt. Others that
pass are listed: the model may have known them. Drawn are only problems that fit: prompt and `--max-tokens` of
answer fit the context, the solution with its end fits the answer, and the truncation rule cuts nothing off.
Without MODEL it is the demo preset with random weights and a tokenizer of the problems' own text. Takes
minutes on two cores. The last line is one JSON object; the exit code is 1 if what was learnt did not pass.
"""

import argparse
import json
import math
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from spanmix import seeding
from spanmix.cli import main as run_command
from spanmix.data.packing import collate, pack
from spanmix.data_configs import DataConfig, SourceConfig
from spanmix.errors import InputError
from spanmix.evaluate.code.problem import CodeProblem
from spanmix.evaluate.code.sets import problem_set
from spanmix.evaluate.code.truncation import rule_for
from spanmix.evaluate.solution_bits import solution_examples
from spanmix.generate.asked import read_prompting
from spanmix.generate.engine import ScoreRequest
from spanmix.generate.torch_engine import TorchEngine
from spanmix.model.architecture import preset
from spanmix.model.decoder import Decoder
from spanmix.model.folder import load_model_folder, resolve_model, save_model_folder
from spanmix.model.prompting import Prompting
from spanmix.recipes import load_recipe
from spanmix.text.tokenizer import Tokenizer
from spanmix.train import machine
from spanmix.train.optimizer import build_optimizers
from spanmix.train.step import TrainStep
from spanmix.train_configs import OptimizerConfig
from spanmix.types import Batch

CHECK_EVERY_STEPS = 10
WARMUP_STEPS = 20


def open_model(name: str | None, problems: Sequence[CodeProblem]) -> tuple[Decoder, Tokenizer, Prompting]:
    """Open MODEL, or begin one that knows nothing."""
    if name is not None:
        folder = resolve_model(name)
        decoder, tokenizer = load_model_folder(folder)
        return decoder, tokenizer, read_prompting(folder, tokenizer)
    tokenizer = Tokenizer.train([one.prompt + one.canonical for one in problems], 4096, 99)
    decoder = Decoder(preset("demo", tokenizer.vocab_size, 512), seed=1)
    return decoder, tokenizer.with_controls(trained=False), Prompting(("<|endoftext|>",), None)


def draw(
    problems: Sequence[CodeProblem],
    tokenizer: Tokenizer,
    context_tokens: int,
    max_tokens: int,
    number: int,
    seed: int,
) -> tuple[list[CodeProblem], int]:
    """Draw problems that fit; return them, and how many fit."""
    fit = []
    for one in problems:
        rule = rule_for(one)
        num_prompt, num_solution = (len(tokenizer.encode(text)) for text in (one.prompt, one.canonical))
        within = 1 + num_prompt + max_tokens <= context_tokens and num_solution + 1 <= max_tokens
        if within and one.canonical and one.suffix is None and rule.cut(one.canonical) == one.canonical:
            fit.append(one)
    if len(fit) < number:
        raise InputError(f"{len(fit)} of {len(problems)} problems fit, and {number} were asked for")
    order = np.argsort(seeding.draw(seed, "memorize", 0, 0, np.arange(len(fit)), 1)[:, 0], kind="stable")
    return [fit[place] for place in sorted(order[:number].tolist())], len(fit)


def batch_of(chosen: Sequence[CodeProblem], tokenizer: Tokenizer, row_tokens: int) -> Batch:
    """Lay all solutions and their ends out, each behind its prompt; these alone carry loss."""
    eot = tokenizer.control.eot
    examples = [
        example
        for one in chosen
        for example in solution_examples(
            tokenizer.encode(one.prompt), [*tokenizer.encode(one.canonical), eot], eot, row_tokens
        )
    ]
    rows = pack(examples, row_tokens, 0, 0)
    config = DataConfig(row_tokens, len(rows), (SourceConfig("solutions", 1.0),))
    return collate(rows, config, tokenizer.control.pad, 0)


def least_likely(decoder: Decoder, tokenizer: Tokenizer, chosen: Sequence[CodeProblem]) -> float:
    """Return the smallest probability that any token of the solutions has."""
    eot = tokenizer.control.eot
    requests = [
        ScoreRequest([eot, *tokenizer.encode(one.prompt)], [*tokenizer.encode(one.canonical), eot])
        for one in chosen
    ]
    return math.exp(min(min(score.logprobs) for score in TorchEngine(decoder).score(requests)))


def learn(
    decoder: Decoder,
    tokenizer: Tokenizer,
    chosen: Sequence[CodeProblem],
    rate: float,
    most_steps: int,
    num_threads: int,
) -> tuple[int, float]:
    """Train until the decoder knows the solutions by heart; return the steps and `least_likely`."""
    run = machine.resolve(load_recipe("demo", ["run.device=cpu", f"run.num_threads={num_threads}"]))
    machine.prepare_process(run.run.num_threads)
    settings = OptimizerConfig(rate, weight_decay=0.0)
    batch = batch_of(chosen, tokenizer, decoder.architecture.context_tokens)
    step = TrainStep(decoder, build_optimizers(decoder, settings), machine.compute_dtype(run), 8, settings)
    for done in range(1, most_steps + 1):
        losses = step(batch, rate * min(1.0, done / WARMUP_STEPS))
        if done % CHECK_EVERY_STEPS == 0:
            least = least_likely(decoder, tokenizer, chosen)
            print(f"step {done}: {losses.mean:.4f} nats a token, least likely {least:.4f}", file=sys.stderr)
            if least > 0.5:
                return done, least
    raise InputError(
        f"after {most_steps} steps a token has the probability {least:.4f}; give it more --steps"
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Read the arguments."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", nargs="?", metavar="MODEL")
    parser.add_argument("--problems", default="humaneval")
    parser.add_argument("--number", type=int, default=20)
    parser.add_argument("--max-tokens", type=int, default=192)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--rate", type=float, default=1e-3)
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--out", type=Path, help="keep model, answers and report there")
    args = parser.parse_args(argv)
    with TemporaryDirectory() as folder:
        return compare(args, args.out or Path(folder))


def compare(args: argparse.Namespace, out: Path) -> int:
    """Learn, evaluate, compare, under a folder."""
    samples = out / "samples"
    if samples.exists():
        raise InputError(f"{samples} has the answers of another model; move it away, or give another --out")
    problems = problem_set(args.problems)
    decoder, tokenizer, prompting = open_model(args.model, problems.problems)
    context = decoder.architecture.context_tokens
    chosen, num_fit = draw(problems.problems, tokenizer, context, args.max_tokens, args.number, args.seed)
    start = time.monotonic()
    steps, least = learn(decoder, tokenizer, chosen, args.rate, args.steps, args.threads)
    seconds = time.monotonic() - start
    folder = save_model_folder(
        out / "model", decoder, tokenizer, {"learnt by heart": args.number}, prompting=prompting
    )
    command = ["evaluate", str(folder), "--tasks", args.problems, "--samples", str(samples)]
    if code := run_command([*command, "--max-tokens", str(args.max_tokens)]):
        return code
    report = json.loads((samples / f"{problems.name.partition('.')[0]}.report.json").read_text())
    passed = {name for name, results in report["results"].items() if any(r["passed"] for r in results)}
    learnt = {one.task_id for one in chosen}
    found = {
        "model": args.model or "demo preset, random weights",
        "problems": len(problems.problems),
        "fit": num_fit,
        "learnt": sorted(learnt),
        "steps": steps,
        "seconds": round(seconds, 1),
        "least_likely_token": least,
        "passed": len(passed),
        "learnt_and_failed": sorted(learnt - passed),
        "passed_beside": sorted(passed - learnt),
        "exactly": passed == learnt,
    }
    print(json.dumps(found))
    return 1 if learnt - passed else 0


if __name__ == "__main__":
    sys.exit(main())
