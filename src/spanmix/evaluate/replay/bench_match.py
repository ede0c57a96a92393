"""Let a model fill in the places of a benchmark, score what stands there, and keep every answer.

Both are asked with the same prompt, cut to the context with room for `max_tokens` of answer. Answers are
greedy; they end where the model ends them. A place whose own text has no room is not asked for, and is
counted.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spanmix.evaluate.appended import Keeping, open_appended
from spanmix.evaluate.infill_spans import head_ids, tail_ids
from spanmix.evaluate.replay.bench import BenchItem
from spanmix.evaluate.scoring import score_all
from spanmix.generate.batch import generate
from spanmix.generate.engine import Engine, GenerateRequest, ScoreRequest
from spanmix.generate.formats import InfillFormat
from spanmix.generate.infill import infill_prompt
from spanmix.generate.text import controls_but
from spanmix.text.text_tokenizer import TextTokenizer

ANSWERS_FORMAT_VERSION = 1
_AT_ONCE = 64
_MOST_TOKENS = 256


@dataclass(frozen=True)
class BenchAnswer:
    """What a model wrote at one place, and how likely it finds what stands there.

    Args:
        task_id: the place.
        completion: what it wrote.
        stopped: whether it ended by itself.
        bits: of what stands there, given what stands around it.
        num_tokens: tokens of what stands there.
    """

    task_id: str
    completion: str
    stopped: bool
    bits: float
    num_tokens: int


_KEEPING = Keeping(BenchAnswer, "answer")


@dataclass(frozen=True)
class _Asked:
    item: BenchItem
    prompt_ids: list[int]
    middle_ids: list[int]


def default_max_tokens(engine: Engine) -> int:
    """Return the room for an answer: a quarter of the context, at most 256 tokens."""
    return max(2, min(_MOST_TOKENS, engine.info.context_tokens // 4))


def answer_bench(
    engine: Engine,
    tokenizer: TextTokenizer,
    format: InfillFormat,
    items: Sequence[BenchItem],
    answers_file: Path,
    *,
    max_tokens: int,
    facts: Mapping[str, Any],
    progress: Callable[[int, int], None] | None = None,
) -> list[BenchAnswer]:
    """Answer and score every place that fits.

    Args:
        engine: the model, idle.
        tokenizer: its tokenizer.
        format: how it is asked.
        items: the places.
        answers_file: a ``.jsonl`` file for the answers; if it is there, the work goes on with it.
        max_tokens: room for an answer; a place whose text has as many tokens is not asked for.
        facts: what else the answers depend on, such as the model and the benchmark's commit.
        progress: called with (places done, places in all).

    Returns:
        The answers, in the order of the places.

    Raises:
        InputError: the context has no room for `max_tokens`; the file was begun with other settings.
    """
    settings = {
        "format_version": ANSWERS_FORMAT_VERSION,
        "max_tokens": max_tokens,
        "format": dataclasses.asdict(format),
        **facts,
    }
    with open_appended(answers_file, _KEEPING, settings) as kept:
        answers = {answer.task_id: answer for _, answer in kept.records()}
        left = [item for item in items if item.task_id not in answers]
        asked = _fitting(engine, tokenizer, format, left, max_tokens)
        num_done = len(items) - len(left)
        for start in range(0, len(asked), _AT_ONCE):
            for answer in _answers(engine, tokenizer, format, asked[start : start + _AT_ONCE], max_tokens):
                kept.append(answer)
                answers[answer.task_id] = answer
            if progress is not None:
                progress(num_done + min(len(asked), start + _AT_ONCE), len(items))
    return [answers[item.task_id] for item in items if item.task_id in answers]


def _fitting(
    engine: Engine,
    tokenizer: TextTokenizer,
    format: InfillFormat,
    items: Sequence[BenchItem],
    max_tokens: int,
) -> list[_Asked]:
    context = engine.info.context_tokens
    found = []
    for item in items:
        middle_ids = tokenizer.encode_inside(item.canonical_solution)
        if len(middle_ids) >= max_tokens:  # one more ends it
            continue
        around = [
            tail_ids(tokenizer.encode, item.prompt, context),
            head_ids(tokenizer.encode_inside, item.suffix, context),
        ]
        found.append(_Asked(item, infill_prompt(format, around, context, max_tokens).prompt_ids, middle_ids))
    return found


def _answers(
    engine: Engine, tokenizer: TextTokenizer, format: InfillFormat, asked: Sequence[_Asked], max_tokens: int
) -> Iterator[BenchAnswer]:
    end_ids = frozenset(format.end)
    suppress_ids = controls_but(tokenizer, end_ids)
    scores = score_all(engine, [ScoreRequest(one.prompt_ids, one.middle_ids) for one in asked])
    requests = [
        GenerateRequest(one.prompt_ids, max_tokens, stop_ids=end_ids, suppress_ids=suppress_ids)
        for one in asked
    ]
    for one, score, written in zip(asked, scores, generate(engine, requests), strict=True):
        yield BenchAnswer(
            task_id=one.item.task_id,
            # Controls, such as the one that ended it, stand for no bytes.
            completion=tokenizer.decode_bytes(written.token_ids).decode("utf-8", errors="replace"),
            stopped=written.finish_reason == "stop",
            bits=-math.fsum(score.logprobs) / math.log(2),
            num_tokens=len(one.middle_ids),
        )
