"""Measure how well a model understands texts: fine-tune it on a task, and count what it gets right.

A result, as JSON can hold it, is::

    format_version, task, place, representation, trained ("all" or "head")
    examples {train, valid, test}, examples_read {the same}, cut {the same}, max_tokens
    settings {name: value}, trials [Trial], chosen (its name)
    figures UnderstandingFigures, seconds, against_causal (Interval: bidirectional minus causal)

`write_predictions` writes a line of JSON for each test example: its name, label, what was predicted, the
probability of label 1, its group and its kind.
"""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spanmix.errors import InputError
from spanmix.evaluate.understanding.encoding import EncodedText, encode_all
from spanmix.evaluate.understanding.examples import PARTS, LabeledSet
from spanmix.evaluate.understanding.figures import UnderstandingFigures, difference, figures_of
from spanmix.evaluate.understanding.probe import fit_head
from spanmix.evaluate.understanding.representation import CAUSAL
from spanmix.evaluate.understanding.settings import TuningSettings
from spanmix.evaluate.understanding.tuning import Progress, Tuned, processor, tune
from spanmix.files import write_text
from spanmix.model.decoder import Decoder
from spanmix.text.tokenizer import Tokenizer

UNDERSTANDING_FORMAT_VERSION = 1
MOST_TOKENS = 512
"""Longest row where nothing else is asked for; the texts of CodeXGLUE's own baselines have 400 tokens."""


@dataclass(frozen=True)
class Understanding:
    """What was measured with one representation.

    Args:
        examples: the task.
        representation: ``causal`` or ``bidirectional``.
        settings: how it was learned, with the device and the precision that were taken.
        max_tokens: longest row.
        num_cut: of each part, how many examples did not fit a row.
        tuned: what was learned.
        figures: of the test part.
        seconds: all of it took.
    """

    examples: LabeledSet
    representation: str
    settings: TuningSettings
    max_tokens: int
    num_cut: dict[str, int]
    tuned: Tuned
    figures: UnderstandingFigures
    seconds: float

    @property
    def predicted_N(self) -> NDArray[np.int64]:
        """The label that was predicted for each test example, int64 [N]."""
        predicted_N: NDArray[np.int64] = self.tuned.logits_NK.argmax(axis=1)
        return predicted_N


def measure(
    load: Callable[[], Decoder],
    tokenizer: Tokenizer,
    examples: LabeledSet,
    representation: str,
    settings: TuningSettings,
    progress: Progress | None = None,
) -> Understanding:
    """Fine-tune a model, or fit a head to it, and measure it on the test part.

    Args:
        load: opens the model; its weights may be changed.
        tokenizer: the model's.
        examples: the task.
        representation: ``causal`` or ``bidirectional``.
        settings: how it is learned.
        progress: called with (what, units done, units in all).

    Raises:
        InputError: the settings do not fit the model or the machine.
        SpanmixError: a loss is no number any more.
    """
    begun = time.perf_counter()
    decoder = load()
    max_tokens = _max_tokens(decoder, settings)
    encoded = {part: encode_all(examples.part(part), tokenizer, max_tokens) for part in PARTS}
    device, dtype = processor(settings)
    taken = dataclasses.replace(settings, device=device, precision="bf16" if dtype.itemsize == 2 else "fp32")
    learn = fit_head if settings.head_only else tune
    tuned = learn(decoder, encoded, representation, tokenizer.control.pad, taken, progress)
    figures = figures_of(examples, tuned.logits_NK.argmax(axis=1), settings.seed)
    num_cut = {part: _num_cut(encoded[part]) for part in PARTS}
    seconds = time.perf_counter() - begun
    return Understanding(examples, representation, taken, max_tokens, num_cut, tuned, figures, seconds)


def results_of(measured: Sequence[Understanding]) -> list[dict[str, Any]]:
    """Return the results as JSON can hold them; see the module's header."""
    causal = {_key(found): found for found in measured if found.representation == CAUSAL}
    results = []
    for found in measured:
        result = _result(found)
        other = causal.get(_key(found))
        if other is not None and other is not found:
            gained = difference(
                found.examples.test, found.predicted_N, other.predicted_N, found.settings.seed
            )
            result["against_causal"] = dataclasses.asdict(gained)
        results.append(result)
    return results


def write_predictions(path: Path, found: Understanding) -> None:
    """Write a line of JSON for each test example; see the module's header."""
    logits_N = found.tuned.logits_NK[:, 1] - found.tuned.logits_NK[:, 0]
    probabilities_N = 1 / (1 + np.exp(-np.clip(logits_N, -700, 700)))
    lines = []
    rows = zip(found.examples.test, found.predicted_N.tolist(), probabilities_N.tolist(), strict=True)
    for example, predicted, probability in rows:
        row = {"example": example.name, "label": example.label, "predicted": predicted}
        row |= {"probability": round(probability, 6), "group": example.group, "kind": example.kind}
        lines.append(json.dumps(row, ensure_ascii=False) + "\n")
    write_text(path, "".join(lines))


def _result(found: Understanding) -> dict[str, Any]:
    settings = dataclasses.asdict(found.settings)
    head_only = settings.pop("head_only")
    if head_only:  # these decide nothing
        for name in ("epochs", "learning_rate", "weight_decay", "warmup_share", "max_grad_norm"):
            del settings[name]
    del settings["max_tokens"]
    tuned = found.tuned
    return {
        "format_version": UNDERSTANDING_FORMAT_VERSION,
        "task": found.examples.task,
        "place": found.examples.place,
        "representation": found.representation,
        "trained": "head" if head_only else "all",
        "examples": {part: len(found.examples.part(part)) for part in PARTS},
        "examples_read": found.examples.num_read,
        "cut": found.num_cut,
        "max_tokens": found.max_tokens,
        "settings": settings,
        "trials": [dataclasses.asdict(trial) for trial in tuned.trials],
        "chosen": tuned.trials[tuned.chosen].name,
        "figures": dataclasses.asdict(found.figures),
        "seconds": round(found.seconds, 1),
    }


def _key(found: Understanding) -> tuple[str, str]:
    return found.examples.task, found.examples.place


def _num_cut(encoded: Sequence[EncodedText]) -> int:
    return sum(row.num_cut > 0 for row in encoded)


def _max_tokens(decoder: Decoder, settings: TuningSettings) -> int:
    context = decoder.architecture.context_tokens
    if settings.max_tokens > context:
        raise InputError(
            f"rows of {settings.max_tokens:,} tokens do not fit the model, whose context is {context:,}; "
            "take that or less"
        )
    return settings.max_tokens or min(context, MOST_TOKENS)
