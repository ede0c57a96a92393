"""What is the torch engine's own: other number formats, and its cache."""

import copy

import pytest
import torch

from spanmix.generate.engine import ScoreRequest
from spanmix.generate.packed import can_pack
from spanmix.generate.row_cache import RowCache
from spanmix.generate.torch_engine import TorchEngine
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


def test_the_cache_keeps_rows_when_it_grows_and_when_they_leave(decoder):
    cache = RowCache(decoder.architecture, torch.float32, torch.device("cpu"))
    for row in range(5):
        cache.add_rows(1, 10 * (row + 1))
        positions = torch.arange(10 * (row + 1))[None]
        new = torch.full((1, 3, 10 * (row + 1), 16), float(row))
        for layer in range(2):
            keys, values = cache.extend(layer, new, new + 0.5, positions)
            assert torch.equal(keys, new) and torch.equal(values, new + 0.5)
    cache.remove_row(1, 50)
    cache.remove_row(3, 40)
    cache.all_rows(120)
    assert cache.num_rows == 3
    assert [float(cache.keys_LBHSC[1, row, 2, 9, 5]) for row in range(3)] == [0.0, 4.0, 2.0]
    assert cache.keys_LBHSC.shape[3] >= 120 and bool((cache.values_LBHSC[0, 1, :, :50] == 4.5).all())
