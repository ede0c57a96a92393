"""Hugging Face text-generation-inference's interface: ``/generate`` and ``/generate_stream``.

After https://github.com/huggingface/text-generation-inference, docs/openapi.json; llm-ls and InferenceClient
speak it. ``inputs`` is often written with another model's sentinels, which are understood.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Annotated, Any, Literal

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request
from starlette.responses import Response

from spanmix import __version__
from spanmix.generate.text import Sampling
from spanmix.serve.front.connection import compact, event_stream, json_response, unless_gone
from spanmix.serve.front.documented import answered_as
from spanmix.serve.interfaces.fields import Names, RepetitionPenalty
from spanmix.serve.pieces import Piece
from spanmix.serve.prompts import Prompt
from spanmix.serve.served_model import ServedModel, seeds


class Parameters(BaseModel):
    """How an answer is made; what is not here is passed over."""

    model_config = ConfigDict(extra="ignore", allow_inf_nan=False)

    max_new_tokens: Annotated[int, Field(ge=1)] | None = 100
    do_sample: bool = False
    temperature: Annotated[float, Field(gt=0)] | None = None
    top_p: Annotated[float, Field(gt=0, le=1)] | None = None
    top_k: Annotated[int, Field(ge=0)] | None = None
    repetition_penalty: RepetitionPenalty | None = None
    frequency_penalty: Annotated[float, Field(ge=-2, le=2)] | None = None
    seed: int | None = None
    stop: Names = []
    return_full_text: bool | None = False
    details: bool = False


class GenerateBody(BaseModel):
    """``POST /generate``; ``stream`` counts at ``POST /``."""

    inputs: Annotated[str, Field(max_length=50_000_000)]
    parameters: Parameters = Parameters()
    stream: bool = False


class Details(BaseModel):
    """How an answer ended."""

    finish_reason: Literal["length", "eos_token"]
    generated_tokens: int
    seed: int


class Generated(BaseModel):
    """The answer; ``details`` where they are asked for."""

    generated_text: str
    details: Annotated[Details | None, Field(exclude_if=lambda details: details is None)] = None


class TextGenerationInference:
    """Answers TGI's requests with a served model."""

    def __init__(self, server: ServedModel) -> None:
        self._server = server
        self.router = APIRouter()
        add = self.router.add_api_route
        add("/generate", self.generate, methods=["POST"], response_model=Generated)
        add(
            "/generate_stream",
            self.generate_stream,
            methods=["POST"],
            response_class=Response,
            responses=answered_as(),
        )
        add("/", self.either, methods=["POST"], response_model=Generated, responses=answered_as())
        add("/info", self.info, methods=["GET"])

    async def either(self, body: GenerateBody, request: Request) -> Response:
        """Do what ``stream`` says."""
        return await (self.generate_stream if body.stream else self.generate)(body, request)

    async def generate(self, body: GenerateBody, request: Request) -> Response:
        """Answer when all is there."""
        prompt, sampling = self._asked(body)
        answer = await unless_gone(request, self._server.whole(prompt, sampling, request))
        text = body.inputs + answer.text if body.parameters.return_full_text else answer.text
        made = Generated(generated_text=text)
        if body.parameters.details:
            made.details = self._details(answer.finish_reason, len(answer.events), sampling)
        return json_response(made.model_dump_json(), prompt.headers)

    async def generate_stream(self, body: GenerateBody, request: Request) -> Response:
        """Answer token by token."""
        prompt, sampling = self._asked(body)
        pieces = self._server.all_pieces([prompt], [sampling], request)
        return event_stream(self._events(body, pieces, sampling), prompt.headers)

    async def info(self) -> dict[str, Any]:
        """Return what is served."""
        most = self._server.context_tokens
        return {
            "model_id": self._server.settings.name,
            "model_dtype": self._server.model.engine.info.dtype,
            "model_pipeline_tag": "text-generation",
            "max_concurrent_requests": self._server.settings.max_requests,
            "max_best_of": 1,
            "max_stop_sequences": self._server.settings.max_stops,
            "max_input_tokens": most - 1,
            "max_total_tokens": most,
            "version": __version__,
        }

    def _asked(self, body: GenerateBody) -> tuple[Prompt, Sampling]:
        server, parameters = self._server, body.parameters
        server.thread.check_room(1)
        prompt = server.prompts.write(body.inputs, None, parameters.max_new_tokens or 100)
        temperature = parameters.temperature
        if temperature is None and not parameters.do_sample:
            temperature = 0.0
        sampling = server.sampling(
            prompt.max_tokens,
            seeds(parameters.seed, 1)[0],
            temperature,
            parameters.top_p,
            top_k=parameters.top_k or 0,
            stop=server.stops(parameters.stop),
            repetition_penalty=parameters.repetition_penalty or 1.0,
            frequency_penalty=parameters.frequency_penalty or 0.0,
        )
        return prompt, sampling

    async def _events(
        self, body: GenerateBody, pieces: AsyncGenerator[Piece], sampling: Sampling
    ) -> AsyncIterator[str]:
        """Yield an event for each token; the text of a piece comes with its last token."""
        texts: list[str] = []
        num_made = 0
        async with aclosing(pieces):
            async for piece in pieces:
                texts.append(piece.text)
                for place, event in enumerate(piece.events):
                    num_made += 1
                    is_last = place == len(piece.events) - 1
                    ends = is_last and piece.finish_reason is not None
                    token = {
                        "id": event.token_id,
                        "text": piece.text if is_last else "",
                        "logprob": event.logprob,
                        "special": bool(self._server.tokenizer.is_control[event.token_id]),
                    }
                    whole = "".join(texts)
                    if ends and body.parameters.return_full_text:
                        whole = body.inputs + whole
                    details = self._details(str(piece.finish_reason), num_made, sampling) if ends else None
                    yield compact(
                        {
                            "index": num_made,
                            "token": token,
                            "generated_text": whole if ends else None,
                            "details": details and details.model_dump(),
                        }
                    )

    @staticmethod
    def _details(reason: str, num_made: int, sampling: Sampling) -> Details:
        finish_reason: Literal["length", "eos_token"] = "length" if reason == "length" else "eos_token"
        return Details(finish_reason=finish_reason, generated_tokens=num_made, seed=sampling.seed)
