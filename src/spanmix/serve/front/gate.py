"""What every request passes before it reaches an interface: its key, its size, and the count of it."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import secrets
import time
from collections.abc import Callable
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from spanmix.serve.front.errors import ApiError, written
from spanmix.serve.settings import ServeSettings

OPEN_PATHS = frozenset({"/", "/health", "/ready", "/metrics"})
"""What can be read without a key: nothing that runs the model or tells of its texts."""

CLIENT_GONE = 499
"""nginx's status of a request whose client did not wait, for its answer or for the end of a stream; nobody
reads it, but it is counted."""
RECORD, STARTED = "spanmix.record", "spanmix.started"
"""Where a request's scope keeps what is known of it, and when it came (`time.perf_counter`)."""
_READS = frozenset({"GET", "HEAD"})
_BODY_SECONDS = 60
"""Longest time for a request to come in."""
MATCH = "spanmix.match"
"""Where it keeps what the answer has in common with the training data; a header says it."""
Record = dict[str, Any]
"""What is known of a request when it is over."""


class Gate:
    """Checks keys and sizes, and tells of each request when it is over.

    Args:
        app: what answers.
        settings: the keys and the longest request.
        tell: is given a record of each request; no text of it.
    """

    def __init__(self, app: ASGIApp, settings: ServeSettings, tell: Callable[[Record], None]) -> None:
        self._app = app
        self._keys = [hashlib.sha256(key.encode()).digest() for key in settings.api_keys]
        self._max_body_bytes = settings.max_body_bytes
        self._tell = tell

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or refuse it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        record: Record = {
            "request_id": headers.get("x-request-id", "")[:64] or secrets.token_hex(8),
            "method": scope["method"],
            "path": scope["path"],
            "status": CLIENT_GONE,
        }
        scope[RECORD] = record
        started = scope[STARTED] = time.perf_counter()
        is_whole = False

        async def noted(message: Message) -> None:
            nonlocal is_whole
            if message["type"] == "http.response.start":
                record["status"] = message["status"]
                answered = MutableHeaders(scope=message)
                answered["x-request-id"] = record["request_id"]
                if MATCH in scope:
                    answered["x-spanmix-match"] = scope[MATCH]
            elif message["type"] == "http.response.body":
                is_whole = not message.get("more_body", False)
            await send(message)

        try:
            await self._pass(scope, receive, noted, headers)
            if not is_whole:
                record["status"] = CLIENT_GONE
        except asyncio.CancelledError:  # the server ends, and waits no longer; a traceback would help nobody
            if record["status"] == CLIENT_GONE:  # nothing has been sent yet
                late = ApiError(503, "the server ends, and this answer was not done in time", "unavailable")
                await written(late, scope["path"])(scope, receive, noted)
            record["status"] = 503
        finally:
            record["route"] = getattr(scope.get("route"), "path", "other")
            record["seconds"] = round(time.perf_counter() - started, 4)
            self._tell(record)

    async def _pass(self, scope: Scope, receive: Receive, send: Send, headers: Headers) -> None:
        is_open = scope["method"] == "OPTIONS" or (scope["method"] in _READS and scope["path"] in OPEN_PATHS)
        if not is_open and not self._knows(headers):
            what = "the API key is not one of this server's" if _given(headers) else "no API key was given"
            error = ApiError(
                401,
                f"{what}: send one as `Authorization: Bearer KEY`",
                "invalid_api_key",
                headers={"WWW-Authenticate": "Bearer"},
            )
            await written(error, scope["path"])(scope, receive, send)
            return
        length = headers.get("content-length", "0")
        try:
            if length.isdigit() and int(length) > self._max_body_bytes:
                raise self._too_large()
            async with asyncio.timeout(_BODY_SECONDS):
                body = await self._body(receive)
        except ApiError as error:
            await written(error, scope["path"])(scope, receive, send)
            return
        except TimeoutError:
            late = ApiError(408, f"the request had not come after {_BODY_SECONDS} seconds", "request_timeout")
            await written(late, scope["path"])(scope, receive, send)
            return
        if body is None:
            return
        first: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

        async def replayed() -> Message:
            return first.pop() if first else await receive()

        await self._app(scope, replayed, send)

    async def _body(self, receive: Receive) -> bytes | None:
        """Read a request to its end; None if its client has gone."""
        parts: list[bytes] = []
        num_bytes = 0
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                return None
            parts.append(message.get("body", b""))
            num_bytes += len(parts[-1])
            if num_bytes > self._max_body_bytes:
                raise self._too_large()
            if not message.get("more_body", False):
                return b"".join(parts)

    def _too_large(self) -> ApiError:
        most = self._max_body_bytes
        return ApiError(413, f"the request is longer than {most:,} bytes; send less", "request_too_large")

    def _knows(self, headers: Headers) -> bool:
        """Return whether a request brings a key; where there are none, whatever it brings will do."""
        if not self._keys:
            return True
        digest = hashlib.sha256(_given(headers).encode()).digest()
        is_known = False
        for key in self._keys:  # every one is compared, so that the time tells nothing
            is_known |= hmac.compare_digest(digest, key)
        return is_known


def _given(headers: Headers) -> str:
    """Return the key that a request brings, or nothing."""
    kind, _, bearer = headers.get("authorization", "").partition(" ")
    return bearer.strip() if kind.lower() == "bearer" else headers.get("x-api-key", "")


def log_line(record: Record) -> str:
    """Write a record as a line of JSON.

    >>> log_line({"method": "GET", "status": 200})
    '{"method":"GET","status":200}'
    """
    return json.dumps(record, ensure_ascii=False, separators=(",", ":"))
