"""However a run is spread over processes, it computes the same."""

import functools
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


class Crew:
    """So many processes that train one case after another: PyTorch is imported once for all of them.

    They are started for the first case, and anew after one that ended them.
    """

    def __init__(self, processes, corpus, log):
        self.command = [sys.executable]
        if processes > 1:
            self.command += ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
        self.command += [str(WORKER), str(corpus)]
        self.log = log
        self.running = None

    def start(self):
        self.running = subprocess.Popen(
            self.command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.log.open("w"),
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )

    def train(self, *case):
        """Return what came of a case, or fail with what the processes said."""
        if self.running is None:
            self.start()
        answer = ""
        try:
            print(json.dumps(case), file=self.running.stdin, flush=True)
            answer = self.running.stdout.readline()
        finally:  # nothing: they ended, or the test's time did
            if not answer:
                self.stop()
        assert answer, self.log.read_text()[-3000:]
        return json.loads(answer)

    def stop(self):
        if self.running is not None:
            self.running.terminate()
            self.running.communicate()
            self.running = None


@pytest.fixture(scope="module")
def crews(corpus_folder, tmp_path_factory):
    """The processes by their number."""
    folder = tmp_path_factory.mktemp("crews")
    crews = {size: Crew(size, corpus_folder, folder / f"{size}.log") for size in (1, 2, 4)}
    yield crews
    for crew in crews.values():
        crew.stop()


@pytest.fixture(scope="module")
def alone(crews):
    """What came of one process, which every spread is compared with."""
    return functools.cache(lambda trained: crews[1].train(trained, 1, 1, "none", 0))


@pytest.mark.parametrize(
    ("trained", "name"), [*CASES, *(pytest.param(*case, marks=pytest.mark.nightly) for case in LONG_CASES)]
)
def test_losses_and_gradients_do_not_depend_on_the_spread(trained, name, alone, crews):
    """Twenty steps in float64 to a relative 1e-9; the first gradients in float32 to a relative 1e-5."""
    alone = alone(trained)
    processes, *layout = SPREADS[name]
    result = crews[processes].train(trained, *layout)
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
