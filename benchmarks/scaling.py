"""How does the time of a step grow with the length of rows and with the size of the model?

    python benchmarks/scaling.py [--rounds 5] [--tokens 8192] [--preset 125m]

A step of the same number of tokens, full rows of one document each, bf16, is timed for rows of 512 to 8,192
tokens, and for models of 10 to 350 million weights in rows of 1,024. The cases of each series are timed in
turn. Beside the seconds are the operations that the method needs, counted as MFU counts them, and for both
the exponents of the power law that fits best (least squares of the logarithms): seconds that grow faster
than operations mean work that is not counted, or a kernel that suits the larger case less. Takes about
fifteen minutes on two cores.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch

from spanmix.model.architecture import Architecture, preset
from spanmix.model.decoder import Decoder
from spanmix.train import machine
from spanmix.train.optimizer import build_optimizers
from spanmix.train.step import TrainStep
from spanmix.train_configs import OptimizerConfig
from train_step import full_rows

LENGTHS = (512, 1024, 2048, 4096, 8192)
VOCAB, ROW_TOKENS = 8192, 1024
SIZES = {
    "10M": Architecture(6, 320, 5, 32, ROW_TOKENS, VOCAB),
    "40M": Architecture(10, 512, 8, 32, ROW_TOKENS, VOCAB),
    "100M": Architecture(12, 768, 12, 32, ROW_TOKENS, VOCAB),
    "350M": Architecture(26, 1024, 16, 32, ROW_TOKENS, VOCAB),
}


@dataclass(frozen=True)
class Case:
    """One point of a series.

    Args:
        x: what the series varies: tokens of a row, or weights of the model.
        flops: operations of a step.
        step: makes one.
        seconds: that the steps took.
    """

    x: int
    flops: int
    step: Callable[[], object]
    seconds: list[float] = field(default_factory=list)


def train_step(shape: Architecture) -> TrainStep:
    """Return the step of a new model."""
    config = OptimizerConfig(learning_rate=1e-4)
    model = Decoder(shape, seed=0)
    return TrainStep(model, build_optimizers(model, config), torch.bfloat16, 0, config)


def case(x: int, step: TrainStep, shape: Architecture, tokens: int, row_tokens: int) -> Case:
    """Return a case of full rows."""
    batch = full_rows(shape, tokens // row_tokens, row_tokens)
    pairs = tokens * (row_tokens + 1) // 2
    return Case(x, shape.training_flops(tokens, pairs), lambda: step(batch, 1e-4))


def by_length(args: argparse.Namespace) -> list[Case]:
    """Cases of one model, in rows of different lengths."""
    shape = replace(preset(args.preset), context_tokens=max(LENGTHS))
    step = train_step(shape)
    return [case(length, step, shape, args.tokens, length) for length in LENGTHS]


def by_size(args: argparse.Namespace) -> list[Case]:
    """Cases of models of different sizes, in rows of one length."""
    cases = []
    for shape in SIZES.values():
        step = train_step(shape)
        weights = sum(parameter.numel() for parameter in step.model.parameters())
        cases.append(case(weights, step, shape, args.tokens, ROW_TOKENS))
    return cases


def measure(cases: Sequence[Case], rounds: int) -> float:
    """Time the cases in turn; return the median matrix-product peak of the rounds."""
    for each in cases:
        each.step()
        each.step()
    peaks = []
    for _ in range(rounds):
        for each in cases:
            start = time.perf_counter()
            each.step()
            each.seconds.append(time.perf_counter() - start)
        peaks.append(machine.matmul_peak_flops(torch.bfloat16, "cpu"))
    return statistics.median(peaks)


def exponent(xs: Sequence[float], ys: Sequence[float]) -> float:
    """Return b of the power law a x^b that fits best.

    >>> round(exponent([1, 2, 4], [3, 12, 48]), 6)
    2.0
    """
    return float(np.polyfit(np.log(xs), np.log(ys), 1)[0])


def report(title: str, cases: Sequence[Case], peak: float) -> dict[str, object]:
    """Print a series and return its figures."""
    xs = [each.x for each in cases]
    medians = [statistics.median(each.seconds) for each in cases]
    flops = [each.flops for each in cases]
    print(f"\n{title}; bf16 peak {peak / 1e9:,.0f} GFLOP/s")
    for each, median in zip(cases, medians, strict=True):
        print(
            f"{each.x:12,}   {median:7.2f} s ({min(each.seconds):.2f} to {max(each.seconds):.2f})   "
            f"{each.flops / 1e12:6.2f} TFLOP   MFU {each.flops / median / peak:.1%}"
        )
    found, counted = exponent(xs, medians), exponent(xs, flops)
    print(f"exponent: seconds {found:.3f}, operations {counted:.3f}")
    return {
        "x": xs,
        "seconds": [each.seconds for each in cases],
        "flops": flops,
        "peak_flops": peak,
        "exponent": found,
        "exponent_of_flops": counted,
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--preset", default="125m", help="whose rows are made longer")
    parser.add_argument("--tokens", type=int, default=max(LENGTHS), help="of a step")
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    machine.prepare_process(len(os.sched_getaffinity(0)))
    figures: dict[str, object] = {}
    for key, title, make in (
        ("row_tokens", f"{args.preset}, {args.tokens:,} tokens a step, by the tokens of a row", by_length),
        (
            "weights",
            f"rows of {ROW_TOKENS:,}, {args.tokens:,} tokens a step, by the model's weights",
            by_size,
        ),
    ):
        cases = make(args)
        figures[key] = report(title, cases, measure(cases, args.rounds))
    figures["versions"] = {"python": platform.python_version(), "torch": torch.__version__}
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
