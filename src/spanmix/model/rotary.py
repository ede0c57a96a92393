"""Rotate the first channels of queries and keys by their position, in pairs of neighbors.

This is GPT-J's "rotate every two" form of rotary embedding (RoFormer, arXiv 2104.09864): channels
2i and 2i + 1 are the real and the imaginary part of a number that is turned by the angle
``position * 10000^(-2i / rotary_dim)``. The turning is done in float32, whatever the type of the model.
"""

from __future__ import annotations

import torch
from torch import Tensor


def rotary_table(rotary_dim: int, num_positions: int, device: torch.device | str = "cpu") -> Tensor:
    """Return the unit complex numbers to multiply by, complex64 [num_positions, rotary_dim / 2]."""
    exponents = torch.arange(0, rotary_dim, 2, dtype=torch.float32, device=device) / rotary_dim
    frequencies = 1.0 / 10000.0**exponents
    angles = torch.arange(num_positions, dtype=torch.float32, device=device)[:, None] * frequencies[None, :]
    return torch.polar(torch.ones_like(angles), angles)


def rotate(x_BTHC: Tensor, table_BTR: Tensor) -> Tensor:
    """Rotate the first channels of each head.

    Args:
        x_BTHC: queries or keys (or both, stacked among the heads), any float type.
        table_BTR: rows of `rotary_table` for each position, R = rotary_dim / 2; or that with more axes of
            length 1 behind T, if `x_BTHC` has more.

    Returns:
        A tensor like `x_BTHC`; channels from rotary_dim on are unchanged.
    """
    rotary_dim = 2 * table_BTR.shape[-1]
    turned, kept = x_BTHC[..., :rotary_dim], x_BTHC[..., rotary_dim:]
    pairs = torch.view_as_complex(turned.float().reshape(*turned.shape[:-1], -1, 2))
    rotated = torch.view_as_real(pairs * table_BTR.unsqueeze(-2)).flatten(-2)
    return torch.cat((rotated.to(x_BTHC.dtype), kept), dim=-1)
