"""Choose the next token of every row of a batch.

A row's choice is a function of its own logits, its request's settings and its seed alone, never of its
place in the batch: token i of a request is the inverse of the cumulative distribution at the i-th
uniform number of its seed.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from spanmix import seeding
from spanmix.generate.adjust import Turn, adjust

_NUCLEUS_CANDIDATES = 1024
"""top_p looks at this many tokens first, and sorts the whole vocabulary only if they do not reach it."""


@dataclass(frozen=True)
class Choice:
    """What was chosen for one row: the token, its log-probability, and the most likely tokens."""

    token_id: int
    logprob: float
    top: tuple[tuple[int, float], ...]


def uniforms(seed: int, num_tokens: int) -> NDArray[np.float64]:
    """Return the numbers in [0, 1) that decide the tokens of a request, float64 [num_tokens].

    >>> uniforms(1, 3)[:2].tolist() == uniforms(1, 2).tolist()
    True
    """
    words = seeding.draw(seed, "sample", 0, 0, [0], num_tokens)[0]
    shares: NDArray[np.float64] = (words >> np.uint64(11)).astype(np.float64) * 2.0**-53
    return shares


def choose(logits_BV: Tensor, turns: Sequence[Turn]) -> list[Choice]:
    """Choose one token for each row.

    Args:
        logits_BV: float32 [B, V].
        turns: what decides beside them, for each row.

    Returns:
        One choice a row; its log-probabilities are those before penalties, biases, suppression,
        temperature and truncation.
    """
    logprobs_BV = torch.log_softmax(logits_BV, dim=-1)
    scores_BV = adjust(logprobs_BV, logits_BV, turns)
    tokens_B = scores_BV.argmax(dim=-1)
    groups: dict[tuple[float, float, float, int], list[int]] = defaultdict(list)
    for row, request in enumerate(turn.request for turn in turns):
        if request.temperature > 0 and request.top_k != 1:
            groups[request.temperature, request.min_p, request.top_p, request.top_k].append(row)
    for (temperature, min_p, top_p, top_k), rows in groups.items():
        uniform = [turns[row].uniform for row in rows]
        uniform_B = torch.tensor(uniform, dtype=torch.float64, device=tokens_B.device)
        probabilities = torch.softmax(scores_BV[rows].double() / temperature, dim=-1)
        if min_p > 0:
            best_B1 = probabilities.max(dim=-1, keepdim=True).values
            probabilities = torch.where(probabilities >= min_p * best_B1, probabilities, 0.0)
            probabilities = probabilities / probabilities.sum(dim=-1, keepdim=True)
        tokens_B[rows] = _sample(probabilities, top_p, top_k, uniform_B)
    chosen_B = logprobs_BV.gather(1, tokens_B[:, None])[:, 0]
    tops = _most_likely(logprobs_BV, [turn.request.num_top_logprobs for turn in turns])
    rows_out = zip(tokens_B.tolist(), chosen_B.tolist(), tops, strict=True)
    return [Choice(token, logprob, top) for token, logprob, top in rows_out]


def _sample(probabilities_BV: Tensor, top_p: float, top_k: int, uniform_B: Tensor) -> Tensor:
    """Invert the cumulative distribution: top-k first, then top-p of what that leaves."""
    vocab_size = probabilities_BV.shape[1]
    if top_k <= 0 and top_p >= 1:
        return _invert(probabilities_BV, uniform_B)
    width = min(top_k if top_k > 0 else _NUCLEUS_CANDIDATES, vocab_size)
    best_BK, ids_BK = probabilities_BV.topk(width, dim=-1)
    if top_k > 0:
        best_BK = best_BK / best_BK.sum(dim=-1, keepdim=True)
    tokens_B = ids_BK.gather(1, _invert(_nucleus(best_BK, top_p), uniform_B)[:, None])[:, 0]
    if top_k <= 0 and width < vocab_size:
        wide = best_BK.sum(dim=-1) < top_p
        if wide.any():
            best, ids = probabilities_BV[wide].sort(dim=-1, descending=True)
            inner = _invert(_nucleus(best, top_p), uniform_B[wide])
            tokens_B[wide] = ids.gather(1, inner[:, None])[:, 0]
    return tokens_B


def _nucleus(best_BK: Tensor, top_p: float) -> Tensor:
    """Zero what comes after the smallest set that reaches `top_p`; rows are sorted, best first."""
    before_BK = best_BK.cumsum(dim=-1) - best_BK
    return torch.where(before_BK < top_p, best_BK, 0.0)


def _invert(weights_BK: Tensor, uniform_B: Tensor) -> Tensor:
    """Return the first column whose cumulative weight exceeds the row's share of the total."""
    cumulative_BK = weights_BK.cumsum(dim=-1)
    # The last column that has weight, in case rounding takes the share up to the total itself.
    total_B1 = cumulative_BK[:, -1:].contiguous()
    last_B1 = torch.searchsorted(cumulative_BK, total_B1)
    found_B1 = torch.searchsorted(cumulative_BK, uniform_B[:, None] * total_B1, right=True)
    return torch.minimum(found_B1, last_B1)[:, 0]


def _most_likely(logprobs_BV: Tensor, wanted: Sequence[int]) -> list[tuple[tuple[int, float], ...]]:
    width = min(max(wanted, default=0), logprobs_BV.shape[1])
    if width == 0:
        return [()] * len(wanted)
    values_BK, ids_BK = logprobs_BV.topk(width, dim=-1)
    both = zip(ids_BK.tolist(), values_BK.tolist(), wanted, strict=True)
    return [tuple(zip(ids[:n], values[:n], strict=True)) for ids, values, n in both]
