"""Train a few steps in one process of several, under torchrun, and print what came out; no test itself.

torchrun --nproc-per-node 2 spread_worker.py CORPUS TRAINED SHARD TENSOR CHECKPOINTING MICRO_ROWS [COMPILER]
"""

import json
import os
import sys

import torch
from torch.distributed.tensor import DTensor

from spanmix.data.build import open_loader
from spanmix.model.architecture import Architecture
from spanmix.model.decoder import Decoder
from spanmix.train.lora import add_adapters
from spanmix.train.optimizer import build_optimizers
from spanmix.train.parallel import spread
from spanmix.train.ranks import Layout, Ranks, joined, world_size
from spanmix.train.step import TrainStep
from spanmix.train_configs import LoraConfig, OptimizerConfig, ParallelConfig

ARCHITECTURE = Architecture(2, 64, 4, 8, 64, 512)
LLAMA = Architecture(2, 64, 4, 16, 64, 512, form="llama", hidden_dim=176)
OVERRIDES = ("objectives.1.max_spans=4", "data.row_tokens=64", "data.window_documents=8")
STEPS = 20


def main(
    corpus: str,
    trained: str,
    shard: str,
    tensor: str,
    checkpointing: str,
    micro_rows: str,
    compiler: str | None = None,
) -> None:
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    if trained == "muon":  # it computes in bf16, where the order of a sum shows
        torch.Tensor.bfloat16 = torch.Tensor.double  # type: ignore
    config = ParallelConfig(int(micro_rows), int(shard), int(tensor), checkpointing)
    with joined(Layout.of(config, world_size(), ARCHITECTURE, 8), "cpu") as ranks:
        measure(corpus, trained, config, ranks, compiler)


def measure(corpus: str, trained: str, config: ParallelConfig, ranks: Ranks, compiler: str | None) -> None:
    loader = open_loader("demo", [f"corpus.path={corpus}", *OVERRIDES])
    gradients: dict[str, list[float]] = {}
    model, step = build(trained, config, ranks, torch.float32, compiler)
    model.zero_grad = lambda: gradients.update(flat(model))  # type: ignore
    step(next(loader.batches(loader.start(), 8))[0], 1e-2)

    _, step = build(trained, config, ranks, torch.float64, compiler)
    batches = loader.batches(loader.start(), 8)
    found = [step(next(batches)[0], 1e-2) for _ in range(STEPS)]
    losses = [[losses.mean, losses.grad_norm] for losses in found]
    if ranks.is_first:
        print(json.dumps({"losses": losses, "gradients": gradients}))


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
    main(*sys.argv[1:])
    sys.stdout.flush()
    os._exit(0)  # see spanmix.__main__
