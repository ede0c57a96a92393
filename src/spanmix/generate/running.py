"""A request that an engine of this process runs, and what becomes of each of its tokens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Self

import numpy as np
from numpy.typing import NDArray

from spanmix.generate.adjust import Turn
from spanmix.generate.engine import FinishReason, GenerateRequest, TokenEvent
from spanmix.generate.sampling import Choice, uniforms

_NO_UNIFORM: NDArray[np.float64] = np.empty(0)


@dataclass
class Running:
    """A request and its tokens so far.

    Args:
        id: of the request.
        request: what was asked for.
        uniform: the number in [0, 1) that decides each token; empty if it is greedy.
        answer_ids: what was generated.
        num_read: how many tokens of the prompt have been read, where that is done in parts.
    """

    id: int
    request: GenerateRequest
    uniform: NDArray[np.float64]
    answer_ids: list[int] = field(default_factory=list)
    num_read: int = 0

    @classmethod
    def start(cls, request_id: int, request: GenerateRequest) -> Self:
        """Return a request that has no token yet."""
        uniform = uniforms(request.seed, request.max_tokens) if request.temperature > 0 else _NO_UNIFORM
        return cls(request_id, request, uniform)

    @property
    def num_tokens(self) -> int:
        """Of prompt and answer together."""
        return len(self.request.prompt_ids) + len(self.answer_ids)

    def turn(self, draft_ids: Sequence[int] = ()) -> Turn:
        """Return what decides the token after the answer, or after a draft that goes on from it."""
        place = len(self.answer_ids) + len(draft_ids)
        uniform = float(self.uniform[place]) if len(self.uniform) else 0.0
        return Turn(self.request, uniform, [*self.answer_ids, *draft_ids])

    def take(self, choice: Choice) -> TokenEvent:
        """Append the next token."""
        self.answer_ids.append(choice.token_id)
        reason: FinishReason | None = None
        if choice.token_id in self.request.stop_ids:
            reason = "stop"
        elif len(self.answer_ids) == self.request.max_tokens:
            reason = "length"
        return TokenEvent(self.id, choice.token_id, choice.logprob, choice.top, reason)


def needed_slots(request: GenerateRequest) -> int:
    """Return how many positions a request fills at most."""
    return len(request.prompt_ids) + request.max_tokens
