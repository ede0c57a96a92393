"""Train a few steps of one case after another, as one process of several, and answer each; no test itself.

torchrun --nproc-per-node 2 spread_worker.py CORPUS

Each line of the standard input is a case, as JSON: what is trained, shard_size, tensor_size, checkpointing,
micro_batch_rows, and what compiles the blocks, if anything. The first process answers with a line of JSON. A
case that fails ends the processes.
"""

import itertools
import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TextIO
from unittest.mock import patch

import torch
import torch.distributed as dist
from torch.distributed.rendezvous import rendezvous
from torch.distributed.tensor import DTensor

from spanmix.data.build import open_loader
from spanmix.model.architecture import Architecture
from spanmix.model.decoder import Decoder
from spanmix.train.lora import add_adapters
from spanmix.train.optimizer import build_optimizers
from spanmix.train.parallel import spread
from spanmix.train.ranks import Layout, Ranks, is_first_process, joined, world_size
from spanmix.train.step import TrainStep
from spanmix.train_configs import LoraConfig, OptimizerConfig, ParallelConfig

ARCHITECTURE = Architecture(2, 64, 4, 8, 64, 512)
LLAMA = Architecture(2, 64, 4, 16, 64, 512, form="llama", hidden_dim=176)
OVERRIDES = ("objectives.1.max_spans=4", "data.row_tokens=64", "data.window_documents=8")
STEPS = 20


def main(corpus: str, answers: TextIO) -> None:
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    for number, case in enumerate(cases()):
        # The group of each case finds the store as after a restart: with none of its own keys in it.
        os.environ["TORCHELASTIC_RESTART_COUNT"] = str(number)
        answer = train(corpus, *case)
        assert not dist.is_initialized()
        torch.compiler.reset()
        if is_first_process():
            print(json.dumps(answer), file=answers, flush=True)


def cases() -> Iterator[list[Any]]:
    """Read the cases in the first process, and hand them to the others through torchrun's store."""
    if world_size() == 1:
        yield from map(json.loads, sys.stdin)
        return
    store = next(rendezvous("env://"))[0]
    for number in itertools.count():
        if is_first_process():
            store.set(f"case_{number}", sys.stdin.readline())
        line = store.get(f"case_{number}")
        if not line:
            return
        yield json.loads(line)


def train(
    corpus: str,
    trained: str,
    shard: int,
    tensor: int,
    checkpointing: str,
    micro_rows: int,
    compiler: str | None = None,
) -> dict[str, Any]:
    config = ParallelConfig(micro_rows, shard, tensor, checkpointing)
    with exact(trained == "muon"), joined(Layout.of(config, world_size(), ARCHITECTURE, 8), "cpu") as ranks:
        return measure(corpus, trained, config, ranks, compiler)


@contextmanager
def exact(muon: bool) -> Iterator[None]:
    """Let Muon compute in float64, not in bf16, where the order of a sum shows."""
    with patch.object(torch.Tensor, "bfloat16", torch.Tensor.double if muon else torch.Tensor.bfloat16):
        yield


def measure(
    corpus: str, trained: str, config: ParallelConfig, ranks: Ranks, compiler: str | None
) -> dict[str, Any]:
    loader = open_loader("demo", [f"corpus.path={corpus}", *OVERRIDES])
    gradients: dict[str, list[float]] = {}
    model, step = build(trained, config, ranks, torch.float32, compiler)
    model.zero_grad = lambda: gradients.update(flat(model))  # type: ignore
    step(next(loader.batches(loader.start(), 8))[0], 1e-2)

    _, step = build(trained, config, ranks, torch.float64, compiler)
    batches = loader.batches(loader.start(), 8)
    found = [step(next(batches)[0], 1e-2) for _ in range(STEPS)]
    losses = [[losses.mean, losses.grad_norm] for losses in found]
    return {"losses": losses, "gradients": gradients}


def build(
    trained: str, config: ParallelConfig, ranks: Ranks, dtype: torch.dtype, compiler: str | None
) -> tuple[Decoder, TrainStep]:
    model = Decoder(LLAMA if "llama" in trained else ARCHITECTURE, seed=1)
    if "lora" in trained:
        add_adapters(model, LoraConfig(rank=3, alpha=6), seed=1)
        with torch.no_grad():  # B is 0 at first, and then A has no gradient
            for name, parameter in model.named_parameters():
                if ".lora_B." in name:
                    parameter.normal_(0, 0.1, generator=torch.Generator().manual_seed(parameter.numel()))
    model = model.to(dtype)
    spread(model, ranks, config.checkpointing, compile_with=compiler)
    settings = OptimizerConfig(1e-2, "muon" if trained == "muon" else "adamw", z_loss=1e-4)
    return model, TrainStep(
        model, build_optimizers(model, settings), dtype, config.micro_batch_rows, settings, ranks
    )


def flat(model: Decoder) -> dict[str, list[float]]:
    """All gradients, whole; every process takes part."""
    whole = {}
    for name, parameter in model.named_parameters():
        gradient = parameter.grad
        if not parameter.requires_grad:
            assert gradient is None, name
            continue
        assert gradient is not None, name
        full = gradient.full_tensor() if isinstance(gradient, DTensor) else gradient
        whole[name.replace("_checkpoint_wrapped_module.", "")] = full.flatten().tolist()
    return whole


if __name__ == "__main__":
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever else is printed is no answer
    main(sys.argv[1], answers)
    os._exit(0)  # see spanmix.__main__
