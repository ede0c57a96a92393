"""Greedy answers do not depend on how many requests run at once, but where two tokens are equally likely."""

import os
from collections import Counter

import torch

from spanmix.generate.batch import generate
from spanmix.generate.engine import GenerateRequest, ScoreRequest
from spanmix.generate.torch_engine import TorchEngine

NUM_PROMPTS = 1000 if os.environ.get("SPANMIX_NIGHTLY", "0") not in ("", "0") else 120
LEAST_MARGIN = 1e-4
"""Of the log-probabilities of the two likeliest tokens: below it rounding may decide."""


def prompts():
    """Texts of many lengths, a third of which begin like one before them and a third repeat themselves."""
    generator = torch.Generator().manual_seed(3)
    made = []
    for number in range(NUM_PROMPTS):
        length = int(torch.randint(1, 120, (1,), generator=generator))
        ids = torch.randint(0, 384, (length,), generator=generator).tolist()
        if number % 3 == 1:
            ids = made[-1][: 2 * len(made[-1]) // 3] + ids[:40]
        elif number % 3 == 2:
            ids = (ids[:7] * 20)[:100]
        made.append(ids)
    return made


def margin(engine, prompt, answer, place):
    """How much likelier the likeliest token is than the second at a place of an answer."""
    context = [*prompt, *answer[:place]]
    [score] = engine.score([ScoreRequest(context, [answer[place]], num_top_logprobs=2)])
    (_, first), (_, second) = score.top[0]
    return first - second


def test_greedy_answers_are_the_same_at_any_batch_size(make_decoder):
    decoder = make_decoder(2, 48, 3, 8, 160)
    requests = [GenerateRequest(prompt, 32) for prompt in prompts()]
    alone = [
        generate(TorchEngine(decoder, max_draft_tokens=0), [request])[0].token_ids for request in requests
    ]
    met = Counter()
    for rows in (1, 4, 16):
        engine = TorchEngine(decoder, max_rows=rows, read_tokens=64, resting_rows=8)
        for request, one, found in zip(requests, alone, generate(engine, requests), strict=True):
            other = found.token_ids
            place = next(
                (i for i, pair in enumerate(zip(one, other, strict=True)) if pair[0] != pair[1]), None
            )
            if place is None:
                met["same"] += 1
                continue
            met[f"differ at {rows}"] += 1
            assert margin(engine, request.prompt_ids, one, place) < LEAST_MARGIN
    print(dict(met))
    assert met["same"] > 0.98 * 3 * NUM_PROMPTS, met
