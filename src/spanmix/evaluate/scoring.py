"""Send many score requests to an engine, in batches of like length."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from spanmix.generate.engine import Engine, Score, ScoreRequest

Progress = Callable[[int, int], None]
"""Called with (units done, units in all), for a progress bar."""

BATCH_TOKENS = 16_384


def score_all(
    engine: Engine,
    requests: Sequence[ScoreRequest],
    progress: Progress | None = None,
    batch_tokens: int = BATCH_TOKENS,
) -> list[Score]:
    """Score every request; the order of the answers is that of the requests.

    Args:
        engine: what runs the model.
        requests: any number of requests.
        progress: called after every batch with (target tokens scored, target tokens in all).
        batch_tokens: most tokens, padding included, that one call of the engine gets.
    """
    scores: dict[int, Score] = {}
    total = sum(len(request.target_ids) for request in requests)
    done = 0
    for batch in _batches(requests, batch_tokens):
        answers = engine.score([requests[index] for index in batch])
        for index, answer in zip(batch, answers, strict=True):
            scores[index] = answer
            done += len(answer.logprobs)
        if progress is not None:
            progress(done, total)
    return [scores[index] for index in range(len(requests))]


def _batches(requests: Sequence[ScoreRequest], batch_tokens: int) -> Iterator[list[int]]:
    """Cut the requests, longest first, into batches whose padded size stays within `batch_tokens`.

    The longest go first, so a batch that does not fit in memory fails at the start.
    """
    lengths = [len(request.context_ids) + len(request.target_ids) for request in requests]
    order = sorted(range(len(requests)), key=lambda index: (-lengths[index], index))
    start = 0
    while start < len(order):
        size = max(1, batch_tokens // max(1, lengths[order[start]]))
        yield order[start : start + size]
        start += size
