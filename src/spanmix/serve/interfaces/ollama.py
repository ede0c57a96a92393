"""Ollama's interface: ``/api/generate`` and what its clients ask around it.

After https://github.com/ollama/ollama, docs/api.md. Answers are lines of JSON unless ``stream`` is false.
"""

from __future__ import annotations

import datetime
import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Annotated, Any

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request
from starlette.responses import Response

from spanmix.serve.front.connection import ClosedStream, compact, json_response, unless_gone
from spanmix.serve.interfaces.fields import Names, RepetitionPenalty
from spanmix.serve.pieces import Piece
from spanmix.serve.prompts import Prompt
from spanmix.serve.served_model import ServedModel, seeds

VERSION = "0.12.0"
"""Clients look for what a version can do; this one can insert."""
_DEFAULT_TOKENS = 128
_TEMPLATE = "{{ .Prompt }}{{ .Suffix }}"
"""Continue sends a suffix only where the template speaks of one."""


class Options(BaseModel):
    """How an answer is made."""

    model_config = ConfigDict(extra="ignore", allow_inf_nan=False)

    num_predict: int | None = None
    temperature: Annotated[float, Field(ge=0)] | None = None
    top_p: Annotated[float, Field(gt=0, le=1)] | None = None
    top_k: int | None = None
    min_p: Annotated[float, Field(ge=0, le=1)] | None = None
    stop: Names | str | None = None
    seed: int | None = None
    repeat_penalty: RepetitionPenalty | None = None
    presence_penalty: Annotated[float, Field(ge=-2, le=2)] | None = None
    frequency_penalty: Annotated[float, Field(ge=-2, le=2)] | None = None


class GenerateBody(BaseModel):
    """``POST /api/generate``."""

    model: str = ""
    prompt: Annotated[str, Field(max_length=50_000_000)] = ""
    suffix: Annotated[str, Field(max_length=50_000_000)] | None = None
    raw: bool = False
    stream: bool = True
    options: Options = Options()


class ShowBody(BaseModel):
    """``POST /api/show``."""

    model: str = ""
    name: str = ""


class Ollama:
    """Answers Ollama's requests with a served model."""

    def __init__(self, server: ServedModel) -> None:
        self._server = server
        self._started = _now()
        self.router = APIRouter()
        for path, handler, methods in (
            ("/api/generate", self.generate, ["POST"]),
            ("/api/show", self.show, ["POST"]),
            ("/api/tags", self.tags, ["GET"]),
            ("/api/ps", self.tags, ["GET"]),
            ("/api/version", self.version, ["GET"]),
        ):
            self.router.add_api_route(path, handler, methods=methods)

    async def generate(self, body: GenerateBody, request: Request) -> Response:
        """Continue a prompt, or write what stands between it and ``suffix``."""
        server, options = self._server, body.options
        wanted = (
            _DEFAULT_TOKENS if options.num_predict is None or options.num_predict < 1 else options.num_predict
        )
        prompt = server.prompts.write(body.prompt, body.suffix or None, wanted)
        stop = [options.stop] if isinstance(options.stop, str) else options.stop or []
        sampling = server.sampling(
            prompt.max_tokens,
            seeds(options.seed, 1)[0],
            options.temperature,
            options.top_p,
            top_k=max(0, options.top_k or 0),
            min_p=options.min_p or 0.0,
            stop=server.stops(stop),
            repetition_penalty=options.repeat_penalty or 1.0,
            presence_penalty=options.presence_penalty or 0.0,
            frequency_penalty=options.frequency_penalty or 0.0,
        )
        server.thread.check_room(1)
        started = time.perf_counter_ns()
        if body.stream:
            pieces = server.all_pieces([prompt], [sampling], request)
            lines = self._lines(pieces, prompt, started)
            return ClosedStream(lines, headers=prompt.headers, media_type="application/x-ndjson")
        answer = await unless_gone(request, server.whole(prompt, sampling, request))
        end = self._end(answer.finish_reason, prompt, len(answer.events), started, None)
        return json_response(compact(self._part(answer.text) | end), prompt.headers)

    async def _lines(self, pieces: AsyncGenerator[Piece], prompt: Prompt, started: int) -> AsyncIterator[str]:
        num_made, first_at, reason = 0, None, "length"
        async with aclosing(pieces):
            async for piece in pieces:
                first_at = first_at or time.perf_counter_ns()
                num_made += len(piece.events)
                reason = piece.finish_reason or reason
                yield compact(self._part(piece.text) | {"done": False}) + "\n"
        yield compact(self._part("") | self._end(reason, prompt, num_made, started, first_at)) + "\n"

    def _part(self, text: str) -> dict[str, Any]:
        return {"model": self._server.settings.name, "created_at": _now(), "response": text}

    @staticmethod
    def _end(
        reason: str, prompt: Prompt, num_made: int, started: int, first_at: int | None
    ) -> dict[str, Any]:
        now = time.perf_counter_ns()
        first = first_at or now
        return {
            "done": True,
            "done_reason": reason,
            "total_duration": now - started,
            "load_duration": 0,
            "prompt_eval_count": len(prompt.ids),
            "prompt_eval_duration": first - started,
            "eval_count": num_made,
            "eval_duration": now - first,
        }

    async def show(self, body: ShowBody) -> dict[str, Any]:
        """Return what is known of the model, under whichever name."""
        can_insert = self._server.model.asked.infill is not None
        return {
            "modelfile": "",
            "parameters": "",
            "template": _TEMPLATE if can_insert else "{{ .Prompt }}",
            "details": self._details(),
            "model_info": {
                "general.architecture": "spanmix",
                "spanmix.context_length": self._server.context_tokens,
            },
            "capabilities": ["completion", *(["insert"] if can_insert else [])],
        }

    async def tags(self) -> dict[str, Any]:
        """Return the model as the only one."""
        name = self._server.settings.name
        entry = {"name": name, "model": name, "modified_at": self._started, "size": 0, "digest": ""}
        return {"models": [entry | {"details": self._details()}]}

    async def version(self) -> dict[str, str]:
        """Return the version of Ollama's interface that is spoken."""
        return {"version": VERSION}

    def _details(self) -> dict[str, Any]:
        return {
            "parent_model": "",
            "format": "",
            "family": "spanmix",
            "families": ["spanmix"],
            "parameter_size": "",
            "quantization_level": self._server.model.engine.info.dtype,
        }


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat().replace("+00:00", "Z")
