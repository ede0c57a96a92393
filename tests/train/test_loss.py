"""The chunked loss is the plain one: value, gradients, and in bfloat16 no worse than PyTorch's."""

import pytest
import torch
import torch.nn.functional as F

from spanmix.train import loss as loss_module
from spanmix.train.loss import head_losses


def inputs(num: int, dim: int, vocab: int, dtype: torch.dtype, has_bias: bool = True):
    generator = torch.Generator().manual_seed(num + vocab)
    hidden = torch.randn(num, dim, generator=generator).to(dtype).requires_grad_()
    weight = (torch.randn(vocab, dim, generator=generator) * 0.3).requires_grad_()
    bias = torch.randn(vocab, generator=generator).requires_grad_() if has_bias else None
    targets = torch.randint(vocab, (num,), generator=generator)
    weights = torch.rand(num, generator=generator)
    return hidden, weight, bias, targets, weights


def plain(hidden, weight, bias, targets, weights, z_loss=0.0):
    logits = F.linear(hidden.float(), weight, bias)
    losses = F.cross_entropy(logits, targets, reduction="none")
    return ((losses + z_loss * logits.logsumexp(-1).square()) * weights).sum(), losses


@pytest.mark.parametrize("z_loss", [0.0, 1e-4, 0.3])
@pytest.mark.parametrize(("num", "vocab"), [(1, 7), (40, 512), (333, 1000)])
@pytest.mark.parametrize("has_bias", [True, False])
def test_value_and_gradients_in_fp32(has_bias, num, vocab, z_loss, monkeypatch):
    monkeypatch.setattr(loss_module, "CHUNK_BYTES", 64 * vocab * 4)  # several chunks, the last one short
    monkeypatch.setattr(loss_module, "SOFTMAX_BYTES", 16 * vocab * 4)
    ours, theirs = (inputs(num, 24, vocab, torch.float32, has_bias) for _ in range(2))
    total, losses = head_losses(*ours, z_loss)
    expected_total, expected = plain(*theirs, z_loss)
    assert torch.allclose(losses, expected, atol=1e-5)
    assert torch.allclose(total, expected_total, rtol=1e-5)
    (total * 0.5).backward()
    (expected_total * 0.5).backward()
    learned = 3 if has_bias else 2
    for mine, other in zip(ours[:learned], theirs[:learned], strict=True):
        assert torch.allclose(mine.grad, other.grad, atol=2e-5, rtol=2e-5)
    assert not losses.requires_grad


def test_bf16_is_as_close_to_the_truth_as_rounding_allows():
    hidden, weight, bias, targets, weights = inputs(256, 64, 1000, torch.bfloat16)
    total, losses = head_losses(hidden, weight, bias, targets, weights)
    truth, expected = plain(hidden, weight, bias, targets, weights)
    assert float((losses.detach() - expected.detach()).abs().max()) < 0.15  # logits of about 10 in 8 bits
    assert abs(float(total.detach() / truth.detach()) - 1) < 2e-3
    total.backward()
    assert weight.grad.dtype == torch.float32 and hidden.grad.dtype == torch.bfloat16


def test_without_gradients_only_the_losses_are_made():
    arguments = inputs(10, 8, 50, torch.float32)
    with torch.no_grad():
        total, losses = head_losses(*arguments)
    assert torch.allclose(losses, plain(*arguments)[1], atol=1e-5) and not total.requires_grad
