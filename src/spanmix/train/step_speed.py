"""Estimate how long a training step takes, from the figures of a device and of the links between several.

A roofline model (Williams et al., 2009). What it assumes:

- Matrix products and attention run at the machine's ``compute_share`` of its peak, whatever their shapes.
- Every weight is read and written in memory some times in each micro-batch, and at the update, beside that.
- Collectives are rings at 80 % of a link's speed; latency is not counted. One that spans nodes runs at the
  speed of a device's link to other nodes.
- FSDP gathers blocks, and sums their gradients, while others compute: only what takes longer than the
  computation is waited for. What lies outside the blocks, at both ends of a pass, is waited for, and so is
  every sum of tensor parallelism.
- In float8 the products of the blocks' matrices reach the same share of a higher peak.
- Muon's products reach that share too; what its shards tell each other meanwhile is not counted.
- Rows are full, and each is one document: shorter documents attend less, and are a little faster.

Reading data, evaluation and checkpoints are not counted.
"""

from __future__ import annotations

from dataclasses import dataclass

from spanmix.train.machines import Machine
from spanmix.train.step_shape import StepShape, block_weights

_LINK_SHARE = 0.8
_WIDE = 4
_PASS_BYTES = 26
"""Of one weight in one micro-batch: read in float32, written in bf16 (6), read forward and backward (4), its
gradient written in bf16, read, and added up in float32 (16)."""
_UPDATE_BYTES = 40
"""Of one weight at the update: its gradient's norm (4) and scaling (8), AdamW's reads and writes (28)."""


@dataclass(frozen=True)
class StepSeconds:
    """What a step's time goes to, in seconds.

    Args:
        compute: matrix products and attention, those that are done again included.
        weights: what forward and backward move of weights and gradients in the device's memory.
        waiting: for other devices.
        update: the optimizer.
    """

    compute: float
    weights: float
    waiting: float
    update: float

    @property
    def total(self) -> float:
        """Of a step."""
        return self.compute + self.weights + self.waiting + self.update


def model_flops(step: StepShape) -> int:
    """Return the operations of a step, as the run's ``mfu`` counts them, over all devices."""
    return step.layout.data * _flops_of_rows(step, step.rows)


def step_seconds(step: StepShape, machine: Machine) -> StepSeconds:
    """Return the time of a step.

    Raises:
        InputError: the device does not compute in the recipe's precision.
    """
    narrow = _matrix_flops(step) if step.precision == "float8" else 0
    compute = (_device_flops(step) - narrow) / machine.peak_flops(step.wide_precision)
    compute = (compute + narrow / machine.peak_flops(step.precision)) / machine.compute_share
    passes = step.num_micro_batches
    weights = passes * _PASS_BYTES * step.size() / machine.memory_bandwidth
    update = _UPDATE_BYTES * step.size(sharded=True) / machine.memory_bandwidth
    if step.muon_size():
        update += _muon_flops(step) / (machine.peak_flops("bf16") * machine.compute_share)
    return StepSeconds(compute, weights, _waiting(step, machine, (compute + weights) / passes), update)


def _flops_of_rows(step: StepShape, rows: int) -> int:
    pairs = rows * step.row_tokens * (step.row_tokens + 1) // 2
    return step.architecture.training_flops(rows * step.row_tokens, pairs)


def _device_flops(step: StepShape) -> float:
    """Operations of one device in a step. The head is not cut along ``tensor``; some work is done again."""
    architecture, tokens = step.architecture, step.rows * step.row_tokens
    head = 6 * architecture.vocab_size * architecture.dim * tokens
    blocks = _flops_of_rows(step, step.rows) - head
    pairs = tokens * (step.row_tokens + 1) // 2
    again = 0
    if step.checkpointing != "none":  # attention, and with `full` all products but the last
        again = 4 * architecture.num_layers * architecture.dim * pairs
    if step.checkpointing == "full":
        last = architecture.dim * architecture.hidden_dim
        again += 2 * architecture.num_layers * (architecture.num_block_weights - last) * tokens
    return head + (blocks + again) / step.layout.tensor


def _matrix_flops(step: StepShape) -> float:
    """Operations of one device's blocks in products with their matrices."""
    architecture = step.architecture
    each = 8 if step.checkpointing == "full" else 6
    tokens = step.rows * step.row_tokens
    weights = architecture.num_layers * architecture.num_block_weights
    return each * weights * tokens / step.layout.tensor


def _muon_flops(step: StepShape) -> float:
    """Operations of one device in Muon's five Newton-Schulz steps, which shards share among them.

    Each step makes, of a matrix with n numbers and D rows, X X^T and one more product of that size (4 n D),
    and the square of a D x D (2 D^3); D is the shorter side.
    """
    matrices = [weight.shape for weight in block_weights(step.architecture) if len(weight.shape) > 1]
    each = sum(
        4 * rows * columns * min(rows, columns) + 2 * min(rows, columns) ** 3 for rows, columns in matrices
    )
    return 5 * step.architecture.num_layers * each / (step.layout.shard * step.layout.tensor)


def _waiting(step: StepShape, machine: Machine, pass_seconds: float) -> float:
    """Seconds of a step in which a device waits for others; one pass computes for `pass_seconds`."""
    layout, layers = step.layout, step.architecture.num_layers
    shards = _Ring(layout.shard, layout.shard * layout.tensor, machine)
    copies = _Ring(layout.replicate, step.num_devices, machine)
    tensor = _Ring(layout.tensor, layout.tensor, machine)

    blocks, outer = _WIDE * layers * step.block_size(), _WIDE * step.outer_size()
    # Gathered forward and backward, in the precision that is computed in; gradients are summed in float32.
    moved = 2 * shards.once(blocks * step.element_bytes / _WIDE) + shards.once(blocks)
    summed = 2 * copies.once(blocks / layout.shard)
    passes = step.num_micro_batches
    overlapped = (passes - 1) * max(0.0, moved - pass_seconds) + max(0.0, moved + summed - pass_seconds)

    ends = passes * 2 * shards.once(outer) + 2 * copies.once(outer / layout.shard)
    sums = 4 if step.checkpointing == "none" else 5
    activations = step.rows * step.row_tokens * step.architecture.dim * step.element_bytes
    return overlapped + ends + layers * sums * 2 * tensor.once(activations)


@dataclass(frozen=True)
class _Ring:
    """So many processes that pass parts of something around.

    Args:
        size: processes.
        span: how many processes lie from its first to behind its last.
        machine: for its links.
    """

    size: int
    span: int
    machine: Machine

    def once(self, num_bytes: float) -> float:
        """Return the seconds to gather so many bytes in every process, or to sum and scatter them."""
        inside = self.span <= self.machine.devices_per_node
        speed = self.machine.node_bandwidth if inside else self.machine.network_bandwidth
        return num_bytes * (self.size - 1) / self.size / (_LINK_SHARE * speed)
