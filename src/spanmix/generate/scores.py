"""Score sequences: what every engine does the same way around its own forward pass."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torch import Tensor

from spanmix.generate.engine import EngineInfo, Score, ScoreRequest
from spanmix.generate.lengths import by_length

ScorePart = Callable[[Sequence[ScoreRequest], Sequence[Score]], None]
"""Adds to a score of each request an entry for each of its targets; every request has some."""


def score_in_parts(
    info: EngineInfo, requests: Sequence[ScoreRequest], most_tokens: int, score_part: ScorePart
) -> list[Score]:
    """Score requests, those of like length together; the answers are in the requests' order.

    Args:
        info: of the engine.
        requests: what to score.
        most_tokens: most positions of a part, padding included.
        score_part: scores a part.

    Raises:
        InputError: a context is empty, or a request is longer than the context window.
    """
    for request in requests:
        info.check_score(request)
    scores = [Score([], []) for _ in requests]
    # The last target is only predicted, so a request takes one position fewer than its tokens.
    lengths = [len(request.context_ids) + len(request.target_ids) - 1 for request in requests]
    todo = [index for index, request in enumerate(requests) if len(request.target_ids) > 0]
    for part in by_length(todo, lengths, most_tokens):
        score_part([requests[i] for i in part], [scores[i] for i in part])
    return scores


def add_scores(scores: Sequence[Score], num_top: Sequence[int], logits_NV: Tensor, targets_N: Tensor) -> None:
    """Add an entry for each target to the score that it belongs to.

    Args:
        scores: of each target, in the order of the targets.
        num_top: how many of the most likely tokens are wanted in front of each target.
        logits_NV: float32, of the positions in front of the targets.
        targets_N: token ids, int64, on the same device.

    >>> import torch
    >>> score = Score([], [])
    >>> add_scores([score] * 2, [0, 1], torch.tensor([[0.0, 0.0], [0.0, 9.0]]), torch.tensor([0, 1]))
    >>> [round(logprob, 3) for logprob in score.logprobs], score.is_greedy, [len(top) for top in score.top]
    ([-0.693, -0.0], [True, True], [0, 1])
    """
    if not scores:
        return
    totals_N = logits_NV.logsumexp(dim=-1)
    logprobs = (logits_NV.gather(1, targets_N[:, None])[:, 0] - totals_N).tolist()
    is_greedy = (logits_NV.argmax(dim=-1) == targets_N).tolist()
    width = min(max(num_top), logits_NV.shape[1])
    best_NK, ids_NK = logits_NV.topk(width, dim=-1)
    tops = zip(ids_NK.tolist(), (best_NK - totals_N[:, None]).tolist(), num_top, strict=True)
    for score, logprob, greedy, (ids, best, wanted) in zip(scores, logprobs, is_greedy, tops, strict=True):
        score.logprobs.append(logprob)
        score.is_greedy.append(greedy)
        score.top.append(tuple(zip(ids[:wanted], best[:wanted], strict=True)))
