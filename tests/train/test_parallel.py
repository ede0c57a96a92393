"""However a run is spread over processes, it computes the same."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from spanmix.errors import InputError
from spanmix.model.architecture import Architecture
from spanmix.train.ranks import Layout
from spanmix.train_configs import ParallelConfig

WORKER = Path(__file__).with_name("spread_worker.py")
SPREADS = {
    # processes, shard_size, tensor_size, checkpointing, micro_batch_rows, and what compiles the blocks
    "micro-batches": (1, 1, 1, "none", 3),
    "selective": (1, 1, 1, "selective", 0),
    "full": (1, 1, 1, "full", 0),
    "DDP x2": (2, 1, 1, "none", 2),
    "FSDP x2": (2, 0, 1, "none", 2),
    "TP x2": (2, 1, 2, "none", 0),
    "HSDP 2 x 2, full": (4, 2, 1, "full", 1),
    "FSDP x2, TP x2, selective": (4, 2, 2, "selective", 0),
    "FSDP x2, full, compiled": (2, 0, 1, "full", 2, "aot_eager"),
}


GRADIENTS = {"all": 21, "lora": 16, "muon": 21, "llama": 17, "llama, lora": 20}
"""How many there are when all weights are trained, with LoRA, by Muon; and in the other form of decoder."""
CASES = (
    [("all", name) for name in SPREADS]
    + [("lora", name) for name in ("full", "DDP x2", "FSDP x2", "TP x2")]
    + [("muon", "FSDP x2")]
    + [("llama", name) for name in ("selective", "TP x2")]
    + [("llama, lora", "TP x2")]
)
LONG_CASES = [("muon", "FSDP x2, TP x2, selective"), ("llama", "FSDP x2, full, compiled")]


def torchrun(processes, *arguments, **environment):
    """Run a module or script in so many processes on this machine, without torchrun if there is one."""
    command = [sys.executable]
    if processes > 1:
        command += ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", **environment}
    return subprocess.run(
        [*command, *map(str, arguments)], capture_output=True, text=True, timeout=280, env=environment
    )


def work(corpus, trained, processes, *layout):
    finished = torchrun(processes, WORKER, corpus, trained, *layout)
    assert finished.returncode == 0, finished.stderr[-3000:]
    return json.loads(finished.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def alone(corpus_folder):
    return {trained: work(corpus_folder, trained, 1, 1, 1, "none", 0) for trained in GRADIENTS}


@pytest.mark.parametrize(
    ("trained", "name"), [*CASES, *(pytest.param(*case, marks=pytest.mark.nightly) for case in LONG_CASES)]
)
def test_losses_and_gradients_do_not_depend_on_the_spread(trained, name, alone, corpus_folder):
    """Twenty steps in float64 to a relative 1e-9; the first gradients in float32 to a relative 1e-5."""
    alone = alone[trained]
    result = work(corpus_folder, trained, *SPREADS[name])
    expected, found = np.array(alone["losses"]), np.array(result["losses"])
    falls_to = 0.97 if "lora" in trained else 0.9  # additions to random, frozen weights learn less
    assert expected.shape == (20, 2) and expected[-1, 0] < falls_to * expected[0, 0]
    # What is compiled rounds differently in the rotation, which is in float32 always.
    assert np.abs(found / expected - 1).max() < (1e-6 if "compiled" in name else 1e-9)
    gradients = result["gradients"]
    assert gradients.keys() == alone["gradients"].keys() and len(gradients) == GRADIENTS[trained]
    for key, values in alone["gradients"].items():
        a, b = np.array(values), np.array(gradients[key])
        assert np.linalg.norm(a - b) <= 1e-5 * np.linalg.norm(a), key


SHAPE = Architecture(2, 64, 4, 8, 64, 512)


@pytest.mark.parametrize(
    ("config", "processes", "rows", "said"),
    [
        (ParallelConfig(tensor_size=3), 4, 8, "tensor_size is 3, which does not divide the 4 processes"),
        (ParallelConfig(tensor_size=8), 8, 8, "tensor_size is 8, which does not divide the 4 heads"),
        (ParallelConfig(shard_size=3), 4, 8, "shard_size is 3, which does not divide the 4 processes"),
        (ParallelConfig(shard_size=4, tensor_size=2), 4, 8, "does not divide the 2 processes that share"),
        (ParallelConfig(), 3, 8, "global_batch_rows is 8, which 3 processes cannot share evenly"),
    ],
)
def test_a_layout_that_does_not_fit_is_refused_with_both_numbers(config, processes, rows, said):
    with pytest.raises(InputError, match=said):
        Layout.of(config, processes, SHAPE, rows)


def test_layouts():
    assert Layout.of(ParallelConfig(), 8, SHAPE, 8) == Layout(8, 1, 1)
    assert Layout.of(ParallelConfig(shard_size=0), 8, SHAPE, 8) == Layout(1, 8, 1)
    assert Layout.of(ParallelConfig(shard_size=2, tensor_size=2), 8, SHAPE, 8) == Layout(2, 2, 2)
    assert Layout.of(ParallelConfig(), 1, SHAPE, 8) == Layout()
