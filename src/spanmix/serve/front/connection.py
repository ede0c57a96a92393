"""End work when the client that asked for it goes away, and write streams."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Coroutine, Mapping
from contextlib import aclosing
from typing import Any, TypeVar

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from spanmix.errors import SpanmixError
from spanmix.serve.front.errors import ApiError
from spanmix.serve.front.gate import CLIENT_GONE

T = TypeVar("T")
SILENT_SECONDS = 15.0
"""A stream says something so often until its first event, as proxies close connections that are silent.

What it says is a comment of server-sent events. Clients pass these over; but Continue ends at ``: ping``."""


async def unless_gone(request: Request, work: Coroutine[Any, Any, T]) -> T:
    """Return what the work returns; when the client closes the connection, cancel it.

    Raises:
        ApiError: the client has gone.
    """
    task = asyncio.create_task(work)
    watch = asyncio.create_task(_gone(request))
    try:
        await asyncio.wait({task, watch}, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return task.result()
        raise ApiError(CLIENT_GONE, "the client closed the connection")
    finally:
        for one in (task, watch):
            one.cancel()
        await asyncio.gather(task, watch, return_exceptions=True)


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


class ClosedStream(StreamingResponse):
    """A stream whose generator is closed with it, also when the client goes while a part is being sent."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer."""
        assert isinstance(self.body_iterator, AsyncGenerator), "what is streamed comes from a generator"
        async with aclosing(self.body_iterator):
            await super().__call__(scope, receive, send)


def event_stream(events: AsyncIterator[str], more: Mapping[str, str] | None = None) -> StreamingResponse:
    """Answer with server-sent events: each text becomes one ``data:`` line; `more` are headers."""

    async def lines() -> AsyncIterator[str]:
        first = asyncio.ensure_future(anext(events, None))
        try:
            while not (await asyncio.wait({first}, timeout=SILENT_SECONDS))[0]:
                yield ": waiting\n\n"
            if (event := first.result()) is not None:
                yield f"data: {event}\n\n"
            async for event in events:
                yield f"data: {event}\n\n"
        except SpanmixError as error:  # the status has been sent; clients look for this
            told = {"message": str(error), "type": "server_error", "param": None, "code": None}
            yield f"data: {compact({'error': told})}\n\n"
        finally:
            first.cancel()
            if isinstance(events, AsyncGenerator) and first.done():
                await events.aclose()

    headers = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no", **(more or {})}
    return ClosedStream(lines(), media_type="text/event-stream", headers=headers)


def compact(answer: Any) -> str:
    """Write JSON without blanks: some clients look for ``{"content":"``.

    >>> compact({"content": "é"})
    '{"content":"é"}'
    """
    return json.dumps(answer, ensure_ascii=False, separators=(",", ":"))


def json_response(text: str, headers: dict[str, str] | None = None) -> Response:
    """Answer with a JSON text."""
    return Response(text, media_type="application/json", headers=headers)
