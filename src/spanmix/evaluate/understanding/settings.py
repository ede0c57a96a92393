"""What decides a fine-tuning."""

from __future__ import annotations

from dataclasses import dataclass

from spanmix.bounds import MANY, require, require_above_zero, require_from_to, require_seed


@dataclass(frozen=True)
class TuningSettings:
    """How a model is fine-tuned.

    Args:
        epochs: how often each example is learned from; the best of them by `valid` is measured.
        learning_rate: AdamW's peak, behind a linear warm-up and before a linear decay to 0.
        batch_size: texts or pairs an optimizer step.
        max_tokens: longest row; 0 takes the model's context, but no more than 512.
        weight_decay: AdamW's, on matrices only.
        warmup_share: share of the steps until the peak is reached.
        max_grad_norm: gradients are scaled down to this Euclidean norm.
        head_only: fit a linear map to the representations of the model as it is, which stays so.
        seed: decides the order of the examples, and which of them are taken.
        device: ``cpu``, ``cuda`` or ``auto`` (a GPU if there is one).
        precision: ``bf16``, ``fp32`` or ``auto`` (bf16 where the processor computes with it).
    """

    epochs: int = 3
    learning_rate: float = 1e-4
    batch_size: int = 16
    max_tokens: int = 0
    weight_decay: float = 0.01
    warmup_share: float = 0.1
    max_grad_norm: float = 1.0
    head_only: bool = False
    seed: int = 0
    device: str = "auto"
    precision: str = "auto"

    def __post_init__(self) -> None:
        require_from_to("epochs", self.epochs, 1, MANY)
        require_above_zero("learning_rate", self.learning_rate)
        require_from_to("batch_size", self.batch_size, 1, 65_536)
        require(
            self.max_tokens == 0 or self.max_tokens >= 16,
            "max_tokens",
            self.max_tokens,
            "use 16 or more, or 0 for the model's context",
        )
        require(self.weight_decay >= 0, "weight_decay", self.weight_decay, "use 0 or more")
        require(0 <= self.warmup_share <= 1, "warmup_share", self.warmup_share, "use 0 to 1")
        require_above_zero("max_grad_norm", self.max_grad_norm)
        require_seed("seed", self.seed)
        require(self.device in ("auto", "cpu", "cuda"), "device", self.device, "use auto, cpu or cuda")
        kinds = ("auto", "bf16", "fp32")
        require(self.precision in kinds, "precision", self.precision, f"use one of {', '.join(kinds)}")
