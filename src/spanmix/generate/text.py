"""Ask an engine to go on with a text: the prompt cut to fit, and the answer as it comes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields

import numpy as np

from spanmix.errors import InputError
from spanmix.generate.answer import Answer, TextAssembler
from spanmix.generate.engine import Engine, GenerateRequest
from spanmix.generate.healing import NO_OPENING, Opening
from spanmix.text.text_tokenizer import TextTokenizer


@dataclass(frozen=True)
class Sampling:
    """How to choose tokens, and when to stop.

    Args:
        max_tokens: most tokens to generate.
        temperature: 0 is greedy.
        top_p: keep the smallest set of tokens whose probability reaches this; 1 keeps all.
        top_k: keep the k most likely tokens; 0 keeps all.
        seed: makes sampling reproducible.
        stop: strings that end the text; none of them is part of it.
        min_p, min_tokens, logit_bias, presence_penalty, frequency_penalty, repetition_penalty,
            num_top_logprobs: see `GenerateRequest`.

    Raises:
        InputError: a number is out of its range (see `GenerateRequest`), or a stop string is empty.
    """

    max_tokens: int = 128
    temperature: float = 0.0
    top_p: float = 1.0
    top_k: int = 0
    seed: int = 0
    stop: tuple[str, ...] = ()
    min_p: float = 0.0
    min_tokens: int = 0
    logit_bias: tuple[tuple[int, float], ...] = ()
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    repetition_penalty: float = 1.0
    num_top_logprobs: int = 0

    def __post_init__(self) -> None:
        self.request((), frozenset(), frozenset())  # which checks itself, as does
        TextAssembler(self.stop)

    def request(
        self,
        prompt_ids: Sequence[int],
        stop_ids: frozenset[int],
        suppress_ids: frozenset[int],
        opening: Opening = NO_OPENING,
    ) -> GenerateRequest:
        """Return what the engine is asked for; `max_tokens` come beside what the answer has to begin with."""
        asked = {field.name: getattr(self, field.name) for field in fields(self) if field.name != "stop"}
        asked["max_tokens"] += opening.most_tokens
        asked["min_tokens"] += opening.most_tokens if self.min_tokens else 0
        return GenerateRequest(
            prompt_ids, stop_ids=stop_ids, suppress_ids=suppress_ids, opening=opening.next_ids, **asked
        )


@dataclass(frozen=True)
class Completion:
    """Generated text.

    Args:
        text: up to the stop string or token; an unfinished character at the end is left out.
        finish_reason: ``"stop"`` (a stop string or token) or ``"length"``.
        token_ids: every generated token, those of the stop included.
        logprobs: natural-log probability of each.
        num_prompt_tokens: tokens that the model read.
        num_cut_tokens: tokens of the prompt that did not fit the context, cut from the left.
    """

    text: str
    finish_reason: str
    token_ids: tuple[int, ...]
    logprobs: tuple[float, ...]
    num_prompt_tokens: int
    num_cut_tokens: int = 0


class TextStream:
    """One request's text, piece by piece, on an engine that runs nothing else meanwhile.

    Iterate over it; then `result` is there. Leaving early cancels the request.

    Args:
        engine: what runs the model.
        tokenizer: the model's.
        request: its stop ids end the text and are no part of it.
        stop: strings that end the text.
        num_cut_tokens: for the result.
        opening: what the request was made with.
    """

    def __init__(
        self,
        engine: Engine,
        tokenizer: TextTokenizer,
        request: GenerateRequest,
        stop: Sequence[str] = (),
        num_cut_tokens: int = 0,
        opening: Opening = NO_OPENING,
    ) -> None:
        self._engine = engine
        self._request = request
        max_tokens = request.max_tokens - opening.most_tokens
        self._answer = Answer(tokenizer.token_bytes, request.stop_ids, stop, opening, max_tokens)
        self._num_cut_tokens = num_cut_tokens

    def __iter__(self) -> Iterator[str]:
        request_id = self._engine.submit(self._request)
        try:
            while self._answer.finish_reason is None:
                for event in self._engine.step():
                    assert event.id == request_id, "the engine runs another request"
                    if piece := self._answer.take(event):
                        yield piece
        finally:
            self._engine.cancel(request_id)

    @property
    def result(self) -> Completion:
        """The whole text, once the iteration is over."""
        answer = self._answer
        assert answer.finish_reason is not None, "the result is there when the iteration is over"
        return Completion(
            answer.text,
            answer.finish_reason,
            tuple(event.token_id for event in answer.events),
            tuple(event.logprob for event in answer.events),
            len(self._request.prompt_ids),
            self._num_cut_tokens,
        )

    def run(self) -> Completion:
        """Generate to the end and return the result."""
        for _ in self:
            pass
        return self.result


def complete(
    engine: Engine,
    tokenizer: TextTokenizer,
    prompt: str,
    sampling: Sampling,
    start_ids: Sequence[int] | None = None,
) -> TextStream:
    """Continue a text from left to right.

    A prompt that is too long for the context is cut from the left.

    Args:
        engine: what runs the model, idle.
        tokenizer: the model's.
        prompt: plain text; control strings in it are ordinary tokens.
        sampling: how to choose tokens, and when to stop.
        start_ids: what the model is given in front of every prompt; the ``<|endoftext|>`` that our models
            have seen in front of every file if not given. An empty prompt always gets that.

    Returns:
        A stream: iterate over it for the pieces, or call `run`. Controls other than
        ``<|endoftext|>``, which ends the text, are never generated.

    Raises:
        InputError: `max_tokens` leaves no room for a prompt.
    """
    request, num_cut = completion_request(engine, tokenizer, prompt, sampling, start_ids)
    return TextStream(engine, tokenizer, request, sampling.stop, num_cut)


def completion_request(
    engine: Engine,
    tokenizer: TextTokenizer,
    prompt: str,
    sampling: Sampling,
    start_ids: Sequence[int] | None = None,
) -> tuple[GenerateRequest, int]:
    """Return what an engine is asked to continue a text, and how many of the text's tokens are left out.

    See `complete` for the arguments and what is raised.
    """
    ids = tokenizer.encode(prompt)
    eot = tokenizer.control.eot
    if start_ids is None or not (start_ids or ids):
        start_ids = (eot,)
    budget = prompt_budget(engine, sampling.max_tokens, num_control_tokens=len(start_ids))
    num_cut = max(0, len(ids) - budget)
    stop_ids = tokenizer.end_ids
    request = sampling.request([*start_ids, *ids[num_cut:]], stop_ids, controls_but(tokenizer, stop_ids))
    return request, num_cut


def prompt_budget(engine: Engine, max_tokens: int, num_control_tokens: int) -> int:
    """Return how many tokens of text fit the context beside the controls and the answer.

    Raises:
        InputError: less than none.
    """
    context = engine.info.context_tokens
    budget = context - max_tokens - num_control_tokens
    if budget < 0:
        raise InputError(
            f"max_tokens {max_tokens} and the prompt's {num_control_tokens} control tokens are more than the "
            f"model's context of {context} tokens; lower max_tokens"
        )
    return budget


def controls_but(tokenizer: TextTokenizer, kept: frozenset[int]) -> frozenset[int]:
    """Return the control ids, fillers included, that are not in `kept`."""
    return frozenset(np.flatnonzero(tokenizer.is_control).tolist()) - kept
