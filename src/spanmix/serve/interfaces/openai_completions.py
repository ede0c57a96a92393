"""``POST /v1/completions``, with a ``suffix`` that works."""

from __future__ import annotations

import secrets
import statistics
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from spanmix.generate.engine import TokenEvent
from spanmix.generate.text import Sampling
from spanmix.serve.front.connection import event_stream, json_response, unless_gone
from spanmix.serve.front.errors import refused
from spanmix.serve.interfaces.openai_schema import (
    Choice,
    CompletionRequest,
    CompletionResponse,
    ErrorResponse,
    Usage,
)
from spanmix.serve.interfaces.tabby import tabby_answer
from spanmix.serve.interfaces.token_logprobs import TokenFacts, TokenNames, of_answer, of_prompt
from spanmix.serve.prompts import DIALECT_HEADER, Prompt
from spanmix.serve.provenance import as_fields
from spanmix.serve.served_model import Piece, ServedModel, ServedReason, seeds

ALIASES = ("/v1/engines/{engine}/completions", "/beta/completions", "/openai/v1/completions")
"""Where FauxPilot's, DeepSeek's and Groq's clients ask the same."""
_DEFAULT_MAX_TOKENS = 16
ERRORS: dict[int | str, dict[str, Any]] = {
    status: {"model": ErrorResponse} for status in (400, 401, 413, 422, 429, 500)
}


@dataclass(frozen=True)
class _Plan:
    """A request, checked: its prompts, and how each of its answers is made.

    Args:
        body: the request.
        prompts: as they are given to the model.
        texts: what is echoed of each.
        samplings: of each answer: those of the first prompt, then those of the second, …
        num_kept: answers a prompt that are told.
    """

    body: CompletionRequest
    prompts: list[Prompt]
    texts: list[str]
    samplings: list[Sampling]
    num_kept: int

    @property
    def num_each(self) -> int:
        return len(self.samplings) // len(self.prompts)

    @property
    def all_prompts(self) -> list[Prompt]:
        """The prompt of each answer."""
        return [prompt for prompt in self.prompts for _ in range(self.num_each)]


class Completions:
    """Answers completion requests with a served model."""

    def __init__(self, server: ServedModel, fingerprint: str) -> None:
        self._server = server
        self._fingerprint = fingerprint
        self.router = APIRouter()
        for alias in ALIASES:
            self.router.add_api_route(alias, self.complete, methods=["POST"], include_in_schema=False)
        self.router.add_api_route(
            "/v1/completions",
            self.complete,
            methods=["POST"],
            response_model=CompletionResponse,
            responses=ERRORS,
            summary="Complete or infill",
        )

    async def complete(self, body: CompletionRequest, request: Request) -> Response:
        """Continue a prompt, or write what stands between ``prompt`` and ``suffix``."""
        if body.segments is not None:
            self._server.thread.check_room(1)
            return json_response(await unless_gone(request, tabby_answer(self._server, body, request)))
        plan = self._plan(body)
        self._server.thread.check_room(len(plan.samplings))
        dialect = plan.prompts[0].dialect
        headers = {DIALECT_HEADER: dialect} if dialect else {}
        if not body.stream:
            return json_response(await unless_gone(request, self._answer(plan, request)), headers)
        return event_stream(self._stream(plan, request), headers)

    def _plan(self, body: CompletionRequest) -> _Plan:
        num_kept = body.n or 1
        num_each = body.best_of or num_kept
        texts = _prompts(body.prompt)
        self._check(body, len(texts), num_kept, num_each)
        server = self._server
        wanted = _DEFAULT_MAX_TOKENS if body.max_tokens is None else body.max_tokens
        prompts = [server.prompts.write(text, body.suffix, wanted) for text in texts]
        room = wanted
        for prompt in prompts:
            if wanted:
                room = min(room, server.prompts.room(len(prompt.ids), wanted, server.settings.clamp))
        samplings = [
            self._sampling(body, max(1, room), seed) for _ in prompts for seed in seeds(body.seed, num_each)
        ]
        echoed = [text if isinstance(text, str) else server.tokenizer.decode(text) for text in texts]
        return _Plan(body, prompts, echoed, samplings, num_kept)

    def _check(self, body: CompletionRequest, num_prompts: int, num_kept: int, num_each: int) -> None:
        """Refuse what is asked for in a way that cannot be answered, or too much of it."""
        settings = self._server.settings
        if num_prompts * num_each > settings.max_choices:
            raise refused(
                f"{num_prompts} prompts x {num_each} choices are more than this server's "
                f"{settings.max_choices}; ask for fewer",
                "best_of" if body.best_of else "n",
            )
        if num_each < num_kept:
            raise refused(f"best_of {num_each} is below n {num_kept}; raise it", "best_of")
        if body.stream and num_each > num_kept:
            raise refused("best_of cannot be streamed; leave out one of them", "best_of")
        if body.echo and body.suffix is not None:
            raise refused("Echo is unsupported with suffix.", "echo")
        if body.max_tokens == 0 and not body.echo:
            raise refused(
                "max_tokens is 0, which asks for nothing unless echo is true; use 1 or more", "max_tokens"
            )
        if (body.logprobs or 0) > settings.max_logprobs:
            raise refused(
                f"logprobs is {body.logprobs}; this server reports up to {settings.max_logprobs}", "logprobs"
            )

    def _sampling(self, body: CompletionRequest, max_tokens: int, seed: int) -> Sampling:
        return self._server.sampling(
            max_tokens,
            seed,
            body.temperature,
            body.top_p,
            top_k=max(0, body.top_k or 0),
            stop=self._server.stops([body.stop] if isinstance(body.stop, str) else body.stop or []),
            min_p=body.min_p or 0.0,
            min_tokens=max_tokens if body.ignore_eos else min(body.min_tokens or 0, max_tokens),
            logit_bias=self._biases(body.logit_bias),
            presence_penalty=body.presence_penalty or 0.0,
            frequency_penalty=body.frequency_penalty or 0.0,
            repetition_penalty=1.0 if body.repetition_penalty is None else body.repetition_penalty,
            num_top_logprobs=body.logprobs or 0,
        )

    def _biases(self, logit_bias: dict[str, float] | None) -> tuple[tuple[int, float], ...]:
        size = self._server.model.engine.info.vocab_size
        biases: dict[int, float] = {}
        for name, bias in (logit_bias or {}).items():
            if not name.isascii() or not name.isdigit() or int(name) >= size:
                raise refused(f"logit_bias names {name!r}; token ids run from 0 to {size - 1}", "logit_bias")
            biases[int(name)] = min(100.0, max(-100.0, bias))
        return tuple(biases.items())

    async def _answer(self, plan: _Plan, request: Request) -> str:
        """Return the whole answer as JSON."""
        num_answers = len(plan.samplings)
        texts = [""] * num_answers
        reasons: list[ServedReason] = ["length"] * num_answers
        events: list[list[TokenEvent]] = [[] for _ in range(num_answers)]
        matches: list[dict[str, str | int] | None] = [None] * num_answers
        if plan.body.max_tokens != 0:
            async with aclosing(self._server.all_pieces(plan.all_prompts, plan.samplings, request)) as pieces:
                async for piece in pieces:
                    texts[piece.index] += piece.text
                    events[piece.index] += piece.events
                    reasons[piece.index] = piece.finish_reason or "length"
                    matches[piece.index] = as_fields(piece.match)
        echoes = [await self._echo(plan, number) for number in range(len(plan.prompts))]
        choices: list[Choice] = []
        for number, echo in enumerate(echoes):
            for answer in _best(plan, number, events):
                logprobs = None
                if plan.body.logprobs is not None:
                    tokens = [*echo.tokens, *of_answer(events[answer])]
                    logprobs = self._names(plan).logprobs(tokens, 0)
                choices.append(
                    Choice(
                        index=len(choices),
                        text=echo.text + texts[answer],
                        logprobs=logprobs,
                        finish_reason=reasons[answer],
                        spanmix_match=matches[answer],
                    )
                )
        usage = _usage(plan, sum(map(len, events)))
        return self._response(plan, self._new_id(), choices, usage).model_dump_json()

    async def _stream(self, plan: _Plan, request: Request) -> AsyncIterator[str]:
        """Yield the events of a stream, the last of which is ``[DONE]``."""
        response_id = self._new_id()
        wants_usage = plan.body.stream_options is not None and plan.body.stream_options.include_usage
        offsets = [0] * len(plan.samplings)

        def written(choices: list[Choice], usage: Usage | None = None) -> str:
            response = self._response(plan, response_id, choices, usage)
            return response.model_dump_json(exclude=None if wants_usage else {"usage"})

        if plan.body.echo:
            for number in range(len(plan.prompts)):
                echo = await self._echo(plan, number)
                for index in range(number * plan.num_each, (number + 1) * plan.num_each):
                    logprobs = (
                        None if plan.body.logprobs is None else self._names(plan).logprobs(echo.tokens, 0)
                    )
                    offsets[index] = len(echo.text)
                    yield written([Choice(index=index, text=echo.text, logprobs=logprobs)])
        num_made = 0
        async with aclosing(self._server.all_pieces(plan.all_prompts, plan.samplings, request)) as pieces:
            async for piece in pieces:
                num_made += len(piece.events)
                yield written([self._choice(plan, piece, offsets[piece.index])])
                offsets[piece.index] += len(piece.text)
        if wants_usage:
            yield written([], _usage(plan, num_made))
        yield "[DONE]"

    def _choice(self, plan: _Plan, piece: Piece, offset: int) -> Choice:
        logprobs = None
        if plan.body.logprobs is not None:
            logprobs = self._names(plan).logprobs(of_answer(piece.events), offset)
        return Choice(
            index=piece.index,
            text=piece.text,
            logprobs=logprobs,
            finish_reason=piece.finish_reason,
            spanmix_match=as_fields(piece.match),
        )

    async def _echo(self, plan: _Plan, number: int) -> _Echo:
        """Return what is echoed of a prompt: nothing, its text, or its tokens' log-probabilities too."""
        if not plan.body.echo:
            return _Echo("", [])
        if plan.body.logprobs is None:
            return _Echo(plan.texts[number], [])
        ids = plan.prompts[number].ids
        return _Echo(plan.texts[number], of_prompt(ids, await self._server.score(ids, plan.body.logprobs)))

    def _names(self, plan: _Plan) -> TokenNames:
        return TokenNames(self._server.tokenizer, bool(plan.body.return_tokens_as_token_ids))

    def _new_id(self) -> str:
        return f"cmpl-{secrets.token_hex(12)}"

    def _response(
        self, plan: _Plan, response_id: str, choices: list[Choice], usage: Usage | None
    ) -> CompletionResponse:
        return CompletionResponse(
            id=response_id,
            created=int(time.time()),
            model=self._server.settings.name,
            system_fingerprint=self._fingerprint,
            choices=choices,
            usage=usage,
        )


@dataclass(frozen=True)
class _Echo:
    text: str
    tokens: list[TokenFacts]


def _prompts(prompt: str | list[str] | list[int] | list[list[int]]) -> list[str | list[int]]:
    """Return the prompts of a request, each a text or token ids."""
    if isinstance(prompt, str):
        return [prompt]
    if not prompt:
        raise refused("prompt is an empty list; give a text, token ids, or a list of either", "prompt")
    if isinstance(prompt[0], int):
        return [list(prompt)]
    return list(prompt)


def _best(plan: _Plan, number: int, events: Sequence[Sequence[TokenEvent]]) -> list[int]:
    """Return the answers to a prompt that are told: of more than are wanted those likeliest by token."""
    answers = list(range(number * plan.num_each, (number + 1) * plan.num_each))
    if plan.num_each == plan.num_kept:
        return answers
    means = {answer: statistics.fmean(event.logprob for event in events[answer]) for answer in answers}
    return sorted(answers, key=lambda answer: -means[answer])[: plan.num_kept]


def _usage(plan: _Plan, num_made: int) -> Usage:
    num_read = sum(len(prompt.ids) for prompt in plan.prompts)
    return Usage(prompt_tokens=num_read, completion_tokens=num_made, total_tokens=num_read + num_made)
