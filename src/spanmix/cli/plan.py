"""``spanmix plan``: memory, speed, days and cost of a run, before it is paid for."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spanmix.cli.arguments import add_json, add_verb, whole_number
from spanmix.cli.terminal import print_json, print_table
from spanmix.errors import InputError

if TYPE_CHECKING:
    from spanmix.cli.arguments import Verbs
    from spanmix.config import Recipe
    from spanmix.train.plan import Advice, Plan

EXAMPLE = """
spanmix plan recipe.yaml --gpus 8 --gpu h100
spanmix plan paper --gpus 16 --gpu a100-80 parallel.shard_size=0 parallel.checkpointing=selective
spanmix plan paper --gpus 8 --gpu h100 --mfu 0.42 --price 2.5      # a share that was measured, your price
spanmix plan demo --gpu cpu
"""
_GIB = 2**30
_LEAST_SHARE, _MOST_DOLLARS = 1e-6, 1_000_000


def add(verbs: Verbs) -> None:
    """Add the verb."""
    parser = add_verb(
        verbs, "plan", "say what a run needs, how long it takes and what it costs", EXAMPLE, run
    )
    parser.add_argument("recipe", metavar="RECIPE", help="a recipe file, or the name of a built-in recipe")
    parser.add_argument(
        "overrides", nargs="*", metavar="section.field=value", help="change a field of the recipe"
    )
    parser.add_argument(
        "--gpu", required=True, metavar="NAME", help="the device: h100, a100-80, …; any other name lists all"
    )
    parser.add_argument("--gpus", type=whole_number(1), default=1, metavar="N", help="devices (%(default)s)")
    parser.add_argument("--price", type=_dollars, metavar="DOLLARS", help="of one device for an hour")
    parser.add_argument(
        "--mfu", type=_share, metavar="SHARE", help="share of the peak that was measured, 0 to 1"
    )
    add_json(parser)


def run(args: argparse.Namespace) -> None:
    """Plan the recipe, print the plan, and refuse what cannot fit."""
    from spanmix.recipes import load_recipe

    recipe = load_recipe(args.recipe, args.overrides)
    from spanmix.train.machines import machine_named
    from spanmix.train.plan import advice, make_plan

    machine = machine_named(args.gpu)
    vocab_size, origin = _vocabulary(recipe)
    plan = make_plan(recipe, vocab_size, args.gpus, machine, args.mfu, args.price)
    advised = None if plan.fits else advice(recipe, vocab_size, args.gpus, machine)
    if args.json:
        print_json(_as_json(plan, advised))
    else:
        print(f"vocabulary: {vocab_size:,}, {origin}")
        _print(plan)
    if not plan.fits:
        raise InputError(_refusal(plan, advised))


def _vocabulary(recipe: Recipe) -> tuple[int, str]:
    """Return the tokenizer's size, and where that is from; the corpus need not be there yet."""
    from spanmix.text.corpus import TOKENIZER_FOLDER
    from spanmix.text.tokenizer import Tokenizer
    from spanmix.train.base import named_architecture

    folder = Path(recipe.corpus.path) / TOKENIZER_FOLDER
    if folder.is_dir():
        return Tokenizer.load(folder).vocab_size, f"of {folder}"
    if recipe.model.init_from is not None:
        return named_architecture(recipe.model).vocab_size, f"of {recipe.model.init_from}"
    if recipe.tokenizer.path is not None:
        return Tokenizer.load(recipe.tokenizer.path).vocab_size, f"of {recipe.tokenizer.path}"
    return recipe.tokenizer.vocab_size, f"as the recipe has it; {recipe.corpus.path} is not there"


def _refusal(plan: Plan, advised: Advice | None) -> str:
    total, usable = plan.machine.memory_bytes, plan.machine.usable_bytes
    parts = sorted(plan.memory[plan.fullest].items(), key=lambda item: -item[1])[:2]
    largest = " and ".join(f"{name} {_gib(size)}" for name, size in parts)
    needs = (
        f"the run needs {_gib(plan.needed_bytes)} GiB in each device, and {_gib(usable)} of the "
        f"{_gib(total)} of {plan.machine.name} are usable; fullest at `{plan.fullest}`, with {largest}"
    )
    if advised is None:
        return f"{needs}. No setting of `parallel` would fit, with more devices neither; take a larger device"
    devices = "" if advised.num_devices == plan.step.num_devices else f"--gpus {advised.num_devices} "
    return f"{needs}. It would fit with {devices}{' '.join(advised.overrides)}".rstrip()


def _print(plan: Plan) -> None:
    step, layout = plan.step, plan.step.layout
    print(
        f"layout: {layout.replicate} (replicate) x {layout.shard} (shard) x {layout.tensor} (tensor) on "
        f"{step.num_devices} x {plan.machine.name}, {step.precision}, checkpointing {step.checkpointing}"
    )
    print(
        f"a step: {step.rows:,} rows of {step.row_tokens:,} tokens a device, {step.micro_batch_rows:,} at "
        f"once, in {step.num_micro_batches:,} gradient-accumulation steps\n"
    )
    counts = plan.parameters
    rows = [[part, f"{count:,}"] for part, count in counts.items()]
    print_table(["parameters", ""], [*rows, ["all", f"{sum(counts.values()):,}"]])
    print()
    _print_memory(plan)
    print()
    print_table(["the run", ""], _run_rows(plan))
    print()
    print(_basis(plan))


def _print_memory(plan: Plan) -> None:
    moments = list(plan.memory)
    parts = list(dict.fromkeys(part for held in plan.memory.values() for part in held))
    rows = [[part, *(_gib(plan.memory[moment].get(part, 0)) for moment in moments)] for part in parts]
    rows.append(["all", *(_gib(sum(plan.memory[moment].values())) for moment in moments)])
    rows.append(["usable", *([_gib(plan.machine.usable_bytes)] * len(moments))])
    print_table(["GiB in a device, at", *moments], rows)


def _run_rows(plan: Plan) -> Sequence[Sequence[str]]:
    rows = [["seconds a step", f"{plan.step_seconds:.3g}"]]
    if plan.seconds is not None:
        parts = {
            "computing": plan.seconds.compute,
            "moving weights in memory": plan.seconds.weights,
            "waiting for other devices": plan.seconds.waiting,
            "updating": plan.seconds.update,
        }
        rows += [[f"  {name}", f"{_percent(seconds / plan.step_seconds)}"] for name, seconds in parts.items()]
    return [
        *rows,
        ["tokens/s", f"{plan.tokens_per_second:,.0f}"],
        ["mfu", _percent(plan.mfu)],
        ["tokens", f"{plan.num_steps * plan.step_tokens:,}"],
        _duration(plan.hours),
        ["device hours", _figure(plan.device_hours, ".1f")],
        [f"dollars, at {plan.dollars_per_hour:g} an hour", _figure(plan.dollars, ".0f")],
        ["largest micro_batch_rows that fits", f"{plan.most_rows:,}"],
    ]


def _basis(plan: Plan) -> str:
    """Say what the speed rests on."""
    if plan.seconds is None:
        return "Speed is that of the share of the peak that was given."
    share = f"{100 * plan.machine.compute_share:g} %"
    if plan.machine.is_measured:
        return f"Speed: {share} of the peak, as measured in docs/performance.md with another model."
    return (
        f"Speed: {share} of the dense peak while computing is assumed, not measured; give yours with --mfu."
    )


def _as_json(plan: Plan, advised: Advice | None) -> dict[str, Any]:
    step, layout = plan.step, plan.step.layout
    return {
        "gpu": plan.machine.name,
        "gpus": step.num_devices,
        "layout": {"replicate": layout.replicate, "shard": layout.shard, "tensor": layout.tensor},
        "micro_batch_rows": step.micro_batch_rows,
        "micro_batches": step.num_micro_batches,
        "parameters": plan.parameters,
        "memory_bytes": plan.memory,
        "fullest": plan.fullest,
        "needed_bytes": plan.needed_bytes,
        "usable_bytes": plan.machine.usable_bytes,
        "fits": plan.fits,
        "most_micro_batch_rows": plan.most_rows,
        "step_seconds": plan.step_seconds,
        "tokens_per_second": plan.tokens_per_second,
        "mfu": plan.mfu,
        "speed_is_measured": plan.seconds is None or plan.machine.is_measured,
        "tokens": plan.num_steps * plan.step_tokens,
        "days": plan.hours / 24,
        "device_hours": plan.device_hours,
        "dollars": plan.dollars,
        "would_fit": None
        if advised is None
        else {"gpus": advised.num_devices, "overrides": list(advised.overrides)},
    }


def _gib(num_bytes: float) -> str:
    return f"{num_bytes / _GIB:.1f}" if num_bytes >= _GIB / 20 or not num_bytes else f"{num_bytes / _GIB:.3f}"


def _duration(hours: float) -> list[str]:
    """Return a time's unit, the largest of which there is one, and the figure.

    >>> _duration(887.8), _duration(1.5), _duration(0.001)
    (['days', '36.99'], ['hours', '1.50'], ['seconds', '3.60'])
    """
    for unit, length in (("days", 24.0), ("hours", 1.0), ("minutes", 1 / 60)):
        if hours >= length:
            return [unit, f"{hours / length:,.2f}"]
    return ["seconds", f"{hours * 3600:,.2f}"]


def _figure(number: float, form: str) -> str:
    """Write a number in a form for large ones, or with three digits where it is below 10."""
    return format(number, f",{form}" if number >= 10 or not number else ".3g")


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def _share(value: str) -> float:
    number = _number(value)
    if not _LEAST_SHARE <= number <= 1:
        raise argparse.ArgumentTypeError(f"{value!r} is not a share from {_LEAST_SHARE:f} to 1")
    return number


def _dollars(value: str) -> float:
    number = _number(value)
    if not 0 <= number <= _MOST_DOLLARS:
        raise argparse.ArgumentTypeError(f"{value!r} is not a price from 0 to {_MOST_DOLLARS:,}")
    return number


def _number(value: str) -> float:
    try:
        return float(value)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{value!r} is not a number") from None
