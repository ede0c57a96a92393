"""Generate a list of requests: a loop over submit and step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from spanmix.generate.engine import Engine, GenerateRequest


@dataclass(frozen=True)
class Generation:
    """What a request became.

    Args:
        token_ids: the generated tokens; the one that stopped it, if any, is the last.
        logprobs: natural-log probability of each.
        finish_reason: ``"stop"`` or ``"length"``.
    """

    token_ids: list[int]
    logprobs: list[float]
    finish_reason: str


def generate(engine: Engine, requests: Sequence[GenerateRequest]) -> list[Generation]:
    """Generate all requests on an idle engine; the answers are in the requests' order.

    Raises:
        InputError: a request cannot be run; then none is.
    """
    ids: list[int] = []
    try:
        for request in requests:
            ids.append(engine.submit(request))
        return _collect(engine, ids)
    except BaseException:
        for request_id in ids:
            engine.cancel(request_id)
        raise


def _collect(engine: Engine, ids: list[int]) -> list[Generation]:
    tokens: dict[int, list[int]] = {request_id: [] for request_id in ids}
    logprobs: dict[int, list[float]] = {request_id: [] for request_id in ids}
    reasons: dict[int, str] = {}
    while len(reasons) < len(ids):
        for event in engine.step():
            tokens[event.id].append(event.token_id)
            logprobs[event.id].append(event.logprob)
            if event.finish_reason is not None:
                reasons[event.id] = event.finish_reason
    return [Generation(tokens[i], logprobs[i], reasons[i]) for i in ids]
