"""Change logits before a token is chosen: what must and must not come, biases, penalties for what came."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from spanmix.generate.engine import GenerateRequest


@dataclass(frozen=True)
class Turn:
    """What decides a request's next token, beside the logits.

    Args:
        request: what was asked for.
        uniform: a number in [0, 1); a greedy request does not look at it.
        answer_ids: what it was given so far.
    """

    request: GenerateRequest
    uniform: float
    answer_ids: Sequence[int] = ()

    @property
    def hidden_ids(self) -> frozenset[int]:
        """Ids that must not come now."""
        request = self.request
        if len(self.answer_ids) < request.min_tokens:
            return request.suppress_ids | request.stop_ids
        return request.suppress_ids


def adjust(logprobs_BV: Tensor, logits_BV: Tensor, turns: Sequence[Turn]) -> Tensor:
    """Return what tokens are chosen by, float32 [B, V]: log-probabilities, changed as the requests ask.

    They are not normalized again. Where nothing is to be changed they are `logprobs_BV` itself.

    Args:
        logprobs_BV, logits_BV: float32 [B, V].
        turns: of each row.
    """
    allowed = [turn.request.allowed_ids(turn.answer_ids) for turn in turns]
    changed = [row for row, turn in enumerate(turns) if turn.request.logit_bias or turn.request.has_penalties]
    hidden: dict[frozenset[int], list[int]] = defaultdict(list)
    for row, turn in enumerate(turns):
        if ids := turn.hidden_ids:
            hidden[ids].append(row)
    if not changed and not hidden and all(ids is None for ids in allowed):
        return logprobs_BV
    adjusted_BV = logprobs_BV.clone()
    for row in changed:
        if turns[row].request.repetition_penalty != 1:
            adjusted_BV[row] = _repetitions_penalized(logits_BV[row], turns[row])
        _shift(adjusted_BV[row], turns[row])
    for ids, rows in hidden.items():
        rows_B1 = torch.tensor(rows, device=logits_BV.device)[:, None]
        adjusted_BV[rows_B1, _ids(ids, logits_BV)] = float("-inf")
    for row, only in enumerate(allowed):
        if only is not None:
            kept = _ids(only, logits_BV)
            adjusted_BV[row] = torch.full_like(adjusted_BV[row], float("-inf")).index_copy(
                0, kept, adjusted_BV[row, kept]
            )
    return adjusted_BV


def _repetitions_penalized(logits_V: Tensor, turn: Turn) -> Tensor:
    """Return a row of logits with those of tokens that came before brought closer to the unlikely."""
    penalty = turn.request.repetition_penalty
    ids = _ids({*turn.request.prompt_ids, *turn.answer_ids}, logits_V)
    there = logits_V[ids]
    return logits_V.index_copy(0, ids, torch.where(there > 0, there / penalty, there * penalty))


def _shift(scores_V: Tensor, turn: Turn) -> None:
    """Take off a request's penalties for what it was given, and add its biases, in place."""
    request = turn.request
    shifts: dict[int, float] = defaultdict(float)
    for token, times in Counter(turn.answer_ids).items():
        shifts[token] -= request.presence_penalty + request.frequency_penalty * times
    for token, bias in request.logit_bias:
        shifts[token] += bias
    values = torch.tensor([shifts[token] for token in sorted(shifts)], dtype=scores_V.dtype)
    scores_V[_ids(shifts, scores_V)] += values.to(scores_V.device)


def _ids(ids: Iterable[int], like: Tensor) -> Tensor:
    return torch.tensor(sorted(ids), dtype=torch.long, device=like.device)
