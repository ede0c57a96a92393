"""Look at an endpoint's log-probabilities: what lm-eval reads of them, and what they say of the model."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from spanmix.generate.completions_client import Choice, Endpoint, RefusedError
from spanmix.interchange.verify.positions import check_batch
from spanmix.interchange.verify.result import Check, cannot_tell, ok, wrong
from spanmix.interchange.verify.sample import SAMPLE

_ECHO, _IDS, _LOSS, _BATCH = "echo with logprobs", "echo of token ids", "loss on code", "left padding"
_LISTS = ("tokens", "token_logprobs", "top_logprobs", "text_offset")
_PROMPT_IDS = [11, 22, 33, 44, 55]
_SHORT = SAMPLE[: len(SAMPLE) // 3]
_KNOWS_BITS = 3.0
"""Bits a byte; a uniform guess of one in 51,200 has 4 to 5 on code, and a trained model less than 1."""
_LARGEST_WHOLE = 2**53
"""JSON has whole numbers of any size; those that a float cannot hold are no log-probabilities."""
_REMEDY = "measure with `spanmix evaluate` on the model's folder, or use a server that echoes with logprobs"


def check_echo(endpoint: Endpoint) -> Check:
    """Ask for a text back with its log-probabilities, as lm-eval does."""
    try:
        found = _echo(endpoint, SAMPLE)
    except RefusedError as error:
        return wrong(_ECHO, f"the server refuses echo with logprobs: {error}", _REMEDY)
    if problem := _problem(found, found.prompt_tokens):
        return wrong(_ECHO, problem, _REMEDY)
    tokens = found.logprobs["tokens"]
    return ok(_ECHO, f"{len(tokens)} entries, the first null, as lm-eval reads them", entries=len(tokens))


def check_ids_echo(endpoint: Endpoint) -> Check:
    """Do the same for token ids, whose number is known here."""
    try:
        (found,) = endpoint.complete([_PROMPT_IDS], max_tokens=1, echo=True, logprobs=1)
    except RefusedError as error:
        return wrong(_IDS, f"the server refuses token ids, or to echo them: {error}", _REMEDY)
    if problem := _problem(found, len(_PROMPT_IDS)):
        return wrong(_IDS, problem, _REMEDY)
    return ok(_IDS, f"{len(_PROMPT_IDS)} ids give {len(_PROMPT_IDS) + 1} entries")


def check_loss_of(endpoint: Endpoint) -> Check:
    """Say whether the model knows code, in bits a byte, as its vocabulary is not known.

    Raises:
        RefusedError: the server does not echo log-probabilities.
    """
    found = _echo(endpoint, SAMPLE)
    logprobs = _prompt_logprobs(found)
    if not logprobs:
        return cannot_tell(_LOSS, "the server gives no log-probabilities of a prompt")
    if not all(map(math.isfinite, logprobs)):
        return wrong(_LOSS, "log-probabilities are not numbers", "serve the model in float32 or bfloat16")
    bits = -sum(logprobs) / math.log(2) / len(SAMPLE.encode())
    figures = f"{bits:.2f} bits a byte of Python"
    if bits <= _KNOWS_BITS:
        return ok(_LOSS, figures, bits_per_byte=round(bits, 3))
    detail = f"{figures}, about what a uniform guess has: untrained, not a model of code, or wrongly loaded"
    return cannot_tell(_LOSS, detail, bits_per_byte=round(bits, 3))


def check_batch_of(endpoint: Endpoint) -> Check:
    """Score a text alone, once more, and beside a longer one.

    Raises:
        RefusedError: the server does not do it.
    """
    fields: dict[str, Any] = {"max_tokens": 1, "echo": True, "logprobs": 1}
    alone, again = (_prompt_logprobs(_echo(endpoint, _SHORT)) for _ in range(2))
    beside = _prompt_logprobs(endpoint.complete([_SHORT, SAMPLE], **fields)[0])
    if len(alone) != len(again) or not all(map(math.isfinite, [*alone, *again, *beside])):
        return cannot_tell(_BATCH, "the server gives no log-probabilities of a prompt that can be compared")
    remedy = "ask one prompt a request; or serve the model with a server that masks padding"
    return check_batch(_BATCH, alone, again, beside, remedy)


def _echo(endpoint: Endpoint, text: str) -> Choice:
    (found,) = endpoint.complete(text, max_tokens=1, echo=True, logprobs=1)
    return found


def _prompt_logprobs(found: Choice) -> list[float]:
    """Return those of all tokens of a prompt but the first; empty if they are not there."""
    values = found.logprobs.get("token_logprobs")
    if not isinstance(values, list) or len(values) < 3 or values[0] is not None:
        return []
    inner = values[1:-1]
    return [float(value) for value in inner] if _are_numbers(inner) else [math.nan]


def _problem(found: Choice, num_prompt_tokens: int | None) -> str | None:
    """Return what lm-eval would trip over, if anything (its `local-completions` reads these lists)."""
    logprobs = found.logprobs
    if not logprobs:
        return "there are no logprobs in the answer; lm-eval would give every answer the score of chance"
    lists = {name: logprobs.get(name) for name in _LISTS if name != "text_offset" or name in logprobs}
    if missing := [name for name, value in lists.items() if not isinstance(value, list)]:
        return f"logprobs has no list {' and no list '.join(missing)}"
    lengths = {name: len(value) for name, value in lists.items() if value is not None}
    if len(set(lengths.values())) > 1:
        return f"the lists of logprobs differ in length: {lengths}"
    if not lengths["tokens"]:
        return "the lists of logprobs are empty; lm-eval would give every answer the score of chance"
    length, values = lengths["token_logprobs"], logprobs["token_logprobs"]
    if num_prompt_tokens is not None and length != num_prompt_tokens + 1:
        return f"there are {length} log-probabilities for {num_prompt_tokens} tokens and a generated one"
    if values[0] is not None:
        return (
            f"the first token's log-probability is {values[0]}, and has to be null: nothing is in front of it"
        )
    if not _are_numbers(values[1:]) or not all(value <= 1e-6 for value in values[1:]):
        return "some log-probabilities are missing, not numbers, or above 0"
    return _unlike_top(values[1:], logprobs["top_logprobs"][1:])


def _unlike_top(values: Sequence[float], top: Sequence[Any]) -> str | None:
    """lm-eval calls a token greedy if its value is exactly the largest of the top ones."""
    for value, entry in zip(values, top, strict=True):
        if not isinstance(entry, dict) or not entry or not _are_numbers(list(entry.values())):
            return "some entries of top_logprobs are missing"
        if value > max(entry.values()):
            return f"a token has {value}, more than the largest of top_logprobs, {max(entry.values())}"
    return None


def _are_numbers(values: Sequence[Any]) -> bool:
    kinds = {type(value) for value in values}
    return kinds <= {int, float} and not any(
        isinstance(value, int) and abs(value) > _LARGEST_WHOLE for value in values
    )
