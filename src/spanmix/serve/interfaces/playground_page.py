"""The page at ``/``: a text, a cursor, and what the model writes there."""

from __future__ import annotations

import base64
import hashlib
from importlib.resources import files

from fastapi import APIRouter
from starlette.responses import Response

from spanmix.html import text
from spanmix.serve.served_model import ServedModel

_FOLDER = files("spanmix.serve.interfaces") / "playground"


def playground_router(server: ServedModel) -> APIRouter:
    """Return the route; the page is one file, and asks nobody but this server."""
    router = APIRouter()
    page, headers = _page(server)

    @router.get("/", summary="The playground", response_class=Response)
    async def playground() -> Response:
        return Response(page, media_type="text/html; charset=utf-8", headers=headers)

    return router


def _page(server: ServedModel) -> tuple[str, dict[str, str]]:
    """Return the page of a model, and what a browser may do with it."""
    style, script = (_read(name) for name in ("page.css", "page.js"))
    settings = server.settings
    can_infill = server.model.asked.infill is not None
    words = "writes what stands between" if can_infill else "continues texts"
    values = {
        "style": style,
        "script": script,
        "name": text(settings.name),
        "about": text(f"{words}; {server.context_tokens:,} tokens of context"),
        "infill": "checked" if can_infill else "disabled",
        "context": str(server.context_tokens),
        "temperature": str(settings.temperature),
        "top_p": str(settings.top_p),
        "key": "" if settings.api_keys else "hidden",
    }
    page = _read("page.html")
    for name, value in values.items():
        page = page.replace(f"{{{{{name}}}}}", value)
    policy = (
        f"default-src 'none'; connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; "
        f"frame-ancestors 'none'; style-src '{_digest(style)}'; script-src '{_digest(script)}'"
    )
    return page, {"Content-Security-Policy": policy, "X-Content-Type-Options": "nosniff"}


def _read(name: str) -> str:
    return _FOLDER.joinpath(name).read_text(encoding="utf-8")


def _digest(source: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(source.encode()).digest()).decode()
