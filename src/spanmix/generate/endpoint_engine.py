"""The `Engine` of a model that another program serves, through ``/v1/completions``.

The interface speaks of token ids and of tokens as they come; the protocol of texts and of whole answers.
What is done about that:

- **Ids.** The model's tokenizer is needed here. Prompts are sent as ids to a server that takes them, else as
  their text; then the server has to count as many tokens. Answers are ids where the server says them (as vLLM
  does), else the ids of their text, without log-probabilities (NaN).
- **Steps.** An answer comes whole. `step` waits for the first, and gives its tokens one a step.
- **Ends.** `stop_ids` are found in the ids of the answer. Where a server does not say ids, a control among
  them is refused, because texts leave it out, unless the server itself ends there (`own_ends`). An answer
  that ended without one gets such a control, or ``<|endoftext|>``, as its last token: it stands for no text.
- **`suppress_ids`** are banned by ``logit_bias`` where it is heard; an answer that holds one is an error. A
  server that neither hears it nor says ids could choose a control unseen, since texts leave it out.
- **Scores** are the server's, from ``echo``; `spanmix.generate.endpoint_answers` says what is refused.
- **The context** is one token less than the server's, since ``echo`` goes with one new token.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass, field, replace
from functools import partial
from types import TracebackType
from typing import Any, TypeVar

from spanmix.errors import InputError, SpanmixError
from spanmix.generate.completions_client import Choice, Endpoint, RefusedError
from spanmix.generate.endpoint_answers import AnswerToken, TokenTexts, read_echo, read_tokens
from spanmix.generate.endpoint_probe import BAN, IGNORED, NEUTRAL, SEEDED, UNSEEDED, ServerTraits, probe
from spanmix.generate.engine import EngineInfo, FinishReason, GenerateRequest, Score, ScoreRequest, TokenEvent
from spanmix.generate.workers import Workers
from spanmix.text.tokenizer import Tokenizer

T = TypeVar("T")
_SEEDS = 2**31
"""Servers take seeds of 32 or 64 bits, with a sign or without."""


@dataclass
class _Job:
    """A request on its way, or its answer's events that were not given out yet."""

    answer: Future[list[TokenEvent]]
    events: deque[TokenEvent] = field(default_factory=deque)


class EndpointEngine:
    """The `Engine` of a server's model; close it when it is no longer needed.

    Args:
        endpoint: the server.
        tokenizer: of the model that is served.
        traits: what the server does; it is asked if not given (see `spanmix.generate.endpoint_probe`).
        context_tokens: the server's longest prompt plus completion; its ``max_model_len`` if not given.
        stop: strings at which the server may end every answer; whoever reads the texts cuts them there too.
        own_ends: control ids at which the server ends by itself; ``<|endoftext|>`` if not given.
        allow_unseeded: sample also where the same seed gives another sample.
        concurrency: most requests at once.

    Raises:
        InputError: the context is not known, or the server completes no text.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        tokenizer: Tokenizer,
        traits: ServerTraits | None = None,
        *,
        context_tokens: int | None = None,
        stop: Sequence[str] = (),
        own_ends: frozenset[int] | None = None,
        allow_unseeded: bool = False,
        concurrency: int = 8,
    ) -> None:
        self._endpoint, self._tokenizer = endpoint, tokenizer
        self._context_tokens = (context_tokens or _context_of(endpoint)) - 1
        self.traits = traits or probe(endpoint, tokenizer)
        self._texts = TokenTexts(tokenizer)
        self._stop = list(stop)
        self._own_ends = frozenset({tokenizer.control.eot}) if own_ends is None else own_ends
        self._allow_unseeded = allow_unseeded
        self._workers = Workers(concurrency)
        self._jobs: dict[int, _Job] = {}
        self._next_id = 0

    @property
    def info(self) -> EngineInfo:
        """What this engine can do; what the server computes in is not known."""
        can = {"seed": self.traits.sampling == SEEDED, "top_logprobs": self.traits.token_ids}
        capabilities = frozenset(name for name, there in can.items() if there)
        return EngineInfo(self._context_tokens, self._tokenizer.vocab_size, "unknown", capabilities)

    def score(self, requests: Sequence[ScoreRequest]) -> list[Score]:
        """Score each request.

        Raises:
            InputError: a context is empty, or a request is longer than the context.
            SpanmixError: the server does not echo log-probabilities, or not exactly.
        """
        for request in requests:
            self.info.check_score(request)
            if request.num_top_logprobs:
                raise InputError("an endpoint's scores come without the most likely tokens; leave them out")
        if requests and self.traits.echo_problem:
            raise SpanmixError(
                f"{self._endpoint.url} cannot score: {self.traits.echo_problem}. Use a server that echoes "
                "the prompt with its log-probabilities, such as vLLM, or the model's folder"
            )
        answers = [self._workers.submit(partial(self._named, self._score, request)) for request in requests]
        try:
            return [answer.result() for answer in answers]
        finally:
            for answer in answers:
                answer.cancel()

    def submit(self, request: GenerateRequest) -> int:
        """Accept a request and return its id; at most `concurrency` of them are on their way.

        Raises:
            InputError: it does not fit the context, or asks for what the server does not do.
        """
        self.info.check_generate(request)
        self._check(request)
        prompt = self._prompt(request.prompt_ids)
        request_id = self._next_id
        self._next_id += 1
        answer = self._workers.submit(partial(self._named, self._generate, request_id, request, prompt))
        self._jobs[request_id] = _Job(answer)
        return request_id

    def step(self) -> list[TokenEvent]:
        """Wait for an answer, and give the next token of every one that is there; empty when none is left.

        Raises:
            RefusedError: the server answered with an error, or with something else than was asked for.
        """
        if not self._jobs:
            return []
        wait([job.answer for job in self._jobs.values()], return_when=FIRST_COMPLETED)
        events = []
        for request_id, job in list(self._jobs.items()):
            if not job.answer.done():
                continue
            if not job.events:
                try:
                    job.events.extend(job.answer.result())
                except BaseException:
                    del self._jobs[request_id]
                    raise
            events.append(job.events.popleft())
            if not job.events:
                del self._jobs[request_id]
        return events

    def cancel(self, request_id: int) -> None:
        """Forget a request; unknown ids are ignored. What the server has begun, it ends."""
        job = self._jobs.pop(request_id, None)
        if job is not None:
            job.answer.cancel()

    def close(self) -> None:
        """Forget all requests and close the connections."""
        for request_id in list(self._jobs):
            self.cancel(request_id)
        self._endpoint.close()

    def __enter__(self) -> EndpointEngine:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _check(self, request: GenerateRequest) -> None:
        """Refuse what the server would pass over."""
        url = self._endpoint.url
        if request.top_k and not self.traits.token_ids:
            raise InputError(f"top_k is {request.top_k}, and {url} does not hear top_k; use 0, or top_p")
        if request.num_top_logprobs and not self.traits.token_ids:
            raise InputError(f"{url} does not say the ids of its tokens, so num_top_logprobs has to be 0")
        if request.temperature > 0 and self.traits.sampling == IGNORED:
            raise InputError(f"{url} gives the same text whatever the temperature; use temperature 0")
        if request.temperature > 0 and self.traits.sampling == UNSEEDED and not self._allow_unseeded:
            raise InputError(
                f"{url} gives another sample for the same seed, so none could be made again; use temperature "
                "0, or allow unseeded samples (--allow-unseeded)"
            )
        if self.traits.token_ids:
            return
        is_control = self._tokenizer.is_control
        unseen = [i for i in sorted(request.stop_ids - self._own_ends) if is_control[i]]
        if unseen:
            raise InputError(
                f"{url} does not say the ids of its tokens, so that an end at "
                f"{self._tokenizer.decode(unseen[:1])!r} would not be seen; use vLLM, or a server that ends "
                "there by itself (own_ends)"
            )

    def _prompt(self, token_ids: Sequence[int]) -> str | list[list[int]]:
        """Return what is sent for a prompt."""
        if self.traits.prompt_ids:
            return [list(map(int, token_ids))]
        controls = self._tokenizer.is_control
        pieces = [
            self._tokenizer.decode([i]).encode() if controls[i] else self._tokenizer.token_bytes[i]
            for i in token_ids
        ]
        try:
            return b"".join(pieces).decode("utf-8")
        except UnicodeDecodeError:
            raise InputError(
                f"{self._endpoint.url} takes only texts, and the prompt begins or ends inside of a character"
            ) from None

    def _ask(self, prompt: str | list[list[int]], num_tokens: int, **fields: Any) -> Choice:
        (answer,) = self._endpoint.complete(prompt, **fields)
        if answer.prompt_tokens not in (None, num_tokens):
            raise RefusedError(
                f"the server counts {answer.prompt_tokens} tokens in a prompt of {num_tokens}: it has "
                "another tokenizer, adds tokens, or does not read the names of controls as controls"
            )
        return answer

    def _named(self, job: Callable[..., T], *arguments: Any) -> T:
        """Do a job; an error says whose answer it is about."""
        try:
            return job(*arguments)
        except RefusedError as error:
            raise RefusedError(f"{self._endpoint.url}: {error}") from None

    def _score(self, request: ScoreRequest) -> Score:
        if not len(request.target_ids):
            return Score([], [])
        token_ids = [*request.context_ids, *request.target_ids]
        answer = self._ask(
            self._prompt(token_ids), len(token_ids), max_tokens=1, echo=True, logprobs=1, **self._told()
        )
        logprobs, is_greedy = read_echo(answer, token_ids, self._texts)
        start = len(request.context_ids) - 1
        return Score(logprobs[start:], is_greedy[start:])

    def _generate(
        self, request_id: int, request: GenerateRequest, prompt: str | list[list[int]]
    ) -> list[TokenEvent]:
        fields: dict[str, Any] = {
            "max_tokens": request.max_tokens,
            "temperature": request.temperature,
            "top_p": request.top_p,
            **({"seed": request.seed % _SEEDS} if request.temperature > 0 else {}),
            **({"stop": self._stop} if self._stop else {}),
            **self._told(),
        }
        if self.traits.token_ids:
            fields |= {**NEUTRAL, "logprobs": max(1, request.num_top_logprobs)}
            fields |= {"top_k": request.top_k or -1, "stop_token_ids": sorted(request.stop_ids)}
        if self.traits.logit_bias and request.suppress_ids:
            fields["logit_bias"] = {str(token_id): BAN for token_id in sorted(request.suppress_ids)}
        answer = self._ask(prompt, len(request.prompt_ids), **fields)
        return self._events(request_id, request, answer)

    def _told(self) -> dict[str, Any]:
        return {"return_tokens_as_token_ids": True} if self.traits.token_ids else {}

    def _events(self, request_id: int, request: GenerateRequest, answer: Choice) -> list[TokenEvent]:
        told = answer.finish_reason
        if told not in ("stop", "length"):
            raise RefusedError(f"an answer ended for the reason {told}; it has to be stop or length")
        reason: FinishReason = "stop" if told == "stop" else "length"
        if self.traits.token_ids:
            tokens = read_tokens(answer, self._tokenizer.vocab_size, request.num_top_logprobs)
            if len(tokens) > request.max_tokens:
                raise RefusedError(f"an answer has {len(tokens)} tokens; {request.max_tokens} were allowed")
        else:
            tokens = [AnswerToken(i, math.nan, ()) for i in self._tokenizer.encode(answer.text)]
        ends = (place for place, token in enumerate(tokens) if token.token_id in request.stop_ids)
        end = next(ends, None)
        if end is not None:
            tokens, reason = tokens[: end + 1], "stop"
        banned = next((token.token_id for token in tokens if token.token_id in request.suppress_ids), None)
        if banned is not None:
            raise RefusedError(
                f"an answer holds {self._tokenizer.decode([banned])!r}, which was not to be generated: "
                "the server does not heed logit_bias"
            )
        if not tokens or (end is None and reason == "stop" and not self.traits.token_ids):
            tokens.append(AnswerToken(self._unsaid_end(request), math.nan, ()))
        events = [TokenEvent(request_id, token.token_id, token.logprob, token.top, None) for token in tokens]
        events[-1] = replace(events[-1], finish_reason=reason)
        return events

    def _unsaid_end(self, request: GenerateRequest) -> int:
        """Return the control that stands for an end whose token the server does not say."""
        eot = self._tokenizer.control.eot
        ends = request.stop_ids & self._own_ends
        return eot if eot in ends or not ends else min(ends)


def _context_of(endpoint: Endpoint) -> int:
    """Read the context from the server's list of models, where vLLM has it."""
    listed = endpoint.listed()
    length = listed.get("max_model_len")
    if not isinstance(length, int) or length < 2:
        if not listed:
            raise InputError(
                f"{endpoint.url}/models lists no model {endpoint.model!r}; give a name that it lists, or the "
                "context too (--context-tokens)"
            )
        raise InputError(
            f"{endpoint.url} does not say the context of {endpoint.model!r}; give context_tokens "
            "(--context-tokens)"
        )
    return length
