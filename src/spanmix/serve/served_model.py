"""A model as a server sees it: texts become prompts, prompts become answers, piece by piece."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import Any

from starlette.requests import Request

from spanmix.errors import InputError
from spanmix.generate.answer import Answer
from spanmix.generate.engine import Score, ScoreRequest, TokenEvent
from spanmix.generate.infill import Gaps
from spanmix.generate.opening import OpenModel
from spanmix.generate.text import Sampling, controls_but
from spanmix.serve.block_end import BlockEnd
from spanmix.serve.engine_thread import EngineThread
from spanmix.serve.front.errors import refused
from spanmix.serve.front.gate import MATCH, RECORD, STARTED
from spanmix.serve.interfaces.token_logprobs import TokenNames
from spanmix.serve.line_end import LineEnd
from spanmix.serve.pieces import NO_LIMITS, Limits, Piece, ServedReason, Whole, merged
from spanmix.serve.prompts import Prompt, PromptWriter
from spanmix.serve.provenance import Provenance, in_words
from spanmix.serve.reading import Reading
from spanmix.serve.settings import ServeSettings
from spanmix.text.trace.matches import Match

_MOST_STOP_CHARACTERS = 512


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
        self.context_tokens = settings.context_tokens(model.engine.info.context_tokens)
        self.reading = Reading(model.engine.info.keeps_prompts)
        self.prompts = PromptWriter(model, self.context_tokens, settings.suffix_share, settings.clamp)

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
        asked_at = time.perf_counter()
        block, line = BlockEnd(limits.least_blanks), LineEnd(limits.seconds)
        guard = None if self._provenance is None else self._provenance.guard()
        texts: list[str] = []
        opening, num_told = prompt.opening, 0
        answer = Answer(
            self.tokenizer.token_bytes, prompt.end_ids, sampling.stop, opening, sampling.max_tokens
        )
        suppress_ids = controls_but(self.tokenizer, prompt.end_ids)
        request = sampling.request(prompt.ids, prompt.end_ids, suppress_ids, opening)
        async with aclosing(self.thread.generate(request)) as events:
            async for part in events:
                if not answer.events:
                    self.reading.note(prompt.ids, time.perf_counter() - asked_at)
                text = block.push("".join([answer.take(event) for event in part]))
                if answer.finish_reason is not None and not block.is_over:
                    text += block.flush()
                if len(answer.events) == answer.num_repeated:
                    continue
                reason: ServedReason | None = answer.finish_reason
                if block.is_over:
                    reason = "stop"
                elif reason is None:
                    text = line.push(text, time.perf_counter())
                    reason = "length" if line.is_over else None
                if guard is not None and await asyncio.to_thread(guard.add, text) is not None:
                    text, reason = "", "content_filter"
                texts.append(text)
                match = None
                if reason is not None and self._provenance is not None:
                    match = await self._provenance.longest("".join(texts))
                is_first = num_told <= answer.num_repeated
                repeated = tuple(event.token_id for event in answer.events[num_told : answer.num_repeated])
                new = tuple(answer.events[max(num_told, answer.num_repeated) :])
                if reason == "content_filter":
                    repeated, new = (), ()
                num_told = len(answer.events)
                num_split = answer.num_split if is_first else 0
                yield Piece(index, text, new, reason, answer.stopped_by, match, repeated, num_split)
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
        num_read = sum(len(ids) for ids in {id(prompt): prompt.ids for prompt in prompts}.values())
        sources = [
            self.pieces(prompt, sampling, index, limits)
            for index, (prompt, sampling) in enumerate(zip(prompts, samplings, strict=True))
        ]
        async with aclosing(self._noted(merged(sources), num_read, request)) as noted:
            async for piece in noted:
                yield piece

    async def gap_pieces(
        self, gaps: Gaps, samplings: Sequence[Sampling], request: Request, limits: Limits = NO_LIMITS
    ) -> AsyncGenerator[Piece]:
        """Yield the answers to the gaps of a text, one after the other; a piece's index is its gap.

        Args:
            gaps: none of them has its answer yet.
            samplings: of each gap.
            request: where the times and numbers of tokens are noted.
            limits: of each answer; the time is that of all of them together.
        """
        num_read = len(gaps.prompt_ids)
        async with aclosing(self._noted(self._of_gaps(gaps, samplings, limits), num_read, request)) as noted:
            async for piece in noted:
                yield piece

    async def _of_gaps(
        self, gaps: Gaps, samplings: Sequence[Sampling], limits: Limits
    ) -> AsyncGenerator[Piece]:
        began_at: float | None = None
        for gap, sampling in enumerate(samplings):
            prompt, ids, texts = self.prompts.of_gap(gaps, sampling.max_tokens), list[int](), list[str]()
            left = limits.seconds
            if left is not None and began_at is not None:
                left = max(0.0, left - time.perf_counter() + began_at)
            own = replace(limits, seconds=left)
            async with aclosing(self.pieces(prompt, sampling, gap, own)) as pieces:
                async for piece in pieces:
                    began_at = began_at or time.perf_counter()
                    ids += [*piece.repeated_ids, *(event.token_id for event in piece.events)]
                    texts.append(piece.text)
                    yield piece
            gaps.close(ids, "".join(texts))

    async def _noted(
        self, pieces: AsyncGenerator[Piece], num_read: int, request: Request
    ) -> AsyncGenerator[Piece]:
        """Pass pieces on, and note the times and numbers of tokens of a request."""
        record, started = request.scope[RECORD], request.scope[STARTED]
        record["prompt_tokens"], record["completion_tokens"] = num_read, 0
        longest: Match | None = None
        async with aclosing(pieces):
            async for piece in pieces:
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
