"""Spread a run over processes: replicas, sharded weights (FSDP2), and matrices cut among processes.

``torchrun`` starts the processes; this file is the whole plan of what each holds. The mesh has three axes::

    replicate   whole copies of what the other two axes hold        gradients are summed over it (DDP)
    shard       weights, gradients and optimizer state are cut up   gathered block by block (FSDP2)
    tensor      heads and hidden channels are cut up                two sums a block (Megatron's way)

``replicate`` x ``shard`` processes share the rows of each batch; those along ``tensor`` see the same rows.
With both ``replicate`` and ``shard`` above 1 it is HSDP. The embedding, the head and the norms are not cut
along ``tensor``. A single process has no mesh, and nothing is wrapped.

Methods: Li et al., "PyTorch Distributed" (2020); Zhao et al., "PyTorch FSDP" (arXiv 2304.11277); Shoeybi et
al., "Megatron-LM" (arXiv 1909.08053), section 3.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar, cast

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh
from torch.distributed.distributed_c10d import PrefixStore
from torch.distributed.rendezvous import rendezvous
from torch.distributed.tensor import DTensor

from spanmix.config import ParallelConfig
from spanmix.errors import InputError
from spanmix.model.architecture import Architecture
from spanmix.model.decoder import Decoder
from spanmix.train.compiled import compile_blocks
from spanmix.train.recompute import recompute_blocks

T = TypeVar("T")
_BACKENDS = {"cpu": "gloo", "cuda": "cpu:gloo,cuda:nccl"}  # on a GPU, numbers of the host are summed too
_BY_OUTPUTS = ("attn.qkv_proj", "mlp.fc_in")
_BY_INPUTS = ("attn.out_proj", "mlp.fc_out")


@dataclass(frozen=True)
class Layout:
    """How many processes there are along each axis of the mesh."""

    replicate: int = 1
    shard: int = 1
    tensor: int = 1

    @property
    def data(self) -> int:
        """Processes that share the rows of a batch."""
        return self.replicate * self.shard

    @classmethod
    def of(cls, config: ParallelConfig, world_size: int, architecture: Architecture, rows: int) -> Layout:
        """Return the layout of a recipe on `world_size` processes.

        Args:
            config: the recipe's ``parallel``.
            world_size: processes in all.
            architecture: whose heads are cut along ``tensor``.
            rows: of the global batch, which the others share.

        Raises:
            InputError: a number does not divide another; it names both.
        """
        tensor = config.tensor_size
        if world_size % tensor:
            raise InputError(
                f"parallel.tensor_size is {tensor}, which does not divide the {world_size} processes of "
                "this run; use a divisor"
            )
        if architecture.num_heads % tensor:
            raise InputError(
                f"parallel.tensor_size is {tensor}, which does not divide the {architecture.num_heads} heads "
                "of the model; use a divisor"
            )
        data = world_size // tensor
        shard = config.shard_size or data
        if data % shard:
            raise InputError(
                f"parallel.shard_size is {shard}, which does not divide the {data} processes that share the "
                f"rows ({world_size} in all, tensor_size {tensor}); use a divisor, or 0 for all"
            )
        if rows % data:
            raise InputError(
                f"data.global_batch_rows is {rows}, which {data} processes cannot share evenly; use a "
                "multiple of their number"
            )
        return cls(data // shard, shard, tensor)


class Ranks:
    """The processes of a run, seen from one of them.

    Args:
        layout: of the mesh.
        mesh: None in a run of one process.
        group: what they speak through; None is the group of all that is there from the start.
    """

    def __init__(
        self, layout: Layout, mesh: DeviceMesh | None = None, group: dist.ProcessGroup | None = None
    ) -> None:
        self.layout = layout
        self.mesh = mesh
        self.group = group
        self.rank = 0 if mesh is None else dist.get_rank()
        self.data_rank = 0
        if mesh is not None:
            replica, shard = mesh.get_local_rank("replicate"), mesh.get_local_rank("shard")
            self.data_rank = replica * layout.shard + shard

    def apart(self) -> Ranks:
        """Return the same processes with a new group, on the CPU, for another thread; to be asked in all.

        A group pairs what its processes send in the order of their calls. The calls of two threads have no
        order between them, so they would be paired otherwise in one process than in another.
        """
        if self.mesh is None:
            return self
        return Ranks(self.layout, self.mesh, cast(dist.ProcessGroup, dist.new_group(backend="gloo")))

    @property
    def is_first(self) -> bool:
        """Whether this process writes what only one may write."""
        return self.rank == 0

    def share(self, num_rows: int) -> slice:
        """Return which rows of a global batch are this process's."""
        each = num_rows // self.layout.data
        return slice(self.data_rank * each, (self.data_rank + 1) * each)

    def sum_over_rows(self, values: Tensor) -> Tensor:
        """Sum a tensor over the processes that share the rows."""
        if self.mesh is not None:
            values = values.to(self.mesh.device_type if self.group is None else "cpu")
            dist.all_reduce(values, group=self.group)
            values /= self.layout.tensor
        return values

    def any(self, flag: bool) -> bool:
        """Return whether the flag is set in any process."""
        if self.mesh is None:
            return flag
        device = self.mesh.device_type if self.group is None else "cpu"
        flags = torch.tensor([float(flag)], device=device)
        dist.all_reduce(flags, op=dist.ReduceOp.MAX, group=self.group)
        return bool(flags[0])

    def from_first(self, make: Callable[[], T]) -> T:
        """Let the first process do something, and return in all what it made, or raise what it raised."""
        if self.mesh is None:
            return make()
        box: list[Any] = [None]
        if self.is_first:
            try:
                box = [(make(), None)]
            except Exception as failed:
                box = [(None, failed)]
        dist.broadcast_object_list(box, src=0, group=self.group)
        made, error = box[0]
        if error is not None:
            raise error
        return cast(T, made)

    def wait(self) -> None:
        """Wait until all processes are here."""
        if self.mesh is not None:
            dist.barrier(group=self.group)


def world_size() -> int:
    """Return how many processes ``torchrun`` started; 1 without it."""
    return int(os.environ.get("WORLD_SIZE", "1"))


@contextmanager
def joined(layout: Layout, device: str) -> Iterator[Ranks]:
    """Join the other processes of the run, if there are any, lay the mesh over them, and leave at the end."""
    if layout == Layout():
        yield Ranks(layout)
        return
    if device == "cuda":
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
    store, rank, size = next(rendezvous("env://"))
    # torchrun hands processes that it starts again the same store, with the addresses of the dead in it.
    store = PrefixStore(f"start_{os.environ.get('TORCHELASTIC_RESTART_COUNT', '0')}", store)
    dist.init_process_group(_BACKENDS[device], store=store, rank=rank, world_size=size)
    names = ("replicate", "shard", "tensor")
    sizes = (layout.replicate, layout.shard, layout.tensor)
    try:
        yield Ranks(layout, init_device_mesh(device, sizes, mesh_dim_names=names))
    finally:
        dist.destroy_process_group()


def spread(
    model: Decoder,
    ranks: Ranks,
    checkpointing: str = "none",
    dtype: torch.dtype | None = None,
    compile_with: str | None = None,
) -> None:
    """Cut a decoder up as the layout says, in place.

    It may lie in the host's memory: what is cut up is brought to this process's device block by block.

    Args:
        model: the decoder, whole.
        ranks: the processes.
        checkpointing: what its blocks compute again; see `recompute_blocks`.
        dtype: what forward and backward compute in, and what blocks are gathered in; the parameters' own type
            if not given.
        compile_with: the backend that compiles its blocks, if any.
    """
    if ranks.mesh is None:
        recompute_blocks(model, checkpointing)
        if compile_with:
            compile_blocks(model, compile_with)
        return
    from torch.distributed.fsdp import FSDPModule, MixedPrecisionPolicy, fully_shard
    from torch.distributed.tensor.parallel import ColwiseParallel, RowwiseParallel, parallelize_module
    from torch.distributed.tensor.parallel.style import ParallelStyle

    if ranks.layout.tensor > 1:
        for block in model.h:
            plan: dict[str, ParallelStyle] = {}
            plan |= {name: ColwiseParallel() for name in _cut(block, _BY_OUTPUTS, "lora_B")}
            plan |= {name: RowwiseParallel() for name in _cut(block, _BY_INPUTS, "lora_A")}
            parallelize_module(block, ranks.mesh["tensor"], plan)
    recompute_blocks(model, checkpointing)
    if compile_with:
        compile_blocks(model, compile_with)
    mesh = ranks.mesh["replicate", "shard"]
    # Gradients are summed as wide as the parameters are. Embedding and head are gathered as wide, too: each
    # adds up many small gradients.
    policy = MixedPrecisionPolicy(dtype, model.wte.weight.dtype, cast_forward_inputs=False)
    for block in model.h:
        fully_shard(block, mesh=mesh, mp_policy=policy)
    fully_shard(model, mesh=mesh)
    for module in model.modules():
        if isinstance(module, FSDPModule):
            # The loss is divided by the weight of the whole batch, so gradients are summed.
            module.set_gradient_divide_factor(1.0)
            module.set_force_sum_reduction_for_comms(True)  # gloo can do nothing else


def _cut(block: nn.Module, names: tuple[str, ...], addition: str) -> list[str]:
    """Name matrices of a block as they are to be cut up: those with a LoRA addition, and a part of that."""
    cut = []
    for name in names:
        adapted = hasattr(block.get_submodule(name), "lora_A")
        cut += [f"{name}.base_layer", f"{name}.{addition}.default"] if adapted else [name]
    return cut


def gathered(model: Decoder) -> dict[str, Tensor]:
    """Return the decoder's tensors, each whole and on the CPU, in the first process; in others none."""
    from torch.distributed.checkpoint.state_dict import StateDictOptions, get_model_state_dict

    options = StateDictOptions(full_state_dict=True, cpu_offload=True)
    return cast(dict[str, Tensor], get_model_state_dict(model, options=options))


def sync_gradients(model: nn.Module, ranks: Ranks, now: bool) -> None:
    """Say whether the next backward pass sums gradients over the processes, as a step's last one does.

    Shards sum theirs in every pass: the gradients of earlier passes would else lie whole in each device.
    """
    from torch.distributed.fsdp import FSDPModule

    if isinstance(model, FSDPModule):
        model.set_requires_gradient_sync(now or ranks.layout.shard > 1)
        model.set_requires_all_reduce(now)


def gradient_norm(parameters: Iterable[nn.Parameter]) -> Tensor:
    """Return the Euclidean norm of all gradients, float64, each counted once however it is spread."""
    total: Tensor | None = None
    processes = dist.get_world_size() if dist.is_initialized() else 1
    for parameter in parameters:
        gradient = parameter.grad
        if gradient is None:
            continue
        copies = processes
        if isinstance(gradient, DTensor):
            for axis, placement in enumerate(gradient.placements):
                if not placement.is_replicate():
                    copies //= gradient.device_mesh.size(axis)
        local = _local(gradient)
        # By rows first, in the gradient's own type: to widen it all would cost a pass over twice the memory.
        norms = torch.linalg.vector_norm(local.reshape(-1, local.shape[-1]), dim=-1)
        square = norms.double().square().sum() / copies
        total = square if total is None else total + square
    assert total is not None, "no parameter has a gradient"
    if processes > 1:
        dist.all_reduce(total)
    return total.sqrt()


def scale_gradients(parameters: Iterable[nn.Parameter], factor: float) -> None:
    """Multiply all gradients by a factor, in place."""
    if factor < 1:
        gradients = [_local(parameter.grad) for parameter in parameters if parameter.grad is not None]
        torch._foreach_mul_(gradients, factor)


def local_tensors(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return this process's part of each tensor."""
    return {name: _local(tensor) for name, tensor in tensors.items()}


def _local(tensor: Tensor) -> Tensor:
    return tensor.to_local() if isinstance(tensor, DTensor) else tensor


def by_mesh(parameters: Iterable[nn.Parameter]) -> list[list[nn.Parameter]]:
    """Group parameters by the mesh that they are spread over; an optimizer's kernels take one at a time."""
    groups: dict[object, list[nn.Parameter]] = {}
    for parameter in parameters:
        mesh = parameter.device_mesh if isinstance(parameter, DTensor) else None
        groups.setdefault(mesh, []).append(parameter)
    return list(groups.values())
