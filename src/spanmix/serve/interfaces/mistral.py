"""Mistral's FIM interface: ``prompt`` and ``suffix`` in, an answer in the shape of a chat.

After https://docs.mistral.ai/api (``/v1/fim/completions``); Continue, minuet and Tabby speak it.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Annotated, Any

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request
from starlette.responses import Response

from spanmix.serve.front.connection import compact, event_stream, json_response, unless_gone
from spanmix.serve.interfaces.fields import Names
from spanmix.serve.pieces import Piece
from spanmix.serve.served_model import ServedModel, seeds

_MAX_TOKENS = 128


class FimBody(BaseModel):
    """``POST /v1/fim/completions``; what is not here is passed over."""

    model_config = ConfigDict(extra="ignore", allow_inf_nan=False)

    model: str = ""
    prompt: Annotated[str, Field(max_length=50_000_000)]
    suffix: Annotated[str, Field(max_length=50_000_000)] | None = None
    max_tokens: Annotated[int, Field(ge=1)] | None = None
    min_tokens: Annotated[int, Field(ge=0)] | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(gt=0, le=1)] | None = None
    stop: Names | str | None = None
    random_seed: int | None = None
    stream: bool = False


def mistral_router(server: ServedModel) -> APIRouter:
    """Return the route."""
    router = APIRouter()

    @router.post("/v1/fim/completions", summary="Infill, as Mistral's clients ask")
    async def fim(body: FimBody, request: Request) -> Response:
        prompt = server.prompts.write(body.prompt, body.suffix, body.max_tokens or _MAX_TOKENS)
        stop = [body.stop] if isinstance(body.stop, str) else body.stop or []
        sampling = server.sampling(
            prompt.max_tokens,
            seeds(body.random_seed, 1)[0],
            body.temperature,
            body.top_p,
            stop=server.stops(stop),
            min_tokens=min(body.min_tokens or 0, prompt.max_tokens),
        )
        head = {"id": secrets.token_hex(12), "created": int(time.time()), "model": server.settings.name}
        server.thread.check_room(1)
        if body.stream:
            pieces = server.all_pieces([prompt], [sampling], request)
            return event_stream(_events(head, pieces, len(prompt.ids)), prompt.headers)
        answer = await unless_gone(request, server.whole(prompt, sampling, request))
        message = {"role": "assistant", "content": answer.text, "tool_calls": None}
        choice = {"index": 0, "message": message, "finish_reason": answer.finish_reason}
        usage = _usage(len(prompt.ids), len(answer.events))
        return json_response(
            compact(head | {"object": "chat.completion", "choices": [choice], "usage": usage}),
            prompt.headers,
        )

    return router


async def _events(head: dict[str, Any], pieces: AsyncGenerator[Piece], num_read: int) -> AsyncIterator[str]:
    num_made = 0
    async with aclosing(pieces):
        async for piece in pieces:
            num_made += len(piece.events)
            delta = {"role": "assistant", "content": piece.text}
            choice = {"index": 0, "delta": delta, "finish_reason": piece.finish_reason}
            chunk: dict[str, Any] = head | {"object": "chat.completion.chunk", "choices": [choice]}
            if piece.finish_reason is not None:
                chunk["usage"] = _usage(num_read, num_made)
            yield compact(chunk)
    yield "[DONE]"


def _usage(num_read: int, num_made: int) -> dict[str, int]:
    return {"prompt_tokens": num_read, "completion_tokens": num_made, "total_tokens": num_read + num_made}
