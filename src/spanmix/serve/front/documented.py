"""Declare for the OpenAPI document what FastAPI cannot see: errors, and answers that are not JSON."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel

Responses = dict[int | str, dict[str, Any]]
"""What FastAPI takes as ``responses``."""
_REFUSED = (
    "It is not done. 400: the request has to be changed, 401: it brings no key, 404: there is no such thing, "
    "405: not by this method, 408: it came too slowly, 413: it is too long, 429: come back after Retry-After."
)
_FAILED = "500: the work failed; 503: the server is going, or its engine has ended."


class ErrorBody(BaseModel):
    """What went wrong."""

    message: str
    type: str
    param: str | None
    code: str | None


class OpenAIError(BaseModel):
    """OpenAI's form; ``detail`` is for clients of FastAPI's, such as llm-ls."""

    error: ErrorBody
    detail: list[dict[str, Any]]


class LlamaCppErrorBody(BaseModel):
    """What went wrong; ``code`` is the status."""

    code: int
    message: str
    type: str


class LlamaCppError(BaseModel):
    """llama.cpp's form."""

    error: LlamaCppErrorBody


class OllamaError(BaseModel):
    """Ollama's form."""

    error: str


class TgiError(BaseModel):
    """Text-generation-inference's form."""

    error: str
    error_type: Literal["validation", "generation"]


def errors(form: type[BaseModel]) -> Responses:
    """Return the declaration of an interface's errors: that of all of its routes.

    Args:
        form: in which `errors.written` writes them on the interface's paths.
    """
    return {
        "4XX": {"model": form, "description": _REFUSED},
        "5XX": {"model": form, "description": _FAILED},
    }


def answered_as(media_type: str = "text/event-stream") -> Responses:
    """Return the declaration of a route whose answer can be of this type, or always is."""
    return {200: {"content": {media_type: {}}}}
