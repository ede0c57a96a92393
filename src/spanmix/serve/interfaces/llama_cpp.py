"""llama.cpp's interface: ``/infill``, ``/completion``, ``/tokenize``, ``/detokenize`` and ``/props``."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from spanmix.generate.infill import Gaps
from spanmix.generate.text import Sampling
from spanmix.serve.front.connection import compact, event_stream, json_response, unless_gone
from spanmix.serve.front.documented import answered_as
from spanmix.serve.front.errors import refused
from spanmix.serve.interfaces.llama_cpp_schema import (
    CompletionBody,
    DetokenizeBody,
    InfillBody,
    TokenizeBody,
    only,
)
from spanmix.serve.pieces import Limits, Piece
from spanmix.serve.prompts import Prompt
from spanmix.serve.served_model import ServedModel, seeds

_TEXT_FIELDS = {"input_prefix", "prompt", "input_suffix", "input_parts"}


@dataclass
class _Told:
    """What an answer came to so far."""

    index: int
    content: str = ""
    tokens: list[int] = field(default_factory=list)
    stop_type: str = "none"
    stopping_word: str = ""
    first_at: float | None = None

    def add(self, piece: Piece, end_ids: frozenset[int]) -> None:
        """Take a piece."""
        if self.first_at is None and piece.events:
            self.first_at = time.perf_counter()
        self.content += piece.text
        self.tokens += [event.token_id for event in piece.events]
        if piece.finish_reason == "length":
            self.stop_type = "limit"
        elif piece.finish_reason == "stop":
            self.stopping_word = piece.stopped_by or ""
            self.stop_type = "word" if piece.stopped_by else "eos"


class LlamaCpp:
    """Answers llama.cpp's requests with a served model."""

    def __init__(self, server: ServedModel) -> None:
        self._server = server
        self.router = APIRouter()
        for path, handler, method, responses in (
            ("/infill", self.infill, "POST", answered_as()),
            ("/completion", self.complete, "POST", answered_as()),
            ("/completions", self.complete, "POST", answered_as()),
            ("/tokenize", self.tokenize, "POST", None),
            ("/detokenize", self.detokenize, "POST", None),
            ("/props", self.props, "GET", None),
        ):
            self.router.add_api_route(path, handler, methods=[method], responses=responses)

    async def infill(self, body: InfillBody, request: Request) -> Response:
        """Write what stands between ``input_prefix`` with ``prompt`` and ``input_suffix``, or at cursors."""
        max_tokens, server = _max_tokens(body), self._server
        if body.n_predict != 0 and not _TEXT_FIELDS & body.model_fields_set:
            raise refused(
                "there is no text: give input_prefix and input_suffix, or input_parts", "input_prefix"
            )
        if body.input_parts is not None:
            if body.input_prefix or body.prompt or body.input_suffix or body.input_extra or body.n_cmpl > 1:
                raise refused(
                    "input_parts is the whole text, and has one answer a cursor; leave out input_prefix, "
                    "prompt, input_suffix, input_extra and n_cmpl",
                    "input_parts",
                )
            gaps, room = server.prompts.gaps(body.input_parts, max_tokens, body.token_healing)
            return await self._respond(body, server.prompts.of_gap(gaps, room), request, gaps)
        parts = [body.input_prefix + body.prompt, body.input_suffix]

        def written(most_prompt: int | None) -> Prompt:
            return server.prompts.infill(parts, max_tokens, body.token_healing, most_prompt, body.input_extra)

        prompt = written(None)
        if body.t_max_prompt_ms > 0 and body.n_predict != 0:
            most = server.reading.most_tokens(prompt.ids, body.t_max_prompt_ms / 1000)
            if most is not None:
                prompt = written(most)
        return await self._respond(body, prompt, request)

    async def complete(self, body: CompletionBody, request: Request) -> Response:
        """Continue a prompt."""
        max_tokens = _max_tokens(body)
        text = self._text(body.prompt, max_tokens)
        prompt = self._server.prompts.write(text, None, max_tokens, body.token_healing)
        return await self._respond(body, prompt, request)

    async def tokenize(self, body: TokenizeBody) -> dict[str, Any]:
        """Return the ids of a text; names of controls in it are text."""
        text = body.content if body.content is not None else body.prompt or ""
        # A long one takes seconds, in which others would wait.
        ids = await asyncio.to_thread(self._server.prompts.encode, text)
        if body.add_special:
            ids = [*self._server.model.asked.start_ids, *ids]
        names = self._server.names
        tokens: list[Any] = (
            [{"id": token, "piece": names.name(token)} for token in ids] if body.with_pieces else ids
        )
        return {"tokens": tokens, "count": len(ids), "max_model_len": self._server.context_tokens}

    async def detokenize(self, body: DetokenizeBody) -> dict[str, str]:
        """Return the text of some ids."""
        size = self._server.model.engine.info.vocab_size
        if any(not 0 <= token < size for token in body.tokens):
            raise refused(f"tokens holds an id outside the vocabulary, 0 to {size - 1}", "tokens")
        text = await asyncio.to_thread(self._server.tokenizer.decode, body.tokens)
        return {"content": text, "prompt": text}

    async def props(self) -> dict[str, Any]:
        """Return what is served."""
        settings = self._server.settings
        return {
            "model_path": settings.name,
            "model_alias": settings.name,
            "total_slots": settings.max_requests,
            "default_generation_settings": {
                "n_ctx": self._server.context_tokens,
                "params": {"temperature": settings.temperature, "top_p": settings.top_p},
            },
            "chat_template": "",
            "modalities": {"vision": False, "audio": False},
        }

    def _text(self, prompt: str | list[int | str], max_tokens: int | None) -> str | list[int]:
        if isinstance(prompt, str):
            return prompt
        ids: list[int] = []
        self._server.prompts.check_length(len(prompt), max_tokens)  # before each part is read
        for part in prompt:
            ids += self._server.prompts.encode(part) if isinstance(part, str) else [part]
        return ids

    def _sampling(self, body: CompletionBody, max_tokens: int, seed: int) -> Sampling:
        top_p = body.top_p if body.top_p is None or 0 < body.top_p <= 1 else 1.0
        return self._server.sampling(
            max_tokens,
            seed,
            body.temperature,
            top_p,
            top_k=max(0, body.top_k),
            stop=self._server.stops(body.stop),
            min_p=body.min_p,
            min_tokens=max_tokens if body.ignore_eos else 0,
            presence_penalty=body.presence_penalty,
            frequency_penalty=body.frequency_penalty,
            repetition_penalty=body.repeat_penalty,
            num_top_logprobs=min(body.n_probs, self._server.settings.max_logprobs),
        )

    async def _respond(
        self,
        body: CompletionBody,
        prompt: Prompt,
        request: Request,
        gaps: Gaps | None = None,
    ) -> Response:
        if body.n_predict == 0:  # an editor that starts: nothing is to be written
            nothing = _Told(0, stop_type="limit")
            return json_response(
                compact(
                    only(self._whole(nothing, prompt, request, time.perf_counter()), body.response_fields)
                )
            )
        number = body.n_cmpl if gaps is None else gaps.num_gaps
        if number > self._server.settings.max_choices:
            most = self._server.settings.max_choices
            raise refused(f"{number} answers are more than this server's {most}; ask for fewer", "n_cmpl")
        samplings = [
            self._sampling(body, prompt.max_tokens, seed)
            for seed in seeds(None if body.seed < 0 else body.seed, number)
        ]
        self._server.thread.check_room(len(samplings) if gaps is None else 1)
        budget = body.t_max_predict_ms / 1000 if body.t_max_predict_ms > 0 else None
        limits = Limits(budget, body.n_indent)
        if gaps is None:
            pieces = self._server.all_pieces([prompt] * number, samplings, request, limits)
        else:
            pieces = self._server.gap_pieces(gaps, samplings, request, limits)
        told = [_Told(index) for index in range(number)]
        if body.stream:
            return event_stream(self._stream(body, prompt, told, pieces, request), prompt.headers)
        answers = await unless_gone(request, self._answers(body, prompt, told, pieces, request))
        answer = answers if number > 1 or gaps is not None else answers[0]
        return json_response(compact(answer), prompt.headers)

    async def _answers(
        self,
        body: CompletionBody,
        prompt: Prompt,
        told: Sequence[_Told],
        pieces: AsyncGenerator[Piece],
        request: Request,
    ) -> list[dict[str, Any]]:
        started = time.perf_counter()
        async with aclosing(pieces):
            async for piece in pieces:
                told[piece.index].add(piece, prompt.end_ids)
        answers = [only(self._whole(one, prompt, request, started), body.response_fields) for one in told]
        if not body.return_tokens and body.response_fields is None:
            for answer in answers:
                answer["tokens"] = []
        return answers

    async def _stream(
        self,
        body: CompletionBody,
        prompt: Prompt,
        told: Sequence[_Told],
        pieces: AsyncGenerator[Piece],
        request: Request,
    ) -> AsyncIterator[str]:
        started = time.perf_counter()
        async with aclosing(pieces):
            async for piece in pieces:
                one = told[piece.index]
                one.add(piece, prompt.end_ids)
                ids = [event.token_id for event in piece.events]
                part = {"index": piece.index, "content": piece.text, "tokens": ids, "stop": False}
                if piece.finish_reason is not None:
                    part = self._whole(one, prompt, request, started) | {"content": piece.text, "tokens": []}
                    part = only(part, body.response_fields)
                yield compact(part)

    def _whole(self, told: _Told, prompt: Prompt, request: Request, started: float) -> dict[str, Any]:
        now = time.perf_counter()
        first = told.first_at or now
        num_read, num_made = len(prompt.ids), len(told.tokens)
        return {
            "index": told.index,
            "content": told.content,
            "tokens": told.tokens,
            "id_slot": 0,
            "stop": True,
            "model": self._server.settings.name,
            "tokens_predicted": num_made,
            "tokens_evaluated": num_read,
            "generation_settings": {"n_ctx": self._server.context_tokens},
            "truncated": prompt.is_cut,
            "stop_type": told.stop_type,
            "stopping_word": told.stopping_word,
            "tokens_cached": num_read + max(0, num_made - 1),
            "timings": _timings("prompt", num_read, first - started)
            | _timings("predicted", num_made, now - first),
        }


def _max_tokens(body: CompletionBody) -> int | None:
    """Return how long an answer may be, if that is said; nothing is made where it is 0."""
    return None if body.n_predict < 0 else max(body.n_predict, 1)


def _timings(name: str, number: int, seconds: float) -> dict[str, float]:
    milliseconds = 1000 * seconds
    return {
        f"{name}_n": number,
        f"{name}_ms": round(milliseconds, 3),
        f"{name}_per_token_ms": round(milliseconds / number, 3) if number else 0.0,
        f"{name}_per_second": round(number / seconds, 3) if seconds > 0 else 0.0,
    }
