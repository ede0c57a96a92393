"""Fill the gaps in a text: write the prompt, and ask for one gap after the other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from spanmix.errors import InputError
from spanmix.generate.engine import Engine
from spanmix.generate.formats import InfillFormat
from spanmix.generate.text import Completion, Sampling, TextStream, controls_but
from spanmix.text.text_tokenizer import TextTokenizer


@dataclass(frozen=True)
class Infill:
    """What stands in one gap.

    Args:
        text: the middle.
        finish_reason: ``"stop"`` (the model ended it, or a stop string did) or ``"length"``.
        token_ids: every generated token, the one that ended it included.
        logprobs: natural-log probability of each.
        num_prefix_cut: tokens of the prefix, far from the first gap, that did not fit the context.
        num_suffix_cut: tokens of the suffix, far from the last gap, that did not fit.
    """

    text: str
    finish_reason: str
    token_ids: tuple[int, ...]
    logprobs: tuple[float, ...]
    num_prefix_cut: int = 0
    num_suffix_cut: int = 0


@dataclass(frozen=True)
class InfillPrompt:
    """A prompt for one or more gaps, and what was left out of it."""

    prompt_ids: list[int]
    num_prefix_cut: int
    num_suffix_cut: int


def infill(
    engine: Engine,
    tokenizer: TextTokenizer,
    format: InfillFormat,
    prefix: str,
    suffix: str,
    sampling: Sampling,
) -> Infill:
    """Write what stands between `prefix` and `suffix`; see `infill_many`."""
    return infill_many(engine, tokenizer, format, [prefix, suffix], sampling)[0]


def infill_many(
    engine: Engine, tokenizer: TextTokenizer, format: InfillFormat, parts: Sequence[str], sampling: Sampling
) -> list[Infill]:
    """Write what stands between the parts of a text, one gap after the other.

    A later gap is asked for behind the answers to the earlier ones, as in training (leads left out; see
    `InfillFormat`)::

        part_1 <mask_1> part_2 <mask_2> part_3 <|endoftext|> <sep> <mask_1>                  -> a <eom>
        part_1 <mask_1> part_2 <mask_2> part_3 <|endoftext|> <sep> <mask_1> a <eom> <mask_2> -> b <eom>

    Args:
        engine: what runs the model, idle.
        tokenizer: the model's.
        format: how the model is asked.
        parts: the text around the gaps, at least two parts, any of them may be empty. What does not
            fit the context is cut from the far ends of the first and the last.
        sampling: how to choose tokens, and when to stop, for each gap.

    Returns:
        One answer a gap.

    Raises:
        InputError: the format cannot ask for so many gaps, or the parts between them do not fit.
    """
    assert len(parts) >= 2, "a gap has a part on either side"
    parts_ids = [tokenizer.encode(parts[0]), *(tokenizer.encode_inside(part) for part in parts[1:])]
    prompt = infill_prompt(format, parts_ids, engine.info.context_tokens, sampling.max_tokens)
    end_ids = frozenset(format.end)
    suppress_ids = controls_but(tokenizer, end_ids)
    prompt_ids = prompt.prompt_ids
    answers: list[Infill] = []
    for gap in range(len(parts) - 1):
        if gap > 0:
            closed_ids = _closed(answers[-1], tokenizer, format)
            prompt_ids = [*prompt_ids, *closed_ids, *format.next_gap(gap, parts_ids[gap])]
        # Each gap has random numbers of its own, or equal gaps would get equal answers.
        gap_sampling = replace(sampling, seed=sampling.seed + gap)
        request = gap_sampling.request(prompt_ids, end_ids, suppress_ids)
        done = TextStream(engine, tokenizer, request, sampling.stop).run()
        answers.append(_answer(done, prompt))
    return answers


def infill_prompt(
    format: InfillFormat,
    parts_ids: Sequence[Sequence[int]],
    context_tokens: int,
    max_tokens: int,
    suffix_share: float = 0.5,
    cut_step: int = 1,
) -> InfillPrompt:
    """Write the prompt for all gaps, cut so that every answer fits the context.

    Args:
        format: how the model is asked.
        parts_ids: token ids of the parts around the gaps.
        context_tokens: the model's context.
        max_tokens: room for each answer.
        suffix_share: of the room for both, how much the last part may take if the first needs the rest.
        cut_step: the first part is cut by a multiple of so many tokens, so that the prompts of a text that
            grows begin alike.

    Raises:
        InputError: the format cannot ask for so many gaps, or the parts between them do not fit.

    >>> format = InfillFormat((0,), (), (3,), (0, 1, 3), (2, 0))
    >>> infill_prompt(format, [[10, 11, 12, 13], [20]], context_tokens=11, max_tokens=3)
    InfillPrompt(prompt_ids=[0, 12, 13, 3, 20, 0, 1, 3], num_prefix_cut=2, num_suffix_cut=0)
    """
    first, *between, last = parts_ids
    num_gaps = len(parts_ids) - 1
    num_controls = len(format.prompt_many([[] for _ in parts_ids])) + 2 * (num_gaps - 1)
    num_between = sum(len(part) for part in between)
    budget = context_tokens - num_controls - num_between - num_gaps * max_tokens
    if budget < 0:
        raise InputError(
            f"the prompt does not fit the model's context of {context_tokens} tokens: {num_controls} control "
            f"tokens, {num_between} between the cursors and {num_gaps} x max_tokens {max_tokens}; lower "
            f"max_tokens or give fewer cursors, nearer to each other"
        )
    num_first, num_last = share(len(first), len(last), budget, suffix_share)
    num_cut = min(len(first), -(-(len(first) - num_first) // cut_step) * cut_step)
    cut = [first[num_cut:], *between, last[:num_last]]
    return InfillPrompt(format.prompt_many(cut), num_cut, len(last) - num_last)


def share(num_prefix: int, num_suffix: int, budget: int, suffix_share: float = 0.5) -> tuple[int, int]:
    """Share a budget of tokens: a share for either side, and what one does not need for the other.

    >>> share(100, 100, 50), share(100, 10, 50), share(10, 100, 50), share(3, 4, 50), share(100, 100, 50, 0.2)
    ((25, 25), (40, 10), (10, 40), (3, 4), (40, 10))
    """
    kept_prefix = min(num_prefix, max(budget - int(budget * suffix_share), budget - num_suffix))
    return kept_prefix, min(num_suffix, budget - kept_prefix)


def _answer(done: Completion, prompt: InfillPrompt) -> Infill:
    return Infill(
        done.text,
        done.finish_reason,
        done.token_ids,
        done.logprobs,
        prompt.num_prefix_cut,
        prompt.num_suffix_cut,
    )


def _closed(answer: Infill, tokenizer: TextTokenizer, format: InfillFormat) -> list[int]:
    """Return an answer's tokens with exactly one end token, the first of the format's."""
    ids = list(answer.token_ids)
    if ids[-1] in format.end:
        ids.pop()
    elif answer.finish_reason == "stop":
        ids = tokenizer.encode_inside(answer.text)  # a stop string ended it, maybe within a token
    return [*ids, format.end[0]]
