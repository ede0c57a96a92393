"""Read what a completions endpoint answers, token by token, and refuse what is not exactly that.

A server that does not do what it was asked for answers something all the same: without an echo, with fewer
numbers than tokens, with the tokens of another tokenizer. Scores made of that look like scores.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from spanmix.generate.completions_client import Choice, RefusedError
from spanmix.text.byte_level import byte_alphabet
from spanmix.text.tokenizer import Tokenizer

TOKEN_ID = "token_id:"
"""How vLLM writes tokens when ``return_tokens_as_token_ids`` is asked for."""

_ROUNDING = 1e-6
_SHOWN = 40


@dataclass(frozen=True)
class TokenTexts:
    """What servers call the tokens of a tokenizer: an id, the decoded text, or the byte-level entry.

    Args:
        tokenizer: of the model that is served.
    """

    tokenizer: Tokenizer

    def is_called(self, told: str, token_id: int) -> bool:
        """Whether a server may call a token so.

        A token that is a part of a character has no text of its own, so all but its id is believed. Blanks at
        the ends are passed over, as some servers clean them up.
        """
        if told.startswith(TOKEN_ID):
            return told == f"{TOKEN_ID}{token_id}"
        if self.tokenizer.is_control[token_id]:
            return told in ("", self.tokenizer.decode([token_id]))
        data = self.tokenizer.token_bytes[token_id]
        try:
            text = data.decode("utf-8")
        except UnicodeDecodeError:
            return True
        return told.strip() == text.strip() or told == "".join(_CHARACTER_OF[byte] for byte in data)


_CHARACTER_OF = {byte: character for character, byte in byte_alphabet().items()}


def read_echo(choice: Choice, token_ids: Sequence[int], texts: TokenTexts) -> tuple[list[float], list[bool]]:
    """Read the log-probabilities of a prompt that was sent with ``echo``, ``logprobs`` and ``max_tokens`` 1.

    The rules are those by which lm-eval reads them: every list has one entry a token and one for the new
    token; the first is null, since nothing is in front of it; a token is the likeliest one if its number is
    exactly the largest of its ``top_logprobs``.

    Args:
        choice: the answer.
        token_ids: the prompt.
        texts: what its tokens are called.

    Returns:
        Natural-log probabilities of all tokens but the first, and whether each was the likeliest.

    Raises:
        RefusedError: the answer is something else.
    """
    if not choice.logprobs:
        raise RefusedError("the answer has no logprobs, so nothing can be scored there")
    tokens, values, tops = _lists(choice.logprobs)
    expected = len(token_ids) + 1
    if len(tokens) != expected:
        raise RefusedError(
            f"the answer has {len(tokens)} log-probabilities for a prompt of {len(token_ids)} tokens and a "
            f"new one, which are {expected}: the server does not echo, cuts the prompt, or adds tokens to it"
        )
    if values[0] is not None:
        raise RefusedError(
            f"the first token's log-probability is {values[0]}, and has to be null: nothing is in front of it"
        )
    for place, (told, token_id) in enumerate(zip(tokens, token_ids, strict=False)):
        if not isinstance(told, str) or not texts.is_called(told, token_id):
            raise RefusedError(
                f"token {place} of the prompt is {texts.tokenizer.decode([token_id])!r} here and "
                f"{str(told)[:_SHOWN]!r} on the server: it has another tokenizer, or cuts the text otherwise"
            )
    logprobs = [_logprob(value, place + 1) for place, value in enumerate(values[1:-1])]
    largest = [_largest(top, place + 1) for place, top in enumerate(tops[1:-1])]
    for place, (value, best) in enumerate(zip(logprobs, largest, strict=True)):
        if value > best:
            raise RefusedError(
                f"token {place + 1} of the prompt has the log-probability {value}, more than the largest of "
                f"its top_logprobs, {best}: the server's numbers are approximate"
            )
    return logprobs, [value == best for value, best in zip(logprobs, largest, strict=True)]


@dataclass(frozen=True)
class AnswerToken:
    """One generated token: its id, log-probability, and the most likely ones, best first."""

    token_id: int
    logprob: float
    top: tuple[tuple[int, float], ...]


def read_tokens(choice: Choice, vocab_size: int, num_top: int) -> list[AnswerToken]:
    """Read the tokens of a completion that was asked for with ``return_tokens_as_token_ids``.

    Args:
        choice: the answer.
        vocab_size: ids are below it.
        num_top: how many of the most likely tokens were asked for.

    Raises:
        RefusedError: the answer is something else.
    """
    if not choice.logprobs:
        raise RefusedError("the answer has no logprobs, so its tokens are not known")
    tokens, values, tops = _lists(choice.logprobs)
    found = []
    for place, (token, value, top) in enumerate(zip(tokens, values, tops, strict=True)):
        best: list[tuple[int, float]] = []
        if num_top:
            _largest(top, place)
            best = [(_id(told, vocab_size), float(logprob)) for told, logprob in top.items()]
            best.sort(key=lambda pair: -pair[1])
            if len(best) < num_top:
                raise RefusedError(f"token {place} has {len(best)} top_logprobs; {num_top} were asked for")
        found.append(AnswerToken(_id(token, vocab_size), _logprob(value, place), tuple(best[:num_top])))
    return found


def _lists(logprobs: Mapping[str, Any]) -> tuple[list[Any], list[Any], list[Any]]:
    """Return tokens, their log-probabilities and their top ones, as many of each."""
    names = ("tokens", "token_logprobs", "top_logprobs")
    lists = [logprobs.get(name) for name in names]
    for name, value in zip(names, lists, strict=True):
        if not isinstance(value, list):
            raise RefusedError(f"the answer's logprobs have no list {name}")
    tokens, values, tops = (list(value or ()) for value in lists)
    if not len(tokens) == len(values) == len(tops):
        raise RefusedError(
            f"the lists of the answer's logprobs differ in length: {len(tokens)} tokens, {len(values)} "
            f"token_logprobs, {len(tops)} top_logprobs"
        )
    return tokens, values, tops


def _logprob(value: object, place: int) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not -math.inf < value <= _ROUNDING:
        raise RefusedError(f"token {place} has the log-probability {value}; it needs a number of at most 0")
    return float(value)


def _largest(top: object, place: int) -> float:
    if not isinstance(top, dict) or not top:
        raise RefusedError(f"token {place} has no top_logprobs")
    return max(_logprob(value, place) for value in top.values())


def _id(told: object, vocab_size: int) -> int:
    number = told.removeprefix(TOKEN_ID) if isinstance(told, str) and told.startswith(TOKEN_ID) else ""
    if not number.isdecimal() or int(number) >= vocab_size:
        shown = f"{str(told)[:_SHOWN]!r}"
        raise RefusedError(f"a token of the answer is {shown}, which is not the id of one of {vocab_size}")
    return int(number)
