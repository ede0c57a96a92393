"""Plan a run before it is paid for: what it holds in memory, how fast it is, and what would make it fit."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from spanmix.config import Recipe
from spanmix.errors import InputError
from spanmix.train.base import named_architecture
from spanmix.train.machines import Machine
from spanmix.train.ranks import Layout
from spanmix.train.step_memory import step_memory
from spanmix.train.step_shape import StepShape, parameters_by_part
from spanmix.train.step_speed import StepSeconds, model_flops, step_seconds
from spanmix.train_configs import ParallelConfig

_HOUR = 3600
_CHECKPOINTING = ("none", "selective", "full")
_MOST_DEVICES = 4096


@dataclass(frozen=True)
class Plan:
    """What a run would be.

    Args:
        step: the shape of one of its steps.
        machine: the device.
        num_steps: of the run.
        memory: bytes in one device: moment -> part -> bytes.
        seconds: of one step; None where `mfu` was given.
        step_seconds: of one step, in all.
        most_rows: the largest ``parallel.micro_batch_rows`` that fits, all else as it is; 0 if none does.
        dollars_per_hour: of one device.
    """

    step: StepShape
    machine: Machine
    num_steps: int
    memory: dict[str, dict[str, int]]
    seconds: StepSeconds | None
    step_seconds: float
    most_rows: int
    dollars_per_hour: float

    @property
    def parameters(self) -> dict[str, int]:
        """Learned numbers of each part of the decoder."""
        return parameters_by_part(self.step.architecture)

    @property
    def fullest(self) -> str:
        """The moment at which a device holds most."""
        return max(self.memory, key=lambda moment: sum(self.memory[moment].values()))

    @property
    def needed_bytes(self) -> int:
        """What a device holds then."""
        return sum(self.memory[self.fullest].values())

    @property
    def fits(self) -> bool:
        """Whether that is no more than the device has."""
        return self.needed_bytes <= self.machine.usable_bytes

    @property
    def step_tokens(self) -> int:
        """Positions in a step of the whole run."""
        return self.step.layout.data * self.step.rows * self.step.row_tokens

    @property
    def tokens_per_second(self) -> float:
        """Of all devices together."""
        return self.step_tokens / self.step_seconds

    @property
    def mfu(self) -> float:
        """Operations of the model over those of all devices' dense peak, as a run reports it."""
        peak = self.machine.peak_flops(self.step.wide_precision) * self.step.num_devices
        return model_flops(self.step) / self.step_seconds / peak

    @property
    def hours(self) -> float:
        """Of the whole run."""
        return self.num_steps * self.step_seconds / _HOUR

    @property
    def device_hours(self) -> float:
        """Of all devices."""
        return self.hours * self.step.num_devices

    @property
    def dollars(self) -> float:
        """What the devices cost."""
        return self.device_hours * self.dollars_per_hour


def make_plan(
    recipe: Recipe,
    vocab_size: int,
    num_devices: int,
    machine: Machine,
    mfu: float | None = None,
    dollars_per_hour: float | None = None,
) -> Plan:
    """Plan a recipe.

    Args:
        recipe: the whole run.
        vocab_size: of its tokenizer.
        num_devices: processes, each on a device of its own.
        machine: the device.
        mfu: share of the dense peak that the whole run reaches, where that is known; else it is estimated.
        dollars_per_hour: of one device; else the machine's.

    Raises:
        InputError: the processes, the rows and the recipe's ``parallel`` do not divide each other; or the
            recipe trains low-rank additions.
    """
    if recipe.model.lora is not None:
        raise InputError(
            "model.lora is set, and what frozen weights and their additions hold is not counted yet; plan "
            "the run without it (model.lora=null), which needs more"
        )
    step = _shape(recipe, vocab_size, num_devices, machine)
    seconds = None if mfu else step_seconds(step, machine)
    if seconds is None:
        assert mfu is not None
        machine.peak_flops(step.precision)  # which the machine has to compute in
        total = model_flops(step) / (mfu * num_devices * machine.peak_flops(step.wide_precision))
    else:
        total = seconds.total
    return Plan(
        step=step,
        machine=machine,
        num_steps=recipe.run.num_steps,
        memory=step_memory(step),
        seconds=seconds,
        step_seconds=total,
        most_rows=_most_rows(step, machine),
        dollars_per_hour=machine.dollars_per_hour if dollars_per_hour is None else dollars_per_hour,
    )


@dataclass(frozen=True)
class Advice:
    """A change that lets a recipe fit.

    Args:
        num_devices: processes.
        overrides: ``section.field=value`` each.
        recipe: with them.
    """

    num_devices: int
    overrides: tuple[str, ...]
    recipe: Recipe


def advice(recipe: Recipe, vocab_size: int, num_devices: int, machine: Machine) -> Advice | None:
    """Return the smallest change with which a recipe fits, or None if no setting would.

    Fewest settings first, and the fastest among equals; then the same with two, four, … times the devices.
    """
    while num_devices <= _MOST_DEVICES:
        best: tuple[int, float, Advice] | None = None
        for parallel in _choices(recipe.parallel, num_devices, machine):
            changed = _with_largest_batch(
                replace(recipe, parallel=parallel), vocab_size, num_devices, machine
            )
            if changed is None:
                continue
            overrides = _overrides(recipe.parallel, changed.parallel)
            seconds = step_seconds(_shape(changed, vocab_size, num_devices, machine), machine).total
            if best is None or (len(overrides), seconds) < best[:2]:
                best = (len(overrides), seconds, Advice(num_devices, overrides, changed))
        if best is not None:
            return best[2]
        num_devices *= 2
    return None


def _shape(recipe: Recipe, vocab_size: int, num_devices: int, machine: Machine) -> StepShape:
    named = named_architecture(recipe.model)
    architecture = replace(
        named, vocab_size=vocab_size, context_tokens=max(named.context_tokens, recipe.data.row_tokens)
    )
    parallel = recipe.parallel
    layout = Layout.of(parallel, num_devices, architecture, recipe.data.global_batch_rows)
    rows = recipe.data.global_batch_rows // layout.data
    return StepShape(
        architecture=architecture,
        layout=layout,
        row_tokens=recipe.data.row_tokens,
        rows=rows,
        micro_batch_rows=min(parallel.micro_batch_rows, rows) or rows,
        checkpointing=parallel.checkpointing,
        precision="bf16" if recipe.run.precision == "auto" else recipe.run.precision,
        device=machine.device,
        optimizer=recipe.optimizer.name,
    )


def _fits(step: StepShape, machine: Machine) -> bool:
    return max(sum(parts.values()) for parts in step_memory(step).values()) <= machine.usable_bytes


def _most_rows(step: StepShape, machine: Machine) -> int:
    """Return the most rows that fit through the decoder at once, or 0."""
    if _fits(replace(step, micro_batch_rows=step.rows), machine):
        return (
            step.rows
        )  # with a single micro-batch no gradients wait, so this may fit where fewer rows do not
    low, high = 0, step.rows
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (
            (middle, high) if _fits(replace(step, micro_batch_rows=middle), machine) else (low, middle)
        )
    return low


def _choices(parallel: ParallelConfig, num_devices: int, machine: Machine) -> Iterator[ParallelConfig]:
    """List settings that hold less: more recomputation, more shards, matrices cut within a node."""
    tensors = [parallel.tensor_size * 2**i for i in range(4)]
    for tensor in (size for size in tensors if size <= max(parallel.tensor_size, machine.devices_per_node)):
        data = num_devices // tensor
        present = parallel.shard_size or data
        for shard in (parallel.shard_size, *(n for n in range(present + 1, data + 1) if data % n == 0)):
            for kind in _CHECKPOINTING[_CHECKPOINTING.index(parallel.checkpointing) :]:
                size = 0 if shard == data and shard != parallel.shard_size else shard
                yield replace(parallel, tensor_size=tensor, shard_size=size, checkpointing=kind)


def _with_largest_batch(recipe: Recipe, vocab_size: int, num_devices: int, machine: Machine) -> Recipe | None:
    """Return the recipe if it fits, else with the largest micro-batch that does; None if there is none."""
    try:
        step = _shape(recipe, vocab_size, num_devices, machine)
    except InputError:  # the numbers do not divide each other
        return None
    if _fits(step, machine):
        return recipe
    rows = _most_rows(step, machine)
    return replace(recipe, parallel=replace(recipe.parallel, micro_batch_rows=rows)) if rows else None


def _overrides(old: ParallelConfig, new: ParallelConfig) -> tuple[str, ...]:
    fields = ("micro_batch_rows", "checkpointing", "shard_size", "tensor_size")
    return tuple(
        f"parallel.{field}={getattr(new, field)}"
        for field in fields
        if getattr(new, field) != getattr(old, field)
    )
