"""Put a batch on the device that computes, without letting the host wait for it.

Which positions carry loss is found here, on the host: to find it on a GPU would stop the host until the GPU
has done all that it was given. A copy from ordinary memory would, too, so arrays go to a GPU by way of pinned
memory, and in order with the work there. A million positions are some 30 MB, which take less than a
millisecond.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from spanmix.model.masks import AttentionMask
from spanmix.types import Batch


@dataclass(frozen=True)
class Placed:
    """A batch as decoder and loss take it.

    Args:
        token_ids_BT, positions_BT: int32 [B, T].
        mask: who sees whom.
        carrying_N: int64 [N], the positions that carry loss, numbered through the rows.
        targets_N: int64 [N], what they have to predict.
        weights_N: float32 [N], their loss weights, above 0.
    """

    token_ids_BT: Tensor
    positions_BT: Tensor
    mask: AttentionMask
    carrying_N: Tensor
    targets_N: Tensor
    weights_N: Tensor


def place(batch: Batch, device: torch.device) -> Placed:
    """Return a batch on a device; on a CPU the arrays are shared where they can be."""
    carrying_N = np.flatnonzero(batch.loss_weights > 0)
    targets_N = batch.targets.ravel()[carrying_N].astype(np.int64)
    weights_N = batch.loss_weights.ravel()[carrying_N]
    segments_BT, in_prefix_BT = _moved(batch.segment_ids, device), _moved(batch.in_prefix, device)
    return Placed(
        token_ids_BT=_moved(batch.token_ids, device),
        positions_BT=_moved(batch.positions, device),
        mask=AttentionMask.from_segments(segments_BT, in_prefix_BT),
        carrying_N=_moved(carrying_N, device),
        targets_N=_moved(targets_N, device),
        weights_N=_moved(weights_N, device),
    )


def _moved(array: NDArray[np.generic], device: torch.device) -> Tensor:
    tensor = torch.from_numpy(array)
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor.to(device)
