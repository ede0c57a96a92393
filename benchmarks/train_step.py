"""How fast is one training step? Spanmix against transformers' GPT-J in a plain loop, taken in turn.

    python benchmarks/train_step.py [--preset 125m] [--rows 4] [--row-tokens 1024] [--rounds 3]

Both models have the same shape and get the same batch: full rows of random tokens, one document each. The
peer is ``GPTJForCausalLM`` with bf16 autocast, its own loss, gradient clipping and fused AdamW. The
equality of the two losses in fp32 on one short row is checked first. Each side has a process of its own,
set up the way its users' would be: ours by `machine.prepare_process`, the peer's by nothing but the same
number of threads (``--tuned-peer`` gives it our allocator settings too). They step in turn, never at once.
Ratios are of median step times; MFU is by the matrix-product peak measured before, between and after.
Takes about five minutes on two cores.
"""

import argparse
import json
import multiprocessing
import os
import platform
import statistics
import time
from multiprocessing.connection import Connection

import numpy as np
import torch
import transformers

from spanmix.config import OptimizerConfig
from spanmix.model.architecture import Architecture, preset
from spanmix.model.decoder import Decoder
from spanmix.model.gptj import to_gptj
from spanmix.train import machine
from spanmix.train.optimizer import build_adamw
from spanmix.train.step import TrainStep, batch_losses
from spanmix.types import Batch, DocumentRef, Segment

OPTIMIZER = OptimizerConfig(learning_rate=1e-4)


def full_rows(shape: Architecture, rows: int, row_tokens: int) -> Batch:
    """Rows of random tokens, each one segment."""
    ids = np.random.default_rng(0).integers(0, shape.vocab_size, size=(rows, row_tokens + 1), dtype=np.int32)
    segments = tuple(Segment(r, 0, row_tokens, 0, 0, DocumentRef(0, r, 0, 0)) for r in range(rows))
    ones = np.ones((rows, row_tokens))
    positions = np.tile(np.arange(row_tokens, dtype=np.int32), (rows, 1))
    inputs, targets = np.ascontiguousarray(ids[:, :-1]), np.ascontiguousarray(ids[:, 1:])
    weights, segment_ids = ones.astype(np.float32), ones.astype(np.int32)
    return Batch(
        inputs, targets, weights, segment_ids, positions, np.zeros_like(ones, dtype=bool), segments, 0
    )


def gptj(shape: Architecture) -> transformers.GPTJForCausalLM:
    """The same model as transformers has it."""
    config = transformers.GPTJConfig(
        vocab_size=shape.vocab_size,
        n_positions=shape.context_tokens,
        n_embd=shape.dim,
        n_layer=shape.num_layers,
        n_head=shape.num_heads,
        rotary_dim=shape.rotary_dim,
        resid_pdrop=0.0,
        embd_pdrop=0.0,
        attn_pdrop=0.0,
        tie_word_embeddings=False,
        use_cache=False,
    )
    return transformers.GPTJForCausalLM(config)


class Ours:
    name = "spanmix"

    def __init__(self, model: Decoder, batch: Batch) -> None:
        self.batch = batch
        self.train_step = TrainStep(model, build_adamw(model, OPTIMIZER), torch.bfloat16, 0, OPTIMIZER)

    def step(self) -> float:
        return self.train_step(self.batch, 1e-4).mean


class Plain:
    name = "transformers GPT-J, plain loop"

    def __init__(self, model: transformers.GPTJForCausalLM, batch: Batch) -> None:
        self.model = model
        self.ids = torch.from_numpy(batch.token_ids).long()
        self.targets = torch.from_numpy(batch.targets).long()
        self.optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, weight_decay=0.1, fused=True)

    def step(self) -> float:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            loss = self.model(self.ids, shift_labels=self.targets, labels=self.targets).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        self.optimizer.zero_grad()
        return float(loss)


def check_equal(ours: Decoder, theirs: transformers.GPTJForCausalLM) -> float:
    """Give both the same weights, and return how far their fp32 losses are apart on a short row."""
    state = to_gptj(ours.state_dict(), ours.architecture)
    theirs.load_state_dict(state, strict=True)
    batch = full_rows(ours.architecture, 1, 64)
    with torch.no_grad():
        total, _ = batch_losses(ours, batch, torch.float32)
        targets = torch.from_numpy(batch.targets).long()
        ids = torch.from_numpy(batch.token_ids).long()
        other = theirs(ids, shift_labels=targets, labels=targets).loss
    difference = abs(float(total) / 64 - float(other))
    assert difference < 1e-4, f"the two models differ: losses {float(total) / 64} and {float(other)}"
    return difference


def serve(side: str, args: argparse.Namespace, pipe: Connection) -> None:
    """Make one side in this process, then step whenever asked, answering with the seconds."""
    threads = len(os.sched_getaffinity(0))
    shape = preset(args.preset)
    batch = full_rows(shape, args.rows, args.row_tokens)
    if side == Ours.name or args.tuned_peer:
        machine.prepare_process(threads)
    torch.set_num_threads(threads)
    if side == Ours.name:
        stepper: Ours | Plain = Ours(Decoder(shape, seed=0), batch)
    else:
        stepper = Plain(gptj(shape), batch)
    stepper.step()  # warm up
    pipe.send("ready")
    while pipe.recv() == "step":
        start = time.perf_counter()
        stepper.step()
        pipe.send(time.perf_counter() - start)


def start(side: str, args: argparse.Namespace) -> Connection:
    """Start a side and wait until it is warm."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    context.Process(target=serve, args=(side, args, there), daemon=True).start()
    assert here.recv() == "ready"
    return here


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--preset", default="125m")
    parser.add_argument("--rows", type=int, default=4)
    parser.add_argument("--row-tokens", type=int, default=1024)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=2, help="timed steps a round and side")
    parser.add_argument("--tuned-peer", action="store_true", help="give the peer our allocator settings")
    args = parser.parse_args()
    shape = preset(args.preset)
    difference = check_equal(Decoder(shape, seed=0), gptj(shape))
    sides = {side: start(side, args) for side in (Ours.name, Plain.name)}
    seconds: dict[str, list[float]] = {side: [] for side in sides}
    peaks = [machine.matmul_peak_flops(torch.bfloat16, "cpu")]
    for _ in range(args.rounds):
        for side, pipe in sides.items():
            for _ in range(args.steps):
                pipe.send("step")
                seconds[side].append(pipe.recv())
        peaks.append(machine.matmul_peak_flops(torch.bfloat16, "cpu"))
    for pipe in sides.values():
        pipe.send("stop")
    report(args, shape, seconds, peaks, difference)


def report(
    args: argparse.Namespace,
    shape: Architecture,
    seconds: dict[str, list[float]],
    peaks: list[float],
    difference: float,
) -> None:
    tokens = args.rows * args.row_tokens
    flops = shape.training_flops(tokens, args.rows * args.row_tokens * (args.row_tokens + 1) // 2)
    peak = statistics.median(peaks)
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    print(f"{args.preset}, {args.rows} rows of {args.row_tokens}; bf16 peak {peak / 1e9:,.0f} GFLOP/s")
    for name, values in seconds.items():
        speed, share = tokens / medians[name], flops / medians[name] / peak
        print(
            f"{name:32} {speed:8,.0f} tokens/s   {medians[name]:6.2f} s a step "
            f"({min(values):.2f} to {max(values):.2f})   MFU {share:.1%}"
        )
    ours, plain = medians.values()
    figures = {
        "ratio_transformers_plain": plain / ours,
        "ratio_fastest_peer": None,
        "mfu": flops / ours / peak,
        "loss_difference_fp32": difference,
        "seconds": seconds,
        "peak_flops": peaks,
        "versions": {
            "python": platform.python_version(),
            "torch": torch.__version__,
            "transformers": transformers.__version__,
        },
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
