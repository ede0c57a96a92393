"""Run ``spanmix serve`` with a tiny random model, in a process of its own."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

SHAPE = (2, 48, 3, 8, 2048)
"""Layers, width, heads, rotary dimensions and tokens of context: enough for the prompts of every client."""
_CORPUS = ["def add(a, b):\n    return a + b\n\n\nclass Näme:\n\tpass\n" * 3, "print('hello, wörld')\n" * 3]
_VOCAB_SIZE = 384
_START_SECONDS = 600


def make_model(folder: Path) -> Path:
    """Write a model folder that answers differently to every prompt, mostly in ASCII, and never ties.

    Args:
        folder: the folder to make; its name is the model's. One that is there is replaced.
    """
    import torch

    from spanmix.model.architecture import Architecture
    from spanmix.model.decoder import Decoder
    from spanmix.model.folder import save_model_folder
    from spanmix.text.tokenizer import Tokenizer

    tokenizer = Tokenizer.train(_CORPUS, vocab_size=_VOCAB_SIZE, num_sentinels=9)
    decoder = Decoder(Architecture(*SHAPE, _VOCAB_SIZE), seed=1)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in decoder.parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            parameter.add_(noise, alpha=0.6 if parameter.ndim == 2 else 0.1)
        everywhere = range(_VOCAB_SIZE)
        decoder.head.bias[[one for one in everywhere if _is_plain(tokenizer.decode([one]))]] += 3
        # A trained model does not find likely what a server never lets it say.
        ends = (tokenizer.control.eot, tokenizer.control.eom)
        decoder.head.bias[[one for one in everywhere if tokenizer.is_control[one] and one not in ends]] -= 100
    return save_model_folder(folder, decoder, tokenizer, {})


def _is_plain(text: str) -> bool:
    return text.isascii() and (text.isprintable() or text.isspace())


@contextmanager
def serving(model: Path, log: Path, *flags: str) -> Iterator[str]:
    """Serve a model on a free loopback port; give a context of the address, without a slash at its end.

    Args:
        model: its folder.
        log: what the server says is written there.
        flags: further ones of ``spanmix serve``.

    Raises:
        RuntimeError: the server did not start.
    """
    command = [sys.executable, "-m", "spanmix", "serve", str(model), "--port", "0", "--precision", "fp32"]
    with log.open("w", encoding="utf-8") as out:
        process = subprocess.Popen([*command, *flags], stdout=out, stderr=subprocess.STDOUT)
    try:
        yield _address(process, log)
    finally:
        process.terminate()
        process.wait(60)


def _address(process: subprocess.Popen[bytes], log: Path) -> str:
    end = time.monotonic() + _START_SECONDS
    while time.monotonic() < end and process.poll() is None:
        if found := re.search(r" at (http://127\.0\.0\.1:\d+)\b.*\n", log.read_text(encoding="utf-8")):
            return found[1]
        time.sleep(0.1)
    raise RuntimeError(f"spanmix serve did not start: {log.read_text(encoding='utf-8').strip()[-500:]}")
