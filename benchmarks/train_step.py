"""How fast is one training step? Spanmix beside transformers, its Trainer, nanoGPT and litgpt, taken in turn.

    python benchmarks/train_step.py [--nanogpt CHECKOUT] [--litgpt-python PYTHON] [--corpus CORPUS]
    python benchmarks/train_step.py --row-tokens 2048 --rows 2 ...

Every side trains the same shape on the same token ids, in a process of its own, in bf16 with fused AdamW
and the same number of threads. Ours meets one other at a time: they step in turn, never at once.
``--corpus`` takes packed documents of a prepared corpus, in the ``causal`` objective, instead of full rows
of random tokens: the others attend over all of a row there, as their own packing does. Ratios are of median
seconds for a token that is no padding.

What the others are is in ``train_step_sides.py``, one function each, with their fastest documented settings;
``compiled`` sides are compiled whole. `tuned` sides get our allocator settings, too. MFU is by the
matrix-product peak measured before, between and after. ``--peers transformers`` takes five minutes on two
cores.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch

from spanmix.data.build import open_loader
from spanmix.model.architecture import Architecture, preset
from spanmix.train import machine
from spanmix.types import Batch, DocumentRef, Segment

SIDES = Path(__file__).with_name("train_step_sides.py")
OURS, PLAIN = "spanmix", "transformers"
BATCHES = 3
"""Different batches that the steps cycle through: packed rows differ in their documents."""


def full_rows(shape: Architecture, rows: int, row_tokens: int, number: int = 0) -> Batch:
    """Return rows of random tokens, each one segment."""
    random = np.random.default_rng(number)
    ids = random.integers(0, shape.vocab_size, size=(rows, row_tokens + 1), dtype=np.int32)
    segments = tuple(Segment(r, 0, row_tokens, 0, 0, DocumentRef(0, r, 0, 0)) for r in range(rows))
    ones = np.ones((rows, row_tokens))
    positions = np.tile(np.arange(row_tokens, dtype=np.int32), (rows, 1))
    inputs, targets = np.ascontiguousarray(ids[:, :-1]), np.ascontiguousarray(ids[:, 1:])
    weights, segment_ids = ones.astype(np.float32), ones.astype(np.int32)
    return Batch(
        inputs, targets, weights, segment_ids, positions, np.zeros_like(ones, dtype=bool), segments, 0
    )


def packed_rows(corpus: Path, rows: int, row_tokens: int) -> list[Batch]:
    """Return batches of packed documents, every position of which carries loss but for padding."""
    overrides = [f"corpus.path={corpus}", f"data.row_tokens={row_tokens}"]
    loader = open_loader("demo", [*overrides, "objectives=[{name: causal, weight: 1}]"])
    batches = loader.batches(loader.start(), rows)
    return [next(batches)[0] for _ in range(BATCHES)]


class Side:
    """One side, in its own process: it answers each line it is sent with the seconds of a step."""

    def __init__(self, name: str, args: argparse.Namespace, work: Path) -> None:
        python = args.litgpt_python if name.startswith("litgpt") else sys.executable
        settings = {
            "side": name,
            "preset": args.preset,
            "batches": [str(work / f"{i}.npz") for i in range(BATCHES)],
            "threads": len(os.sched_getaffinity(0)),
            "nanogpt": args.nanogpt and str(args.nanogpt),
        }
        self.name = name
        command = [python, str(SIDES), json.dumps(settings)]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=work
        )
        for _ in range(args.warm_up):
            self.step()

    def step(self) -> float:
        """Let the side make a step; return its seconds."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write("step\n")
        self._process.stdin.flush()
        while line := self._process.stdout.readline():
            if line.startswith("seconds "):  # a library may print lines of its own
                return float(line.split()[1])
        raise SystemExit(f"{self.name} has ended; what it printed is above")

    def stop(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.wait()


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--preset", default="125m")
    parser.add_argument("--rows", type=int, default=4)
    parser.add_argument("--row-tokens", type=int, default=1024)
    parser.add_argument("--corpus", type=Path, help="packed documents of this corpus, not random rows")
    parser.add_argument("--nanogpt", type=Path, metavar="CHECKOUT", help="a checkout of karpathy/nanoGPT")
    parser.add_argument("--litgpt-python", metavar="PYTHON", help="of an environment with litgpt and numpy")
    parser.add_argument("--peers", nargs="*", help="only these (default: all that the arguments allow)")
    parser.add_argument("--rounds", type=int, default=5, help="timed steps of each side")
    parser.add_argument("--warm-up", type=int, default=3, help="steps of each side before")
    args = parser.parse_args()
    if args.peers is None:
        args.peers = [PLAIN, "transformers-tuned", "trainer", "trainer-tuned"]
        args.peers += ["nanogpt-tuned", "nanogpt-compiled-tuned"] if args.nanogpt else []
        args.peers += ["litgpt-tuned", "litgpt-compiled-tuned"] if args.litgpt_python else []
    return args


def main() -> None:
    args = arguments()
    shape = preset(args.preset)
    if args.corpus:
        batches = packed_rows(args.corpus, args.rows, args.row_tokens)
    else:
        batches = [full_rows(shape, args.rows, args.row_tokens, number) for number in range(BATCHES)]
    with tempfile.TemporaryDirectory() as folder:
        for i, batch in enumerate(batches):
            np.savez(Path(folder) / f"{i}.npz", **arrays(batch))
        work = Work.of(shape, batches)
        kind = f"packed documents, {1 - work.tokens / work.positions:.2%} padding" if args.corpus else "full"
        print(f"{args.preset}, {args.rows} rows of {args.row_tokens}, {kind}", flush=True)
        ours = Side(OURS, args, Path(folder))
        pairings, figures = [], []
        for name in args.peers:
            pairings.append(pair(ours, name, args, Path(folder)))
            figures.append(figures_of(pairings[-1], work))
        ours.stop()
    report(pairings, figures)


@dataclass(frozen=True)
class Pairing:
    """What was measured of ours and of one other, in turn, and the matrix-product peaks in between."""

    name: str
    ours: list[float]
    theirs: list[float]
    peaks: list[float]


def pair(ours: Side, name: str, args: argparse.Namespace, work: Path) -> Pairing:
    """Let both sides step in turn."""
    other = Side(name, args, work)
    found = Pairing(name, [], [], [machine.matmul_peak_flops(torch.bfloat16, "cpu")])
    for _ in range(args.rounds):
        found.ours.append(ours.step())
        found.theirs.append(other.step())
        found.peaks.append(machine.matmul_peak_flops(torch.bfloat16, "cpu"))
    other.stop()
    return found


def arrays(batch: Batch) -> dict[str, np.ndarray]:
    """The arrays of a batch, by their names."""
    names = ("token_ids", "targets", "loss_weights", "segment_ids", "positions", "in_prefix")
    return {name: getattr(batch, name) for name in names}


@dataclass(frozen=True)
class Work:
    """What a step does.

    Args:
        tokens: that are no padding. The others attend to padding as to everything else, and have none in
            their own packing: they get credit for all positions.
        positions: all of them.
        flops: that the method needs.
    """

    tokens: float
    positions: int
    flops: int

    @classmethod
    def of(cls, shape: Architecture, batches: list[Batch]) -> Work:
        """Count the mean over some batches."""
        lengths = [[segment.length for segment in batch.segments] for batch in batches]
        tokens = statistics.mean(sum(of_batch) for of_batch in lengths)
        pairs = statistics.mean(sum(n * (n + 1) // 2 for n in of_batch) for of_batch in lengths)
        return cls(tokens, batches[0].token_ids.size, shape.training_flops(round(tokens), round(pairs)))


def figures_of(found: Pairing, work: Work) -> dict[str, float]:
    """Print a line about a pairing; return (ratio, mfu) by name."""
    ours, theirs = statistics.median(found.ours), statistics.median(found.theirs)
    peak = statistics.median(found.peaks)
    ratio, mfu = (work.tokens / ours) / (work.positions / theirs), work.flops / ours / peak
    print(
        f"{found.name:24} {work.positions / theirs:7,.0f} tokens/s {spread(found.theirs)}   "
        f"spanmix {work.tokens / ours:7,.0f} {spread(found.ours)}   ratio {ratio:.2f}   "
        f"MFU {mfu:.1%} of {peak / 1e9:,.0f} GFLOP/s",
        flush=True,
    )
    return {"ratio": ratio, "mfu": mfu}


def report(pairings: list[Pairing], figures: list[dict[str, float]]) -> None:
    """Print the line that a program reads."""
    ratios = {found.name: of["ratio"] for found, of in zip(pairings, figures, strict=True)}
    peers = [name for name in ratios if name != PLAIN]
    summary = {
        "ratio_transformers_plain": ratios.get(PLAIN),
        "ratio_fastest_peer": min((ratios[name] for name in peers), default=None),
        "fastest_peer": min(peers, key=lambda name: ratios[name], default=None),
        "mfu": statistics.median(of["mfu"] for of in figures),
        "ratios": ratios,
        "pairings": [asdict(found) for found in pairings],
        "versions": {"python": platform.python_version(), **{n: version(n) for n in ("torch", PLAIN)}},
    }
    print(json.dumps(summary))


def spread(seconds: list[float]) -> str:
    """Write the median, the least and the most seconds of a step."""
    return f"{statistics.median(seconds):.2f} s ({min(seconds):.2f} to {max(seconds):.2f})"


if __name__ == "__main__":
    main()
