"""A prefix-LM is scored with its prefix seen in both directions, and a causal decoder as always."""

import pytest
import torch

from spanmix.generate.engine import ScoreRequest
from spanmix.generate.torch_engine import TorchEngine
from spanmix.lessons.reading import Reading, ReadingEngine
from spanmix.model.masks import AttentionMask
from spanmix.objective_configs import (
    CausalConfig,
    FimConfig,
    InfillConfig,
    PrefixLMConfig,
    Ul2Config,
)

SEP = 1
PROMPTS = [
    ScoreRequest([0, 20, 21, 22], [23, 24, 25]),
    ScoreRequest([0], [30, 31, 32, 33, 34]),
    ScoreRequest([0, 40, 3, 41, 42, 0, SEP, 3, 43], [44, 45]),
    ScoreRequest([0, 50, 51], []),
]


@pytest.fixture(scope="module")
def decoder(make_decoder):
    return make_decoder(2, 32, 2, 8, 32)


def by_hand(decoder, request, num_prefix):
    """Score one request alone, with a mask that is spelled out."""
    row = [*request.context_ids, *request.target_ids]
    tokens_BT = torch.tensor([row[:-1]])
    segments_BT = torch.ones_like(tokens_BT)
    in_prefix_BT = torch.arange(tokens_BT.shape[1])[None, :] < num_prefix
    mask = AttentionMask.from_segments(segments_BT, in_prefix_BT)
    positions_BT = torch.arange(tokens_BT.shape[1])[None, :]
    with torch.no_grad():
        hidden_BTD = decoder(tokens_BT, positions_BT, mask, dtype=torch.float32)
        logprobs_TV = decoder.head(hidden_BTD[0]).float().log_softmax(dim=-1)
    first = len(request.context_ids) - 1
    return [float(logprobs_TV[first + i, target]) for i, target in enumerate(request.target_ids)]


@pytest.mark.parametrize("reading", [Reading(True, True), Reading(True, False), Reading(False, True)])
def test_scores_are_those_of_a_mask_that_is_spelled_out(decoder, reading):
    engine = ReadingEngine(decoder, torch.float32, reading, SEP)
    causal = TorchEngine(decoder, torch.float32).score(PROMPTS)
    differ = 0
    for request, score, plain in zip(PROMPTS, engine.score(PROMPTS), causal, strict=True):
        assert len(score.logprobs) == len(score.is_greedy) == len(request.target_ids)
        if not request.target_ids:
            continue
        num_prefix = engine.num_prefix_tokens(request.context_ids)
        assert score.logprobs == pytest.approx(by_hand(decoder, request, num_prefix), abs=1e-5)
        differ += score.logprobs != pytest.approx(plain.logprobs, abs=1e-4)
    assert differ == reading.text + reading.shown


def test_a_causal_decoder_is_scored_as_always(decoder):
    engine = ReadingEngine(decoder, torch.float32, Reading(False, False), SEP)
    assert engine.score(PROMPTS) == TorchEngine(decoder, torch.float32).score(PROMPTS)


def test_the_prefix_ends_with_the_separator_or_the_context(decoder):
    both = ReadingEngine(decoder, torch.float32, Reading(True, True), SEP)
    assert [both.num_prefix_tokens(one.context_ids) for one in PROMPTS] == [4, 1, 7, 3]
    text = ReadingEngine(decoder, torch.float32, Reading(True, False), SEP)
    assert [text.num_prefix_tokens(one.context_ids) for one in PROMPTS] == [4, 1, 0, 3]


def test_a_model_is_read_as_it_was_trained():
    both = {"weight": 1, "bidirectional": True}
    expected = {
        (CausalConfig(weight=1),): Reading(False, False),
        (PrefixLMConfig(weight=1),): Reading(True, False),
        (PrefixLMConfig(weight=1, bidirectional=False),): Reading(False, False),
        (CausalConfig(weight=1), InfillConfig(**both)): Reading(False, True),
        (CausalConfig(weight=1), FimConfig(weight=1)): Reading(False, False),
        (Ul2Config(**both),): Reading(True, True),
        (Ul2Config(weight=1),): Reading(False, False),
        (PrefixLMConfig(weight=1), InfillConfig(**both)): Reading(True, True),
    }
    assert {objectives: Reading.of(objectives) for objectives in expected} == expected
