"""The plan of a run says what the run then does."""

import weakref
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.distributed as dist
from torch.distributed.device_mesh import init_device_mesh
from torch.testing._internal.distributed.fake_pg import FakeStore
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from spanmix.errors import InputError
from spanmix.model.architecture import FORMS, PRESETS, Architecture
from spanmix.model.decoder import Decoder
from spanmix.model.masks import AttentionMask
from spanmix.recipes import load_recipe
from spanmix.train.machines import MACHINES, machine_named
from spanmix.train.meter import Meter, Unreported
from spanmix.train.optimizer import build_optimizers
from spanmix.train.parallel import spread
from spanmix.train.plan import advice, make_plan
from spanmix.train.ranks import Layout, Ranks
from spanmix.train.recompute import recompute_blocks
from spanmix.train.step import StepLosses, TrainStep
from spanmix.train.step_memory import step_memory
from spanmix.train.step_shape import (
    StepShape,
    block_weights,
    local_size,
    outer_weights,
    parameters_by_part,
)
from spanmix.train.step_speed import model_flops, step_seconds
from spanmix.train_configs import OptimizerConfig
from spanmix.types import Batch, DocumentRef, Segment

DTYPES = {"bf16": torch.bfloat16, "fp32": torch.float32}
DEEP = Architecture(6, 128, 4, 32, 256, 512)
LLAMA = Architecture(6, 128, 4, 32, 256, 512, form="llama", hidden_dim=344)
WIDE_VOCABULARY = Architecture(2, 128, 4, 32, 256, 8192)
OPTIMIZER = OptimizerConfig(1e-3)


def full_rows(num_rows: int, num_tokens: int, vocab_size: int) -> Batch:
    """Rows of one document each."""
    ids = np.random.default_rng(0).integers(0, vocab_size, (num_rows, num_tokens + 1)).astype(np.int32)
    shape = (num_rows, num_tokens)
    segments = tuple(Segment(row, 0, num_tokens, 0, 0, DocumentRef(0, row, 0, 0)) for row in range(num_rows))
    return Batch(
        token_ids=ids[:, :-1].copy(),
        targets=ids[:, 1:].copy(),
        loss_weights=np.ones(shape, np.float32),
        segment_ids=np.ones(shape, np.int32),
        positions=np.tile(np.arange(num_tokens, dtype=np.int32), (num_rows, 1)),
        in_prefix=np.zeros(shape, bool),
        segments=segments,
        first_row=0,
    )


class LiveBytes(TorchDispatchMode):
    """Notes the storage of every tensor that an operation makes, and the most that they ever came to."""

    def __init__(self):
        super().__init__()
        self.peak = 0
        self._storages = weakref.WeakSet()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(result):
            if isinstance(tensor, torch.Tensor):
                local = getattr(tensor, "_local_tensor", tensor)  # of a DTensor
                self._storages.add(local.untyped_storage())
        self.peak = max(self.peak, self.now)
        return result

    @property
    def now(self):
        """Bytes that are alive; FSDP empties storages that it keeps."""
        sizes = {}
        for storage in list(self._storages):
            try:
                sizes[storage.data_ptr()] = storage.nbytes()
            except RuntimeError:  # Python's object outlived the memory
                continue
        sizes.pop(0, None)
        return sum(sizes.values())


@contextmanager
def first_of(layout: Layout):
    """Make this process the first of many whose messages go nowhere; its tensors have their true sizes."""
    if layout == Layout():
        yield Ranks(layout)
        return
    dist.init_process_group("fake", store=FakeStore(), rank=0, world_size=layout.data * layout.tensor)
    try:
        sizes = (layout.replicate, layout.shard, layout.tensor)
        yield Ranks(layout, init_device_mesh("cpu", sizes, mesh_dim_names=("replicate", "shard", "tensor")))
    finally:
        dist.destroy_process_group()


def peak_of_a_step(step: StepShape) -> int:
    """Train two steps, and return the most bytes that were alive in the second."""
    with first_of(step.layout) as ranks, LiveBytes() as live:
        model = Decoder(step.architecture, seed=1)
        spread(model, ranks, step.checkpointing, DTYPES[step.precision])
        optimizers = build_optimizers(model, replace(OPTIMIZER, name=step.optimizer))
        train_step = TrainStep(
            model, optimizers, DTYPES[step.precision], step.micro_batch_rows, OPTIMIZER, ranks
        )
        batch = full_rows(step.rows * step.layout.data, step.row_tokens, step.architecture.vocab_size)
        train_step(batch, 1e-3)
        live.peak = 0
        train_step(batch, 1e-3)
        return live.peak


def planned_peak(step: StepShape) -> int:
    moments = step_memory(step)
    return max(sum(parts.values()) for moment, parts in moments.items() if moment != "start")


@pytest.mark.parametrize("name", PRESETS)
def test_parameters_are_those_of_the_decoder(name):
    architecture = PRESETS[name]
    with torch.device("meta"):
        decoder = Decoder(architecture)
    shapes = {key: tuple(parameter.shape) for key, parameter in decoder.named_parameters()}
    assert {weight.name: weight.shape for weight in outer_weights(architecture)} == {
        key: shape for key, shape in shapes.items() if not key.startswith("h.")
    }
    for layer in range(architecture.num_layers):
        ours = {f"h.{layer}.{weight.name}": weight.shape for weight in block_weights(architecture)}
        assert ours == {key: shape for key, shape in shapes.items() if key.startswith(f"h.{layer}.")}
    assert sum(parameters_by_part(architecture).values()) == architecture.num_parameters


@pytest.mark.parametrize("layout", [Layout(1, 3, 1), Layout(2, 2, 1), Layout(1, 3, 2), Layout(1, 5, 4)])
@pytest.mark.parametrize("form", FORMS)
def test_a_process_holds_as_many_weights_as_planned(form, layout):
    """Sizes that do not divide evenly among them."""
    architecture = Architecture(1, 64, 4, 16, 64, 514, form=form, hidden_dim=192)
    with first_of(layout) as ranks:
        model = Decoder(architecture, seed=1)
        spread(model, ranks)
        held = {name: p.to_local().untyped_storage().nbytes() for name, p in model.named_parameters()}
    weights = {f"h.0.{weight.name}": weight for weight in block_weights(architecture)}
    weights |= {weight.name: weight for weight in outer_weights(architecture)}
    assert held == {name: 4 * local_size(w, layout.tensor, layout.shard) for name, w in weights.items()}


@pytest.mark.parametrize("precision", DTYPES)
@pytest.mark.parametrize("checkpointing", ["none", "full"])
@pytest.mark.parametrize("architecture", [DEEP, LLAMA], ids=["codegen", "llama"])
def test_activations_are_what_autograd_saves(architecture, checkpointing, precision):
    """To 3 %; weights that are saved as they are, and are there anyway, are not activations."""
    rows, tokens = 3, 192
    model = Decoder(architecture, seed=1)
    recompute_blocks(model, checkpointing)
    own = {parameter.untyped_storage().data_ptr() for parameter in model.parameters()}
    saved = {}

    def note(tensor):
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            saved[storage.data_ptr()] = (storage.nbytes(), tensor)
        return tensor

    batch = full_rows(rows, tokens, architecture.vocab_size)
    mask = AttentionMask.causal(rows, tokens)
    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        model(
            torch.from_numpy(batch.token_ids),
            torch.from_numpy(batch.positions),
            mask,
            dtype=DTYPES[precision],
        )
    # The mask itself is held by what is saved.
    measured = sum(size for size, _ in saved.values()) + mask.allowed_BTS.nbytes
    measured += mask.additive_BTS.nbytes if precision == "bf16" else 0
    step = StepShape(architecture, Layout(), tokens, rows, rows, checkpointing, precision, "cpu")
    parts = step_memory(step)["loss"]
    head = 2 * architecture.vocab_size * architecture.dim if precision == "bf16" else 0
    planned = parts["activations"] + parts["weights in bf16"] - head
    assert abs(planned / measured - 1) < 0.03


STEPS = {
    # architecture, layout, rows of a process, at once, checkpointing, precision
    "alone": (DEEP, Layout(), 4, 4, "none", "bf16"),
    "alone, selective": (DEEP, Layout(), 4, 4, "selective", "bf16"),
    "alone, full": (DEEP, Layout(), 4, 4, "full", "bf16"),
    "alone, fp32": (DEEP, Layout(), 4, 4, "selective", "fp32"),
    "alone, row by row": (DEEP, Layout(), 2, 1, "none", "bf16"),
    "DDP": (DEEP, Layout(4, 1, 1), 2, 2, "none", "bf16"),
    "FSDP": (DEEP, Layout(1, 4, 1), 2, 2, "none", "bf16"),
    "FSDP, full": (DEEP, Layout(1, 4, 1), 2, 2, "full", "bf16"),
    "FSDP, wide vocabulary": (WIDE_VOCABULARY, Layout(1, 4, 1), 2, 1, "full", "bf16"),
    "HSDP, fp32": (DEEP, Layout(2, 2, 1), 2, 2, "none", "fp32"),
    "FSDP and tensor": (DEEP, Layout(1, 2, 2), 2, 2, "none", "bf16"),
    "FSDP and tensor, row by row, full": (DEEP, Layout(1, 2, 2), 2, 1, "full", "bf16"),
    "Llama": (LLAMA, Layout(), 4, 4, "none", "bf16"),
    "Llama, selective, fp32": (LLAMA, Layout(), 4, 4, "selective", "fp32"),
    "Llama, FSDP and tensor, full": (LLAMA, Layout(1, 2, 2), 2, 2, "full", "bf16"),
    "alone, Muon": (DEEP, Layout(), 4, 4, "full", "bf16", "muon"),
    "FSDP and tensor, Muon": (DEEP, Layout(1, 2, 2), 2, 2, "none", "bf16", "muon"),
}


@pytest.mark.parametrize("name", STEPS)
def test_a_step_holds_as_much_memory_as_planned(name):
    """The most that is alive in a step of the trainer, from 2 % below to 12 % above."""
    architecture, layout, rows, at_once, checkpointing, precision, *optimizer = STEPS[name]
    step = StepShape(architecture, layout, 256, rows, at_once, checkpointing, precision, "cpu", *optimizer)
    assert 0.98 < planned_peak(step) / peak_of_a_step(step) < 1.12


@pytest.mark.parametrize(
    "layout", [Layout(), Layout(4, 1, 1), Layout(1, 4, 1), Layout(2, 2, 1), Layout(1, 2, 2)]
)
def test_muon_works_in_as_much_memory_as_planned(layout):
    """What its step holds beside weights, gradients and state, to 2 %."""
    architecture = Architecture(1, 256, 4, 32, 32, 64)
    with first_of(layout) as ranks, LiveBytes() as live:
        model = Decoder(architecture, seed=1)
        spread(model, ranks)
        muon, _ = build_optimizers(model, replace(OPTIMIZER, name="muon"))
        for parameter in model.parameters():
            parameter.grad = torch.zeros_like(parameter)
        muon.step()
        before = live.peak = live.now
        muon.step()
        worked = live.peak - before
    step = StepShape(architecture, layout, 32, 1, 1, "none", "bf16", "cpu", "muon")
    assert step_memory(step)["update"]["Muon's work"] == pytest.approx(worked, rel=0.02)


def test_muon_keeps_one_moment_of_the_matrices_in_the_blocks():
    adamw = StepShape(DEEP, Layout(1, 2, 2), 32, 1, 1, "none", "bf16", "cpu")
    muon = replace(adamw, optimizer="muon")
    matrices = 12 * DEEP.num_layers * DEEP.dim**2 // 4
    for moment, parts in step_memory(muon).items():
        before = step_memory(adamw)[moment]
        if moment != "start":
            assert parts["AdamW state"] == before["AdamW state"] - 8 * matrices
            assert parts["Muon state"] == 4 * matrices
    machine = machine_named("h100")
    assert step_seconds(muon, machine).update > step_seconds(adamw, machine).update


def test_gradients_of_earlier_micro_batches_are_cut_up_where_weights_are():
    """They would make a sharded run with micro-batches large; a whole copy of them would show."""
    step = StepShape(DEEP, Layout(1, 4, 1), 32, 2, 1, "full", "fp32", "cpu")
    whole = 4 * DEEP.num_parameters
    for peak in (peak_of_a_step, planned_peak):
        assert peak(step) - peak(replace(step, rows=1)) < 0.3 * whole


@pytest.mark.parametrize("layout", [Layout(4, 1, 1), Layout(1, 4, 1), Layout(2, 2, 1)])
def test_blocks_are_gathered_in_the_precision_that_is_computed_in(layout):
    """And embedding, head and all gradients in float32."""
    with first_of(layout) as ranks:
        model = Decoder(DEEP, seed=1)
        spread(model, ranks, "none", torch.bfloat16)
        seen = {}

        def note(module, args, kwargs=None):
            seen.update({name: p.dtype for name, p in model.named_parameters() if "h.0" in name})
            seen["wte.weight"] = model.wte.weight.dtype

        model.h[0].attn.register_forward_pre_hook(note)
        model.zero_grad = lambda: None
        step = TrainStep(model, build_optimizers(model, OPTIMIZER), torch.bfloat16, 1, OPTIMIZER, ranks)
        step(full_rows(2 * layout.data, 32, DEEP.vocab_size), 1e-3)
        gradients = {p.grad.dtype for p in model.parameters()}
    assert seen.pop("wte.weight") == torch.float32
    assert len(seen) == 8 and set(seen.values()) == {torch.bfloat16}
    assert gradients == {torch.float32}


def test_operations_are_counted_as_the_run_reports_them(monkeypatch):
    """The plan's mfu is the meter's, for full rows of one document."""
    clock = iter([0.0, 2.0, 2.0])
    monkeypatch.setattr("spanmix.train.meter.time.perf_counter", lambda: next(clock))
    batch = full_rows(6, 64, DEEP.vocab_size)
    meter = Meter(["causal"], ["code"], DEEP, lambda: 1e12, Unreported())
    meter.update(batch, StepLosses(batch.segments, [1.0] * 6, [64.0] * 6, 1.0))
    reported = {metric.name: metric.value for metric in meter.report(1e-3)}
    for layout in (Layout(), Layout(2, 1, 1), Layout(1, 3, 1), Layout(1, 2, 2)):
        step = StepShape(DEEP, layout, 64, 6 // layout.data, 1, "full", "bf16", "cuda")
        assert model_flops(step) / 2.0 / 1e12 == pytest.approx(reported["mfu"])


def recipe(*overrides):
    return load_recipe("paper", overrides)


def test_the_measured_step_comes_out():
    """`docs/performance.md`: 579 tokens/s of `125m`, mfu 58.5 %, on a peak of 732 to 830 gigaflop/s."""
    measured = recipe(
        "model.preset=125m",
        "data.row_tokens=1024",
        "data.global_batch_rows=4",
        "parallel.micro_batch_rows=0",
    )
    cpu = machine_named("cpu")
    peaks = replace(cpu, flops={"bf16": 0.732e12}), replace(cpu, flops={"bf16": 0.830e12})
    slow, fast = (make_plan(measured, 51200, 1, peak, mfu=0.585).tokens_per_second for peak in peaks)
    assert slow < 579 < fast
    assert make_plan(measured, 51200, 1, cpu).tokens_per_second == pytest.approx(579, rel=0.05)
    # docs/demo.md: 9,700 tokens/s of a smaller decoder, whose products are less efficient.
    assert make_plan(load_recipe("demo"), 4096, 1, cpu).tokens_per_second == pytest.approx(9700, rel=0.25)


def test_the_assumed_share_is_that_of_a_published_run():
    """torchtitan, December 2024: 5,762 tokens/s per GPU, 8 billion weights, FSDP on 8 H100 of 2.4 TB/s."""
    llama = Architecture(35, 4096, 32, 128, 8192, 128256)
    assert llama.num_matmul_weights == pytest.approx(7.5e9, rel=0.02)
    # Its selective checkpointing keeps attention's results too, so it computes no products again.
    step = StepShape(llama, Layout(1, 8, 1), 8192, 2, 2, "none", "bf16", "cuda")
    machine = replace(machine_named("h100"), memory_bandwidth=2.4e12)
    assert 2 * 8192 / step_seconds(step, machine).total == pytest.approx(5762, rel=0.05)


def test_speed_goes_the_right_way():
    machine = machine_named("h100")
    step = StepShape(PRESETS["codegen2-7b"], Layout(8, 1, 1), 2048, 8, 2, "none", "bf16", "cuda")
    total = step_seconds(step, machine).total
    for slower in (
        replace(step, checkpointing="selective"),
        replace(step, checkpointing="full"),
        replace(step, micro_batch_rows=1),
        replace(step, layout=Layout(1, 1, 8), rows=64),  # as many rows in all
        replace(step, precision="fp32"),
    ):
        assert step_seconds(slower, machine).total > total
    # Across nodes, with small batches, the gathering is waited for.
    wide = replace(step, layout=Layout(1, 64, 1), rows=1, micro_batch_rows=1)
    assert step_seconds(wide, machine).waiting > 0.3 * step_seconds(wide, machine).total


@pytest.mark.parametrize(
    ("overrides", "devices", "gpu"),
    [
        (["parallel.micro_batch_rows=64", "data.global_batch_rows=512"], 8, "h100"),
        (["model.preset=codegen2-3.7b"], 8, "h100"),
        (["model.preset=codegen2-7b"], 8, "h100"),
        (["model.preset=codegen2-7b", "parallel.tensor_size=2"], 16, "a100-40"),
        (["model.preset=codegen2-16b"], 16, "h100"),
        (["model.preset=codegen2-16b", "parallel.shard_size=8"], 32, "h100"),
        (["model.preset=codegen2-16b"], 1, "h200"),
        (["model.preset=codegen2-3.7b"], 2, "l40s"),
    ],
)
def test_what_is_advised_fits(overrides, devices, gpu):
    wanted, machine = recipe(*overrides), machine_named(gpu)
    assert not make_plan(wanted, 51200, devices, machine).fits
    found = advice(wanted, 51200, devices, machine)
    assert found is not None and (found.overrides or found.num_devices > devices)
    applied = recipe(*overrides, *found.overrides)
    assert applied == found.recipe
    assert make_plan(applied, 51200, found.num_devices, machine).fits


def test_one_change_is_advised_where_one_is_enough():
    wanted = recipe("parallel.micro_batch_rows=64", "data.global_batch_rows=512")
    found = advice(wanted, 51200, 8, machine_named("h100"))
    assert found is not None and found.num_devices == 8 and len(found.overrides) == 1


def test_nothing_is_advised_where_nothing_helps():
    """What lies outside the blocks is gathered whole in every device."""
    wanted = recipe("model.preset=codegen2-16b", "tokenizer.vocab_size=1048576")
    assert advice(wanted, 1_048_576, 8, machine_named("a100-40")) is None


@pytest.mark.parametrize("rows", [7, 16, 64])
@pytest.mark.parametrize("checkpointing", ["none", "full"])
def test_the_largest_batch_is_the_largest(rows, checkpointing):
    machine = machine_named("a100-40")

    def fits(at_once):
        wanted = recipe(
            "model.preset=codegen2-1b",
            f"data.global_batch_rows={8 * rows}",
            f"parallel.micro_batch_rows={at_once}",
            f"parallel.checkpointing={checkpointing}",
        )
        plan = make_plan(wanted, 51200, 8, machine)
        return plan.fits, plan.most_rows

    results = [fits(at_once) for at_once in range(1, rows + 1)]
    largest = max((i + 1 for i, (does, _) in enumerate(results) if does), default=0)
    assert {most for _, most in results} == {largest} and largest > 0


def test_a_layout_that_does_not_divide_is_refused_as_the_run_refuses_it():
    with pytest.raises(InputError, match="global_batch_rows is 256, which 3 processes cannot share"):
        make_plan(recipe(), 51200, 3, machine_named("h100"))


def test_machines():
    with pytest.raises(InputError, match=r"'h10'.*did you mean 'h100'"):
        machine_named("h10")
    with pytest.raises(InputError, match=r"a100-40 does not compute in float8.*bf16, fp32"):
        machine_named("a100-40").peak_flops("float8")
    for machine in MACHINES.values():
        assert 0 < machine.usable_bytes < machine.memory_bytes
        assert machine.flops["fp32"] < machine.flops["bf16"] <= machine.flops.get("float8", 1e18)


def test_money_and_time():
    plan = make_plan(recipe(), 51200, 8, machine_named("h100"), mfu=0.4, dollars_per_hour=2.0)
    assert plan.mfu == pytest.approx(0.4)
    assert plan.step_tokens == 256 * 2048
    assert plan.hours * 3600 * plan.tokens_per_second == pytest.approx(350_000 * plan.step_tokens)
    assert plan.dollars == pytest.approx(2.0 * 8 * plan.hours)


def test_low_rank_additions_are_refused():
    changed = recipe("model.preset=null", "model.init_from=nowhere", "model.lora={rank: 4, alpha: 8}")
    with pytest.raises(InputError, match="not counted yet"):
        make_plan(changed, 51200, 8, machine_named("h100"))
