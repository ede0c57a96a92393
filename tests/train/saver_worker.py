"""Save in the background in one process of several, under torchrun, and write what befell; no test itself.

torchrun --nproc-per-node 2 saver_worker.py FOLDER SHARD TENSOR
"""

import errno
import json
import os
import sys
import threading
from concurrent.futures import wait
from pathlib import Path

import torch
from torch.distributed.checkpoint.filesystem import FileSystemWriter

from spanmix.data.loader import LoaderState
from spanmix.errors import SpanmixError
from spanmix.model.architecture import Architecture
from spanmix.model.decoder import Decoder
from spanmix.train.checkpoint import Checkpoints, Optimizers
from spanmix.train.optimizer import build_optimizers
from spanmix.train.parallel import spread
from spanmix.train.progress import Progress
from spanmix.train.ranks import Layout, Ranks, joined, world_size
from spanmix.train.saver import Saver
from spanmix.train_configs import OptimizerConfig, ParallelConfig

ARCHITECTURE = Architecture(2, 64, 4, 8, 64, 512)


def main(folder: str, shard: str, tensor: str) -> None:
    torch.set_num_threads(1)
    config = ParallelConfig(0, int(shard), int(tensor))
    with joined(Layout.of(config, world_size(), ARCHITECTURE, 8), "cpu") as ranks:
        model = Decoder(ARCHITECTURE, seed=1)
        spread(model, ranks)
        optimizers = build_optimizers(model, OptimizerConfig(1e-2))
        update(model, optimizers, 1)
        save_with_and_without_a_thread(Path(folder), ranks, model, optimizers)
        said = fail_in_the_last(Path(folder), ranks, model, optimizers)
        Path(folder, f"said-{ranks.rank}.json").write_text(json.dumps(said))
        ranks.wait()


def update(model: Decoder, optimizers: Optimizers, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter).add_(torch.rand((), generator=generator) - 0.5)
    for optimizer in optimizers:
        optimizer.step()


def progress(step: int) -> Progress:
    return Progress(step, step, LoaderState("f" * 64, step, 0, 0, 0, ()))


def save_with_and_without_a_thread(
    folder: Path, ranks: Ranks, model: Decoder, optimizers: Optimizers
) -> None:
    """While the first process's writer is held and the others' wait for it, other messages pass."""
    with Saver(Checkpoints(folder / "at-once", 2, 0, ranks.apart()), in_background=False) as saver:
        saver.save(progress(3), model, optimizers)
    begun, let = threading.Event(), threading.Event()
    write = FileSystemWriter.write_data

    def held(writer, plan, planner):  # type: ignore
        if ranks.is_first:
            begun.set()
            let.wait()
            return write(writer, plan, planner)
        written = write(writer, plan, planner)
        begun.set()
        return written

    FileSystemWriter.write_data = held  # type: ignore
    with Saver(Checkpoints(folder / "meanwhile", 2, 0, ranks.apart()), in_background=True) as saver:
        saver.save(progress(3), model, optimizers)
        begun.wait()
        for seed in (2, 3, 4):
            update(model, optimizers, seed)
            assert ranks.any(ranks.is_first) and ranks.from_first(lambda: "said") == "said"
        assert not saver.failed and not (folder / "meanwhile" / "step-3").exists()
        ranks.wait()
        let.set()
    FileSystemWriter.write_data = write  # type: ignore
    ranks.wait()


def fail_in_the_last(folder: Path, ranks: Ranks, model: Decoder, optimizers: Optimizers) -> str:
    """The disk of one process alone is full; return what this one was told by its next save."""
    if ranks.rank == world_size() - 1:

        def full(writer, plan, planner):  # type: ignore
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        FileSystemWriter.write_data = full  # type: ignore
    with Saver(Checkpoints(folder / "meanwhile", 2, 0, ranks.apart()), in_background=True) as saver:
        saver.save(progress(6), model, optimizers)
        assert saver._in_flight is not None
        wait([saver._in_flight])
        assert ranks.any(saver.failed)
        try:
            saver.save(progress(9), model, optimizers)
        except (OSError, SpanmixError) as error:
            return str(error)
    return ""


if __name__ == "__main__":
    main(*sys.argv[1:])
    os._exit(0)  # see spanmix.__main__
