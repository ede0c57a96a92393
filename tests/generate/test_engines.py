"""What every engine does: transformers' numbers, and the same tokens whatever else is in the batch."""

import copy
from collections import Counter
from dataclasses import replace
from functools import partial
from random import Random

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import GPTJForCausalLM

from spanmix.errors import InputError
from spanmix.generate.batch import generate
from spanmix.generate.ctranslate2_engine import CTranslate2Engine
from spanmix.generate.engine import CAPABILITIES, GenerateRequest, ScoreRequest
from spanmix.generate.torch_engine import TorchEngine
from spanmix.interchange.convert import convert
from spanmix.model.folder import save_model_folder

SHAPE = (2, 48, 3, 8, 160)
VOCAB = 384


@pytest.fixture(scope="module")
def decoder(make_decoder):
    return make_decoder(*SHAPE)


@pytest.fixture(scope="module")
def folder(decoder, tokenizer, tmp_path_factory):
    return save_model_folder(tmp_path_factory.mktemp("m") / "m", decoder, tokenizer, {})


def torch_engine(decoder, folder):
    return partial(TorchEngine, decoder)


def packed_torch_engine(decoder, folder):
    return lambda **limits: TorchEngine(copy.deepcopy(decoder), pack=True, **limits)


def torch_engine_in_small_steps(decoder, folder):
    return partial(TorchEngine, decoder, read_tokens=13, max_draft_tokens=3, resting_rows=2)


def ctranslate2_engine(decoder, folder):
    exported = folder.with_name("exported")
    convert(str(folder), exported, "ctranslate2", "float32")
    return partial(CTranslate2Engine, exported)


@pytest.fixture(
    scope="module",
    params=[torch_engine, packed_torch_engine, torch_engine_in_small_steps, ctranslate2_engine],
    ids=["torch", "torch-packed", "torch-small-steps", "ctranslate2"],
)
def make_engine(request, decoder, folder):
    """Makes an engine of the kind that is tested; each test runs on every kind."""
    return request.param(decoder, folder)


@pytest.fixture(scope="module")
def theirs(folder):
    model = GPTJForCausalLM.from_pretrained(folder, dtype=torch.float32)
    model.generation_config.eos_token_id = None
    model.generation_config.suppress_tokens = None
    return model


def ids_of(seed, n):
    return torch.randint(0, VOCAB, (n,), generator=torch.Generator().manual_seed(seed)).tolist()


def mixed_requests():
    """Greedy and sampled requests of many lengths."""
    lengths = [1, 2, 90, 5, 33, 64, 17, 96, 3, 50, 1, 28]
    ways = [
        {},
        {"temperature": 0.8},
        {"temperature": 1.0, "top_p": 0.9},
        {"temperature": 1.3, "top_k": 5},
        {"temperature": 1.0, "top_k": 40, "top_p": 0.7},
        {"suppress_ids": frozenset(range(100))},
    ]
    return [
        GenerateRequest(ids_of(n, length), 8 + 5 * n, seed=n, **ways[n % len(ways)])
        for n, length in enumerate(lengths)
    ]


def test_greedy_is_transformers_greedy_for_64_tokens(make_engine, theirs):
    prompts = [ids_of(seed, n) for seed, n in enumerate([1, 9, 70, 96, 31])]
    ours = generate(make_engine(), [GenerateRequest(prompt, 64) for prompt in prompts])
    for prompt, generation in zip(prompts, ours, strict=True):
        ids = torch.tensor([prompt])
        kept = {"max_new_tokens": 64, "do_sample": False, "attention_mask": torch.ones_like(ids)}
        assert generation.token_ids == theirs.generate(ids, **kept)[0, len(prompt) :].tolist()
        assert generation.finish_reason == "length"
    assert len({token for generation in ours for token in generation.token_ids}) > 30


@pytest.mark.parametrize("limits", [{}, {"max_rows": 3}, {"cache_bytes": 400_000}, {"cache_bytes": 1}])
def test_in_a_batch_is_as_alone(make_engine, limits):
    requests = mixed_requests()
    alone = [generate(make_engine(), [request])[0] for request in requests]
    together = generate(make_engine(**limits), requests)
    for one, other in zip(alone, together, strict=True):
        assert one.token_ids == other.token_ids and one.finish_reason == other.finish_reason
        assert one.logprobs == pytest.approx(other.logprobs, abs=1e-4)
    assert len({tuple(generation.token_ids) for generation in alone}) == len(requests)


@pytest.mark.parametrize("way", [{}, {"temperature": 1.2}, {"temperature": 0.9, "top_k": 3, "top_p": 0.8}])
def test_an_answer_begins_with_what_may_open_it_and_is_then_free(make_engine, way):
    opening = {
        (): frozenset({7, 9, 300}),
        (7,): frozenset({5}),
        (9,): frozenset({1, 2, 3, 4}),
        (7, 5): frozenset({8}),
    }
    requests = [
        GenerateRequest(ids_of(n, length), 12, seed=n, num_top_logprobs=n % 2, opening=opening, **way)
        for n, length in enumerate([1, 30, 7, 64, 30, 12])
    ]
    free = [replace(request, opening={}) for request in requests]
    engine, met = make_engine(), Counter()
    for request, got, before in zip(
        requests, generate(engine, requests), generate(engine, free), strict=True
    ):
        ids = got.token_ids
        assert len(ids) == 12 and ids != before.token_ids
        num_opening = 0
        while (key := tuple(ids[:num_opening])) in opening:
            assert ids[num_opening] in opening[key]
            num_opening += 1
        met[ids[0]] += 1
        if not way:
            # Of what may come the likeliest does, and then it is as if that were the prompt's end.
            scores = engine.score(
                [ScoreRequest(request.prompt_ids, [token]) for token in sorted(opening[()])]
            )
            best = max(zip(scores, sorted(opening[()]), strict=True), key=lambda pair: pair[0].logprobs[0])
            assert best[1] == ids[0] and got.logprobs[0] == pytest.approx(best[0].logprobs[0], abs=1e-4)
            behind = replace(request, opening={}, prompt_ids=[*request.prompt_ids, *ids[:num_opening]])
            [rest] = generate(engine, [replace(behind, max_tokens=12 - num_opening)])
            assert rest.token_ids == ids[num_opening:]
    assert len(met) > 1, met


def test_requests_come_and_go_at_any_time(make_engine):
    requests = mixed_requests()
    alone = [generate(make_engine(), [request])[0].token_ids for request in requests]
    met = Counter()

    @settings(max_examples=40)
    @given(
        st.lists(st.sampled_from(["submit", "step", "step", "cancel"]), min_size=20, max_size=60),
        st.integers(0, 2**31),
    )
    def check(actions, seed):
        random = Random(seed)
        engine = make_engine(max_rows=4)
        todo = list(range(len(requests)))
        random.shuffle(todo)
        number_of, tokens, cancelled, running = {}, {}, set(), set()

        def step():
            events = engine.step()
            for event in events:
                assert event.id not in cancelled
                tokens[event.id].append(event.token_id)
                if event.finish_reason:
                    running.discard(event.id)
            met["ran together"] += len({event.id for event in events}) > 2
            return events

        for action in actions:
            if action == "submit" and todo:
                number = todo.pop()
                request_id = engine.submit(requests[number])
                number_of[request_id], tokens[request_id] = number, []
                running.add(request_id)
            elif action == "step":
                step()
            elif action == "cancel" and running:
                request_id = random.choice(sorted(running))
                met["cancelled while running"] += bool(tokens[request_id])
                running.discard(request_id)
                cancelled.add(request_id)
                engine.cancel(request_id)
        while step():
            pass
        for request_id, number in number_of.items():
            whole = alone[number]
            expected = whole[: len(tokens[request_id])] if request_id in cancelled else whole
            assert tokens[request_id] == expected
        engine.cancel(12345)
        assert engine.step() == []

    check()
    assert met["ran together"] >= 100 and met["cancelled while running"] >= 10, met


def test_seeds_decide_and_nothing_else(make_engine):
    request = GenerateRequest(ids_of(1, 9), 40, temperature=1.0, seed=5)
    engine = make_engine()
    one, two, other = generate(engine, [request, request, replace(request, seed=6)])
    assert one.token_ids == two.token_ids != other.token_ids
    shorter = generate(engine, [replace(request, max_tokens=10)])[0]
    assert shorter.token_ids == one.token_ids[:10]


def test_top_k_1_is_greedy_and_so_is_a_tiny_top_p(make_engine):
    greedy = GenerateRequest(ids_of(2, 20), 40)
    engine = make_engine()
    ways = [{"top_k": 1}, {"top_p": 1e-9}, {"top_k": 7, "top_p": 1e-9}]
    first, *others = generate(engine, [greedy, *(replace(greedy, temperature=1.0, **way) for way in ways)])
    assert all(other.token_ids == first.token_ids for other in others)


def test_score_is_transformers_log_probability(make_engine, theirs):
    lengths = [(1, 1), (5, 30), (100, 60), (40, 0), (1, 159), (77, 12), (3, 3)]
    requests = [ScoreRequest(ids_of(n, a), ids_of(50 + n, b)) for n, (a, b) in enumerate(lengths)]
    scores = make_engine().score(requests)
    for request, score in zip(requests, scores, strict=True):
        ids = [*request.context_ids, *request.target_ids]
        with torch.no_grad():
            logprobs = theirs(torch.tensor([ids])).logits[0].log_softmax(-1)
        num = len(request.target_ids)
        first = len(request.context_ids) - 1
        rows = logprobs[first : first + num]
        expected = rows[range(num), list(request.target_ids)].tolist()
        assert score.logprobs == pytest.approx(expected, abs=1e-4)
        assert score.is_greedy == (rows.argmax(-1) == torch.tensor(request.target_ids)).tolist()


def test_scoring_what_was_generated_gives_its_log_probabilities(make_engine):
    engine = make_engine()
    requests = [
        replace(request, suppress_ids=frozenset(), temperature=temperature)
        for temperature in (0.0, 1.0)
        for request in mixed_requests()
    ]
    generations = generate(engine, requests)
    pairs = zip(requests, generations, strict=True)
    scores = engine.score([ScoreRequest(r.prompt_ids, g.token_ids) for r, g in pairs])
    for request, generation, score in zip(requests, generations, scores, strict=True):
        assert score.logprobs == pytest.approx(generation.logprobs, abs=1e-4)
        assert all(score.is_greedy) == (request.temperature == 0)


def test_stop_ids_end_and_suppressed_ids_never_come(make_engine):
    engine = make_engine()
    request = GenerateRequest(ids_of(4, 12), 60)
    free = generate(engine, [request])[0].token_ids
    stop = free[20]
    stopped = generate(engine, [replace(request, stop_ids=frozenset({stop}))])[0]
    assert stopped.token_ids == free[: free.index(stop) + 1] and stopped.finish_reason == "stop"
    gone = frozenset(free)
    for temperature in (0.0, 2.0):
        without = generate(engine, [replace(request, suppress_ids=gone, temperature=temperature)])[0]
        assert len(without.token_ids) == 60 and not gone & set(without.token_ids)


def test_most_likely_tokens_are_reported_best_first(make_engine):
    engine = make_engine()
    ids = [engine.submit(GenerateRequest(ids_of(7, 9), 3, num_top_logprobs=n)) for n in (4, 0, 1)]
    tops = {request_id: [] for request_id in ids}
    while events := engine.step():
        for event in events:
            tops[event.id].append(event.top)
            if event.top:
                assert event.top[0] == (event.token_id, event.logprob)
                assert sorted((logprob for _, logprob in event.top), reverse=True) == [
                    x[1] for x in event.top
                ]
    assert [{len(top) for top in tops[request_id]} for request_id in ids] == [{4}, {0}, {1}]


def test_repetition_penalty_and_least_tokens_are_transformers(make_engine, theirs):
    engine = make_engine()
    for seed, length in enumerate([3, 40, 71]):
        prompt = ids_of(seed, length)
        free = generate(engine, [GenerateRequest(prompt, 40)])[0].token_ids
        end = free[4]
        request = GenerateRequest(
            prompt, 40, repetition_penalty=1.4, stop_ids=frozenset({end}), min_tokens=12 + seed
        )
        ids = torch.tensor([prompt])
        asked = {"max_new_tokens": 40, "min_new_tokens": 12 + seed, "repetition_penalty": 1.4}
        found = theirs.generate(ids, **asked, eos_token_id=end, pad_token_id=0, do_sample=False)
        ours = generate(engine, [request])[0].token_ids
        assert ours == found[0, length:].tolist() != free and len(ours) > 12


def test_penalties_and_biases_hold_in_a_batch_as_alone(make_engine):
    engine = make_engine()
    base = GenerateRequest(ids_of(3, 30), 40)
    free = generate(engine, [base])[0].token_ids
    common = max(free, key=free.count)
    requests = [
        replace(base, presence_penalty=1.5),
        replace(base, frequency_penalty=0.8, temperature=0.7, seed=3),
        replace(base, logit_bias=((common, -100.0),)),
        replace(base, logit_bias=((7, 100.0),)),
        replace(base, temperature=1.0, min_p=0.5),
        base,
    ]
    together = [made.token_ids for made in generate(engine, requests)]
    assert together == [generate(engine, [request])[0].token_ids for request in requests]
    assert common not in together[2] and together[3] == [7] * 40 and together[5] == free
    assert len(set(together[0])) > len(set(free))


def test_scores_report_the_most_likely_tokens_in_the_same_floats(make_engine):
    engine = make_engine()
    greedy = generate(engine, [GenerateRequest(ids_of(8, 20), 20)])[0].token_ids
    targets = [*greedy[:10], *ids_of(9, 10)]
    score, plain = engine.score(
        [ScoreRequest(ids_of(8, 20), targets, 3), ScoreRequest(ids_of(8, 20), targets)]
    )
    assert [len(top) for top in score.top] == [3] * 20 and plain.top == [()] * 20
    for target, logprob, is_greedy, top in zip(
        targets, score.logprobs, score.is_greedy, score.top, strict=True
    ):
        assert is_greedy == (logprob == max(value for _, value in top)) == (top[0] == (target, logprob))
    assert sum(score.is_greedy) >= 10


BAD = [
    ({"prompt_ids": []}, "prompt is empty"),
    ({"prompt_ids": [5, 384]}, "prompt_ids holds 384; the vocabulary's ids run from 0 to 383"),
    ({"prompt_ids": [-1]}, "prompt_ids holds -1"),
    ({"prompt_ids": [1] * 150}, r"150 \+ max_tokens 11 = 161"),
    ({"max_tokens": 0}, "max_tokens is 0"),
    ({"temperature": -1.0}, "temperature is -1.0"),
    ({"temperature": float("nan")}, "temperature is nan"),
    ({"temperature": float("inf")}, "temperature is inf"),
    ({"temperature": 1e-320}, r"temperature is 1e-320; use 0 \(greedy\), or a number from 0\.000001"),
    ({"top_p": 0.0}, "top_p is 0.0"),
    ({"top_k": -1}, "top_k is -1"),
    ({"suppress_ids": frozenset(range(384))}, "every token is suppressed"),
    ({"num_top_logprobs": -1}, "num_top_logprobs is -1"),
    ({"min_p": 1.5}, "min_p is 1.5; use a share from 0"),
    ({"min_tokens": 12}, "min_tokens is 12; use 0 to max_tokens 11"),
    ({"logit_bias": ((3, 101.0),)}, "logit_bias of 3 is 101.0; use a number from -100 to 100"),
    ({"logit_bias": ((3, float("nan")),)}, "logit_bias of 3 is nan"),
    ({"logit_bias": ((3, 1.0), (3, 2.0))}, "logit_bias names a token twice"),
    ({"logit_bias": ((384, 1.0),)}, "logit_bias holds 384"),
    ({"presence_penalty": 2.5}, "presence_penalty is 2.5; use a number from -2 to 2"),
    ({"frequency_penalty": float("nan")}, "frequency_penalty is nan"),
    ({"repetition_penalty": 5e-324}, "repetition_penalty is 5e-324; use a number from 0.01 to 100"),
    ({"stop_ids": frozenset(range(384)), "min_tokens": 1}, "every token is suppressed"),
]


@pytest.mark.parametrize(("change", "message"), BAD)
def test_a_request_that_cannot_be_run_is_refused(make_engine, change, message):
    engine = make_engine()
    good = GenerateRequest([1, 2, 3], 11)
    with pytest.raises(InputError, match=message):
        generate(engine, [good, replace(good, **change)])
    assert engine.step() == []


def test_scores_that_do_not_fit_are_refused(make_engine):
    engine = make_engine()
    with pytest.raises(InputError, match=r"context 100 \+ targets 61 = 161"):
        engine.score([ScoreRequest([1] * 100, [1] * 61)])
    with pytest.raises(InputError, match="context_ids is empty"):
        engine.score([ScoreRequest([], [1])])


def test_info_says_what_works(make_engine):
    info = make_engine().info
    assert (info.context_tokens, info.vocab_size, info.dtype) == (160, VOCAB, "fp32")
    assert info.capabilities == CAPABILITIES
