"""Find out what a completions server really does, by asking it things whose right answer is known.

A field that a server does not know is often passed over without a word, so neither its name nor its
documentation is asked. All requests are short; there are at most eleven.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from spanmix.errors import InputError
from spanmix.generate.completions_client import Choice, Endpoint, RefusedError
from spanmix.generate.endpoint_answers import TokenTexts, read_echo, read_tokens
from spanmix.text.tokenizer import Tokenizer

BAN = -100
"""The lowest ``logit_bias`` of OpenAI's protocol, which keeps a token from being chosen."""

NEUTRAL = {"top_k": -1, "min_p": 0.0, "repetition_penalty": 1.0}
"""What vLLM would otherwise take from the ``generation_config.json`` of the model."""

SEEDED, UNSEEDED, IGNORED = "seeded", "unseeded", "ignored"

_TEXT = "def add(a, b):\n    return"
_HOT = 2.0
"""OpenAI's highest temperature."""


@dataclass(frozen=True)
class ServerTraits:
    """What a server does.

    Args:
        prompt_ids: it takes prompts as token ids.
        token_ids: it does as vLLM: says which tokens it generated (``return_tokens_as_token_ids``), ends at
            ``stop_token_ids``, and hears ``top_k``.
        logit_bias: a bias of -100 keeps a token from being generated.
        sampling: `SEEDED` if the same seed gives the same sample, `UNSEEDED` if not, `IGNORED` if it gives
            the same text whatever the temperature and the seed.
        echo_problem: why its echo cannot be used to score; None if it can.
    """

    prompt_ids: bool
    token_ids: bool
    logit_bias: bool
    sampling: str
    echo_problem: str | None


def probe(endpoint: Endpoint, tokenizer: Tokenizer) -> ServerTraits:
    """Ask a server what it does.

    Args:
        endpoint: the server.
        tokenizer: of the model that is served.

    Raises:
        InputError: it does not complete a text at all, or does not answer.
    """
    asker = _Asker(endpoint, tokenizer)
    prompt_ids = asker.takes_ids()
    token_ids = prompt_ids and asker.tells_ids()
    return ServerTraits(
        prompt_ids=prompt_ids,
        token_ids=token_ids,
        logit_bias=asker.hears_bias(token_ids),
        sampling=asker.sampling(),
        echo_problem=asker.echo_problem(),
    )


class _Asker:
    """Asks the questions of `probe`, one after the other."""

    def __init__(self, endpoint: Endpoint, tokenizer: Tokenizer) -> None:
        self._endpoint = endpoint
        self._texts = TokenTexts(tokenizer)
        self._vocab_size = tokenizer.vocab_size
        self._ids = tokenizer.encode(_TEXT)
        self._prompt: Any = [self._ids]
        self._likeliest = -1

    def takes_ids(self) -> bool:
        """Whether a prompt of ids is taken; from here on the prompt is one that is."""
        try:
            if self._ask(max_tokens=1).prompt_tokens in (None, len(self._ids)):
                return True
        except RefusedError:
            pass
        self._prompt = _TEXT
        try:
            self._ask(max_tokens=1)
        except RefusedError as error:
            raise InputError(f"{self._endpoint.url} completes no text: {error}") from None
        return False

    def tells_ids(self) -> bool:
        """Ask for the likeliest token; then so that only the fields make it that one again, and the last."""
        told: dict[str, Any] = {"logprobs": 1, "return_tokens_as_token_ids": True}
        try:
            self._likeliest = read_tokens(self._ask(max_tokens=1, **told), self._vocab_size, 1)[0].token_id
            fields = {**NEUTRAL, "top_k": 1, "temperature": _HOT, "stop_token_ids": [self._likeliest]}
            answer = self._ask(max_tokens=4, **told, **fields)
            tokens = read_tokens(answer, self._vocab_size, 1)
        except (RefusedError, IndexError):
            return False
        return [token.token_id for token in tokens] == [self._likeliest] and answer.finish_reason == "stop"

    def hears_bias(self, token_ids: bool) -> bool:
        """Whether the likeliest token can be kept away; where only its text is known, that has to tell."""
        try:
            if token_ids:
                fields: dict[str, Any] = {"logprobs": 1, "return_tokens_as_token_ids": True}
                answer = self._ask(max_tokens=1, logit_bias={str(self._likeliest): BAN}, **fields)
                return read_tokens(answer, self._vocab_size, 1)[0].token_id != self._likeliest
            text = self._ask(max_tokens=1).text
            bias = {str(token_id): BAN for token_id in self._texts.tokenizer.encode(text)}
            return bool(bias) and self._ask(max_tokens=1, logit_bias=bias).text != text
        except (RefusedError, IndexError):
            return False

    def sampling(self) -> str:
        """Sample twice with a seed, and once with another."""
        fields: dict[str, Any] = {"max_tokens": 16, "temperature": _HOT, "top_p": 1.0}
        try:
            one, again, other = (self._ask(seed=seed, **fields).text for seed in (1, 1, 2))
        except RefusedError:
            return UNSEEDED
        if one != again:
            return UNSEEDED
        return SEEDED if one != other else IGNORED

    def echo_problem(self) -> str | None:
        """Why the echo of a prompt cannot be used; the likeliest token is at its end, where that is known."""
        if self._likeliest >= 0:
            self._ids = [*self._ids, self._likeliest]
            self._prompt = [self._ids]
        try:
            read_echo(self._ask(max_tokens=1, echo=True, logprobs=1), self._ids, self._texts)
        except RefusedError as error:
            return str(error)
        return None

    def _ask(self, **fields: Any) -> Choice:
        (answer,) = self._endpoint.complete(self._prompt, **fields)
        return answer
