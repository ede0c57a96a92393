"""Ask an HTTP endpoint that speaks OpenAI's completions protocol."""

from __future__ import annotations

import http.client
import json
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass
from typing import Any

from spanmix.errors import InputError

_MOST_BYTES = 1 << 24
_COMPLETIONS = "/completions"
_TOLD_CHARACTERS = 200


class RefusedError(Exception):
    """The server answered a request with an error; its text says which."""


@dataclass(frozen=True)
class Choice:
    """One answer.

    Args:
        text: what was generated, behind the prompt if it was asked to be repeated.
        finish_reason: ``"stop"`` or ``"length"``, as a rule.
        logprobs: the server's object, {} if there is none.
        prompt_tokens: as the server counted them; None if it did not.
    """

    text: str
    finish_reason: str | None
    logprobs: dict[str, Any]
    prompt_tokens: int | None


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Stays where it is: the key is for the server that was named, and for no other."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None


class Endpoint:
    """A server's ``/v1/completions``.

    Args:
        url: of the server, of its ``/v1``, or of its ``/v1/completions``.
        model: what the server calls the model; None takes the first that it lists.
        api_key: sent as bearer token, if given.
        timeout_seconds: longest wait for one answer.

    Raises:
        InputError: the address is of another kind, nothing answers there, or the model has no name.
    """

    def __init__(
        self, url: str, model: str | None = None, api_key: str | None = None, timeout_seconds: float = 30.0
    ) -> None:
        parts = urllib.parse.urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise InputError(
                f"{url} is not an address of a server; name one such as http://localhost:8000/v1"
            )
        if parts.username or parts.query or parts.fragment:
            raise InputError("the address of the server holds a user, a query or a fragment; give it without")
        base = url.rstrip("/").removesuffix(_COMPLETIONS)
        self.url = base if base.endswith("/v1") else f"{base}/v1"
        self._key, self._timeout = api_key, timeout_seconds
        self._opener = urllib.request.build_opener(_NoRedirect)
        self.model = model or self._first_model()

    def complete(self, prompt: str | list[str] | list[list[int]], **fields: object) -> list[Choice]:
        """Ask for completions, greedily unless `fields` say otherwise.

        Args:
            prompt: texts, or token ids.
            fields: more of the request.

        Returns:
            One answer for each prompt.

        Raises:
            RefusedError: the server answered with an error, or with something else than completions.
            InputError: it did not answer.
        """
        request = {"model": self.model, "prompt": prompt, "temperature": 0, **fields}
        answer = self._ask(_COMPLETIONS, request)
        usage = answer.get("usage")
        counted = usage.get("prompt_tokens") if isinstance(usage, dict) else None
        choices = answer.get("choices")
        if not isinstance(choices, list) or not all(isinstance(choice, dict) for choice in choices):
            raise RefusedError("the answer has no list of choices")
        expected = len(prompt) if isinstance(prompt, list) else 1
        if len(choices) != expected:
            raise RefusedError(f"the answer to {expected} prompts has {len(choices)} choices")
        choices = sorted(choices, key=lambda choice: _whole(choice.get("index")) or 0)
        return [_choice(choice, _whole(counted)) for choice in choices]

    def _first_model(self) -> str:
        try:
            return str(self._ask("/models", None)["data"][0]["id"])
        except (RefusedError, LookupError, TypeError):
            raise InputError(f"{self.url}/models does not list a model; give its name with --model") from None

    def _ask(self, path: str, body: dict[str, Any] | None) -> dict[str, Any]:
        request = urllib.request.Request(f"{self.url}{path}")
        request.add_header("Content-Type", "application/json")
        if self._key:
            request.add_header("Authorization", f"Bearer {self._key}")
        data = None if body is None else json.dumps(body).encode()
        try:
            with self._opener.open(request, data, self._timeout) as response:
                content = response.read(_MOST_BYTES + 1)
        except urllib.error.HTTPError as error:
            raise self._refused(error) from None
        except (OSError, ValueError, http.client.HTTPException) as error:
            reason = getattr(error, "reason", None) or error
            raise InputError(f"{self.url}{path} does not answer: {reason}") from None
        if len(content) > _MOST_BYTES:
            raise RefusedError(f"the answer is longer than {_MOST_BYTES:,} bytes")
        try:
            answer = json.loads(content)
        except ValueError:
            raise RefusedError("the answer is not JSON") from None
        if not isinstance(answer, dict):
            raise RefusedError("the answer is not a JSON object")
        if answer.get("error"):
            raise RefusedError(_told(answer["error"]))
        return answer

    def _refused(self, error: urllib.error.HTTPError) -> Exception:
        with error:
            if error.code in (401, 403):
                return InputError(
                    f"{self.url} wants another API key ({error.code}); put it into a variable of the "
                    "environment and name that with --api-key-env"
                )
            if 300 <= error.code < 400:
                return InputError(f"{self.url} sends to another address ({error.code}); name that one")
            try:
                content = json.loads(error.read(_MOST_BYTES))
            except (OSError, ValueError):
                content = error.reason
        inner = content.get("error", content) if isinstance(content, dict) else content
        return RefusedError(f"{error.code}, {_told(inner)}")


def _told(error: object) -> str:
    message = error.get("message", error) if isinstance(error, dict) else error
    return " ".join(str(message).split())[:_TOLD_CHARACTERS]


def _whole(value: object) -> int | None:
    return value if isinstance(value, int) else None


def _choice(choice: dict[str, Any], prompt_tokens: int | None) -> Choice:
    text, reason, logprobs = choice.get("text"), choice.get("finish_reason"), choice.get("logprobs")
    if not isinstance(text, str):
        raise RefusedError("a choice of the answer has no text")
    return Choice(
        text, str(reason) if reason else None, logprobs if isinstance(logprobs, dict) else {}, prompt_tokens
    )
