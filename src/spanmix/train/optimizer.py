"""Update the weights: AdamW, and the learning rate of each step."""

from __future__ import annotations

import math

import torch
from torch import nn

from spanmix.config import OptimizerConfig, ScheduleConfig


def build_adamw(model: nn.Module, config: OptimizerConfig) -> torch.optim.AdamW:
    """Build a fused AdamW (Loshchilov and Hutter, arXiv 1711.05101).

    Weight decay acts on matrices only: biases and norms are left alone.
    """
    matrices = [p for p in model.parameters() if p.ndim >= 2]
    vectors = [p for p in model.parameters() if p.ndim < 2]
    groups = [
        {"params": matrices, "weight_decay": config.weight_decay},
        {"params": vectors, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(
        groups,
        lr=config.learning_rate,
        betas=(config.beta1, config.beta2),
        eps=config.epsilon,
        fused=True,
    )


def learning_rate(step: int, num_steps: int, peak: float, schedule: ScheduleConfig) -> float:
    """Return the learning rate of a step, 0 <= step < num_steps.

    Linear from 0 over `warmup_steps`, then half a cosine down to `final_ratio` of the peak, as the
    paper's predecessors were trained (arXiv 2203.13474, table 5; Brown et al., arXiv 2005.14165).

    >>> schedule = ScheduleConfig(warmup_steps=2, final_ratio=0.1)
    >>> [round(learning_rate(step, 6, 1.0, schedule), 3) for step in range(6)]
    [0.5, 1.0, 1.0, 0.775, 0.325, 0.1]
    """
    if step < schedule.warmup_steps:
        return peak * (step + 1) / schedule.warmup_steps
    length = max(1, num_steps - 1 - schedule.warmup_steps)
    progress = min(1.0, (step - schedule.warmup_steps) / length)
    low = peak * schedule.final_ratio
    return low + (peak - low) * (1 + math.cos(math.pi * progress)) / 2
