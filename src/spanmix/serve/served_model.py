"""A model as a server sees it: texts become prompts, prompts become answers, piece by piece."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass
from typing import Any, Literal

from starlette.requests import Request

from spanmix.errors import InputError
from spanmix.generate.answer import Answer
from spanmix.generate.engine import Score, ScoreRequest, TokenEvent
from spanmix.generate.opening import OpenModel
from spanmix.generate.text import Sampling, controls_but
from spanmix.serve.block_end import BlockEnd
from spanmix.serve.engine_thread import EngineThread
from spanmix.serve.front.errors import refused
from spanmix.serve.front.gate import MATCH, RECORD, STARTED
from spanmix.serve.interfaces.token_logprobs import TokenNames
from spanmix.serve.prompts import Prompt, PromptWriter
from spanmix.serve.provenance import Provenance, in_words
from spanmix.serve.settings import ServeSettings
from spanmix.text.trace.matches import Match

_MOST_STOP_CHARACTERS = 512

ServedReason = Literal["stop", "length", "content_filter"]


@dataclass(frozen=True)
class Piece:
    """More of an answer.

    Args:
        index: which answer of the request.
        text: what is certain now; may be empty.
        events: the tokens that came.
        finish_reason: with the last piece; ``"content_filter"`` if more of it was withheld.
        stopped_by: the stop string that ended it, if one did.
        match: with the last piece, the answer's longest match with the training data, if that is looked for.
    """

    index: int
    text: str
    events: tuple[TokenEvent, ...]
    finish_reason: ServedReason | None
    stopped_by: str | None = None
    match: Match | None = None


@dataclass(frozen=True)
class Whole:
    """An answer that is done."""

    text: str
    events: list[TokenEvent]
    finish_reason: ServedReason


@dataclass(frozen=True)
class Limits:
    """Where an answer ends beside its end and its stop strings.

    Args:
        seconds: after the first token; the answer ends at the next end of a line, or at once if it has one.
        least_blanks: in front of each of its lines but the first (see `BlockEnd`); 0 does not look.
    """

    seconds: float | None = None
    least_blanks: int = 0


NO_LIMITS = Limits()


class ServedModel:
    """Answers requests with one model.

    Args:
        model: it is used by nobody else from here on.
        settings: what is allowed.
        provenance: what is asked of the training data, if anything.
    """

    def __init__(
        self, model: OpenModel, settings: ServeSettings, provenance: Provenance | None = None
    ) -> None:
        self._provenance = provenance
        self.model = model
        self.settings = settings
        self.tokenizer = model.tokenizer
        self.names = TokenNames(model.tokenizer)
        self.thread = EngineThread(model.engine, settings.max_requests)
        own = model.engine.info.context_tokens
        self.context_tokens = min(own, settings.max_model_tokens or own)
        self.prompts = PromptWriter(model, self.context_tokens, settings.suffix_share)

    def sampling(
        self, max_tokens: int, seed: int, temperature: float | None, top_p: float | None, **others: Any
    ) -> Sampling:
        """Return how an answer is made: as the request says, and as the server does where it does not.

        Raises:
            ApiError: a number is out of its range.
        """
        settings = self.settings
        try:
            return Sampling(
                max_tokens=max_tokens,
                seed=seed,
                temperature=settings.temperature if temperature is None else temperature,
                top_p=settings.top_p if top_p is None else top_p,
                **others,
            )
        except InputError as error:
            raise refused(str(error)) from None

    async def whole(self, prompt: Prompt, sampling: Sampling, request: Request) -> Whole:
        """Return one answer when it is done."""
        texts: list[str] = []
        events: list[TokenEvent] = []
        reason: ServedReason = "length"
        async with aclosing(self.all_pieces([prompt], [sampling], request)) as pieces:
            async for piece in pieces:
                texts.append(piece.text)
                events += piece.events
                reason = piece.finish_reason or reason
        return Whole("".join(texts), events, reason)

    def stops(self, stop: Sequence[str]) -> tuple[str, ...]:
        """Return a request's stop strings, without empty ones.

        Raises:
            ApiError: they are too many or too long.
        """
        stops = tuple(one for one in stop if one)
        most = self.settings.max_stops
        if len(stops) > most:
            raise refused(f"{len(stops)} stop strings are more than this server's {most}; give fewer", "stop")
        if any(len(one) > _MOST_STOP_CHARACTERS for one in stops):
            raise refused(f"a stop string is longer than {_MOST_STOP_CHARACTERS} characters", "stop")
        return stops

    async def pieces(
        self, prompt: Prompt, sampling: Sampling, index: int, limits: Limits = NO_LIMITS
    ) -> AsyncGenerator[Piece]:
        """Yield an answer as it comes; closing the generator ends the work on it."""
        block = BlockEnd(limits.least_blanks)
        guard = None if self._provenance is None else self._provenance.guard()
        texts: list[str] = []
        first_at: float | None = None
        answer = Answer(self.tokenizer.token_bytes, prompt.end_ids, sampling.stop)
        suppress_ids = controls_but(self.tokenizer, prompt.end_ids)
        request = sampling.request(prompt.ids, prompt.end_ids, suppress_ids)
        async with aclosing(self.thread.generate(request)) as events:
            async for part in events:
                before = len(answer.events)
                text = block.push("".join([answer.take(event) for event in part]))
                if answer.finish_reason is not None and not block.is_over:
                    text += block.flush()
                first_at = first_at or time.perf_counter()
                is_late = limits.seconds is not None and time.perf_counter() - first_at > limits.seconds
                reason: ServedReason | None = answer.finish_reason
                if block.is_over:
                    reason = "stop"
                elif reason is None and is_late and "\n" in answer.text:
                    reason = "length"
                if guard is not None and await asyncio.to_thread(guard.add, text) is not None:
                    text, reason = "", "content_filter"
                texts.append(text)
                match = None
                if reason is not None and self._provenance is not None:
                    match = await self._provenance.longest("".join(texts))
                yield Piece(index, text, tuple(answer.events[before:]), reason, answer.stopped_by, match)
                if reason is not None:
                    return

    async def all_pieces(
        self,
        prompts: Sequence[Prompt],
        samplings: Sequence[Sampling],
        request: Request,
        limits: Limits = NO_LIMITS,
    ) -> AsyncGenerator[Piece]:
        """Yield several answers side by side, as their pieces come.

        Args:
            prompts: of each answer.
            samplings: of each answer.
            request: where the times and numbers of tokens are noted.
            limits: of all of them.
        """
        record, started = request.scope[RECORD], request.scope[STARTED]
        record["prompt_tokens"] = sum(
            len(ids) for ids in {id(prompt): prompt.ids for prompt in prompts}.values()
        )
        record["completion_tokens"] = 0
        longest: Match | None = None
        sources = [
            self.pieces(prompt, sampling, index, limits)
            for index, (prompt, sampling) in enumerate(zip(prompts, samplings, strict=True))
        ]
        async with aclosing(_merged(sources)) as merged:
            async for piece in merged:
                if piece.events and "first_token_seconds" not in record:
                    record["first_token_seconds"] = round(time.perf_counter() - started, 4)
                record["completion_tokens"] += len(piece.events)
                if piece.finish_reason is not None and self._provenance is not None:
                    longest = max(longest, piece.match, key=lambda match: match.num_bytes if match else 0)
                    request.scope[MATCH] = in_words(longest)
                yield piece

    async def score(self, ids: Sequence[int], num_top: int) -> Score:
        """Score all tokens of a sequence but the first."""
        return await self.thread.score(ScoreRequest(ids[:1], ids[1:], num_top))

    def close(self) -> None:
        """Stop the engine's thread."""
        self.thread.close()


def seeds(seed: int | None, num: int) -> list[int]:
    """Return a seed for each answer of a request: those that follow its own, or random ones."""
    first = secrets.randbits(48) if seed is None else seed
    return [first + number for number in range(num)]


async def _merged(sources: Sequence[AsyncGenerator[Piece]]) -> AsyncGenerator[Piece]:
    """Yield from several generators whatever comes first, until all are done or one fails."""
    if len(sources) == 1:
        async with aclosing(sources[0]) as only:
            async for piece in only:
                yield piece
        return
    come: asyncio.Queue[Piece | BaseException | None] = asyncio.Queue()

    async def pump(source: AsyncGenerator[Piece]) -> None:
        try:
            async with aclosing(source):
                async for piece in source:
                    come.put_nowait(piece)
        except Exception as error:
            come.put_nowait(error)
        else:
            come.put_nowait(None)

    tasks = [asyncio.create_task(pump(source)) for source in sources]
    try:
        left = len(tasks)
        while left:
            item = await come.get()
            if isinstance(item, BaseException):
                raise item
            if item is None:
                left -= 1
            else:
                yield item
    finally:
        for task in tasks:
            task.cancel()
        with suppress(asyncio.CancelledError):
            await asyncio.gather(*tasks, return_exceptions=True)
