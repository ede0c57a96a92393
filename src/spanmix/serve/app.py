"""Put a server together: the interfaces, and what stands in front of all of them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from spanmix import __version__
from spanmix.errors import InputError, SpanmixError
from spanmix.generate.opening import OpenModel
from spanmix.serve.engine_thread import BusyError
from spanmix.serve.front.errors import ApiError, written
from spanmix.serve.front.gate import Gate, Record, log_line
from spanmix.serve.front.metrics import Metrics
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


def make_app(
    model: OpenModel,
    settings: ServeSettings,
    log: Callable[[str], None] | None = None,
    provenance: Provenance | None = None,
) -> FastAPI:
    """Return the application that serves a model.

    Args:
        model: it belongs to the application from here on.
        settings: what is allowed.
        log: is given a line of JSON for each request that is over; there is no text of it in that.
        provenance: what is asked of the training data, if anything.
    """
    server = ServedModel(model, settings, provenance)
    metrics = Metrics(server)

    def tell(record: Record) -> None:
        metrics.add(record)
        if log is not None:
            log(log_line(record))

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        yield
        server.close()

    # FastAPI's own pages of documentation load their scripts from elsewhere.
    app = FastAPI(title="Spanmix", version=__version__, lifespan=lifespan, docs_url=None, redoc_url=None)
    for router in (
        about_router(server, metrics),
        Completions(server, _fingerprint(model)).router,
        LlamaCpp(server).router,
        Ollama(server).router,
        TextGenerationInference(server).router,
        mistral_router(server),
        tabby_router(server),
        playground_router(server),
    ):
        app.include_router(router)
    for kind, handler in HANDLERS.items():
        app.add_exception_handler(kind, handler)
    app.add_middleware(Gate, settings=settings, tell=tell)
    return app


def _fingerprint(model: OpenModel) -> str:
    """Return what two answers to the same request with the same seed have in common."""
    identity = json.dumps(model.identity() | {"version": __version__}, sort_keys=True)
    return f"fp_{hashlib.sha256(identity.encode()).hexdigest()[:10]}"


async def _api_error(request: Request, error: Any) -> Response:
    return written(error, request.url.path)


async def _busy(request: Request, error: Any) -> Response:
    headers = {"Retry-After": str(error.retry_seconds)}
    return written(ApiError(429, str(error), "server_busy", headers=headers), request.url.path)


async def _failed(request: Request, error: Any) -> Response:
    status = 400 if isinstance(error, InputError) else 500
    return written(ApiError(status, str(error)), request.url.path)


async def _invalid(request: Request, error: Any) -> Response:
    first = error.errors()[0]
    where = [str(part) for part in first["loc"] if part != "body"]
    about = f"{'.'.join(where)}: " if where else ""
    param = where[0] if where else None
    return written(ApiError(400, f"{about}{first['msg']}", param=param), request.url.path)


async def _http(request: Request, error: Any) -> Response:
    return written(ApiError(error.status_code, str(error.detail), headers=error.headers), request.url.path)


HANDLERS = {
    ApiError: _api_error,
    BusyError: _busy,
    SpanmixError: _failed,
    RequestValidationError: _invalid,
    HTTPException: _http,
}
