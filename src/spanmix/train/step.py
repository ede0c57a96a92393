"""Make one optimizer step: forward and backward by micro-batches, clip, update."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from spanmix.errors import SpanmixError
from spanmix.model.decoder import Decoder
from spanmix.model.finite import first_not_finite
from spanmix.train.loss import head_losses
from spanmix.train.parallel import gradient_norm, local_tensors, scale_gradients, sync_gradients
from spanmix.train.placed import place
from spanmix.train.ranks import Layout, Ranks
from spanmix.train_configs import OptimizerConfig
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
        optimizers: update its parameters, each those of its own.
        dtype: what forward and backward compute in.
        micro_batch_rows: rows that go through the decoder at once; 0 means all that a process has.
        config: for the norm that gradients are scaled down to, and the z-loss.
        ranks: the processes of the run, which share the rows of each batch.
    """

    def __init__(
        self,
        model: Decoder,
        optimizers: Sequence[torch.optim.Optimizer],
        dtype: torch.dtype,
        micro_batch_rows: int,
        config: OptimizerConfig,
        ranks: Ranks | None = None,
    ) -> None:
        self.model = model
        self.optimizers = optimizers
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
        losses_BT = self._backward(batch, total_weight)
        sums, norm = self._fetch(batch, losses_BT, gradient_norm(self.model.parameters()))
        weights = _by_segment(torch.from_numpy(batch.loss_weights).double(), batch)
        losses = StepLosses(batch.segments, sums, weights, norm)
        if not math.isfinite(losses.mean) or not math.isfinite(losses.grad_norm):
            self.model.zero_grad()
            raise NotFiniteError(batch, losses)
        scale_gradients(self.model.parameters(), min(1.0, self.config.max_grad_norm / (norm + 1e-6)))
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = learning_rate
            optimizer.step()
        self.model.zero_grad()
        return losses

    def require_finite_weights(self, step: int) -> None:
        """Raise `SpanmixError` if the update of a step made a weight NaN or infinite."""
        bad = first_not_finite(local_tensors(self.model.state_dict()))
        if self.ranks.any(bad is not None):
            raise SpanmixError(
                f"the update of step {step} made the tensor {bad or 'of another process'} NaN or infinite; "
                f"neither a checkpoint nor a model was written of it. {WAY_OUT}"
            )

    def _backward(self, batch: Batch, total_weight: float) -> Tensor:
        """Add up the gradients of this process's rows; return their weighted losses, float64 [B, T]."""
        own = self._own(batch)
        rows = self.micro_batch_rows or own.num_rows
        losses_BT: list[Tensor] = []
        for start in range(0, own.num_rows, rows):
            part = own.rows(start, min(start + rows, own.num_rows))
            sync_gradients(self.model, self.ranks, start + rows >= own.num_rows)
            loss, part_BT = batch_losses(self.model, part, self.dtype, self.config.z_loss)
            (loss / total_weight).backward()  # type: ignore[no-untyped-call]
            losses_BT.append(part_BT.double())
        return torch.cat(losses_BT)

    def _fetch(self, batch: Batch, losses_BT: Tensor, norm: Tensor) -> tuple[list[float], float]:
        """Return the loss of every segment of the batch, and the norm of the gradients.

        Nothing else of a step reads from the device, so here alone does the host wait for a GPU.
        """
        values = torch.cat((losses_BT.flatten(), norm[None])).cpu()
        sums = _by_segment(values[:-1].view(losses_BT.shape), self._own(batch))
        before = sum(segment.row < self.ranks.share(batch.num_rows).start for segment in batch.segments)
        all_sums = torch.zeros(len(batch.segments), dtype=torch.float64)
        all_sums[before : before + len(sums)] = torch.tensor(sums, dtype=torch.float64)
        return self.ranks.sum_over_rows(all_sums).tolist(), float(values[-1])

    def _own(self, batch: Batch) -> Batch:
        """Return the rows of a batch that this process takes."""
        share = self.ranks.share(batch.num_rows)
        return batch.rows(share.start, share.stop)


def batch_losses(
    model: Decoder, batch: Batch, dtype: torch.dtype, z_loss: float = 0
) -> tuple[Tensor, Tensor]:
    """Return (sum of weighted losses, [B, T] weighted cross-entropy of each position in float32 or wider).

    Only positions that carry loss go through the head.
    """
    placed = place(batch, model.wte.weight.device)
    hidden_BTD = model(placed.token_ids_BT, placed.positions_BT, placed.mask, dtype=dtype)
    hidden_ND = hidden_BTD.flatten(0, 1).index_select(0, placed.carrying_N)
    loss, losses_N = head_losses(
        hidden_ND, model.head.weight, model.head.bias, placed.targets_N, placed.weights_N, z_loss
    )
    losses_BT = losses_N.new_zeros(batch.token_ids.shape)
    losses_BT.view(-1).index_copy_(0, placed.carrying_N, losses_N * placed.weights_N)
    return loss, losses_BT


def _by_segment(values_BT: Tensor, batch: Batch) -> list[float]:
    """Sum float64 values over every segment of a batch."""
    return [float(values_BT[s.row, s.start : s.start + s.length].sum()) for s in batch.segments]
