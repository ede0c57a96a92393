"""Ask an HTTP endpoint that speaks OpenAI's completions protocol."""

from __future__ import annotations

import email.utils
import json
import os
import time
import urllib.parse
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from spanmix.errors import InputError, SpanmixError

if TYPE_CHECKING:
    import httpx

_MOST_BYTES = 1 << 24
_COMPLETIONS = "/completions"
_TOLD_CHARACTERS = 200
_FIRST_WAIT, _LONGEST_WAIT = 0.5, 30.0
"""Seconds between two tries: twice as long every time."""

_LONGEST_ASKED_WAIT = 300.0
"""Seconds; a server that asks for a longer pause is not waited for."""


class RefusedError(SpanmixError):
    """The server answered a request with an error, or with something else than what was asked for."""


class _LaterError(Exception):
    """The server may answer the same request later.

    Args:
        error: what to raise if it is not asked again.
        wait_seconds: how long it asks to be left alone; None if it does not say.
        was_reached: whether it answered at all.
    """

    def __init__(self, error: SpanmixError, wait_seconds: float | None, was_reached: bool) -> None:
        super().__init__(str(error))
        self.error, self.wait_seconds, self.was_reached = error, wait_seconds, was_reached


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


class Endpoint:
    """A server's ``/v1/completions``; any number of threads may ask it.

    A request is asked again, after a pause, if the server is busy (429), failed (500 and above), took too
    long, or went away. One that has never answered is not waited for.

    Args:
        url: of the server, of its ``/v1``, or of its ``/v1/completions``.
        model: what the server calls the model; None takes the first that it lists.
        api_key: sent as bearer token, if given; see `api_key_of`.
        timeout_seconds: longest wait for one answer.
        retries: how often a request is asked again.

    Raises:
        InputError: the address is of another kind, nothing answers there, or the model has no name.
    """

    def __init__(
        self,
        url: str,
        model: str | None = None,
        api_key: str | None = None,
        timeout_seconds: float = 30.0,
        retries: int = 5,
    ) -> None:
        import httpx

        parts = urllib.parse.urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise InputError(
                f"{url} is not an address of a server; name one such as http://localhost:8000/v1"
            )
        if parts.username or parts.query or parts.fragment:
            raise InputError("the address of the server holds a user, a query or a fragment; give it without")
        base = url.rstrip("/").removesuffix(_COMPLETIONS)
        self.url = base if base.endswith("/v1") else f"{base}/v1"
        headers = {"Content-Type": "application/json"}
        if api_key and not (api_key.isascii() and api_key.isprintable()):
            raise InputError("the API key has characters that no header can hold; is it the right variable?")
        if api_key:
            headers["Authorization"] = f"Bearer {api_key}"
        # Redirections are not followed: the key is for the server that was named, and for no other.
        self._client = httpx.Client(headers=headers, timeout=timeout_seconds, follow_redirects=False)
        self._retries = retries
        self._was_reached = False
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
            InputError: it never answered, wants another key, or sends elsewhere.
        SpanmixError: it stopped answering.
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

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def listed(self) -> dict[str, Any]:
        """Return what the server's list of models says of this one; {} if it is not in it."""
        try:
            models = self._ask("/models", None)["data"]
            return next((dict(model) for model in models if model["id"] == self.model), {})
        except (RefusedError, LookupError, TypeError, ValueError):
            return {}

    def _first_model(self) -> str:
        try:
            return str(self._ask("/models", None)["data"][0]["id"])
        except (RefusedError, LookupError, TypeError):
            raise InputError(f"{self.url}/models does not list a model; give its name") from None

    def _ask(self, path: str, body: dict[str, Any] | None) -> dict[str, Any]:
        for attempt in range(self._retries + 1):
            try:
                return self._ask_once(path, body)
            except _LaterError as later:
                self._was_reached |= later.was_reached
                wait = min(_LONGEST_WAIT, _FIRST_WAIT * 2**attempt)
                if later.wait_seconds is not None:
                    wait = later.wait_seconds
                if attempt == self._retries or wait > _LONGEST_ASKED_WAIT or not self._was_reached:
                    raise _given_up(later, attempt + 1) from None
                time.sleep(wait)
        raise AssertionError("the last try returns or raises")

    def _ask_once(self, path: str, body: dict[str, Any] | None) -> dict[str, Any]:
        import httpx

        url = f"{self.url}{path}"
        content = None if body is None else json.dumps(body).encode()
        try:
            with self._client.stream("GET" if body is None else "POST", url, content=content) as response:
                data = _read(response)
        except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as error:
            kind = SpanmixError if self._was_reached else InputError
            reason = str(error) or type(error).__name__
            raise _LaterError(kind(f"{url} does not answer: {reason}"), None, False) from None
        self._was_reached = True
        if not response.is_success:
            raise self._refused(response, data)
        if len(data) > _MOST_BYTES:
            raise RefusedError(f"the answer is longer than {_MOST_BYTES:,} bytes")
        try:
            answer = json.loads(data)
        except (ValueError, RecursionError):
            raise RefusedError("the answer is not JSON") from None
        if not isinstance(answer, dict):
            raise RefusedError("the answer is not a JSON object")
        if answer.get("error"):
            raise RefusedError(_told(answer["error"]))
        return answer

    def _refused(self, response: httpx.Response, data: bytes) -> Exception:
        code = response.status_code
        if code in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
            return InputError(
                f"{self.url} wants another API key ({code}); put it into a variable of the environment and "
                "name that with --api-key-env"
            )
        if 300 <= code < 400:
            return InputError(f"{self.url} sends to another address ({code}); name that one")
        try:
            content = json.loads(data)
        except (ValueError, RecursionError):
            content = response.reason_phrase
        inner = content.get("error", content) if isinstance(content, dict) else content
        error = RefusedError(f"{code}, {_told(inner)}")
        if code in (HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS) or code >= 500:
            return _LaterError(error, _wait_seconds(response.headers.get("Retry-After")), True)
        return error


def api_key_of(variable: str) -> str:
    """Return the API key that a variable of the environment holds; raises `InputError` if there is none."""
    key = os.environ.get(variable)
    if not key:
        raise InputError(f"the environment has no variable {variable}, which --api-key-env names")
    return key


def _given_up(later: _LaterError, tries: int) -> SpanmixError:
    """Return the error of the last try, with what was tried."""
    told = f"{later.error} (asked {tries} times)" if tries > 1 else str(later.error)
    if later.wait_seconds is not None and later.wait_seconds > _LONGEST_ASKED_WAIT:
        told += f"; it asks to be left alone for {later.wait_seconds:.0f} s: try again then"
    return type(later.error)(told)


def _read(response: httpx.Response) -> bytes:
    """Read an answer up to a little more than `_MOST_BYTES`."""
    parts, size = [], 0
    for part in response.iter_bytes():
        parts.append(part)
        size += len(part)
        if size > _MOST_BYTES:
            break
    return b"".join(parts)


def _wait_seconds(header: str | None) -> float | None:
    """Read a Retry-After header: seconds, or a date.

    >>> _wait_seconds("3"), _wait_seconds("Thu, 01 Jan 1970 00:00:00 GMT"), _wait_seconds("soon")
    (3.0, 0.0, None)
    """
    if header is None:
        return None
    if header.strip().isdecimal():
        return float(header)
    try:
        return max(0.0, email.utils.parsedate_to_datetime(header).timestamp() - time.time())
    except ValueError:
        return None


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
