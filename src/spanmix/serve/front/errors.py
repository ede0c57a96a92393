"""What a server answers when it cannot do what it was asked, in the form of the interface that was asked."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from starlette.responses import Response

_KINDS = {401: "authentication_error", 404: "not_found_error", 429: "rate_limit_error"}
_TGI = {"/", "/generate", "/generate_stream", "/info"}
_LLAMA_CPP = {"/completion", "/completions", "/infill", "/tokenize", "/detokenize", "/props", "/slots"}


class ApiError(Exception):
    """A request that is refused or failed.

    Args:
        status: of HTTP.
        message: what happened and what to change.
        code: a short name that programs can look for.
        param: the field that it is about.
        headers: sent with it.
    """

    def __init__(
        self,
        status: int,
        message: str,
        code: str | None = None,
        param: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.code = code
        self.param = param
        self.headers = dict(headers or {})

    @property
    def kind(self) -> str:
        """OpenAI's name for errors of this status."""
        return _KINDS.get(self.status, "invalid_request_error" if self.status < 500 else "server_error")


def refused(message: str, param: str | None = None, code: str | None = None) -> ApiError:
    """Return the error of a request that has to be changed."""
    return ApiError(400, message, code, param)


def written(error: ApiError, path: str) -> Response:
    """Write an error down as clients of that path read it."""
    body: dict[str, Any]
    if path.startswith("/api/"):  # Ollama's
        body = {"error": error.message}
    elif path in _TGI:
        body = {"error": error.message, "error_type": "validation" if error.status < 500 else "generation"}
    elif path in _LLAMA_CPP:
        body = {"error": {"code": error.status, "message": error.message, "type": error.kind}}
    else:
        body = {
            "error": {"message": error.message, "type": error.kind, "param": error.param, "code": error.code},
            # llm-ls reads errors in FastAPI's own form.
            "detail": [{"loc": "body", "msg": error.message, "type": error.kind}],
        }
    text = json.dumps(body, ensure_ascii=False, separators=(",", ":"))
    return Response(text, error.status, error.headers, "application/json")
