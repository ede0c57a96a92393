"""Check that a converted model computes what the original computes, in the memory of a few matrices.

The same tokens go through both, block by block in lockstep, in float32. The original's side is
`spanmix.interchange.forward`, which shares nothing with the code that converts. A native folder's side is
the decoder that will run it; other layouts are read by their own definition again.
"""

from __future__ import annotations

import math
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
"""Is told what is done now, how much of it is done, and how much there is."""

NUM_ROWS = 2
"""Prompts of each kind."""

NUM_TOKENS = 64
_LEAST_INFILL_TOKENS = 8
"""Of an infill prompt; a model whose context is shorter is asked for causal prompts alone."""

TOLERANCE = 1e-3
"""Largest difference of two logits, as a share of the largest logit, or of 1 if that is smaller.

Float32 sums in another order differ by a millionth of it in random models, and by more where activations
are large; a wrong grouping differs by about as much as the logits are.
"""

LEAST_AGREEMENT = 0.99

MOST_MOVED = 0.5
"""Nats that 8 bits may move the log-probability of the original's likeliest token by, on average. Ours moved
by less than 0.05; a wrong order of rows moves it by whole nats."""

PLAIN_TEXTS = (
    "def add(a, b):\n    return a + b\n",
    "class HTTPClient(Base):  # \ufb01 \u00bd A\u030a \u200b\x00\x7f",
    "\tif x:\r\n\t\t\ty = 'naïve ☃ 日本語 🙂'\n",
    "        deep" + " " * 40 + "deeper" + "\t" * 12,
    "",
)
"""That a tokenizer gives back only if it neither lowers nor normalizes what it reads."""

_TEXTS = (*PLAIN_TEXTS, "<mask_1> and <|endoftext|><sep> in a user's file")


@dataclass(frozen=True)
class Sides:
    """The models that are compared.

    Args:
        original: the source.
        rounded: the same with every weight rounded as it was stored; None if none was rounded, or if what
            was written rounds more than its weights.
        converted: what was written.
        eight_bits: the weights are stored in 8 bits, which may move the answers by `MOST_MOVED`.
        computed_in: what `converted` is computed in here.
    """

    original: Forward
    rounded: Forward | None
    converted: Forward
    eight_bits: bool = False
    computed_in: str = "float32"


@dataclass(frozen=True)
class Agreement:
    """How alike two models are, given the same tokens before.

    Args:
        max_abs_difference: the largest difference of two logits.
        max_logprob_difference: the largest difference of a token's log-probability, in nats.
        mean_likeliest_difference: the same for the token that the first model finds likeliest, on average
            over the positions.
        greedy: for each kind of prompt, the share of positions at which both find the same token likeliest.
    """

    max_abs_difference: float
    max_logprob_difference: float
    mean_likeliest_difference: float
    greedy: dict[str, float]


@dataclass(frozen=True)
class Parity:
    """What a check has found.

    Args:
        num_positions: tokens that went through both models.
        max_abs_logit: the largest logit of the original.
        tolerance: what `conversion.max_abs_difference` may be.
        conversion: what was written beside the original with its weights rounded as they are stored. None if
            more than the weights is rounded, so that nothing has to be equal.
        rounding: what was written beside the original as it is; None where nothing was rounded.
        computed_in: what the written model was computed in.
        num_texts: texts that became the same tokens with both tokenizers, and the same text again; 0 where
            what was written cannot be asked.
        failures: a sentence for everything that is wrong; empty if all is well.
    """

    num_positions: int
    max_abs_logit: float
    tolerance: float
    conversion: Agreement | None
    rounding: Agreement | None
    computed_in: str
    num_texts: int
    failures: tuple[str, ...]


def check(
    sides: Sides,
    source: Source,
    written: Path | None,
    progress: Progress = lambda stage, done, total: None,
) -> Parity:
    """Compare a converted model with its source, logits and tokenizer.

    Args:
        sides: the models.
        source: what was converted.
        written: the new folder, whose tokenizer is compared too; None if it is no folder.
        progress: is told of blocks done.
    """
    prompts = make_prompts(source.shape, source.tokenizer, source.prompting.infill is not None)
    logits = _logits(sides, torch.cat(list(prompts.values())), source.shape.num_layers, progress)
    original, reference, converted = logits[0], logits[-2], logits[-1]
    largest = float(original.abs().max())
    tolerance = TOLERANCE * max(1.0, largest)
    all_rounded = sides.rounded is None and sides.eight_bits
    conversion = None if all_rounded else _agreement(reference, converted, prompts)
    rounding = _agreement(original, converted, prompts) if sides.rounded or all_rounded else None
    if not math.isfinite(largest):
        failures = ["the source's own logits are not numbers: its weights are too large for float32"]
    else:
        failures = [*_conversion_failures(conversion, tolerance)] if conversion else []
    if sides.eight_bits and rounding:
        failures += _rounding_failures(rounding)
    if written is not None:
        failures += _text_failures(source, written)
    return Parity(
        num_positions=sum(ids.numel() for ids in prompts.values()),
        max_abs_logit=largest,
        tolerance=tolerance,
        conversion=conversion,
        rounding=rounding,
        computed_in=sides.computed_in,
        num_texts=len(_TEXTS) if written is not None else 0,
        failures=tuple(failures),
    )


def make_prompts(shape: Architecture, tokenizer: Tokenizer, can_infill: bool) -> dict[str, Tensor]:
    """Draw token ids [B, T] of each kind of prompt, the same for the same tokenizer and shape."""
    plain = torch.tensor([i for i in range(tokenizer.vocab_size) if not tokenizer.is_control[i]])
    generator = seeding.torch_generator(0, "parity")
    size = (NUM_ROWS, min(NUM_TOKENS, shape.context_tokens))
    drawn = plain[torch.randint(len(plain), (2, *size), generator=generator)]
    if not can_infill or size[1] < _LEAST_INFILL_TOKENS:
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
    likeliest_BT = a_BTV.argmax(-1)
    rows = torch.split((likeliest_BT == b_BTV.argmax(-1)).float(), [len(ids) for ids in prompts.values()])
    moved_BTV = (a_BTV.log_softmax(-1) - b_BTV.log_softmax(-1)).abs()
    return Agreement(
        max_abs_difference=float((a_BTV - b_BTV).abs().max()),
        max_logprob_difference=float(moved_BTV.max()),
        mean_likeliest_difference=float(moved_BTV.gather(-1, likeliest_BT[..., None]).mean()),
        greedy={kind: float(part.mean()) for kind, part in zip(prompts, rows, strict=True)},
    )


def _conversion_failures(found: Agreement, tolerance: float) -> list[str]:
    failures = []
    # Written so that NaN fails, here and below.
    if not found.max_abs_difference <= tolerance:
        failures.append(
            f"logits differ by up to {found.max_abs_difference:.3g}, and {tolerance:.3g} is allowed"
        )
    for kind, share in found.greedy.items():
        if not share >= LEAST_AGREEMENT:
            failures.append(f"{1 - share:.1%} of the next tokens of {kind} prompts are others")
    return failures


def _rounding_failures(found: Agreement) -> list[str]:
    mean = found.mean_likeliest_difference
    if mean <= MOST_MOVED:
        return []
    return [
        f"8 bits move the likeliest token's log-probability by {mean:.3g} on average, and {MOST_MOVED} is "
        "allowed; use a type of 16 bits"
    ]


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
        theirs.no_truncation()
        theirs.no_padding()
        failures += [
            f"the source's own tokenizer makes other tokens of {text!r}"
            for text in PLAIN_TEXTS
            if again.encode(text) != theirs.encode(text, add_special_tokens=False).ids
        ]
    return failures
