"""Choose answers by their log-probability, and count how often that is the right one.

What is scored is what lm-eval scores: context and answer are encoded together and cut behind as many tokens
as the context has by itself, after blanks at the context's end were moved to the answer. An empty context
becomes ``<|endoftext|>``. The figures carry lm-eval's names:

- ``acc``: the answer with the largest log-probability is right; for a last word, it is what greedy gives.
- ``acc_norm``: the same after dividing by the answer's length in characters.
- ``acc_bytes``: the same after dividing by its length in UTF-8 bytes, which differs only outside of ASCII.
- ``perplexity``: of last words, e to the mean of minus their log-probabilities.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from spanmix.errors import InputError
from spanmix.evaluate import intervals
from spanmix.evaluate.choice.readers import ChoiceItem
from spanmix.evaluate.intervals import Interval
from spanmix.evaluate.scoring import Progress, score_all
from spanmix.generate.engine import Engine, Score, ScoreRequest
from spanmix.text.text_tokenizer import TextTokenizer


@dataclass(frozen=True)
class AnsweredItem:
    """What the model thinks of one question.

    Args:
        name: of the item.
        gold: number of the right answer.
        logprobs: natural-log probability of each answer.
        num_tokens: of each answer.
        is_greedy: whether each of its tokens was the likeliest one.
        chosen: number of the chosen answer, by the figure's name.
        is_right: by the figure's name.
        num_cut_tokens: of the context, which did not fit; the largest of all answers.
    """

    name: str
    gold: int
    logprobs: tuple[float, ...]
    num_tokens: tuple[int, ...]
    is_greedy: tuple[bool, ...]
    chosen: dict[str, int]
    is_right: dict[str, bool]
    num_cut_tokens: int


@dataclass(frozen=True)
class ChoiceFigure:
    """A figure with its 95 % interval over items, and the standard error of a mean, as lm-eval has it.

    Args:
        interval: Wilson's for a share; percentiles of a bootstrap for a perplexity.
        stderr: None for a perplexity and for a single item.
    """

    interval: Interval
    stderr: float | None


@dataclass(frozen=True)
class ChoiceResult:
    """All that was measured of a task.

    Args:
        task: its name.
        figures: by name.
        num_items: questions.
        num_cut_items: questions whose context was cut on the left, to fit the model's.
        num_moved_boundaries: answers that begin inside of a token; what is scored then begins behind it, as
            lm-eval does.
        items: every question.
    """

    task: str
    figures: dict[str, ChoiceFigure]
    num_items: int
    num_cut_items: int
    num_moved_boundaries: int
    items: tuple[AnsweredItem, ...]


@dataclass(frozen=True)
class EncodedPair:
    """A context and an answer in ids.

    Args:
        context_ids: at least one token.
        target_ids: the answer's, which are scored.
        moved: whether the context's ids are not the beginning of those of both.
    """

    context_ids: list[int]
    target_ids: list[int]
    moved: bool


def encode_pairs(
    tokenizer: TextTokenizer,
    pairs: Sequence[tuple[str, str]],
    start_ids: Sequence[int] = (),
    encode_batch: Callable[[Sequence[str]], list[list[int]]] | None = None,
) -> list[EncodedPair]:
    """Encode contexts and what follows them as lm-eval does; see the module's header.

    Args:
        tokenizer: the model's.
        pairs: context and continuation.
        start_ids: stand in front of every context; lm-eval has none there.
        encode_batch: how texts become ids; the tokenizer's own way if not given.

    Returns:
        One for each pair; `target_ids` is empty where the continuation is a part of the context's last token.
    """
    moved = [_moved_blanks(context, continuation) for context, continuation in pairs]
    texts = [context for context, _ in moved] + [context + continuation for context, continuation in moved]
    ids = (encode_batch or tokenizer.encode_batch)(texts)
    found = []
    for context_ids, whole_ids in zip(ids[: len(pairs)], ids[len(pairs) :], strict=True):
        target_ids = whole_ids[len(context_ids) :]
        start = list(start_ids)
        if not context_ids and not start:
            start = [tokenizer.control.eot]
            if target_ids[:1] == start:
                target_ids = target_ids[1:]
        found.append(
            EncodedPair([*start, *context_ids], target_ids, whole_ids[: len(context_ids)] != context_ids)
        )
    return found


def score_pairs(
    engine: Engine,
    pairs: Sequence[EncodedPair],
    num_start: int = 0,
    progress: Progress | None = None,
) -> tuple[list[Score], list[int]]:
    """Score each pair; what is too long is cut on the left of its context, behind the start.

    Args:
        engine: what runs the model.
        pairs: none has an empty target, or one that fills the context by itself.
        num_start: tokens at the beginning of each context that stay.
        progress: see `score_all`.

    Returns:
        The scores, and how many tokens of each context were cut.
    """
    requests, num_cut = [], []
    for pair in pairs:
        too_long = len(pair.context_ids) + len(pair.target_ids) - engine.info.context_tokens
        cut = max(0, too_long)
        kept = [*pair.context_ids[:num_start], *pair.context_ids[num_start + cut :]]
        requests.append(ScoreRequest(kept, pair.target_ids))
        num_cut.append(cut)
    return score_all(engine, requests, progress), num_cut


def score_choices(
    engine: Engine,
    tokenizer: TextTokenizer,
    task: str,
    items: Sequence[ChoiceItem],
    start_ids: Sequence[int] = (),
    progress: Progress | None = None,
) -> ChoiceResult:
    """Score every answer of every question.

    Args:
        engine: what runs the model.
        tokenizer: the model's.
        task: its name.
        items: all with several answers, or all with one.
        start_ids: stand in front of every context. lm-eval has none there; ours were trained behind
            ``<|endoftext|>``.
        progress: called after every batch with (target tokens scored, target tokens in all).

    Raises:
        InputError: an answer has no token of its own, or does not fit the model's context.
    """
    owners = [item for item in items for _ in item.answers]
    texts = [(item.context, item.delimiter + answer) for item in items for answer in item.answers]
    pairs = encode_pairs(tokenizer, texts, start_ids)
    for item, pair in zip(owners, pairs, strict=True):
        _require_scorable(item, pair, engine.info.context_tokens - len(start_ids))
    scores, num_cut = score_pairs(engine, pairs, len(start_ids), progress)
    answered = []
    start = 0
    for item in items:
        stop = start + len(item.answers)
        answered.append(_answered(item, scores[start:stop], max(num_cut[start:stop])))
        start = stop
    return ChoiceResult(
        task=task,
        figures=_figures(answered),
        num_items=len(answered),
        num_cut_items=sum(item.num_cut_tokens > 0 for item in answered),
        num_moved_boundaries=sum(pair.moved for pair in pairs),
        items=tuple(answered),
    )


def _moved_blanks(context: str, continuation: str) -> tuple[str, str]:
    """Move blanks at the end of the context to the continuation, where most tokenizers have them.

    >>> _moved_blanks("Answer: ", "yes")
    ('Answer:', ' yes')
    """
    kept = context.rstrip()
    return kept, context[len(kept) :] + continuation


def _require_scorable(item: ChoiceItem, pair: EncodedPair, room: int) -> None:
    if not pair.target_ids:
        raise InputError(
            f"{item.name}: an answer of {item.answers} has no token of its own, as the tokenizer makes one "
            "of it and of the end of its context; leave this question out"
        )
    if len(pair.target_ids) >= room:
        raise InputError(
            f"{item.name}: an answer has {len(pair.target_ids)} tokens, which with one of its context do not "
            f"fit the model's context of {room}; leave this question out"
        )


def _answered(item: ChoiceItem, scores: Sequence[Score], num_cut: int) -> AnsweredItem:
    logprobs = [math.fsum(score.logprobs) for score in scores]
    is_greedy = tuple(all(score.is_greedy) for score in scores)
    if len(item.answers) == 1:
        chosen, is_right = {}, {"acc": is_greedy[0]}
    else:
        lengths = {
            "acc": [1] * len(scores),
            "acc_norm": [len(answer) for answer in item.answers],
            "acc_bytes": [len(answer.encode("utf-8")) for answer in item.answers],
        }
        chosen = {
            name: int(np.argmax(np.array(logprobs) / np.array(by, dtype=np.float64)))
            for name, by in lengths.items()
        }
        is_right = {name: number == item.gold for name, number in chosen.items()}
    num_tokens = tuple(len(score.logprobs) for score in scores)
    return AnsweredItem(
        item.name, item.gold, tuple(logprobs), num_tokens, is_greedy, chosen, is_right, num_cut
    )


def _figures(answered: Sequence[AnsweredItem]) -> dict[str, ChoiceFigure]:
    figures = {}
    count = len(answered)
    for name in answered[0].is_right:
        right = np.array([item.is_right[name] for item in answered], dtype=np.float64)
        stderr = float(right.std(ddof=1) / math.sqrt(count)) if count > 1 else None
        figures[name] = ChoiceFigure(intervals.share(right, np.ones(count)), stderr)
    if all(len(item.logprobs) == 1 for item in answered):
        columns = np.array([[item.logprobs[0], 1.0] for item in answered])
        interval = intervals.bootstrap(columns, lambda sums: np.exp(-sums[..., 0] / sums[..., 1]), seed=0)
        figures["perplexity"] = ChoiceFigure(interval, None)
    return figures
