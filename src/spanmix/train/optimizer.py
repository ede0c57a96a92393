"""Update the weights: AdamW, and the learning rate of each step."""

from __future__ import annotations

import math

import torch
from torch import nn

from spanmix.train.parallel import by_mesh
from spanmix.train_configs import OptimizerConfig, ScheduleConfig


def build_adamw(model: nn.Module, config: OptimizerConfig) -> torch.optim.AdamW:
    """Build a fused AdamW (Loshchilov and Hutter, arXiv 1711.05101).

    Weight decay acts on matrices only: biases and norms are left alone. What is frozen is left out.
    """
    trained = [p for p in model.parameters() if p.requires_grad]
    matrices = by_mesh(p for p in trained if p.ndim >= 2)
    vectors = by_mesh(p for p in trained if p.ndim < 2)
    groups = [{"params": group, "weight_decay": config.weight_decay} for group in matrices]
    groups += [{"params": group, "weight_decay": 0.0} for group in vectors]
    return torch.optim.AdamW(
        groups,
        lr=config.learning_rate,
        betas=(config.beta1, config.beta2),
        eps=config.epsilon,
        fused=True,
    )


def learning_rate(step: int, num_steps: int, peak: float, schedule: ScheduleConfig) -> float:
    """Return the learning rate of a step, 0 <= step < num_steps.

    Linear from 0 over `warmup_steps`. Then, with ``cosine``, half a cosine down to `final_ratio` of the peak
    and constant from there, as the paper's predecessors were trained (arXiv 2203.13474, table 5; jaxformer,
    whose decay takes 300,000 of 350,000 steps). With ``wsd`` the peak, and a linear decay that ends with the
    last step (Hu et al., MiniCPM, arXiv 2404.06395).

    >>> cosine = ScheduleConfig(warmup_steps=2, final_ratio=0.1)
    >>> [round(learning_rate(step, 6, 1.0, cosine), 3) for step in range(6)]
    [0.5, 1.0, 1.0, 0.775, 0.325, 0.1]
    >>> wsd = ScheduleConfig(warmup_steps=2, final_ratio=0.1, shape="wsd", decay_steps=3)
    >>> [round(learning_rate(step, 8, 1.0, wsd), 3) for step in range(8)]
    [0.5, 1.0, 1.0, 1.0, 1.0, 0.7, 0.4, 0.1]
    """
    if step < schedule.warmup_steps:
        return peak * (step + 1) / schedule.warmup_steps
    low = peak * schedule.final_ratio
    if schedule.shape == "wsd":
        length = schedule.decay_steps or max(1, num_steps // 10)
        return low + (peak - low) * min(1.0, (num_steps - 1 - step) / length)
    length = schedule.decay_steps or max(1, num_steps - 1 - schedule.warmup_steps)
    progress = min(1.0, (step - schedule.warmup_steps) / length)
    return low + (peak - low) * (1 + math.cos(math.pi * progress)) / 2
