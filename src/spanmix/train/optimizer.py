"""Update the weights: AdamW or Muon, and the learning rate of each step."""

from __future__ import annotations

import math

import torch
from torch import nn

from spanmix.model.decoder import Decoder
from spanmix.train.parallel import by_mesh
from spanmix.train_configs import OptimizerConfig, ScheduleConfig


def build_optimizers(model: Decoder, config: OptimizerConfig) -> list[torch.optim.Optimizer]:
    """Build what updates a decoder's weights: AdamW for all of them, or Muon and AdamW, each for its own.

    Muon has the matrices of the blocks, and AdamW embedding, head, biases and norms. What is frozen is left
    out.
    """
    named = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
    if config.name == "adamw":
        return [_adamw([p for _, p in named], config)]
    of_muon = [p for name, p in named if _is_block_matrix(name, p)]
    rest = [p for name, p in named if not _is_block_matrix(name, p)]
    return [_muon(of_muon, config), _adamw(rest, config)]


def _is_block_matrix(name: str, parameter: nn.Parameter) -> bool:
    return name.startswith("h.") and parameter.ndim == 2


def _muon(matrices: list[nn.Parameter], config: OptimizerConfig) -> torch.optim.Muon:
    """Build PyTorch's Muon (Jordan et al., "Muon: An optimizer for hidden layers", 2024).

    A matrix is updated by its Nesterov momentum, all singular values of which five Newton-Schulz steps in
    bf16 bring near 1. Times 0.2 sqrt(longer side) that has the size of AdamW's updates, and takes AdamW's
    learning rate and weight decay (Liu et al., "Muon is scalable", arXiv 2502.16982, section 2.2).

    `qkv_proj` is one matrix to it. How its rows are grouped does not matter: permuted rows have the permuted
    update.
    """
    return torch.optim.Muon(
        matrices,
        lr=config.learning_rate,
        weight_decay=config.weight_decay,
        momentum=config.momentum,
        adjust_lr_fn="match_rms_adamw",
    )


def _adamw(parameters: list[nn.Parameter], config: OptimizerConfig) -> torch.optim.AdamW:
    """Build a fused AdamW (Loshchilov and Hutter, arXiv 1711.05101).

    Weight decay acts on matrices only: biases and norms are left alone.
    """
    matrices = by_mesh(p for p in parameters if p.ndim >= 2)
    vectors = by_mesh(p for p in parameters if p.ndim < 2)
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
