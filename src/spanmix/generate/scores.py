"""Read the log-probabilities of given tokens off the logits in front of them."""

from __future__ import annotations

from torch import Tensor

from spanmix.generate.engine import Score


def add_scores(score: Score, logits_NV: Tensor, targets_N: Tensor) -> None:
    """Add one entry for each target to a score.

    Args:
        score: is added to.
        logits_NV: float32, of the positions in front of the targets.
        targets_N: token ids, int64, on the same device.

    >>> import torch
    >>> score = Score([], [])
    >>> add_scores(score, torch.tensor([[0.0, 0.0], [0.0, 9.0]]), torch.tensor([0, 1]))
    >>> [round(logprob, 3) for logprob in score.logprobs], score.is_greedy
    ([-0.693, -0.0], [True, True])
    """
    chosen_N = logits_NV.gather(1, targets_N[:, None])[:, 0]
    score.logprobs.extend((chosen_N - logits_NV.logsumexp(dim=-1)).tolist())
    score.is_greedy.extend((logits_NV.argmax(dim=-1) == targets_N).tolist())
