"""Is what a GPU computes right? The checks of ``gpu.py``; each returns figures, and whether it passed."""

from __future__ import annotations

import warnings
from typing import Any

import torch

from gpu_sides import Setting, batches, packed_rows
from spanmix.model.architecture import Architecture
from spanmix.model.attention import attend, attend_by_blocks_of_the_mask
from spanmix.model.decoder import Decoder
from spanmix.model.masks import AttentionMask
from spanmix.train import fused_softmax
from spanmix.train import loss as loss_module
from spanmix.train.optimizer import build_optimizers
from spanmix.train.parallel import spread
from spanmix.train.ranks import Layout, Ranks
from spanmix.train.step import TrainStep
from spanmix.train_configs import OptimizerConfig

TINY = Architecture(4, 256, 4, 32, 256, 2048)
CASES = (
    # channels of a head, positions, precision, prefixes
    (64, 600, torch.bfloat16, False),
    (64, 512, torch.float32, True),
    (128, 1024, torch.bfloat16, True),
    (128, 384, torch.float32, False),
    (256, 512, torch.bfloat16, False),
)
TOLERANCE = {torch.bfloat16: 1e-2, torch.float32: 1e-4}


def attention(device: str) -> dict[str, Any]:
    """Compare the device's kernel, forward and backward, with a dense one in float64."""
    found = {}
    for channels, tokens, dtype, prefixes in CASES:
        batch = packed_rows(TINY, 2, tokens, channels)
        segments_BT = torch.from_numpy(batch.segment_ids).to(device)
        ends = segments_BT % 2 * 50 if prefixes else torch.zeros_like(segments_BT)
        mask = AttentionMask.from_segments(segments_BT, torch.from_numpy(batch.positions).to(device) < ends)
        generator = torch.Generator().manual_seed(tokens)
        q, k, v, upstream = torch.randn(4, 2, 4, tokens, channels, generator=generator).to(device, dtype)
        inputs = [x.clone().requires_grad_() for x in (q, k, v)]
        wide = [x.double().requires_grad_() for x in (q, k, v)]
        out, expected = attend(*inputs, mask), dense(*wide, mask)
        out.backward(upstream)
        expected.backward(upstream.double())
        errors = [error(out, expected)]
        errors += [error(a.grad, b.grad) for a, b in zip(inputs, wide, strict=True)]
        if device == "cpu":  # where FlexAttention is not what is taken, and has no backward
            errors.append(error(attend_by_blocks_of_the_mask(q, k, v, mask), expected))
        name = f"{channels} channels, {tokens} positions, {dtype}, prefixes {prefixes}"
        found[name] = {"errors": errors, "passed": max(errors) < TOLERANCE[dtype]}
    return found


def dense(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, mask: AttentionMask) -> torch.Tensor:
    """Attend with all scores in memory."""
    scores = q @ k.transpose(-1, -2) / q.shape[-1] ** 0.5
    return scores.masked_fill(~mask.allowed_BTS[:, None], float("-inf")).softmax(-1) @ v


def error(found: torch.Tensor | None, expected: torch.Tensor | None) -> float:
    """Return the norm of the difference over that of what is expected; not a number never passes."""
    assert found is not None and expected is not None
    wide = expected.detach().double()
    return float((found.detach().double() - wide).norm() / wide.norm())


def softmax(device: str) -> dict[str, Any]:
    """Compare the head's softmax, as a GPU has it, with that of a CPU."""
    found = {}
    for dtype in (torch.float32, torch.bfloat16):
        generator = torch.Generator().manual_seed(1)
        logits = (3 * torch.randn(200, 5000, generator=generator)).to(dtype)
        bias = torch.randn(5000, generator=generator)
        targets, weights = torch.randint(5000, (200,), generator=generator), torch.rand(200)
        arguments = logits.clone(), bias, torch.zeros(5000), targets, weights
        losses, log_z = loss_module._softmax_in_place(*arguments, 1e-4)
        expected = losses, log_z, *arguments[::2][:2]
        arguments = tuple(x.to(device) for x in (logits, bias, torch.zeros(5000), targets, weights))
        called = fused_softmax.compiled() if device == "cuda" else fused_softmax.softmax_in_place
        losses, log_z = called(*arguments, 1e-4)
        errors = [
            error(a.cpu(), b) for a, b in zip((losses, log_z, *arguments[::2][:2]), expected, strict=True)
        ]
        found[str(dtype)] = {"errors": errors, "passed": max(errors) < TOLERANCE[dtype]}
    return found


def curves(device: str, num_steps: int = 20) -> dict[str, Any]:
    """Train a tiny decoder: on the CPU in float32, and on the device; the same again has to give the same."""
    reference, _ = train("cpu", torch.float32, False, num_steps)
    found: dict[str, Any] = {"cpu, float32": reference}
    compiles = (True, False) if device == "cuda" else (False,)
    for dtype, tolerance in ((torch.float32, 2e-3), (torch.bfloat16, 2e-2)):
        for compiled in compiles:
            losses, _ = train(device, dtype, compiled, num_steps)
            apart = max(abs(a / b - 1) for a, b in zip(losses, reference, strict=True))
            key = f"{device}, {dtype}, {'compiled' if compiled else 'as it is'}"
            found[key] = {"losses": losses, "largest_difference": apart, "passed": apart < tolerance}
    first, weights = train(device, torch.bfloat16, compiles[0], 6)
    second, again = train(device, torch.bfloat16, compiles[0], 6)
    same = first == second and all(torch.equal(weights[name], again[name]) for name in weights)
    found["the same bits again"] = {"passed": same}
    return found


def train(
    device: str, dtype: torch.dtype, compiled: bool, num_steps: int
) -> tuple[list[float], dict[str, torch.Tensor]]:
    """Return the losses of some steps, and the weights after them."""
    setting = Setting(TINY, 4, 2, 256, device)
    model = Decoder(TINY, seed=1).to(device)
    spread(model, Ranks(Layout()), "none", dtype, "inductor" if compiled else None)
    config = OptimizerConfig(learning_rate=1e-3)
    step = TrainStep(model, build_optimizers(model, config), dtype, setting.micro_rows, config)
    given = batches(setting)
    losses = [step(given[number % len(given)], 1e-3).mean for number in range(num_steps)]
    return losses, {name: tensor.cpu() for name, tensor in model.state_dict().items()}


def waits(step: Any) -> dict[str, Any]:
    """Count how often the host waits for the GPU in a step."""
    torch.cuda.set_sync_debug_mode("warn")
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            step(0)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    where = [f"{w.filename}:{w.lineno}" for w in caught if "synchroniz" in str(w.message)]
    return {"waits": len(where), "where": where[:20], "passed": len(where) <= 2}
