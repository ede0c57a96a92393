"""The cache of keys and values: what a row holds is what it says, and its memory stays within bounds."""

import pytest
import torch

from spanmix.generate import row_cache
from spanmix.generate.batch import generate
from spanmix.generate.engine import GenerateRequest
from spanmix.generate.row_cache import RowCache
from spanmix.generate.torch_engine import TorchEngine

SHAPE = (2, 48, 3, 8, 160)
VOCAB = 384


def ids_of(seed, n):
    return torch.randint(0, VOCAB, (n,), generator=torch.Generator().manual_seed(seed)).tolist()


def cache_of(decoder, max_slots, resting_rows=0):
    return RowCache(decoder.architecture, torch.float32, torch.device("cpu"), max_slots, resting_rows)


def join(cache, num_slots, ids, value):
    """Let a row run, and give it keys that are one number behind what it begins with."""
    row = cache.num_rows
    cache.reserve(row + 1, num_slots)
    num_reused = cache.take_row(ids)
    new = torch.full((1, 3, len(ids) - num_reused, 16), float(value))
    cache.select(row, row + 1)
    for layer in range(2):
        cache.extend(layer, new, new, torch.arange(num_reused, len(ids))[None])
    cache.hold(row, ids)
    return num_reused


def test_a_row_that_others_begin_with_is_not_the_one_that_makes_room(make_decoder):
    cache = cache_of(make_decoder(*SHAPE), 5000)
    texts = [[value] * 50 for value in range(2)]
    for value, text in enumerate(texts):
        join(cache, 60, text, value)
    cache.swap(0, 1)
    cache.release()  # the first rests in the second row, and has done so longest
    cache.release()
    assert join(cache, 60, [*texts[0][:20], *[9] * 10], 9) == 20
    assert [float(key) for key in cache.keys_LBHSC[1, 0, 2, 18:22, 5]] == [0, 0, 9, 9]
    assert cache.common([*texts[0], 9]) == 50 and bool((cache.keys_LBHSC[:, 1, :, :50] == 0).all())


def test_short_rows_behind_a_long_one_stay_within_the_memory_that_is_allowed(make_decoder):
    cache = cache_of(make_decoder(*SHAPE), 1000, resting_rows=2)
    assert join(cache, 159, ids_of(0, 150), 1) == 0
    cache.release()
    num_rows = 1
    while cache.has_room(num_rows, 20):
        assert join(cache, 20, ids_of(num_rows, 10), num_rows) == 0
        assert cache.keys_LBHSC.shape[1] * cache.keys_LBHSC.shape[3] <= 1000
        for row in range(num_rows):
            assert bool((cache.values_LBHSC[:, row, :, :10] == row + 1).all())
        num_rows += 1
    assert num_rows == 48


def test_a_long_row_that_rests_is_known_as_far_as_it_is_kept(make_decoder):
    cache = cache_of(make_decoder(*SHAPE), 480, resting_rows=8)
    long = ids_of(0, 150)
    join(cache, 159, long, 7)
    cache.release()
    cache.reserve(4, 20)
    assert cache.keys_LBHSC.shape[3] == 21 and cache.common(long) == 21
    assert join(cache, 20, [*long[:19], 5], 8) == 19
    assert [float(key) for key in cache.keys_LBHSC[0, 0, 0, 17:20, 0]] == [7, 7, 8]


def test_a_cache_that_gets_no_memory_stays_as_it_is(make_decoder, monkeypatch):
    cache = cache_of(make_decoder(*SHAPE), 5000)
    join(cache, 60, ids_of(0, 50), 3)
    zeros, calls = row_cache._zeros, []

    def scarce(*arguments):
        calls.append(arguments)
        if len(calls) == 2:
            raise MemoryError
        return zeros(*arguments)

    monkeypatch.setattr(row_cache, "_zeros", scarce)
    with pytest.raises(MemoryError):
        cache.reserve(2, 150)
    assert cache.keys_LBHSC.shape == cache.values_LBHSC.shape
    assert join(cache, 150, ids_of(1, 150), 4) == 0
    for store in (cache.keys_LBHSC, cache.values_LBHSC):
        assert bool((store[:, 0, :, :50] == 3).all()) and bool((store[:, 1, :, :150] == 4).all())


@pytest.mark.parametrize("form", ["codegen", "llama"])
def test_prompts_that_begin_like_one_long_at_rest_get_the_tokens_that_they_get_alone(make_decoder, form):
    decoder = make_decoder(*((2, 48, 3, 16, 160) if form == "llama" else SHAPE), form=form, hidden_dim=96)
    first, second = ids_of(1, 90), ids_of(2, 90)
    engine = TorchEngine(decoder)
    generate(engine, [GenerateRequest(first, 3), GenerateRequest(second, 9)])
    for stem in (first, second, first):
        request = GenerateRequest([*stem[:30], *ids_of(3, 4)], 20)
        expected = generate(TorchEngine(decoder), [request])[0].token_ids
        assert generate(engine, [request])[0].token_ids == expected
