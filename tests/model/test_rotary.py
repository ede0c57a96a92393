"""Turning queries and keys, in complex numbers and in real ones."""

import math

import pytest
import torch

from spanmix.model import rotary
from spanmix.model.rotary import rotary_table, rotate


def turned(monkeypatch, turn, x_BTHC, table_BTR2, upstream):
    monkeypatch.setattr(rotary, "_turn", turn)
    x_BTHC = x_BTHC.clone().requires_grad_()
    out = rotate(x_BTHC, table_BTR2)
    out.backward(upstream)
    return out.detach(), x_BTHC.grad


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
@pytest.mark.parametrize(("rotary_dim", "head_dim"), [(2, 16), (32, 64), (64, 64), (64, 128)])
def test_what_is_compiled_and_what_is_not_are_the_same(dtype, rotary_dim, head_dim, monkeypatch):
    """Forward and backward, but for the last bit of float32."""
    generator = torch.Generator().manual_seed(head_dim)
    x, upstream = torch.randn(2, 3, 129, 5, head_dim, generator=generator).to(dtype)
    table = rotary_table(rotary_dim, torch.randint(0, 8192, (3, 129), generator=generator))
    complex_form = turned(monkeypatch, rotary._turn, x, table, upstream)
    real_form = turned(monkeypatch, rotary._turn_in_reals, x, table, upstream)
    for ours, theirs in zip(complex_form, real_form, strict=True):
        differ = (ours != theirs).float().mean()
        assert torch.allclose(ours, theirs, rtol=2**-6 if dtype == torch.bfloat16 else 1e-6, atol=1e-6)
        assert dtype == torch.float32 or differ < 1e-3
    assert not torch.equal(complex_form[0], x)


def test_pairs_of_neighbors_turn_by_the_angle_of_their_position():
    positions = torch.tensor([[0, 1, 7]])
    x = torch.randn(1, 3, 1, 8, generator=torch.Generator().manual_seed(1))
    out = rotate(x, rotary_table(4, positions))
    assert torch.equal(out[..., 4:], x[..., 4:]) and torch.equal(out[:, 0], x[:, 0])
    for place, position in enumerate(positions[0].tolist()):
        for pair in range(2):
            angle = position * 10000 ** (-2 * pair / 4)
            a, b = x[0, place, 0, 2 * pair : 2 * pair + 2].tolist()
            expected = a * math.cos(angle) - b * math.sin(angle), a * math.sin(angle) + b * math.cos(angle)
            assert out[0, place, 0, 2 * pair : 2 * pair + 2].tolist() == pytest.approx(expected, abs=1e-5)
