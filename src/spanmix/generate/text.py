"""Turn a request's tokens into text as they come: stop strings, whole characters, the prompt cut to fit."""

from __future__ import annotations

import codecs
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from spanmix.errors import InputError
from spanmix.generate.engine import Engine, GenerateRequest
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

    Raises:
        InputError: a number is out of its range (see `GenerateRequest`), or a stop string is empty.
    """

    max_tokens: int = 128
    temperature: float = 0.0
    top_p: float = 1.0
    top_k: int = 0
    seed: int = 0
    stop: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        self.request((), frozenset(), frozenset())  # which checks itself, as does
        TextAssembler(self.stop)

    def request(
        self, prompt_ids: Sequence[int], stop_ids: frozenset[int], suppress_ids: frozenset[int]
    ) -> GenerateRequest:
        """Return what the engine is asked for."""
        return GenerateRequest(
            prompt_ids=prompt_ids,
            max_tokens=self.max_tokens,
            temperature=self.temperature,
            top_p=self.top_p,
            top_k=self.top_k,
            seed=self.seed,
            stop_ids=stop_ids,
            suppress_ids=suppress_ids,
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


class TextAssembler:
    """Make text of bytes that come in pieces, and end it at the first stop string.

    What is given out is never taken back: bytes of an unfinished character are held back, and so is
    the longest end of the text that could be the start of a stop string.

    >>> assembler = TextAssembler(("\\ndef",))
    >>> [assembler.push(piece) for piece in (b"x = 1", b"\\nd", b"ot", b"\\nde", b"f f")]
    ['x = 1', '', '\\ndot', '', '']
    >>> assembler.stopped
    True

    Args:
        stop: strings that end the text; of several the one that is complete first.

    Raises:
        InputError: a stop string is empty.
    """

    def __init__(self, stop: Sequence[str] = ()) -> None:
        if "" in stop:
            raise InputError("a stop string is empty; every text would end at once")
        self._stop = tuple(stop)
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._held = ""
        self.stopped = False

    def push(self, data: bytes) -> str:
        """Take more bytes; return the text that is certain now."""
        if self.stopped:
            return ""
        text = self._held + self._decoder.decode(data)
        found = [(text.find(stop) + len(stop), text.find(stop)) for stop in self._stop if stop in text]
        if found:
            self.stopped = True
            self._held = ""
            return text[: min(found)[1]]
        num_held = self._num_held(text)
        self._held = text[len(text) - num_held :]
        return text[: len(text) - num_held]

    def flush(self) -> str:
        """Return what was held back, at the end of the text; an unfinished character is dropped."""
        held, self._held = self._held, ""
        return held

    def _num_held(self, text: str) -> int:
        longest = max((len(stop) for stop in self._stop), default=1) - 1
        for length in range(min(longest, len(text)), 0, -1):
            if any(stop.startswith(text[-length:]) for stop in self._stop):
                return length
        return 0


class TextStream:
    """One request's text, piece by piece, on an engine that runs nothing else meanwhile.

    Iterate over it; then `result` is there. Leaving early cancels the request.

    Args:
        engine: what runs the model.
        tokenizer: the model's.
        request: its stop ids end the text and are no part of it.
        stop: strings that end the text.
        num_cut_tokens: for the result.
    """

    def __init__(
        self,
        engine: Engine,
        tokenizer: TextTokenizer,
        request: GenerateRequest,
        stop: Sequence[str] = (),
        num_cut_tokens: int = 0,
    ) -> None:
        self._engine = engine
        self._tokenizer = tokenizer
        self._request = request
        self._assembler = TextAssembler(stop)
        self._num_cut_tokens = num_cut_tokens
        self._result: Completion | None = None

    def __iter__(self) -> Iterator[str]:
        pieces: list[str] = []
        for piece in self._pieces():
            pieces.append(piece)
            yield piece
        assert self._result is not None
        self._result = replace(self._result, text="".join(pieces))

    @property
    def result(self) -> Completion:
        """The whole text, once the iteration is over."""
        assert self._result is not None, "the result is there when the iteration is over"
        return self._result

    def run(self) -> Completion:
        """Generate to the end and return the result."""
        for _ in self:
            pass
        return self.result

    def _pieces(self) -> Iterator[str]:
        request_id = self._engine.submit(self._request)
        token_ids: list[int] = []
        logprobs: list[float] = []
        reason: str | None = None
        try:
            while reason is None:
                for event in self._engine.step():
                    assert event.id == request_id, "the engine runs another request"
                    token_ids.append(event.token_id)
                    logprobs.append(event.logprob)
                    reason = event.finish_reason
                    if event.token_id in self._request.stop_ids:
                        continue
                    piece = self._assembler.push(self._tokenizer.token_bytes[event.token_id])
                    if self._assembler.stopped:
                        reason = "stop"
                    if piece:
                        yield piece
            if rest := self._assembler.flush():
                yield rest
        finally:
            self._engine.cancel(request_id)
        num_prompt = len(self._request.prompt_ids)
        self._result = Completion(
            "", reason, tuple(token_ids), tuple(logprobs), num_prompt, self._num_cut_tokens
        )


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
