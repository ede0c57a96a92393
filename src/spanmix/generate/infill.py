"""Fill the gaps in a text: write the prompt, and ask for one gap after the other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from spanmix.errors import InputError
from spanmix.generate.engine import Engine
from spanmix.generate.formats import InfillFormat
from spanmix.generate.healing import NO_OPENING, Healer, Opening
from spanmix.generate.text import Completion, Sampling, TextStream, controls_but
from spanmix.text.text_tokenizer import TextTokenizer

_NO_CHARACTER = "\ufffd"
"""Stands for bytes that are no character; one that is not finished is left out at the end of an answer."""


@dataclass(frozen=True)
class Infill:
    """What stands in one gap.

    Args:
        text: the middle.
        finish_reason: ``"stop"`` (the model ended it, or a stop string did) or ``"length"``.
        token_ids: every generated token, the one that ended it included. Where the answer goes on inside a
            word, the first of them begin with what was taken back of the prefix, which is no part of `text`.
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
    healer: Healer | None = None,
) -> Infill:
    """Write what stands between `prefix` and `suffix`; see `infill_many`."""
    return infill_many(engine, tokenizer, format, [prefix, suffix], sampling, healer)[0]


def infill_many(
    engine: Engine,
    tokenizer: TextTokenizer,
    format: InfillFormat,
    parts: Sequence[str],
    sampling: Sampling,
    healer: Healer | None = None,
) -> list[Infill]:
    """Write what stands between the parts of a text, one gap after the other; see `Gaps`.

    Args:
        engine: what runs the model, idle.
        tokenizer: the model's.
        format: how the model is asked.
        parts: the text around the gaps, at least two parts, any of them may be empty. What does not
            fit the context is cut from the far ends of the first and the last.
        sampling: how to choose tokens, and when to stop, for each gap.
        healer: lets answers go on inside a word; without one each part's tokens stay as they are.

    Returns:
        One answer a gap.

    Raises:
        InputError: the format cannot ask for so many gaps, or the parts between them do not fit.
    """
    assert len(parts) >= 2, "a gap has a part on either side"
    parts_ids = [tokenizer.encode(parts[0]), *(tokenizer.encode_inside(part) for part in parts[1:])]
    gaps = Gaps(tokenizer, format, parts_ids, engine.info.context_tokens, sampling.max_tokens, healer=healer)
    suppress_ids = controls_but(tokenizer, gaps.end_ids)
    answers: list[Infill] = []
    for gap in range(gaps.num_gaps):
        # Each gap has random numbers of its own, or equal gaps would get equal answers.
        gap_sampling = replace(sampling, seed=sampling.seed + gap)
        request = gap_sampling.request(gaps.prompt_ids, gaps.end_ids, suppress_ids, gaps.opening)
        done = TextStream(engine, tokenizer, request, sampling.stop, opening=gaps.opening).run()
        answers.append(_answer(done, gaps.prompt))
        gaps.close(done.token_ids, done.text)
    return answers


class Gaps:
    """The gaps of a text, asked for one after the other.

    A later gap is asked for behind the answers to the earlier ones, as in training (leads left out; see
    `InfillFormat`)::

        part_1 <mask_1> part_2 <mask_2> part_3 <|endoftext|> <sep> <mask_1>                  -> a <eom>
        part_1 <mask_1> part_2 <mask_2> part_3 <|endoftext|> <sep> <mask_1> a <eom> <mask_2> -> b <eom>

    Args:
        tokenizer: the model's.
        format: how the model is asked.
        parts_ids: token ids of the parts around the gaps.
        context_tokens, max_tokens, suffix_share, cut_step: see `infill_prompt`.
        healer: takes back the last tokens of the part in front of each gap.

    Raises:
        InputError: the format cannot ask for so many gaps, or the parts between them do not fit.
    """

    def __init__(
        self,
        tokenizer: TextTokenizer,
        format: InfillFormat,
        parts_ids: Sequence[Sequence[int]],
        context_tokens: int,
        max_tokens: int,
        suffix_share: float = 0.5,
        cut_step: int = 1,
        healer: Healer | None = None,
    ) -> None:
        *fronts, last = parts_ids
        # Two spans of a training example have at least one token between them.
        healed = [
            (list(ids), NO_OPENING) if healer is None else healer.heal(ids, least_kept=min(gap, 1))
            for gap, ids in enumerate(fronts)
        ]
        self._fronts = [ids for ids, _ in healed]
        self._openings = [opening for _, opening in healed]
        # What is taken back is written where a lead stands: with a lead of as many tokens or more, the prompt
        # is that without healing but for its last tokens.
        num_taken = max(len(ids) - len(kept) for ids, kept in zip(fronts, self._fronts, strict=True))
        format = replace(format, lead_tokens=max(0, format.lead_tokens - num_taken))
        self._tokenizer, self._format = tokenizer, format
        most_tokens = max_tokens + max(opening.most_tokens for opening in self._openings)
        self.prompt = infill_prompt(
            format, [*self._fronts, last], context_tokens, most_tokens, suffix_share, cut_step
        )
        """That for the first gap."""
        num_later = sum(len(format.next_gap(gap, self._fronts[gap])) + 1 for gap in range(1, self.num_gaps))
        num_repeated = self.num_gaps * (most_tokens - max_tokens)
        self.num_tokens = len(self.prompt.prompt_ids) + num_later + num_repeated
        """All but the answers: what is asked, and what they repeat of the text."""
        self.prompt_ids = self.prompt.prompt_ids
        """What asks for the gap that is next."""
        self.num_closed = 0
        """How many gaps have their answer."""

    @property
    def num_gaps(self) -> int:
        """How many there are."""
        return len(self._fronts)

    @property
    def end_ids(self) -> frozenset[int]:
        """Ids any one of which ends an answer."""
        return frozenset(self._format.end)

    @property
    def opening(self) -> Opening:
        """What the answer to the next gap has to begin with."""
        return self._openings[self.num_closed]

    def close(self, token_ids: Sequence[int], text: str) -> None:
        """Take the answer to a gap: its tokens, and the text that is kept of them; the next gap is next."""
        ids = list(token_ids)
        if ids[-1:] and ids[-1] in self._format.end:
            ids.pop()
        kept = self.opening.data.decode() + text
        made = self._tokenizer.decode_bytes(ids).decode(errors="replace")
        if made.rstrip(_NO_CHARACTER) != kept.rstrip(_NO_CHARACTER):  # something ended it within a token
            ids = self._tokenizer.encode_inside(kept)
        self.num_closed += 1
        if self.num_closed < self.num_gaps:
            asked = self._format.next_gap(self.num_closed, self._fronts[self.num_closed])
            self.prompt_ids = [*self.prompt_ids, *ids, self._format.end[0], *asked]


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
            f"tokens, {num_between} between the cursors and {num_gaps} x {max_tokens} for the answers; lower "
            f"max_tokens{' or give fewer cursors, nearer to each other' if num_gaps > 1 else ''}"
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
