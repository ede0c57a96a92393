"""Sampling draws from exactly the distribution that was asked for."""

import math
from dataclasses import replace

import pytest
import torch

from spanmix.generate.adjust import Turn, adjust
from spanmix.generate.engine import LEAST_TEMPERATURE, MOST_TEMPERATURE, GenerateRequest
from spanmix.generate.sampling import choose, uniforms

NUM_DRAWS = 4000
LOGITS = torch.tensor([0.0, 2.0, 1.0, -1.0, 1.5, -3.0])
WAYS = [(1.0, 1.0, 0, 0), (0.5, 1.0, 0, 0), (1.0, 0.8, 0, 0), (1.0, 1.0, 3, 0), (2.0, 0.6, 4, 0)]
WAYS += [(1.0, 0.999, 0, 0), (1.0, 1.0, 0, 0.2), (1.5, 0.9, 5, 0.15)]


def expected(temperature, top_p, top_k, min_p):
    """The distribution by its definition, in plain Python."""
    weights = [math.exp(x / temperature) for x in LOGITS.tolist()]
    order = sorted(range(len(weights)), key=lambda i: -weights[i])
    order = [i for i in order if weights[i] >= min_p * weights[order[0]]]
    if top_k:
        order = order[:top_k]
    total = sum(weights[i] for i in order)
    kept, reached = [], 0.0
    for i in order:
        if reached >= top_p:
            break
        kept.append(i)
        reached += weights[i] / total
    total = sum(weights[i] for i in kept)
    return [weights[i] / total if i in kept else 0.0 for i in range(len(weights))]


@pytest.mark.parametrize(("temperature", "top_p", "top_k", "min_p"), WAYS)
def test_frequencies_are_those_of_the_definition(temperature, top_p, top_k, min_p):
    request = GenerateRequest([0], 1, temperature, top_p, top_k, min_p)
    numbers = uniforms(seed=11, num_tokens=NUM_DRAWS).tolist()
    choices = choose(LOGITS.expand(NUM_DRAWS, -1), [Turn(request, number) for number in numbers])
    counts = torch.bincount(torch.tensor([choice.token_id for choice in choices]), minlength=6).tolist()
    for count, share in zip(counts, expected(temperature, top_p, top_k, min_p), strict=True):
        # Six standard deviations: a right sampler fails once in a thousand million.
        assert abs(count - NUM_DRAWS * share) <= 6 * math.sqrt(NUM_DRAWS * share * (1 - share))
    logprobs = LOGITS.log_softmax(-1).tolist()
    assert all(choice.logprob == pytest.approx(logprobs[choice.token_id]) for choice in choices[:50])


def test_a_flat_distribution_over_a_large_vocabulary_reaches_past_the_first_candidates():
    logits = torch.randn(4, 9000, generator=torch.Generator().manual_seed(1)) * 0.1
    logits[3] *= 100
    request = GenerateRequest([0], 1, temperature=1.0, top_p=0.95)
    turns = [Turn(request, number) for number in (0.999, 0.5, 0.0, 0.9)]
    together = choose(logits, turns)
    for row in range(4):
        assert choose(logits[row : row + 1], turns[row : row + 1]) == together[row : row + 1]
    ranks = [int((logits[row] > logits[row, c.token_id]).sum()) for row, c in enumerate(together)]
    assert ranks[0] > 1024 and ranks[2] == 0


def test_the_ends_of_the_unit_interval_choose_tokens_that_have_weight():
    request = GenerateRequest([0], 1, temperature=1.0, suppress_ids=frozenset({0, 5}))
    first, last = choose(LOGITS.expand(2, -1), [Turn(request, 0.0), Turn(request, 1 - 2**-53)])
    assert (first.token_id, last.token_id) == (1, 4)


def test_the_ends_of_the_temperatures_are_greedy_and_uniform():
    for temperature, expected in ((LEAST_TEMPERATURE, {1}), (MOST_TEMPERATURE, set(range(6)))):
        request = GenerateRequest([0], 1, temperature=temperature)
        choices = choose(LOGITS.expand(200, -1) * 1e3, [Turn(request, u) for u in uniforms(1, 200)])
        assert {choice.token_id for choice in choices} == expected


def test_uniform_numbers_are_in_the_unit_interval_and_differ_by_seed():
    numbers = uniforms(3, 1000)
    assert 0 <= numbers.min() < 0.01 and 0.99 < numbers.max() < 1
    assert abs(numbers.mean() - 0.5) < 0.03
    assert not set(numbers.tolist()) & set(uniforms(4, 1000).tolist())


def test_penalties_and_biases_are_those_of_the_definition():
    request = GenerateRequest(
        [0, 1],
        9,
        presence_penalty=0.5,
        frequency_penalty=0.25,
        repetition_penalty=2.0,
        logit_bias=((2, -1.0), (4, 3.0)),
        suppress_ids=frozenset({5}),
    )
    answer_ids = [3, 2, 3]
    logprobs = torch.log_softmax(LOGITS, dim=-1)
    plain, found = adjust(
        logprobs.expand(2, -1),
        LOGITS.expand(2, -1),
        [Turn(GenerateRequest([0], 1), 0.5), Turn(request, 0, answer_ids)],
    )
    assert torch.equal(plain, logprobs)
    logits = LOGITS.tolist()
    for token in {0, 1, 2, 3}:
        logits[token] = logits[token] / 2 if logits[token] > 0 else logits[token] * 2
    logits[3] -= 0.5 + 2 * 0.25
    logits[2] -= 0.5 + 0.25 + 1.0
    logits[4] += 3.0
    assert found.tolist() == pytest.approx([*logits[:5], -math.inf])
    # Without the penalty that depends on where zero is, the same holds for log-probabilities.
    shifted = adjust(
        logprobs[None], LOGITS[None], [Turn(replace(request, repetition_penalty=1.0), 0, answer_ids)]
    )[0]
    assert (shifted - logprobs)[:5].tolist() == pytest.approx([0, 0, -1.75, -1.0, 3.0])


def test_stop_ids_wait_for_the_least_number_of_tokens():
    request = GenerateRequest([0], 5, stop_ids=frozenset({1}), min_tokens=2)
    chosen = [choose(LOGITS[None], [Turn(request, 0, [4] * n)])[0].token_id for n in range(4)]
    assert chosen == [4, 4, 1, 1]
