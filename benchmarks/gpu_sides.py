"""What ``gpu.py`` times: Spanmix's step in several settings, and transformers' models in a plain loop."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from spanmix.model.architecture import Architecture
from spanmix.model.decoder import Decoder
from spanmix.train.float8 import use_float8
from spanmix.train.optimizer import build_optimizers
from spanmix.train.parallel import spread
from spanmix.train.ranks import Layout, Ranks
from spanmix.train.step import TrainStep
from spanmix.train_configs import OptimizerConfig
from spanmix.types import Batch, DocumentRef, Segment
from transformers_sides import gptj

MEDIAN_TOKENS, SPREAD = 700, 1.2
"""Of the documents: log-normal, as files of source code are."""
RATE = 1e-4

Step = Callable[[int], float]
"""Makes the step of a number, and returns its loss."""


@dataclass(frozen=True)
class Setting:
    """What a side trains.

    Args:
        shape: of the decoder.
        rows: of a step.
        micro_rows: of these, how many at once.
        row_tokens: positions of a row.
        device: ``cuda`` or ``cpu``.
    """

    shape: Architecture
    rows: int
    micro_rows: int
    row_tokens: int
    device: str


def packed_rows(shape: Architecture, rows: int, row_tokens: int, number: int) -> Batch:
    """Return rows that are full of documents of random tokens; the last of a row is cut at its end."""
    random = np.random.default_rng(number)
    ids = random.integers(0, shape.vocab_size, (rows, row_tokens + 1), dtype=np.int32)
    segment_ids = np.zeros((rows, row_tokens), np.int32)
    positions = np.zeros((rows, row_tokens), np.int32)
    segments: list[Segment] = []
    for row in range(rows):
        start = 0
        while start < row_tokens:
            length = int(random.lognormal(np.log(MEDIAN_TOKENS * row_tokens / 2048), SPREAD)) + 1
            stop = min(start + length, row_tokens)
            segment_ids[row, start:stop] = segment_ids[row, start - 1] + 1 if start else 1
            positions[row, start:stop] = np.arange(stop - start)
            segments.append(Segment(row, start, stop - start, 0, 0, DocumentRef(0, len(segments), 0, 0)))
            start = stop
    inputs, targets = ids[:, :-1].copy(), ids[:, 1:].copy()
    ones = np.ones((rows, row_tokens), np.float32)
    in_prefix = np.zeros((rows, row_tokens), bool)
    return Batch(inputs, targets, ones, segment_ids, positions, in_prefix, tuple(segments), 0)


def flops(shape: Architecture, batch: Batch) -> int:
    """Return the operations that a step on a batch needs, as MFU counts them."""
    pairs = sum(s.length * (s.length + 1) // 2 for s in batch.segments)
    return shape.training_flops(batch.token_ids.size, pairs)


def batches(setting: Setting) -> list[Batch]:
    """Return the batches that the steps cycle through."""
    return [packed_rows(setting.shape, setting.rows, setting.row_tokens, number) for number in range(3)]


def ours(
    setting: Setting, precision: str = "bf16", compiled: bool = True, checkpointing: str = "none"
) -> Step:
    """Return Spanmix's step."""
    torch.manual_seed(0)
    with torch.device(setting.device):  # drawn there, which is faster than `initialize`
        model = Decoder(setting.shape)
    for name, parameter in model.named_parameters():
        if parameter.ndim == 2:
            torch.nn.init.normal_(parameter, std=0.02)
        else:
            torch.nn.init.constant_(parameter, 0.0 if name.endswith("bias") else 1.0)
    if precision == "float8":
        use_float8(model, emulate=setting.device == "cpu")
    dtype = torch.float32 if precision == "fp32" else torch.bfloat16
    compiler = "inductor" if compiled and setting.device == "cuda" else None
    spread(model, Ranks(Layout()), checkpointing, dtype, compiler)
    config = OptimizerConfig(learning_rate=RATE)
    step = TrainStep(model, build_optimizers(model, config), dtype, setting.micro_rows, config)
    given = batches(setting)
    return lambda number: step(given[number % len(given)], RATE).mean


def peer(setting: Setting, name: str, compiled: bool = True) -> Step:
    """Return the step of a plain loop around one of transformers' models.

    bf16 autocast on float32 weights, fused AdamW, the gradient clipped. Rows are full for it: like its own
    packing it attends over all of a row.
    """
    torch.manual_seed(0)
    with torch.device(setting.device):
        model = {"gptj": _gptj, "gpt-neox": _gpt_neox}[name](setting)
    model.train()
    called = torch.compile(model) if compiled and setting.device == "cuda" else model
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE, weight_decay=0.1, fused=True)
    given = [_on(batch, setting.device) for batch in batches(setting)]

    def step(number: int) -> float:
        inputs, targets = given[number % len(given)]
        losses = []
        for start in range(0, setting.rows, setting.micro_rows):
            part = slice(start, start + setting.micro_rows)
            with torch.autocast(setting.device, dtype=torch.bfloat16):
                loss = called(inputs[part], shift_labels=targets[part], labels=targets[part]).loss
            share = len(inputs[part]) / setting.rows
            (loss * share).backward()
            losses.append(loss.detach() * share)
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        return float(torch.stack(losses).sum())

    return step


def _on(batch: Batch, device: str) -> tuple[torch.Tensor, torch.Tensor]:
    return (
        torch.from_numpy(batch.token_ids).long().to(device),
        torch.from_numpy(batch.targets).long().to(device),
    )


def _gptj(setting: Setting) -> torch.nn.Module:
    """The same model. It has no fused attention there but with the package flash-attn."""
    shape = setting.shape
    return gptj(
        shape.vocab_size,
        setting.row_tokens,
        shape.dim,
        shape.num_layers,
        shape.num_heads,
        shape.rotary_dim,
    )


def _gpt_neox(setting: Setting) -> torch.nn.Module:
    """The nearest model with fused attention: the same products, and a norm more in each block."""
    import transformers

    shape = setting.shape
    config = transformers.GPTNeoXConfig(
        vocab_size=shape.vocab_size,
        hidden_size=shape.dim,
        num_hidden_layers=shape.num_layers,
        num_attention_heads=shape.num_heads,
        intermediate_size=shape.hidden_dim,
        max_position_embeddings=setting.row_tokens,
        use_parallel_residual=True,
        tie_word_embeddings=False,
        use_cache=False,
        attn_implementation="sdpa",
    )
    model: torch.nn.Module = transformers.GPTNeoXForCausalLM(config)
    return model
