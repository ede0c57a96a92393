"""Score the true middles, and let the model write its own, under each of three prompts.

==================  ====================================================
``suffix_shown``    the infill prompt with prefix and suffix
``suffix_hidden``   the infill prompt with the same prefix and no suffix
``left_to_right``   ``<|endoftext|>`` and the same prefix
==================  ====================================================

Only the middle's tokens are charged, not the ``<eom>`` behind them, so that the three compare.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spanmix.evaluate.infill_spans import InfillCase, InfillCases, SpanKind
from spanmix.evaluate.scoring import score_all
from spanmix.generate.batch import generate
from spanmix.generate.engine import Engine, GenerateRequest, ScoreRequest
from spanmix.generate.formats import InfillFormat
from spanmix.text.tokenizer import Tokenizer

CONDITIONS = ("suffix_shown", "suffix_hidden", "left_to_right")
_GENERATE_AT_ONCE = 256


def prompts_of(case: InfillCase, infill_format: InfillFormat, start_id: int) -> dict[str, list[int]]:
    """Return the prompt of one case for each of `CONDITIONS`."""
    prefix_ids = list(case.prefix_ids)
    return {
        "suffix_shown": infill_format.prompt(prefix_ids, list(case.suffix_ids)),
        "suffix_hidden": infill_format.prompt(prefix_ids, []),
        "left_to_right": [start_id, *prefix_ids],
    }


def middle_bits(
    engine: Engine,
    cases: Sequence[InfillCase],
    prompts: Sequence[Mapping[str, list[int]]],
    progress: Callable[[int, int], None],
) -> NDArray[np.float64]:
    """Return the bits of each true middle under each condition, [N, 3]."""
    requests = [
        ScoreRequest(prompt[condition], case.middle_ids)
        for case, prompt in zip(cases, prompts, strict=True)
        for condition in CONDITIONS
    ]
    scores = score_all(engine, requests, progress)
    bits = [-math.fsum(score.logprobs) / math.log(2) for score in scores]
    return np.array(bits).reshape(len(cases), len(CONDITIONS))


def requests_of(
    prompts: Sequence[Mapping[str, list[int]]],
    drawn: InfillCases,
    infill_format: InfillFormat,
    tokenizer: Tokenizer,
) -> dict[str, list[GenerateRequest]]:
    """Ask for the middles, greedily; no control token can stand in them."""
    control = tokenizer.control
    infill_end = frozenset(infill_format.end)
    stops = {"suffix_shown": infill_end, "suffix_hidden": infill_end}
    if drawn.kind.max_lines <= 1:
        newlines = (index for index, piece in enumerate(tokenizer.token_bytes) if b"\n" in piece)
        stops["left_to_right"] = frozenset((control.eot, *newlines))
    controls = {control.eot, control.sep, control.eom, control.pad, *control.masks} | tokenizer.suppressed_ids
    return {
        condition: [
            GenerateRequest(
                prompt_ids=prompt[condition],
                max_tokens=drawn.max_middle_tokens + 1,
                stop_ids=stop_ids,
                suppress_ids=frozenset(controls - stop_ids),
            )
            for prompt in prompts
        ]
        for condition, stop_ids in stops.items()
    }


@dataclass(frozen=True)
class Answer:
    """What the model wrote, and whether it ended by itself."""

    text: str
    stopped: bool


def write_answers(
    engine: Engine,
    tokenizer: Tokenizer,
    cases: Sequence[InfillCase],
    requests: Mapping[str, Sequence[GenerateRequest]],
    kind: SpanKind,
    progress: Callable[[int, int], None],
) -> dict[str, list[Answer]]:
    """Let the model write the middle of the first `cases`, under each condition."""
    answers: dict[str, list[Answer]] = {condition: [] for condition in requests}
    total = len(requests) * len(cases)
    for condition, written in answers.items():
        for start in range(0, len(cases), _GENERATE_AT_ONCE):
            for generation in generate(engine, requests[condition][start : start + _GENERATE_AT_ONCE]):
                # Controls, such as the one that ended it, stand for no bytes.
                text = tokenizer.decode_bytes(generation.token_ids).decode("utf-8", errors="replace")
                if condition == "left_to_right":
                    line, newline, _ = text.partition("\n")
                    text = line + (newline if kind.max_lines else "")
                written.append(Answer(text, generation.finish_reason == "stop"))
            progress(sum(map(len, answers.values())), total)
    return answers
