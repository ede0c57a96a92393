"""Rotate the first channels of queries and keys by their position, in pairs of neighbors.

This is GPT-J's "rotate every two" form of rotary embedding (RoFormer, arXiv 2104.09864): channels
2i and 2i + 1 are the two coordinates that are rotated by ``position * 10000^(-2i / rotary_dim)``.
"""

from __future__ import annotations

import torch
from torch import Tensor


def rotary_table(rotary_dim: int, num_positions: int, device: torch.device | str = "cpu") -> Tensor:
    """Return cosines and sines, float32 [num_positions, 2, rotary_dim / 2]."""
    exponents = torch.arange(0, rotary_dim, 2, dtype=torch.float32, device=device) / rotary_dim
    frequencies = 1.0 / 10000.0**exponents
    angles = torch.arange(num_positions, dtype=torch.float32, device=device)[:, None] * frequencies[None, :]
    return torch.stack((angles.cos(), angles.sin()), dim=1)


def rotate(x_BTHC: Tensor, table_BTFR: Tensor) -> Tensor:
    """Rotate the first channels of each head.

    Args:
        x_BTHC: queries or keys, any float type.
        table_BTFR: rows of `rotary_table` for each position, [B, T, 2, rotary_dim / 2].

    Returns:
        A tensor like `x_BTHC`; channels from rotary_dim on are unchanged.
    """
    num_pairs = table_BTFR.shape[-1]
    cos = table_BTFR[..., 0, :].unsqueeze(-2).to(x_BTHC.dtype)
    sin = table_BTFR[..., 1, :].unsqueeze(-2).to(x_BTHC.dtype)
    turned, kept = x_BTHC.split((2 * num_pairs, x_BTHC.shape[-1] - 2 * num_pairs), dim=-1)
    even, odd = turned[..., 0::2], turned[..., 1::2]
    rotated = torch.stack((even * cos - odd * sin, odd * cos + even * sin), dim=-1).flatten(-2)
    return torch.cat((rotated, kept), dim=-1)
