"""The sides of ``train_step.py``: run as a process, each makes one step for every line that it reads.

    python train_step_sides.py '{"side": "trainer-tuned", ...}'

Nothing is imported before a side needs it, so that each runs in an environment that has only its own library
beside torch and numpy. All train in bf16 mixed precision on fp32 weights, clip gradients to norm 1 and update
with PyTorch's fused AdamW, whatever their defaults on a CPU are.
"""

from __future__ import annotations

import ctypes
import itertools
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from transformers_sides import gptj

DIM, LAYERS, HEADS, ROTARY, VOCAB, CONTEXT = 768, 12, 12, 32, 51200, 2048
"""The preset 125m; `Ours` checks it."""

Step = Callable[[dict[str, Any]], None]
"""Trains on one batch of arrays."""


def tune_allocator() -> None:
    """Set what `spanmix.train.machine.prepare_process` sets, without its library."""
    libc = ctypes.CDLL(None)
    libc.mallopt(-3, 1 << 30)
    libc.mallopt(-1, (1 << 31) - 1)


def tensors(batch: dict[str, Any]) -> tuple[torch.Tensor, torch.Tensor]:
    """Return inputs and targets, int64."""
    return torch.from_numpy(batch["token_ids"]).long(), torch.from_numpy(batch["targets"]).long()


def stepper(model: torch.nn.Module, loss_of: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]) -> Step:
    """Return a plain training step: autocast, backward, clip, update."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, weight_decay=0.1, fused=True)

    def step(batch: dict[str, Any]) -> None:
        inputs, targets = tensors(batch)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            loss = loss_of(inputs, targets)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    return step


def ours(settings: dict[str, Any]) -> Step:
    """Spanmix: the step that ``spanmix train`` makes."""
    from spanmix.model.architecture import preset
    from spanmix.model.decoder import Decoder
    from spanmix.train.machine import prepare_process
    from spanmix.train.optimizer import build_optimizers
    from spanmix.train.step import TrainStep
    from spanmix.train_configs import OptimizerConfig
    from spanmix.types import Batch, DocumentRef, Segment

    prepare_process(settings["threads"])
    shape = preset(settings["preset"])
    model = Decoder(shape, seed=0)
    config = OptimizerConfig(learning_rate=1e-4)
    train_step = TrainStep(model, build_optimizers(model, config), torch.bfloat16, 0, config)

    def step(arrays: dict[str, Any]) -> None:
        width = arrays["token_ids"].shape[1]
        segments = tuple(
            Segment(row, 0, width, 0, 0, DocumentRef(0, row, 0, 0)) for row in range(len(arrays["token_ids"]))
        )
        train_step(Batch(**arrays, segments=segments, first_row=0), 1e-4)

    return step


def plain_transformers(settings: dict[str, Any]) -> Step:
    """The loop that anyone writes around ``GPTJForCausalLM``."""
    model = gptj(VOCAB, CONTEXT, DIM, LAYERS, HEADS, ROTARY)
    return stepper(model, lambda x, y: model(x, shift_labels=y, labels=y).loss)


def nanogpt(settings: dict[str, Any]) -> Step:
    """nanoGPT's model and the step of its ``train.py``; in fp32 and unfused it would be slower on a CPU."""
    sys.path.insert(0, settings["nanogpt"])
    from model import GPT, GPTConfig  # type: ignore[import-not-found]

    length = np.load(settings["batches"][0])["token_ids"].shape[1]
    config = GPTConfig(
        block_size=length, vocab_size=VOCAB, n_layer=LAYERS, n_head=HEADS, n_embd=DIM, dropout=0.0, bias=True
    )
    model = GPT(config)
    called = torch.compile(model) if "compiled" in settings["side"] else model
    return stepper(model, lambda x, y: called(x, y)[1])


def litgpt(settings: dict[str, Any]) -> Step:
    """litgpt's model and the step of its ``pretrain.py``, which compiles."""
    from litgpt import GPT, Config
    from litgpt.utils import chunked_cross_entropy

    length = np.load(settings["batches"][0])["token_ids"].shape[1]
    config = Config(
        name="gptj-125m",
        block_size=length,
        vocab_size=VOCAB,
        padded_vocab_size=VOCAB,
        n_layer=LAYERS,
        n_head=HEADS,
        n_embd=DIM,
        intermediate_size=4 * DIM,
        rotary_percentage=ROTARY / (DIM // HEADS),
        parallel_residual=True,
        shared_attention_norm=True,
        bias=True,
        lm_head_bias=True,
    )
    model = GPT(config)
    model.max_seq_length = length
    called = torch.compile(model) if "compiled" in settings["side"] else model
    return stepper(model, lambda x, y: chunked_cross_entropy(called(x), y, chunk_size=0))


SIDES: dict[str, Callable[[dict[str, Any]], Step]] = {
    "spanmix": ours,
    "transformers": plain_transformers,
    "nanogpt": nanogpt,
    "litgpt": litgpt,
}


def serve(step: Step, batches: list[dict[str, Any]]) -> None:
    """Make a step for every line, and print its seconds."""
    for batch in itertools.cycle(batches):
        if not sys.stdin.readline():
            return
        start = time.perf_counter()
        step(batch)
        print("seconds", time.perf_counter() - start, flush=True)


def serve_trainer(settings: dict[str, Any], batches: list[dict[str, Any]]) -> None:
    """Let transformers' Trainer run its own loop, and hold it before each step until a line comes."""
    import transformers

    class Turns(transformers.TrainerCallback):
        start = 0.0

        def on_step_begin(self, args: Any, state: Any, control: Any, **others: Any) -> None:
            if not sys.stdin.readline():
                raise SystemExit
            self.start = time.perf_counter()

        def on_step_end(self, args: Any, state: Any, control: Any, **others: Any) -> None:
            print("seconds", time.perf_counter() - self.start, flush=True)

    rows = [
        {"input_ids": ids, "labels": ids}
        for batch in batches
        for ids in torch.from_numpy(batch["token_ids"]).long()
    ]
    model = gptj(VOCAB, CONTEXT, DIM, LAYERS, HEADS, ROTARY)
    arguments = transformers.TrainingArguments(
        output_dir="trainer",
        per_device_train_batch_size=len(rows) // len(batches),
        max_steps=100_000,
        bf16=True,
        use_cpu=True,
        optim="adamw_torch_fused",
        learning_rate=1e-4,
        weight_decay=0.1,
        logging_strategy="no",
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
        torch_compile="compiled" in settings["side"],
    )
    transformers.Trainer(model, arguments, train_dataset=rows, callbacks=[Turns()]).train()


def main() -> None:
    settings = json.loads(sys.argv[1])
    name, *kinds = settings["side"].split("-")
    torch.set_num_threads(settings["threads"])
    if "tuned" in kinds:
        tune_allocator()
    batches = [dict(np.load(Path(path))) for path in settings["batches"]]
    if name == "trainer":
        serve_trainer(settings, batches)
    else:
        serve(SIDES[name](settings), batches)


if __name__ == "__main__":
    main()
