"""Tabby's interface for editors: ``segments`` in the place of a prompt, on OpenAI's path.

After https://github.com/TabbyML/tabby, crates/tabby/src/routes/completions.rs.
"""

from __future__ import annotations

import secrets
from typing import Any, Literal

from fastapi import APIRouter
from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response

from spanmix.serve.extra_files import ExtraFile
from spanmix.serve.interfaces.openai_schema import CompletionRequest, Segments
from spanmix.serve.served_model import ServedModel, seeds

_MAX_TOKENS = 64


class TabbyChoice(BaseModel):
    """One answer."""

    index: int
    text: str


class TabbyAnswer(BaseModel):
    """What Tabby's editors read."""

    id: str
    choices: list[TabbyChoice]
    mode: Literal["standard"] = "standard"


async def tabby_answer(server: ServedModel, body: CompletionRequest, request: Request) -> str:
    """Return the answer to a request that has segments, as JSON."""
    assert body.segments is not None, "the request has segments"
    segments = body.segments
    parts = [segments.prefix, segments.suffix or ""]
    prompt = server.prompts.infill(parts, _MAX_TOKENS, files=_snippets(segments))
    sampling = server.sampling(prompt.max_tokens, seeds(body.seed, 1)[0], body.temperature, body.top_p)
    answer = await server.whole(prompt, sampling, request)
    made = TabbyAnswer(id=f"cmpl-{secrets.token_hex(12)}", choices=[TabbyChoice(index=0, text=answer.text)])
    return made.model_dump_json()


def tabby_router(server: ServedModel) -> APIRouter:
    """Return Tabby's routes beside its completions."""
    router = APIRouter()

    @router.post("/v1/health", summary="The same, as others of them ask")
    @router.get("/v1/health", summary="What Tabby's editors ask first")
    async def health() -> dict[str, Any]:
        version = {"git_describe": "spanmix"}
        return {"model": server.settings.name, "chat_model": None, "device": "", "version": version}

    @router.post("/v1/events", status_code=204, summary="What an editor did with an answer; it is not kept")
    async def events() -> Response:
        return Response(status_code=204)

    @router.get("/v1beta/server_setting", summary="What Tabby's editors may tell")
    async def setting() -> dict[str, bool]:
        return {"disable_client_side_telemetry": True}

    return router


def _snippets(segments: Segments) -> list[ExtraFile]:
    """Return what an editor sends of other files, what is nearest to the cursor last."""
    lists = (
        segments.relevant_snippets_from_recently_opened_files,
        segments.relevant_snippets_from_changed_files,
        segments.declarations,
    )
    return [ExtraFile(filename=one.filepath, text=one.body) for some in lists for one in some or []]
