"""Train a few steps in one process of several, under torchrun, and print what came out; no test itself.

torchrun --nproc-per-node 2 spread_worker.py CORPUS DTYPE STEPS SHARD TENSOR CHECKPOINTING MICRO_ROWS
"""

import json
import sys

import torch
import torch.distributed as dist
from torch.distributed.tensor import DTensor

from spanmix.config import OptimizerConfig, ParallelConfig
from spanmix.data.build import open_loader
from spanmix.model.architecture import Architecture
from spanmix.model.decoder import Decoder
from spanmix.train.optimizer import build_adamw
from spanmix.train.parallel import Layout, join, spread, world_size
from spanmix.train.step import TrainStep

ARCHITECTURE = Architecture(2, 64, 4, 8, 64, 512)
OVERRIDES = ("objectives.1.max_spans=4", "data.row_tokens=64", "data.window_documents=8")


def main() -> None:
    corpus, kind, steps, shard, tensor, checkpointing, micro = sys.argv[1:]
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    dtype = {"float64": torch.float64, "float32": torch.float32}[kind]
    config = ParallelConfig(int(micro), int(shard), int(tensor), checkpointing)
    ranks = join(Layout.of(config, world_size(), ARCHITECTURE, 8), "cpu")
    model = Decoder(ARCHITECTURE, seed=1).to(dtype)
    spread(model, ranks, checkpointing)
    settings = OptimizerConfig(1e-2, z_loss=1e-4)
    optimizer = build_adamw(model, settings)
    step = TrainStep(model, optimizer, dtype, config.micro_batch_rows, settings, ranks)
    gradients: dict[str, list[float]] = {}
    if int(steps) == 1:
        optimizer.zero_grad = lambda: gradients.update(flat(model))  # type: ignore[method-assign]
    loader = open_loader("demo", [f"corpus.path={corpus}", *OVERRIDES])
    batches = loader.batches(loader.start(), 8)
    losses = []
    for _ in range(int(steps)):
        batch, _ = next(batches)
        found = step(batch, 1e-2)
        losses.append([found.mean, found.grad_norm])
    if ranks.is_first:
        print(json.dumps({"losses": losses, "gradients": gradients}))
    if dist.is_initialized():
        dist.destroy_process_group()


def flat(model: Decoder) -> dict[str, list[float]]:
    """All gradients, whole; every process takes part."""
    whole = {}
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        gradient = parameter.grad
        full = gradient.full_tensor() if isinstance(gradient, DTensor) else gradient
        whole[name.replace("_checkpoint_wrapped_module.", "")] = full.flatten().tolist()
    return whole


main()
