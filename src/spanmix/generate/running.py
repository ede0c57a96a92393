"""A request that an engine of this process runs, and what becomes of each of its tokens."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spanmix.generate.engine import GenerateRequest, TokenEvent
from spanmix.generate.sampling import Choice, uniforms

_NO_UNIFORM: NDArray[np.float64] = np.empty(0)


@dataclass
class Running:
    """A request with a row in the cache; `num_cached` of its positions are filled."""

    id: int
    request: GenerateRequest
    uniform: NDArray[np.float64]
    num_cached: int
    num_generated: int
    last_token: int

    @classmethod
    def start(cls, request_id: int, request: GenerateRequest) -> Running:
        """Return a request whose prompt is about to be read."""
        uniform = uniforms(request.seed, request.max_tokens) if request.temperature > 0 else _NO_UNIFORM
        return cls(request_id, request, uniform, len(request.prompt_ids), 0, -1)

    @property
    def next_uniform(self) -> float:
        """The number in [0, 1) that decides the next token; greedy requests have none."""
        return float(self.uniform[self.num_generated]) if len(self.uniform) else 0.0

    def take(self, choice: Choice) -> TokenEvent:
        """Take the next token."""
        self.num_generated += 1
        self.last_token = choice.token_id
        reason = None
        if choice.token_id in self.request.stop_ids:
            reason = "stop"
        elif self.num_generated == self.request.max_tokens:
            reason = "length"
        return TokenEvent(self.id, choice.token_id, choice.logprob, choice.top, reason)


def needed_slots(request: GenerateRequest) -> int:
    """Return how many positions a request fills at most."""
    return len(request.prompt_ids) + request.max_tokens
