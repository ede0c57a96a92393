"""Check that a converted model computes what the original computes, in the memory of a few matrices.

The same tokens go through both, block by block in lockstep, in float32. The original's side is
`spanmix.interchange.forward`, which shares nothing with the code that converts. A native folder's side is
the decoder that will run it; other layouts are read by their own definition again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import tokenizers
import torch
from torch import Tensor

from spanmix import seeding
from spanmix.interchange.forward import Forward
from spanmix.interchange.sources import Source
from spanmix.model.architecture import Architecture
from spanmix.text.tokenizer import Tokenizer

Progress = Callable[[str, int, int], None]

NUM_ROWS = 2
"""Prompts of each kind."""

NUM_TOKENS = 64
TOLERANCE = 1e-3
"""Largest difference of two logits, as a share of the largest logit, or of 1 if that is smaller.

Float32 sums in another order differ by a millionth of it in random models, and by more where activations
are large; a wrong grouping differs by about as much as the logits are.
"""

LEAST_AGREEMENT = 0.99

_PLAIN_TEXTS = (
    "def add(a, b):\n    return a + b\n",
    "\tif x:\r\n\t\t\ty = 'naïve ☃ 日本語 🙂'\n",
    "        deep" + " " * 40 + "deeper" + "\t" * 12,
    "",
)
_TEXTS = (*_PLAIN_TEXTS, "<mask_1> and <|endoftext|><sep> in a user's file")


@dataclass(frozen=True)
class Sides:
    """The models that are compared.

    Args:
        original: the source.
        rounded: the same with every weight rounded to the type that was written; None if none was rounded.
        converted: what was written.
    """

    original: Forward
    rounded: Forward | None
    converted: Forward


@dataclass(frozen=True)
class Agreement:
    """How alike the logits of two sides are.

    Args:
        max_abs_difference: the largest difference of two logits.
        greedy: for each kind of prompt, the share of positions at which both would go on with the same
            token, given the same tokens before.
    """

    max_abs_difference: float
    greedy: dict[str, float]


@dataclass(frozen=True)
class Parity:
    """What a check has found.

    Args:
        num_positions: tokens that went through both models.
        max_abs_logit: the largest logit of the original.
        tolerance: what `converted.max_abs_difference` may be.
        converted: the converted model against the original, each weight rounded as it was stored.
        rounding: the original with rounded weights against itself; None where nothing was rounded.
        texts: how many texts became the same tokens with both tokenizers, and the same text again.
        failures: a sentence for everything that is wrong; empty if all is well.
    """

    num_positions: int
    max_abs_logit: float
    tolerance: float
    converted: Agreement
    rounding: Agreement | None
    texts: int
    failures: tuple[str, ...]


def check(
    sides: Sides,
    source: Source,
    written: Path,
    progress: Progress = lambda stage, done, total: None,
) -> Parity:
    """Compare a converted model with its source, logits and tokenizer.

    Args:
        sides: the models.
        source: what was converted.
        written: the new folder.
        progress: is told of blocks done.
    """
    prompts = make_prompts(source.shape, source.tokenizer, source.prompting.infill is not None)
    logits = _logits(sides, torch.cat(list(prompts.values())), source.shape.num_layers, progress)
    original, reference, converted = logits[0], logits[-2], logits[-1]
    largest = float(original.abs().max())
    tolerance = TOLERANCE * max(1.0, largest)
    agreement = _agreement(reference, converted, prompts)
    failures = [*_logit_failures(agreement, tolerance), *_text_failures(source, written)]
    return Parity(
        num_positions=sum(ids.numel() for ids in prompts.values()),
        max_abs_logit=largest,
        tolerance=tolerance,
        converted=agreement,
        rounding=_agreement(original, reference, prompts) if sides.rounded else None,
        texts=len(_TEXTS),
        failures=tuple(failures),
    )


def make_prompts(shape: Architecture, tokenizer: Tokenizer, can_infill: bool) -> dict[str, Tensor]:
    """Draw token ids [B, T] of each kind of prompt, the same for the same tokenizer and shape."""
    plain = torch.tensor([i for i in range(tokenizer.vocab_size) if not tokenizer.is_control[i]])
    generator = seeding.torch_generator(0, "parity")
    size = (NUM_ROWS, min(NUM_TOKENS, shape.context_tokens))
    drawn = plain[torch.randint(len(plain), (2, *size), generator=generator)]
    if not can_infill:
        return {"causal": drawn[0]}
    control, infill = tokenizer.control, drawn[1]
    middle = [control.eot, control.sep, control.masks[0]]
    infill[:, size[1] // 3] = control.masks[0]
    infill[:, -3 - size[1] // 4 :][:, :3] = torch.tensor(middle)
    infill[:, -1] = control.eom
    return {"causal": drawn[0], "infill": infill}


@torch.inference_mode()
def _logits(sides: Sides, ids_BT: Tensor, num_layers: int, progress: Progress) -> list[Tensor]:
    """Run all sides in lockstep; return the logits of the original, the rounded if any, the converted."""
    forwards = [side for side in (sides.original, sides.rounded, sides.converted) if side is not None]
    streams = [forward.embed(ids_BT) for forward in forwards]
    for layer in range(num_layers):
        progress("compare the models, blocks", layer, num_layers)
        streams = [forward.block(layer, x_BTD) for forward, x_BTD in zip(forwards, streams, strict=True)]
    progress("compare the models, blocks", num_layers, num_layers)
    return [forward.logits(x_BTD) for forward, x_BTD in zip(forwards, streams, strict=True)]


def _agreement(a_BTV: Tensor, b_BTV: Tensor, prompts: dict[str, Tensor]) -> Agreement:
    same_BT = (a_BTV.argmax(-1) == b_BTV.argmax(-1)).float()
    rows = torch.split(same_BT, [len(ids) for ids in prompts.values()])
    greedy = {kind: float(part.mean()) for kind, part in zip(prompts, rows, strict=True)}
    return Agreement(float((a_BTV - b_BTV).abs().max()), greedy)


def _logit_failures(agreement: Agreement, tolerance: float) -> list[str]:
    failures = []
    # Written so that NaN fails.
    if not agreement.max_abs_difference <= tolerance:
        failures.append(
            f"logits differ by up to {agreement.max_abs_difference:.3g}, and {tolerance:.3g} is allowed"
        )
    for kind, share in agreement.greedy.items():
        if share < LEAST_AGREEMENT:
            failures.append(f"{1 - share:.1%} of the next tokens of {kind} prompts are others")
    return failures


def _text_failures(source: Source, written: Path) -> list[str]:
    """Return what is wrong with the written tokenizer: texts must come back, and give the same tokens."""
    again = Tokenizer.load(written)
    failures = [
        f"the tokenizer does not give {text!r} back, or makes other tokens of it"
        for text in _TEXTS
        if again.encode(text) != source.tokenizer.encode(text) or again.decode(again.encode(text)) != text
    ]
    if (source.path / "tokenizer.json").is_file():
        theirs = tokenizers.Tokenizer.from_file(str(source.path / "tokenizer.json"))
        failures += [
            f"the source's own tokenizer makes other tokens of {text!r}"
            for text in _PLAIN_TEXTS
            if again.encode(text) != theirs.encode(text, add_special_tokens=False).ids
        ]
    return failures
