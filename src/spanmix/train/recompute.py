"""Keep fewer activations for the backward pass, and compute the others again (arXiv 1604.06174)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch.distributed.algorithms._checkpoint.checkpoint_wrapper import checkpoint_wrapper
from torch.utils.checkpoint import CheckpointPolicy, create_selective_checkpoint_contexts

if TYPE_CHECKING:
    from spanmix.model.decoder import Decoder

_PRODUCTS = frozenset({torch.ops.aten.mm.default, torch.ops.aten.addmm.default})


def recompute_blocks(model: Decoder, kind: str) -> None:
    """Wrap the decoder's blocks, in place.

    Args:
        model: the decoder.
        kind: ``none``; ``selective``, which keeps the results of the large matrix products and computes all
            else again; ``full``, which keeps what goes into each block and computes all of it again.
    """
    if kind == "none":
        return
    arguments: dict[str, Any] = {} if kind == "full" else {"context_fn": _keep_products}
    for number, block in enumerate(model.h):
        model.h[number] = checkpoint_wrapper(block, preserve_rng_state=False, **arguments)


def _keep_products() -> Any:
    return create_selective_checkpoint_contexts(_policy)  # type: ignore[no-untyped-call]


def _policy(context: Any, operation: Any, *args: Any, **kwargs: Any) -> CheckpointPolicy:
    if operation in _PRODUCTS:
        return CheckpointPolicy.MUST_SAVE
    return CheckpointPolicy.PREFER_RECOMPUTE
