"""Sampling draws from exactly the distribution that was asked for."""

import math

import pytest
import torch

from spanmix.generate.engine import LEAST_TEMPERATURE, MOST_TEMPERATURE, GenerateRequest
from spanmix.generate.sampling import choose, uniforms

NUM_DRAWS = 4000
LOGITS = torch.tensor([0.0, 2.0, 1.0, -1.0, 1.5, -3.0])
WAYS = [(1.0, 1.0, 0), (0.5, 1.0, 0), (1.0, 0.8, 0), (1.0, 1.0, 3), (2.0, 0.6, 4), (1.0, 0.999, 0)]


def expected(temperature, top_p, top_k):
    """The distribution by its definition, in plain Python."""
    weights = [math.exp(x / temperature) for x in LOGITS.tolist()]
    order = sorted(range(len(weights)), key=lambda i: -weights[i])
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


@pytest.mark.parametrize(("temperature", "top_p", "top_k"), WAYS)
def test_frequencies_are_those_of_the_definition(temperature, top_p, top_k):
    request = GenerateRequest([0], 1, temperature=temperature, top_p=top_p, top_k=top_k)
    numbers = uniforms(seed=11, num_tokens=NUM_DRAWS).tolist()
    choices = choose(LOGITS.expand(NUM_DRAWS, -1), [request] * NUM_DRAWS, numbers)
    counts = torch.bincount(torch.tensor([choice.token_id for choice in choices]), minlength=6).tolist()
    for count, share in zip(counts, expected(temperature, top_p, top_k), strict=True):
        # Six standard deviations: a right sampler fails once in a thousand million.
        assert abs(count - NUM_DRAWS * share) <= 6 * math.sqrt(NUM_DRAWS * share * (1 - share))
    logprobs = LOGITS.log_softmax(-1).tolist()
    assert all(choice.logprob == pytest.approx(logprobs[choice.token_id]) for choice in choices[:50])


def test_a_flat_distribution_over_a_large_vocabulary_reaches_past_the_first_candidates():
    logits = torch.randn(4, 9000, generator=torch.Generator().manual_seed(1)) * 0.1
    logits[3] *= 100
    request = GenerateRequest([0], 1, temperature=1.0, top_p=0.95)
    numbers = [0.999, 0.5, 0.0, 0.9]
    together = choose(logits, [request] * 4, numbers)
    for row in range(4):
        assert choose(logits[row : row + 1], [request], numbers[row : row + 1]) == together[row : row + 1]
    ranks = [int((logits[row] > logits[row, c.token_id]).sum()) for row, c in enumerate(together)]
    assert ranks[0] > 1024 and ranks[2] == 0


def test_the_ends_of_the_unit_interval_choose_tokens_that_have_weight():
    request = GenerateRequest([0], 1, temperature=1.0, suppress_ids=frozenset({0, 5}))
    numbers = [0.0, 1 - 2**-53]
    first, last = choose(LOGITS.expand(2, -1), [request] * 2, numbers)
    assert (first.token_id, last.token_id) == (1, 4)


def test_the_ends_of_the_temperatures_are_greedy_and_uniform():
    for temperature, expected in ((LEAST_TEMPERATURE, {1}), (MOST_TEMPERATURE, set(range(6)))):
        request = GenerateRequest([0], 1, temperature=temperature)
        choices = choose(LOGITS.expand(200, -1) * 1e3, [request] * 200, uniforms(1, 200).tolist())
        assert {choice.token_id for choice in choices} == expected


def test_uniform_numbers_are_in_the_unit_interval_and_differ_by_seed():
    numbers = uniforms(3, 1000)
    assert 0 <= numbers.min() < 0.01 and 0.99 < numbers.max() < 1
    assert abs(numbers.mean() - 0.5) < 0.03
    assert not set(numbers.tolist()) & set(uniforms(4, 1000).tolist())
