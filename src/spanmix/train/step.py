"""Make one optimizer step: forward and backward by micro-batches, clip, update."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from spanmix.config import OptimizerConfig
from spanmix.errors import SpanmixError
from spanmix.model.decoder import Decoder
from spanmix.model.finite import first_not_finite
from spanmix.model.masks import AttentionMask
from spanmix.train.loss import head_losses
from spanmix.train.parallel import (
    Layout,
    Ranks,
    gradient_norm,
    local_tensors,
    scale_gradients,
    sync_gradients,
)
from spanmix.types import Batch, Segment

WAY_OUT = (
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


class NotFiniteError(SpanmixError):
    """The loss or the gradients of a batch are not finite; nothing has been updated."""

    def __init__(self, batch: Batch, losses: StepLosses) -> None:
        self.batch = batch
        self.losses = losses
        super().__init__(f"{self.finding} in {self.rows}; nothing was updated. {WAY_OUT}")

    @property
    def finding(self) -> str:
        """What is not finite."""
        return f"the loss is {self.losses.mean} and the gradient norm {self.losses.grad_norm}"

    @property
    def rows(self) -> str:
        """The rows of the batch, by their numbers in the run."""
        return f"rows {self.batch.first_row} to {self.batch.first_row + self.batch.num_rows - 1}"

    @property
    def segments(self) -> Sequence[Segment]:
        """The examples whose own loss is not finite; all, if each has a finite one."""
        sums = zip(self.losses.segments, self.losses.sums, strict=True)
        return [segment for segment, loss in sums if not math.isfinite(loss)] or self.losses.segments


class TrainStep:
    """Computes gradients of a batch and applies them.

    Args:
        model: the decoder.
        optimizer: updates its parameters.
        dtype: what forward and backward compute in.
        micro_batch_rows: rows that go through the decoder at once; 0 means all that a process has.
        config: for the norm that gradients are scaled down to, and the z-loss.
        ranks: the processes of the run, which share the rows of each batch.
    """

    def __init__(
        self,
        model: Decoder,
        optimizer: torch.optim.Optimizer,
        dtype: torch.dtype,
        micro_batch_rows: int,
        config: OptimizerConfig,
        ranks: Ranks | None = None,
    ) -> None:
        self.model = model
        self.optimizer = optimizer
        self.dtype = dtype
        self.micro_batch_rows = micro_batch_rows
        self.config = config
        self.ranks = ranks or Ranks(Layout())

    def __call__(self, batch: Batch, learning_rate: float) -> StepLosses:
        """Train on a global batch; the loss is divided by its whole weight, however it is cut up.

        Raises:
            NotFiniteError: loss or gradients are not finite; nothing has been updated, and the next batch
                may be trained on.
            SpanmixError: no token of the batch carries loss.
        """
        total_weight = float(batch.loss_weights.sum(dtype="float64"))
        if not total_weight:
            last = batch.first_row + batch.num_rows - 1
            raise SpanmixError(
                f"no token of rows {batch.first_row} to {last} carries loss: all of it is read and not "
                "predicted; mix in another objective or take more data.global_batch_rows"
            )
        sums = self._backward(batch, total_weight)
        weights = _by_segment(torch.from_numpy(batch.loss_weights), batch)
        norm = gradient_norm(self.model.parameters())
        losses = StepLosses(batch.segments, sums, weights, float(norm))
        if not math.isfinite(losses.mean) or not math.isfinite(losses.grad_norm):
            self.optimizer.zero_grad()
            raise NotFiniteError(batch, losses)
        scale_gradients(self.model.parameters(), min(1.0, self.config.max_grad_norm / (float(norm) + 1e-6)))
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate
        self.optimizer.step()
        self.optimizer.zero_grad()
        return losses

    def require_finite_weights(self, step: int) -> None:
        """Raise `SpanmixError` if the update of a step made a weight NaN or infinite."""
        bad = first_not_finite(local_tensors(self.model.state_dict()))
        if self.ranks.any(bad is not None):
            raise SpanmixError(
                f"the update of step {step} made the tensor {bad or 'of another process'} NaN or infinite; "
                f"neither a checkpoint nor a model was written of it. {WAY_OUT}"
            )

    def _backward(self, batch: Batch, total_weight: float) -> list[float]:
        """Add up the gradients of this process's rows, and return the loss of every segment of the batch."""
        share = self.ranks.share(batch.num_rows)
        own = batch.rows(share.start, share.stop)
        rows = self.micro_batch_rows or own.num_rows
        sums: list[float] = []
        for start in range(0, own.num_rows, rows):
            part = own.rows(start, min(start + rows, own.num_rows))
            sync_gradients(self.model, start + rows >= own.num_rows)
            loss, losses_BT = batch_losses(self.model, part, self.dtype, self.config.z_loss)
            (loss / total_weight).backward()  # type: ignore[no-untyped-call]
            sums += _by_segment(losses_BT, part)
        before = sum(segment.row < share.start for segment in batch.segments)
        all_sums = torch.zeros(len(batch.segments), dtype=torch.float64, device=loss.device)
        all_sums[before : before + len(sums)] = torch.tensor(sums, dtype=torch.float64)
        values: list[float] = self.ranks.sum_over_rows(all_sums).tolist()
        return values


def batch_losses(
    model: Decoder, batch: Batch, dtype: torch.dtype, z_loss: float = 0
) -> tuple[Tensor, Tensor]:
    """Return (sum of weighted losses, [B, T] weighted cross-entropy of each position in float32 or wider).

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
    losses_BT = torch.zeros_like(weights_BT, dtype=losses_N.dtype)
    losses_BT[carried_BT] = losses_N * weights_N
    return loss, losses_BT


def _by_segment(values_BT: Tensor, batch: Batch) -> list[float]:
    values = values_BT.double().cpu()
    return [float(values[s.row, s.start : s.start + s.length].sum()) for s in batch.segments]
