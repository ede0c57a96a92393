"""The processes of a run: how many lie along each axis of the mesh, and what they tell each other.

``torchrun`` starts them; `spanmix.train.parallel` says what the axes mean. A single process has no mesh.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar, cast

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh
from torch.distributed.distributed_c10d import PrefixStore
from torch.distributed.rendezvous import rendezvous

from spanmix.errors import InputError, SpanmixError
from spanmix.model.architecture import Architecture
from spanmix.train_configs import ParallelConfig

T = TypeVar("T")
_BACKENDS = {"cpu": "gloo", "cuda": "cpu:gloo,cuda:nccl"}
"""By device. In a run on GPUs numbers of the host are summed, too."""
_LOST = re.compile(r"gloo|Connection (closed by peer|reset|refused)|Broken pipe|NCCL", re.IGNORECASE)
"""What errors say that PyTorch raises as plain `RuntimeError`."""


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


def num_restarts() -> int:
    """Return how often ``torchrun`` has started the processes again; 0 without it."""
    return int(os.environ.get("TORCHELASTIC_RESTART_COUNT", "0"))


@contextmanager
def lost_named() -> Iterator[None]:
    """Raise in words what PyTorch raises where another process of the run is not there any more."""
    try:
        yield
    except RuntimeError as error:
        gone = isinstance(error, dist.DistError) or _LOST.search(str(error))
        if not gone or world_size() == 1:
            raise
        raise SpanmixError(
            "another process of the run ended or does not answer, so this one cannot go on; the cause stands "
            "in its own output. The same command goes on from the newest checkpoint"
        ) from error


def is_first_process() -> bool:
    """Whether this process speaks for all that ``torchrun`` started."""
    return os.environ.get("RANK", "0") == "0"


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
    store = PrefixStore(f"start_{num_restarts()}", store)
    dist.init_process_group(_BACKENDS[device], store=store, rank=rank, world_size=size)
    names = ("replicate", "shard", "tensor")
    sizes = (layout.replicate, layout.shard, layout.tensor)
    try:
        yield Ranks(layout, init_device_mesh(device, sizes, mesh_dim_names=names))
    finally:
        dist.destroy_process_group()
