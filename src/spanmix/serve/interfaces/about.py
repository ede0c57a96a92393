"""What a server tells of itself: health, readiness, metrics, and the model that it serves."""

from __future__ import annotations

import time
from typing import Any

from fastapi import APIRouter
from starlette.responses import JSONResponse, Response

from spanmix.serve.front.documented import answered_as
from spanmix.serve.front.errors import ApiError
from spanmix.serve.front.metrics import METRICS_TYPE, Metrics
from spanmix.serve.served_model import ServedModel


def about_router(server: ServedModel, metrics: Metrics) -> APIRouter:
    """Return the routes.

    Args:
        server: the model.
        metrics: the numbers of the server.
    """
    router = APIRouter()
    started = int(time.time())
    settings = server.settings

    def check_alive() -> None:
        if not server.thread.is_alive:
            raise ApiError(503, "the engine has ended; start the server again", "unavailable")

    @router.get("/health", summary="Whether the server lives")
    async def health() -> dict[str, str]:
        check_alive()
        return {"status": "ok"}

    @router.get("/ready", summary="Whether requests are let in")
    async def ready() -> Response:
        check_alive()
        return JSONResponse({"status": "ready"})

    @router.get(
        "/metrics",
        summary="Numbers for Prometheus",
        response_class=Response,
        responses=answered_as("text/plain"),
    )
    async def numbers() -> Response:
        return Response(metrics.written(), media_type=METRICS_TYPE)

    @router.get("/v1/models", summary="The model that is served")
    async def models() -> dict[str, Any]:
        return {"object": "list", "data": [_model(server, started)]}

    @router.get("/v1/models/{name:path}", summary="The model of that name")
    async def model(name: str) -> dict[str, Any]:
        if name != settings.name:
            raise ApiError(
                404, f"there is no model {name!r}; this server has {settings.name!r}", "model_not_found"
            )
        return _model(server, started)

    return router


def _model(server: ServedModel, started: int) -> dict[str, Any]:
    return {
        "id": server.settings.name,
        "object": "model",
        "created": started,
        "owned_by": "spanmix",
        "root": server.settings.name,
        "parent": None,
        "permission": [],
        "max_model_len": server.context_tokens,
        "infill": server.model.asked.infill is not None,
    }
