"""What is the torch engine's own: other number formats, and its cache."""

import copy
from collections import Counter
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from spanmix.generate.batch import generate
from spanmix.generate.decoder_runner import DecoderRunner
from spanmix.generate.engine import GenerateRequest, ScoreRequest
from spanmix.generate.packed import can_pack
from spanmix.generate.row_cache import RowCache
from spanmix.generate.torch_engine import TorchEngine
from spanmix.model.architecture import preset
from spanmix.model.layers import Linear

SHAPE = (2, 48, 3, 8, 160)
VOCAB = 384


@pytest.fixture(scope="module")
def decoder(make_decoder):
    return make_decoder(*SHAPE)


def ids_of(seed, n):
    return torch.randint(0, VOCAB, (n,), generator=torch.Generator().manual_seed(seed)).tolist()


def test_bf16_takes_a_copy_and_agrees_roughly(decoder):
    requests = [ScoreRequest(ids_of(n, 40), ids_of(n + 9, 40)) for n in range(4)]
    exact = TorchEngine(decoder).score(requests)
    engine = TorchEngine(decoder, torch.bfloat16)
    assert engine.info.dtype == "bf16"
    rough = engine.score(requests)
    assert decoder.head.weight.dtype == torch.float32
    for one, other in zip(exact, rough, strict=True):
        assert one.logprobs != other.logprobs
        assert one.logprobs == pytest.approx(other.logprobs, abs=0.5)


@pytest.mark.parametrize(
    ("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.bfloat16, 0.05)], ids=["fp32", "bf16"]
)
def test_packing_takes_the_linear_maps_over_and_changes_nothing(decoder, dtype, tolerance):
    requests = [ScoreRequest(ids_of(n, 40), ids_of(n + 9, 40)) for n in range(4)]
    expected = TorchEngine(decoder, dtype).score(requests)
    taken = copy.deepcopy(decoder)
    found = TorchEngine(taken, dtype, pack=True).score(requests)
    left = sum(isinstance(module, Linear) for module in taken.modules())
    assert left == (0 if can_pack(decoder, dtype) else 9)  # four a block, and the head
    for one, other in zip(expected, found, strict=True):
        assert one.logprobs == pytest.approx(other.logprobs, abs=tolerance)


def fill(cache, row, value, length):
    """Give a row keys that are one number and values half above it."""
    cache.select(row, row + 1)
    new = torch.full((1, 3, length, 16), float(value))
    for layer in range(2):
        keys, values = cache.extend(layer, new, new + 0.5, torch.arange(length)[None])
        assert torch.equal(keys[:, :, :length], new) and torch.equal(values[:, :, :length], new + 0.5)


def test_the_cache_keeps_rows_when_it_grows_and_when_they_leave(decoder):
    cache = RowCache(decoder.architecture, torch.float32, torch.device("cpu"), max_slots=5000)
    for row in range(5):
        length = 10 * (row + 1)
        cache.reserve(row + 1, length)
        assert cache.take_row([row] * length) == 0
        fill(cache, row, row, length)
        cache.hold(row, [row] * length)
    for row in (1, 3):
        cache.swap(row, cache.num_rows - 1)
        cache.release()
    cache.reserve(3, 120)
    assert cache.num_rows == 3
    assert [float(cache.keys_LBHSC[1, row, 2, 9, 5]) for row in range(3)] == [0.0, 4.0, 2.0]
    assert cache.keys_LBHSC.shape[3] > 120 and bool((cache.values_LBHSC[0, 1, :, :50] == 4.5).all())


def test_a_new_row_begins_with_what_another_has_and_the_longest_at_rest_goes_first(decoder):
    cache = RowCache(decoder.architecture, torch.float32, torch.device("cpu"), 5000, resting_rows=2)
    texts = [[row] * 40 for row in range(3)]
    for row, ids in enumerate(texts):
        cache.reserve(1, 60)
        assert cache.take_row(ids) == 0
        fill(cache, 0, row, 40)
        cache.hold(0, ids)
        cache.release()
    # Twenty tokens in common with the second: it has as many again, so it is taken over.
    assert cache.common([*texts[1][:20], 9]) == 20 and cache.common([*texts[1][:15], 9]) == 0
    assert cache.take_row([*texts[1][:20], 9]) == 20
    assert bool((cache.keys_LBHSC[0, 0, :, :20] == 1).all())
    # Sixteen in common with the third, which has far more, so it stays; the first makes room.
    cache.reserve(2, 60)
    assert cache.take_row(texts[2][:16] + [9] * 20) == 16
    assert bool((cache.keys_LBHSC[1, 1, :, :16] == 2).all())
    assert cache.common([*texts[2], 9]) == 40 and cache.common([*texts[0], 9]) == 0


def positions_read(engine):
    """Count the positions that go through the decoder."""
    count = Counter()
    forward = engine._runner.decoder.forward

    def counting(token_ids_BT, *arguments, **named):
        count["positions"] += token_ids_BT.numel()
        count["passes"] += 1
        return forward(token_ids_BT, *arguments, **named)

    engine._runner.decoder.forward = counting
    return count


def test_what_a_prompt_shares_is_read_once_and_changes_no_token(make_decoder):
    decoder = make_decoder(*SHAPE)
    shared = ids_of(1, 100)
    requests = [GenerateRequest(shared + ids_of(n, 3 + n), 20, seed=n, temperature=n % 2) for n in range(6)]
    alone = [generate(TorchEngine(copy.deepcopy(decoder), max_draft_tokens=0), [r])[0] for r in requests]
    engine = TorchEngine(decoder, max_draft_tokens=0)
    count = positions_read(engine)
    together = generate(engine, requests)
    assert [made.token_ids for made in together] == [made.token_ids for made in alone]
    assert count["positions"] < 103 + 6 * (8 + 20)
    for request, expected in zip(requests, alone, strict=True):
        count.clear()
        assert generate(engine, [request])[0].token_ids == expected.token_ids
        assert count["positions"] == 1 + 19  # the last token of the prompt is read again, for its logits


def test_drafts_change_no_token_and_save_steps(make_decoder):
    decoder = make_decoder(*SHAPE)
    met = Counter()

    @settings(max_examples=40, deadline=None)
    @given(st.integers(0, 10**6), st.sampled_from([0.0, 0.0, 0.5, 1.0]), st.integers(1, 5))
    def check(seed, temperature, num):
        words = [ids_of(seed + n, 4) for n in range(3)]
        requests = []
        for n in range(num):
            prompt = [token for place in range(12) for token in words[(place * (n + 1) + seed) % 3]]
            likely = tuple((token, 4.0) for token in set(words[0]))  # so the answer repeats itself
            requests.append(GenerateRequest(prompt, 30 + n, temperature, seed=seed, logit_bias=likely))
        ways = [{}, {"presence_penalty": 1.0}, {"min_tokens": 9, "stop_ids": frozenset(words[0][:1])}]
        requests = [replace(request, **ways[(seed + n) % 3]) for n, request in enumerate(requests)]
        plain, drafting = TorchEngine(decoder, max_draft_tokens=0), TorchEngine(decoder, max_draft_tokens=6)
        expected = generate(plain, requests)
        count = positions_read(drafting)
        found = generate(drafting, requests)
        del drafting._runner.decoder.forward
        assert [made.token_ids for made in found] == [made.token_ids for made in expected]
        steps = max(len(made.token_ids) for made in found)
        met["steps"] += steps
        met["saved"] += steps - count["passes"]
        met["stopped"] += any(made.finish_reason == "stop" for made in found)

    check()
    assert met["saved"] > 0.1 * met["steps"] and met["stopped"] >= 5, met


def test_prompts_are_read_in_parts_while_others_generate(make_decoder):
    engine = TorchEngine(make_decoder(*SHAPE), read_tokens=10, max_draft_tokens=0, part_seconds=60)
    running = engine.submit(GenerateRequest(ids_of(1, 5), 40))
    assert [event.id for event in engine.step()] == [running]
    count = positions_read(engine)
    long, short = (engine.submit(GenerateRequest(ids_of(n, length), 9)) for n, length in ((2, 35), (3, 4)))
    steps = []
    for _ in range(7):
        count.clear()
        steps.append({event.id for event in engine.step()})
        assert count["positions"] <= 3 + 10
    # Two parts of the long one between tokens, then a third, then its last five and all of the short one.
    assert steps == [set(), {running}, set(), {running, long, short}, *[{running, long, short}] * 3], steps
    engine.cancel(long)
    assert {event.id for event in engine.step()} == {running, short}


@pytest.mark.parametrize(
    ("name", "dtype", "num_read"),
    [("125m", torch.float32, 128), ("125m", torch.bfloat16, 512), ("350m", torch.bfloat16, 256)],
)
def test_a_part_of_a_prompt_is_shorter_where_reading_takes_longer(
    make_decoder, monkeypatch, name, dtype, num_read
):
    decoder = make_decoder(*SHAPE)
    monkeypatch.setattr(decoder, "architecture", preset(name))
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    runner = DecoderRunner(decoder, dtype)
    assert runner.num_read_in(0.2, 512) == num_read
    assert runner.num_read_in(0.001, 512) == 128 and runner.num_read_in(0.2, 5) == 5


@pytest.mark.parametrize("form", ["codegen", "llama"])
def test_one_column_of_each_row_is_what_it_is_among_all(make_decoder, form):
    decoder = make_decoder(*((2, 48, 3, 16, 160) if form == "llama" else SHAPE), form=form, hidden_dim=96)
    runner = DecoderRunner(decoder, torch.float32)
    rows, starts = [ids_of(1, 30), ids_of(2, 7), ids_of(3, 19)], [0, 0, 0]
    found = []
    for only_last in (False, True):
        cache = RowCache(decoder.architecture, torch.float32, torch.device("cpu"), max_slots=5000)
        cache.reserve(3, 40)
        for row in rows:
            cache.take_row(row)
        hidden = runner.further(cache, 0, rows, starts, only_last)
        assert hidden.shape == (3, 1 if only_last else 30, decoder.architecture.dim)
        found.append([hidden[b, 0 if only_last else len(row) - 1] for b, row in enumerate(rows)])
        found.append([cache.keys_LBHSC[:, b, :, : len(row)] for b, row in enumerate(rows)])
    for of_all, alone in zip(found[0] + found[1], found[2] + found[3], strict=True):
        torch.testing.assert_close(of_all, alone)


def test_a_request_may_be_forgotten_while_its_prompt_is_read(make_decoder):
    decoder = make_decoder(*SHAPE)
    request, other = GenerateRequest(ids_of(1, 60), 20), GenerateRequest(ids_of(2, 50), 20)
    expected = generate(TorchEngine(copy.deepcopy(decoder)), [other])[0].token_ids
    engine = TorchEngine(decoder, read_tokens=16)
    first, second = engine.submit(request), engine.submit(other)
    third = engine.submit(replace(request, seed=1))  # waits for the first, whose prompt it shares
    engine._admit()
    engine._read()
    engine.cancel(first)
    tokens = {second: [], third: []}
    while events := engine.step():
        for event in events:
            tokens[event.id].append(event.token_id)
    assert tokens[second] == expected and len(tokens[third]) == 20
