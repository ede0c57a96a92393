"""Make one optimizer step: forward and backward by micro-batches, clip, update."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from spanmix.config import OptimizerConfig
from spanmix.errors import SpanmixError
from spanmix.model.decoder import Decoder
from spanmix.model.finite import first_not_finite
from spanmix.model.masks import AttentionMask
from spanmix.train.loss import head_losses
from spanmix.types import Batch, Segment

_WAY_OUT = (
    "Start a run with another --out and a lower optimizer.learning_rate, or with run.precision=fp32 if it "
    "was bf16; with the same --out such a change would be refused"
)


@dataclass(frozen=True)
class StepLosses:
    """What a step measured.

    Args:
        segments: the examples of the batch.
        sums: per example, the sum of its weighted cross-entropies in nats.
        weights: per example, the sum of its loss weights.
        grad_norm: of all gradients together, before clipping.
    """

    segments: tuple[Segment, ...]
    sums: list[float]
    weights: list[float]
    grad_norm: float

    @property
    def mean(self) -> float:
        """Cross-entropy of the batch in nats per token."""
        return sum(self.sums) / sum(self.weights)


class TrainStep:
    """Computes gradients of a batch and applies them.

    Args:
        model: the decoder.
        optimizer: updates its parameters.
        dtype: what forward and backward compute in.
        micro_batch_rows: rows that go through the decoder at once; 0 means all.
        config: for the norm that gradients are scaled down to, and the z-loss.
    """

    def __init__(
        self,
        model: Decoder,
        optimizer: torch.optim.Optimizer,
        dtype: torch.dtype,
        micro_batch_rows: int,
        config: OptimizerConfig,
    ) -> None:
        self.model = model
        self.optimizer = optimizer
        self.dtype = dtype
        self.micro_batch_rows = micro_batch_rows
        self.config = config

    def __call__(self, batch: Batch, learning_rate: float) -> StepLosses:
        """Train on a batch; the loss is divided by the batch's whole weight, however it is cut up.

        Raises:
            SpanmixError: loss or gradients are not finite; nothing has been updated.
        """
        rows = self.micro_batch_rows or batch.num_rows
        total_weight = float(batch.loss_weights.sum(dtype="float64"))
        if not total_weight:
            last = batch.first_row + batch.num_rows - 1
            raise SpanmixError(
                f"no token of rows {batch.first_row} to {last} carries loss: all of it is read and not "
                "predicted; mix in another objective or take more data.global_batch_rows"
            )
        sums: list[float] = []
        weights: list[float] = []
        for start in range(0, batch.num_rows, rows):
            part = batch.rows(start, min(start + rows, batch.num_rows))
            loss, losses_BT = batch_losses(self.model, part, self.dtype, self.config.z_loss)
            (loss / total_weight).backward()  # type: ignore[no-untyped-call]
            sums += _by_segment(losses_BT, part)
            weights += _by_segment(torch.from_numpy(part.loss_weights), part)
        norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.config.max_grad_norm)
        losses = StepLosses(batch.segments, sums, weights, float(norm))
        self._require_finite(losses, batch)
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate
        self.optimizer.step()
        self.optimizer.zero_grad()
        return losses

    def _require_finite(self, losses: StepLosses, batch: Batch) -> None:
        if torch.isfinite(torch.tensor([losses.mean, losses.grad_norm])).all():
            return
        last = batch.first_row + batch.num_rows - 1
        documents = sorted({(s.ref.source, s.ref.document) for s in batch.segments})
        raise SpanmixError(
            f"the loss is {losses.mean} and the gradient norm {losses.grad_norm} in rows "
            f"{batch.first_row} to {last}; nothing was updated. Documents in the batch (source, number): "
            f"{documents[:20]}. {_WAY_OUT}"
        )


def require_finite_weights(model: Decoder, step: int) -> None:
    """Raise `SpanmixError` if the update of a step made a weight NaN or infinite."""
    if bad := first_not_finite(model.state_dict()):
        raise SpanmixError(
            f"the update of step {step} made the tensor {bad} NaN or infinite; neither a checkpoint nor a "
            f"model was written of it. {_WAY_OUT}"
        )


def batch_losses(
    model: Decoder, batch: Batch, dtype: torch.dtype, z_loss: float = 0
) -> tuple[Tensor, Tensor]:
    """Return (sum of weighted losses, float32 [B, T] weighted cross-entropy of each position).

    Only positions that carry loss go through the head.
    """
    device = model.wte.weight.device
    token_ids_BT = torch.from_numpy(batch.token_ids).to(device)
    positions_BT = torch.from_numpy(batch.positions).to(device)
    weights_BT = torch.from_numpy(batch.loss_weights).to(device)
    segment_ids_BT = torch.from_numpy(batch.segment_ids).to(device)
    mask = AttentionMask.from_segments(segment_ids_BT, torch.from_numpy(batch.in_prefix).to(device))
    hidden_BTD = model(token_ids_BT, positions_BT, mask, dtype=dtype)
    carried_BT = weights_BT > 0
    weights_N = weights_BT[carried_BT]
    targets_N = torch.from_numpy(batch.targets).to(device)[carried_BT].long()
    loss, losses_N = head_losses(
        hidden_BTD[carried_BT], model.head.weight, model.head.bias, targets_N, weights_N, z_loss
    )
    losses_BT = torch.zeros_like(weights_BT)
    losses_BT[carried_BT] = losses_N * weights_N
    return loss, losses_BT


def _by_segment(values_BT: Tensor, batch: Batch) -> list[float]:
    values = values_BT.double().cpu()
    return [float(values[s.row, s.start : s.start + s.length].sum()) for s in batch.segments]
