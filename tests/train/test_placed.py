"""What a step gives a device, and how often it waits for it."""

import numpy as np
import pytest
import torch
import torch._dynamo.testing
from torch.utils._python_dispatch import TorchDispatchMode

from spanmix.model.architecture import Architecture
from spanmix.model.decoder import Decoder
from spanmix.train import fused_softmax
from spanmix.train import loss as loss_module
from spanmix.train.optimizer import build_optimizers
from spanmix.train.placed import place
from spanmix.train.step import TrainStep
from spanmix.train_configs import OptimizerConfig

from .test_compiled import packed

SHAPE = Architecture(2, 64, 4, 8, 96, 512)
READS = (torch.ops.aten._local_scalar_dense, torch.ops.aten.nonzero, torch.ops.aten.is_nonzero)


def test_positions_that_carry_loss_are_found():
    batch = packed(3)
    placed = place(batch, torch.device("cpu"))
    rows, places = np.nonzero(batch.loss_weights)
    assert 0 < len(rows) < batch.loss_weights.size
    assert placed.carrying_N.tolist() == (rows * batch.loss_weights.shape[1] + places).tolist()
    assert placed.targets_N.tolist() == batch.targets[rows, places].tolist()
    assert placed.weights_N.tolist() == batch.loss_weights[rows, places].tolist()
    assert torch.equal(placed.mask.segment_ids_BT, torch.from_numpy(batch.segment_ids))
    assert placed.targets_N.dtype == placed.carrying_N.dtype == torch.int64


class Reads(TorchDispatchMode):
    """Counts operations after which the host has to wait for a device."""

    def __init__(self):
        super().__init__()
        self.names = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if func.overloadpacket in READS:
            self.names.append(str(func))
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("micro_batch_rows", [0, 1])
def test_forward_and_backward_read_nothing_from_the_device(micro_batch_rows, monkeypatch):
    """A step reads its losses and the norm of its gradients, at one place, and nothing before."""
    config = OptimizerConfig(1e-2)
    model = Decoder(SHAPE, seed=1)
    step = TrainStep(model, build_optimizers(model, config), torch.float32, micro_batch_rows, config)
    batch = packed(1)
    step(batch, 1e-2)
    real = step._fetch
    reads, before = Reads(), []

    def fetch(*arguments):
        before.extend(reads.names)
        return real(*arguments)

    monkeypatch.setattr(step, "_fetch", fetch)
    with reads:
        step(batch, 1e-2)
    assert before == []
    assert len(reads.names) > 0  # floats are made of what was fetched


@pytest.mark.parametrize("z_loss", [0.0, 1e-3])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_fused_softmax_is_that_of_a_cpu(dtype, z_loss):
    generator = torch.Generator().manual_seed(5)
    compiled = torch.compile(fused_softmax.softmax_in_place, backend="aot_eager", dynamic=True)
    for num in (64, 63, 17):
        logits = (3 * torch.randn(num, 301, generator=generator)).to(dtype)
        bias = torch.randn(301, generator=generator)
        targets = torch.randint(301, (num,), generator=generator)
        weights = torch.rand(num, generator=generator)
        results = []
        for softmax in (loss_module._softmax_in_place, fused_softmax.softmax_in_place, compiled):
            grad, grad_bias = logits.clone(), torch.ones(301)
            losses, log_z = softmax(grad, bias, grad_bias, targets, weights, z_loss)
            results.append((losses, log_z, grad.float(), grad_bias))
        tolerance = 1e-5 if dtype == torch.float32 else 1e-2
        for found in results[1:]:
            for ours, theirs in zip(found, results[0], strict=True):
                assert torch.allclose(ours, theirs, rtol=tolerance, atol=1e-5)


def test_a_number_of_positions_is_not_compiled_anew():
    torch._dynamo.reset()
    counter = torch._dynamo.testing.CompileCounter()
    compiled = torch.compile(fused_softmax.softmax_in_place, backend=counter, dynamic=True)
    for num in (40, 41, 77, 128):
        arguments = torch.zeros(num, dtype=torch.int64), torch.ones(num)
        compiled(torch.zeros(num, 64), torch.zeros(64), torch.zeros(64), *arguments, 1e-4)
    assert counter.frame_count == 1
