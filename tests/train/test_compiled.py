"""Blocks that are compiled compute what they compute without; no compiler of machine code is needed here."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from torch._dynamo.testing import CompileCounter, EagerAndRecordGraphs
from torch.distributed.checkpoint.state_dict_saver import save

from spanmix.errors import InputError
from spanmix.model import attention
from spanmix.model.architecture import Architecture
from spanmix.model.decoder import Decoder
from spanmix.model.masks import AttentionMask
from spanmix.recipes import load_recipe
from spanmix.train import machine
from spanmix.train.checkpoint import read_tensors, training_state
from spanmix.train.compiled import compile_blocks
from spanmix.train.optimizer import build_optimizers
from spanmix.train.parallel import spread
from spanmix.train.ranks import Layout, Ranks
from spanmix.train.step import TrainStep
from spanmix.train_configs import OptimizerConfig
from spanmix.types import Batch, DocumentRef, Segment

SHAPE = Architecture(3, 64, 4, 8, 96, 512)
LLAMA = Architecture(3, 64, 4, 16, 96, 512, form="llama", hidden_dim=176)
OPTIMIZER = OptimizerConfig(1e-2)


@pytest.fixture(autouse=True)
def _nothing_compiled_before():
    torch._dynamo.reset()


def packed(number: int, rows: int = 2, tokens: int = 96) -> Batch:
    """Rows of three documents each, cut at random."""
    random = np.random.default_rng(number)
    ids = random.integers(0, SHAPE.vocab_size, (rows, tokens + 1)).astype(np.int32)
    shape = (rows, tokens)
    segment_ids, positions = np.zeros(shape, np.int32), np.zeros(shape, np.int32)
    segments = []
    for row in range(rows):
        cuts = [0, *sorted(random.choice(np.arange(1, tokens), 2, replace=False).tolist()), tokens]
        for i, (start, stop) in enumerate(pairwise(cuts)):
            segment_ids[row, start:stop] = i + 1
            positions[row, start:stop] = np.arange(stop - start)
            segments.append(Segment(row, start, stop - start, 0, 0, DocumentRef(0, row, 0, i)))
    weights = (random.random(shape) > 0.2).astype(np.float32)
    inputs, targets = ids[:, :-1].copy(), ids[:, 1:].copy()
    in_prefix = np.zeros(shape, bool)
    return Batch(inputs, targets, weights, segment_ids, positions, in_prefix, tuple(segments), 0)


def trained(checkpointing, compile_with, dtype=torch.float32, shape=SHAPE):
    """Six steps; returns the step, and losses and norms."""
    model = Decoder(shape, seed=1)
    spread(model, Ranks(Layout()), checkpointing, dtype, compile_with)
    step = TrainStep(model, build_optimizers(model, OPTIMIZER), dtype, 1, OPTIMIZER)
    found = [step(packed(number), 1e-2) for number in range(6)]
    return step, np.array([[losses.mean, losses.grad_norm] for losses in found])


@pytest.mark.parametrize("checkpointing", ["none", "selective", "full"])
@pytest.mark.parametrize("shape", [SHAPE, LLAMA], ids=["codegen", "llama"])
def test_losses_gradients_and_names_are_those_without(shape, checkpointing):
    plain, expected = trained("none", None, shape=shape)
    compiled, found = trained(checkpointing, "aot_eager", shape=shape)
    assert np.abs(found / expected - 1).max() < 1e-5
    names = [n.replace("_checkpoint_wrapped_module.", "") for n, _ in compiled.model.named_parameters()]
    assert names == [name for name, _ in plain.model.named_parameters()]


def test_a_checkpoint_goes_from_one_to_the_other(tmp_path):
    compiled, _ = trained("full", "aot_eager")
    save(training_state(compiled.model, compiled.optimizers), checkpoint_id=tmp_path / "saved", no_dist=True)
    model = Decoder(SHAPE, seed=2)
    plain = TrainStep(model, build_optimizers(model, OPTIMIZER), torch.float32, 0, OPTIMIZER)
    read_tensors(tmp_path / "saved", model, plain.optimizers)
    after = [step(packed(9), 1e-2) for step in (compiled, plain)]
    assert after[0].mean == pytest.approx(after[1].mean, rel=1e-6)
    assert after[0].grad_norm == pytest.approx(after[1].grad_norm, rel=1e-5)


@pytest.mark.parametrize("shape", [SHAPE, LLAMA], ids=["codegen", "llama"])
def test_blocks_are_one_graph_that_is_compiled_once_whatever_the_mask(shape):
    """On the way that a GPU takes; forward only, as FlexAttention has no backward on a CPU."""
    counter = CompileCounter()
    model, plain = Decoder(shape, seed=1), Decoder(shape, seed=1)
    compile_blocks(model, counter)
    with pytest.MonkeyPatch.context() as patch, torch.no_grad():
        patch.setattr(attention, "kernel_for", lambda *_: attention.attend_by_blocks_of_the_mask)
        for number in range(5):
            batch = packed(number)
            mask = AttentionMask.from_segments(torch.from_numpy(batch.segment_ids))
            arguments = torch.from_numpy(batch.token_ids), torch.from_numpy(batch.positions), mask
            found = model(*arguments)
    with torch.no_grad():
        expected = plain(*arguments)  # by the CPU's kernel
    assert counter.frame_count == 1
    assert torch.allclose(found, expected, atol=1e-5)


def test_no_complex_number_is_left_in_what_is_compiled():
    """The compiler makes no code for them."""
    recorder = EagerAndRecordGraphs()
    model = Decoder(SHAPE, seed=1)
    compile_blocks(model, recorder)
    batch = packed(1)
    mask = AttentionMask.from_segments(torch.from_numpy(batch.segment_ids))
    model(torch.from_numpy(batch.token_ids), torch.from_numpy(batch.positions), mask)
    values = [
        node.meta["example_value"]
        for graph in recorder.graphs
        for node in graph.graph.nodes
        if "example_value" in node.meta
    ]
    tensors = [value for value in values if isinstance(value, torch.Tensor)]
    assert len(tensors) > 30 and not any(tensor.is_complex() for tensor in tensors)


def recipe(*overrides):
    return load_recipe("demo", overrides)


def test_what_is_compiled_is_decided_before_the_first_step(monkeypatch):
    cpu = machine.resolve(recipe("run.device=cpu"))
    assert cpu.run.compile == "none" and machine.compiler(cpu) is None
    with pytest.raises(InputError, match=r"run\.compile is 'blocks' and the device a CPU"):
        machine.resolve(recipe("run.device=cpu", "run.compile=blocks"))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda: True)
    gpu = machine.resolve(recipe())
    assert (gpu.run.device, gpu.run.compile, machine.compiler(gpu)) == ("cuda", "blocks", "inductor")
    assert machine.resolve(recipe("run.compile=none")).run.compile == "none"
    lora = ["model.preset=null", "model.init_from=base", "model.lora={rank: 4, alpha: 8}"]
    assert machine.resolve(recipe(*lora)).run.compile == "none"
    with pytest.raises(InputError, match=r"model\.lora is set"):
        machine.resolve(recipe(*lora, "run.compile=blocks"))
