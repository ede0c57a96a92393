"""Put a server together: the interfaces, and what stands in front of all of them."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from spanmix import __version__
from spanmix.errors import InputError, SpanmixError
from spanmix.generate.opening import OpenModel
from spanmix.serve.engine_thread import BusyError, EndedError
from spanmix.serve.front.documented import (
    LlamaCppError,
    OllamaError,
    OpenAIError,
    TgiError,
    answered_as,
    errors,
)
from spanmix.serve.front.errors import ApiError, written
from spanmix.serve.front.gate import Gate, Record, log_line
from spanmix.serve.front.metrics import Metrics
from spanmix.serve.front.tracing import Traced, close_spans
from spanmix.serve.interfaces.about import about_router
from spanmix.serve.interfaces.llama_cpp import LlamaCpp
from spanmix.serve.interfaces.mistral import mistral_router
from spanmix.serve.interfaces.ollama import Ollama
from spanmix.serve.interfaces.openai_completions import Completions
from spanmix.serve.interfaces.playground_page import playground_router
from spanmix.serve.interfaces.tabby import tabby_router
from spanmix.serve.interfaces.tgi import TextGenerationInference
from spanmix.serve.provenance import Provenance
from spanmix.serve.served_model import ServedModel
from spanmix.serve.settings import ServeSettings

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider

_CHATS = ("/chat/completions", "/api/chat")
_LOGGER = logging.getLogger(__name__)


def make_app(
    model: OpenModel,
    settings: ServeSettings,
    log: Callable[[str], None] | None = None,
    provenance: Provenance | None = None,
    spans: TracerProvider | None = None,
) -> FastAPI:
    """Return the application that serves a model.

    Args:
        model: it belongs to the application from here on.
        settings: what is allowed.
        log: is given a line of JSON for each request that is over; there is no text of it in that.
        provenance: what is asked of the training data, if anything.
        spans: where a span of each request goes; they are closed with the application.
    """
    server = ServedModel(model, settings, provenance)
    metrics = Metrics(server)

    def tell(record: Record) -> None:
        metrics.add(record)
        if log is not None:
            try:
                log(log_line(record))
            except OSError as error:  # a full disk is no fault of the request's
                _LOGGER.error("a line of the log is lost: %s", error)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        yield
        server.close()
        if spans is not None:
            close_spans(spans)

    # FastAPI's own pages of documentation load their scripts from elsewhere, and its own telemetry, which the
    # environment can turn on, tells addresses with all that is in them and what errors say.
    app = FastAPI(
        title="Spanmix",
        version=__version__,
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        telemetry={"tracing": False, "metrics": False, "logs": False, "auto_configure": False},
    )
    _add_interfaces(app, server, metrics)
    for kind, handler in HANDLERS.items():
        app.add_exception_handler(kind, handler)
    app.add_middleware(Gate, settings=settings, tell=tell)
    if spans is not None:
        app.add_middleware(Traced, spans=spans, server=server)  # outside of the gate, which is added before
    return app


def _add_interfaces(app: FastAPI, server: ServedModel, metrics: Metrics) -> None:
    """Add every route, with the form in which it tells of errors."""
    for router, responses in (
        (about_router(server, metrics), errors(OpenAIError)),
        (Completions(server, _fingerprint(server.model)).router, errors(OpenAIError)),
        (LlamaCpp(server).router, errors(LlamaCppError)),
        (Ollama(server).router, errors(OllamaError) | answered_as("application/x-ndjson")),
        (TextGenerationInference(server).router, errors(TgiError)),
        (mistral_router(server), errors(OpenAIError) | answered_as()),
        (tabby_router(server), errors(OpenAIError)),
        (playground_router(server), errors(TgiError)),
    ):
        app.include_router(router, responses=responses)


def _fingerprint(model: OpenModel) -> str:
    """Return what two answers to the same request with the same seed have in common."""
    identity = json.dumps(model.identity() | {"version": __version__}, sort_keys=True)
    return f"fp_{hashlib.sha256(identity.encode()).hexdigest()[:10]}"


async def _api_error(request: Request, error: Any) -> Response:
    return written(error, request.url.path)


async def _busy(request: Request, error: Any) -> Response:
    headers = {"Retry-After": str(error.retry_seconds)}
    return written(ApiError(429, str(error), "server_busy", headers=headers), request.url.path)


async def _ended(request: Request, error: Any) -> Response:
    return written(ApiError(503, str(error), "unavailable"), request.url.path)


async def _fault(request: Request, error: Any) -> Response:
    """Answer in the interface's form; what happened is told by uvicorn."""
    return written(ApiError(500, f"a fault of the server: {type(error).__name__}"), request.url.path)


async def _failed(request: Request, error: Any) -> Response:
    status = 400 if isinstance(error, InputError) else 500
    return written(ApiError(status, str(error)), request.url.path)


async def _invalid(request: Request, error: Any) -> Response:
    first = error.errors()[0]
    if first["type"] == "json_invalid":
        what = json.JSONDecodeError(first["ctx"]["error"], error.body, first["loc"][-1])
        return written(ApiError(400, f"the body is no JSON: {_placed(what)}"), request.url.path)
    where = [str(part) for part in first["loc"] if part != "body"]
    about = f"{'.'.join(where)}: " if where else ""
    param = where[0] if where else None
    return written(ApiError(400, f"{about}{first['msg']}", param=param), request.url.path)


def _placed(error: json.JSONDecodeError) -> str:
    return f"{error.msg} at line {error.lineno}, column {error.colno}"


async def _http(request: Request, error: Any) -> Response:
    path, message = request.url.path, str(error.detail)
    if error.status_code == 404:
        message = f"there is no {path} here; /openapi.json lists what there is"
        if path.endswith(_CHATS):
            message = (
                f"there is no {path}: the model continues and infills texts, and does not chat; use "
                "/v1/completions, with a prompt"
            )
    return written(ApiError(error.status_code, message, headers=error.headers), path)


HANDLERS = {
    ApiError: _api_error,
    BusyError: _busy,
    EndedError: _ended,
    SpanmixError: _failed,
    RequestValidationError: _invalid,
    HTTPException: _http,
    Exception: _fault,
}
