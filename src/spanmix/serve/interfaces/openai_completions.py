"""``POST /v1/completions``, with a ``suffix`` that works."""

from __future__ import annotations

import secrets
import statistics
import time
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from spanmix.generate.engine import TokenEvent
from spanmix.serve.front.connection import event_stream, json_response, unless_gone
from spanmix.serve.front.documented import answered_as
from spanmix.serve.interfaces.openai_plan import Plan, Planner
from spanmix.serve.interfaces.openai_schema import (
    Choice,
    CompletionRequest,
    CompletionResponse,
    Usage,
)
from spanmix.serve.interfaces.tabby import TabbyAnswer, tabby_answer
from spanmix.serve.interfaces.token_logprobs import (
    LogprobsWriter,
    TokenFacts,
    TokenNames,
    of_answer,
    of_prompt,
)
from spanmix.serve.pieces import Piece, ServedReason
from spanmix.serve.provenance import as_fields
from spanmix.serve.served_model import ServedModel

ALIASES = ("/v1/engines/{engine}/completions", "/beta/completions", "/openai/v1/completions")
"""Where FauxPilot's, DeepSeek's and Groq's clients ask the same."""


class Completions:
    """Answers completion requests with a served model."""

    def __init__(self, server: ServedModel, fingerprint: str) -> None:
        self._server = server
        self._planner = Planner(server)
        self._fingerprint = fingerprint
        self.router = APIRouter()
        for alias in ALIASES:
            self.router.add_api_route(alias, self.complete, methods=["POST"], include_in_schema=False)
        self.router.add_api_route(
            "/v1/completions",
            self.complete,
            methods=["POST"],
            response_model=CompletionResponse | TabbyAnswer,
            responses=answered_as(),
            summary="Complete or infill",
        )

    async def complete(self, body: CompletionRequest, request: Request) -> Response:
        """Continue a prompt, or write what stands between ``prompt`` and ``suffix``."""
        if body.segments is not None:
            self._server.thread.check_room(1)
            return json_response(await unless_gone(request, tabby_answer(self._server, body, request)))
        plan = self._planner.plan(body)
        self._server.thread.check_room(len(plan.samplings) if plan.gaps is None else 1)
        headers = plan.prompts[0].headers
        if not body.stream:
            return json_response(await unless_gone(request, self._answer(plan, request)), headers)
        return event_stream(self._stream(plan, request), headers)

    def _pieces(self, plan: Plan, request: Request) -> AsyncGenerator[Piece]:
        if plan.gaps is not None:
            return self._server.gap_pieces(plan.gaps, plan.samplings, request)
        return self._server.all_pieces(plan.all_prompts, plan.samplings, request)

    async def _answer(self, plan: Plan, request: Request) -> str:
        """Return the whole answer as JSON."""
        num_answers = len(plan.samplings)
        texts = [""] * num_answers
        reasons: list[ServedReason] = ["length"] * num_answers
        events: list[list[TokenEvent]] = [[] for _ in range(num_answers)]
        splits = [0] * num_answers
        matches: list[dict[str, str | int] | None] = [None] * num_answers
        if plan.body.max_tokens != 0:
            async with aclosing(self._pieces(plan, request)) as pieces:
                async for piece in pieces:
                    texts[piece.index] += piece.text
                    events[piece.index] += piece.events
                    splits[piece.index] += piece.num_split
                    reasons[piece.index] = piece.finish_reason or "length"
                    matches[piece.index] = as_fields(piece.match)
        echoes = [await self._echo(plan, number) for number in range(len(plan.prompts))]
        choices: list[Choice] = []
        for number, echo in enumerate(echoes):
            for answer in _best(plan, number, events):
                logprobs = None
                if plan.body.logprobs is not None:
                    tokens = [*echo.tokens, *of_answer(events[answer])]
                    logprobs = self._writer(plan).write(tokens, splits[answer])
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

    async def _stream(self, plan: Plan, request: Request) -> AsyncIterator[str]:
        """Yield the events of a stream, the last of which is ``[DONE]``."""
        response_id = self._new_id()
        wants_usage = plan.body.stream_options is not None and plan.body.stream_options.include_usage
        writers = [self._writer(plan) for _ in plan.samplings]

        def written(choices: list[Choice], usage: Usage | None = None) -> str:
            response = self._response(plan, response_id, choices, usage)
            return response.model_dump_json(exclude=None if wants_usage else {"usage"})

        if plan.body.echo:
            for number in range(len(plan.prompts)):
                echo = await self._echo(plan, number)
                for index in range(number * plan.num_each, (number + 1) * plan.num_each):
                    logprobs = None if plan.body.logprobs is None else writers[index].write(echo.tokens)
                    yield written([Choice(index=index, text=echo.text, logprobs=logprobs)])
        num_made = 0
        async with aclosing(self._pieces(plan, request)) as pieces:
            async for piece in pieces:
                num_made += len(piece.events)
                yield written([_choice(plan, piece, writers[piece.index])])
        if wants_usage:
            yield written([], _usage(plan, num_made))
        yield "[DONE]"

    async def _echo(self, plan: Plan, number: int) -> _Echo:
        """Return what is echoed of a prompt: nothing, its text, or its tokens' log-probabilities too."""
        if not plan.body.echo:
            return _Echo("", [])
        if plan.body.logprobs is None:
            return _Echo(plan.texts[number], [])
        ids = plan.prompts[number].ids
        return _Echo(plan.texts[number], of_prompt(ids, await self._server.score(ids, plan.body.logprobs)))

    def _writer(self, plan: Plan) -> LogprobsWriter:
        tokenizer = self._server.tokenizer
        return LogprobsWriter(tokenizer, TokenNames(tokenizer, bool(plan.body.return_tokens_as_token_ids)))

    def _new_id(self) -> str:
        return f"cmpl-{secrets.token_hex(12)}"

    def _response(
        self, plan: Plan, response_id: str, choices: list[Choice], usage: Usage | None
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


def _choice(plan: Plan, piece: Piece, writer: LogprobsWriter) -> Choice:
    """Write a piece of a streamed answer down."""
    logprobs = None
    if plan.body.logprobs is not None:
        logprobs = writer.write(of_answer(piece.events), piece.num_split)
    return Choice(
        index=piece.index,
        text=piece.text,
        logprobs=logprobs,
        finish_reason=piece.finish_reason,
        spanmix_match=as_fields(piece.match),
    )


def _best(plan: Plan, number: int, events: Sequence[Sequence[TokenEvent]]) -> list[int]:
    """Return the answers to a prompt that are told: of more than are wanted those likeliest by token."""
    answers = list(range(number * plan.num_each, (number + 1) * plan.num_each))
    if plan.num_each == plan.num_kept:
        return answers
    means = {answer: statistics.fmean(event.logprob for event in events[answer]) for answer in answers}
    return sorted(answers, key=lambda answer: -means[answer])[: plan.num_kept]


def _usage(plan: Plan, num_made: int) -> Usage:
    num_read = sum(len(prompt.ids) for prompt in plan.prompts)
    return Usage(prompt_tokens=num_read, completion_tokens=num_made, total_tokens=num_read + num_made)
