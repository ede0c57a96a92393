"""Describe a training step by the sizes that its memory and its speed follow from."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import NamedTuple

from spanmix.model.architecture import Architecture
from spanmix.train.ranks import Layout

_ELEMENT_BYTES = {"float8": 2, "bf16": 2, "fp32": 4}


class Weight(NamedTuple):
    """A parameter of the decoder.

    Args:
        name: as the decoder has it; that of a block without its number.
        part: what it belongs to.
        shape: whole.
        tensor_axis: which axis tensor parallelism cuts; None if it does not.
    """

    name: str
    part: str
    shape: tuple[int, ...]
    tensor_axis: int | None = None


def block_weights(architecture: Architecture) -> list[Weight]:
    """Return the parameters of one block."""
    d, h = architecture.dim, architecture.hidden_dim
    if architecture.form == "llama":
        return [
            Weight("ln_1.weight", "norms", (d,)),
            Weight("attn.qkv_proj.weight", "attention", (3 * d, d), 0),
            Weight("attn.out_proj.weight", "attention", (d, d), 1),
            Weight("ln_2.weight", "norms", (d,)),
            Weight("mlp.fc_gate.weight", "MLP", (h, d), 0),
            Weight("mlp.fc_in.weight", "MLP", (h, d), 0),
            Weight("mlp.fc_out.weight", "MLP", (d, h), 1),
        ]
    return [
        Weight("ln_1.weight", "norms", (d,)),
        Weight("ln_1.bias", "norms", (d,)),
        Weight("attn.qkv_proj.weight", "attention", (3 * d, d), 0),
        Weight("attn.out_proj.weight", "attention", (d, d), 1),
        Weight("mlp.fc_in.weight", "MLP", (h, d), 0),
        Weight("mlp.fc_in.bias", "MLP", (h,), 0),
        Weight("mlp.fc_out.weight", "MLP", (d, h), 1),
        Weight("mlp.fc_out.bias", "MLP", (d,)),
    ]


def outer_weights(architecture: Architecture) -> list[Weight]:
    """Return the parameters outside the blocks."""
    d, v = architecture.dim, architecture.vocab_size
    biases = [Weight("ln_f.bias", "norms", (d,)), Weight("head.bias", "head", (v,))]
    return [
        Weight("wte.weight", "embedding", (v, d)),
        Weight("ln_f.weight", "norms", (d,)),
        Weight("head.weight", "head", (v, d)),
        *(biases if architecture.form == "codegen" else []),
    ]


def parameters_by_part(architecture: Architecture) -> dict[str, int]:
    """Return how many numbers are learned in each part of the decoder.

    >>> parameters_by_part(Architecture(2, 8, 2, 4, 16, 64))
    {'embedding': 512, 'attention': 512, 'MLP': 1104, 'norms': 48, 'head': 576}
    """
    counts = Counter({"embedding": 0, "attention": 0, "MLP": 0, "norms": 0, "head": 0})
    for weight in outer_weights(architecture):
        counts[weight.part] += local_size(weight)
    for weight in block_weights(architecture):
        counts[weight.part] += architecture.num_layers * local_size(weight)
    return dict(counts)


def local_size(weight: Weight, tensor: int = 1, shard: int = 1) -> int:
    """Return the numbers of a parameter in one of `tensor` x `shard` processes.

    The first axis is cut over `shard` and padded, so that all processes hold as many; see `spread`.
    """
    sizes = list(weight.shape)
    if weight.tensor_axis is not None:
        sizes[weight.tensor_axis] //= tensor
    sizes[0] = -(-sizes[0] // shard)
    return sizes[0] * (sizes[1] if len(sizes) > 1 else 1)


@dataclass(frozen=True)
class StepShape:
    """What memory and speed of a step depend on.

    Args:
        architecture: the decoder.
        layout: how the processes are laid out.
        row_tokens: positions in a row.
        rows: of a step, in each process.
        micro_batch_rows: of these, how many go through the decoder at once.
        checkpointing: as in the recipe's ``parallel``.
        precision: ``float8``, ``bf16`` or ``fp32``.
        device: ``cpu`` or ``cuda``, which have other attention kernels.
        optimizer: ``adamw`` or ``muon``.
    """

    architecture: Architecture
    layout: Layout
    row_tokens: int
    rows: int
    micro_batch_rows: int
    checkpointing: str
    precision: str
    device: str
    optimizer: str = "adamw"

    @property
    def num_micro_batches(self) -> int:
        """How often rows go through the decoder in a step."""
        return -(-self.rows // self.micro_batch_rows)

    @property
    def micro_batch_tokens(self) -> int:
        """Positions that go through the decoder at once."""
        return self.micro_batch_rows * self.row_tokens

    @property
    def num_devices(self) -> int:
        """Processes in all, each on a device of its own."""
        return self.layout.data * self.layout.tensor

    @property
    def is_spread(self) -> bool:
        """Whether there is more than one process; a single one wraps nothing."""
        return self.layout != Layout()

    @property
    def element_bytes(self) -> int:
        """Bytes of an activation's number."""
        return _ELEMENT_BYTES[self.precision]

    @property
    def wide_precision(self) -> str:
        """What all is computed in but products in float8, and what a run's ``mfu`` is a share of."""
        return "bf16" if self.precision == "float8" else self.precision

    def block_size(self, sharded: bool = False) -> int:
        """Return the numbers of one block in this process, cut along ``tensor``: gathered, or `sharded`."""
        return self._size(block_weights(self.architecture), sharded)

    def outer_size(self, sharded: bool = False) -> int:
        """Return the numbers outside the blocks in this process."""
        return self._size(outer_weights(self.architecture), sharded)

    def size(self, sharded: bool = False) -> int:
        """Return all numbers in this process."""
        return self.architecture.num_layers * self.block_size(sharded) + self.outer_size(sharded)

    def muon_size(self) -> int:
        """Return the numbers of this process that Muon updates: the blocks' matrices, or none."""
        if self.optimizer != "muon":
            return 0
        matrices = [weight for weight in block_weights(self.architecture) if len(weight.shape) > 1]
        return self.architecture.num_layers * self._size(matrices, sharded=True)

    def _size(self, weights: list[Weight], sharded: bool) -> int:
        shard = self.layout.shard if sharded else 1
        return sum(local_size(weight, self.layout.tensor, shard) for weight in weights)
