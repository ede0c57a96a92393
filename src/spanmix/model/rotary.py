"""Rotate the first channels of queries and keys by their position, in pairs of neighbors.

This is GPT-J's "rotate every two" form of rotary embedding (RoFormer, arXiv 2104.09864): channels
2i and 2i + 1 are the real and the imaginary part of a number that is turned by the angle
``position * 10000^(-2i / rotary_dim)``. The turning is done in float32, whatever the type of the model.
It is written twice: as one product of complex numbers, which takes half the time on a CPU, and in real
numbers, which a compiler fuses. Both round alike, unless a processor fuses a product with a sum.
"""

from __future__ import annotations

import torch
from torch import Tensor


def rotary_table(rotary_dim: int, positions_BT: Tensor) -> Tensor:
    """Return cosine and sine of each position's angles, float32 [B, T, rotary_dim / 2, 2].

    >>> rotary_table(2, torch.tensor([[0, 1]])).shape
    torch.Size([1, 2, 1, 2])
    """
    exponents = torch.arange(0, rotary_dim, 2, dtype=torch.float32, device=positions_BT.device) / rotary_dim
    frequencies = 1.0 / 10000.0**exponents
    angles_BTR = positions_BT[..., None].float() * frequencies
    return torch.view_as_real(torch.polar(torch.ones_like(angles_BTR), angles_BTR))


def rotate(x_BTHC: Tensor, table_BTR2: Tensor) -> Tensor:
    """Rotate the first channels of each head.

    Args:
        x_BTHC: queries or keys (or both, stacked among the heads), any float type.
        table_BTR2: a `rotary_table`, R = rotary_dim / 2; or that with more axes of length 1 behind T, if
            `x_BTHC` has more.

    Returns:
        A tensor like `x_BTHC`; channels from rotary_dim on are unchanged.
    """
    rotary_dim = 2 * table_BTR2.shape[-2]
    turned, kept = x_BTHC[..., :rotary_dim], x_BTHC[..., rotary_dim:]
    pairs = turned.float().reshape(*turned.shape[:-1], -1, 2)
    turn = _turn_in_reals if torch.compiler.is_compiling() else _turn
    rotated = turn(pairs, table_BTR2.unsqueeze(-3)).flatten(-2)
    return torch.cat((rotated.to(x_BTHC.dtype), kept), dim=-1)


def _turn(pairs: Tensor, table: Tensor) -> Tensor:
    return torch.view_as_real(torch.view_as_complex(pairs) * torch.view_as_complex(table))


def _turn_in_reals(pairs: Tensor, table: Tensor) -> Tensor:
    (a, b), (cosine, sine) = pairs.unbind(-1), table.unbind(-1)
    return torch.stack((a * cosine - b * sine, a * sine + b * cosine), dim=-1)
