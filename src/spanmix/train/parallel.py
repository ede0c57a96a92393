"""Spread a run over processes: replicas, sharded weights (FSDP2), and matrices cut among processes.

This file is the whole plan of what each process holds. The mesh has three axes::

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

from collections.abc import Iterable, Mapping
from typing import cast

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.tensor import DTensor

from spanmix.model.decoder import Decoder
from spanmix.train.compiled import compile_blocks
from spanmix.train.ranks import Ranks
from spanmix.train.recompute import recompute_blocks

_BY_OUTPUTS = ("attn.qkv_proj", "mlp.fc_gate", "mlp.fc_in")
_BY_INPUTS = ("attn.out_proj", "mlp.fc_out")


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
    """Name matrices of a block as they are to be cut up: those with a LoRA addition, and a part of that.

    Not every form of block has each of `names`.
    """
    cut = []
    there = {name for name, _ in block.named_modules()}
    for name in (name for name in names if name in there):
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
