"""Windows charge every token once, and a model of known probabilities gets exactly its bits."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spanmix.errors import InputError
from spanmix.evaluate.losses import bits_per_byte, windows

seen = {"several windows": 0}


@given(st.data())
def test_windows_charge_each_token_exactly_once(data):
    context = data.draw(st.integers(2, 40))
    stride = data.draw(st.one_of(st.none(), st.integers(1, context - 1)))
    num_tokens = data.draw(st.integers(0, 150))
    cut = list(windows(num_tokens, context, stride))
    charged = [token for window in cut for token in range(window.first_charged, window.stop)]
    assert charged == list(range(num_tokens))
    for window in cut:
        assert 0 <= window.start <= window.first_charged < window.stop <= num_tokens
        assert 1 + window.stop - window.start <= context
    for window in cut[1:]:
        seen["several windows"] += 1
        used = stride or max(1, context // 2)
        assert 1 + window.first_charged - window.start >= context - used
    if stride is None:
        assert all(2 * (1 + w.first_charged - w.start) >= context for w in cut[1:])


def test_several_windows_were_met():
    assert seen["several windows"] > 100


@pytest.mark.parametrize(("context", "stride"), [(1, None), (8, 0), (8, 8)])
def test_impossible_windows_are_refused(context, stride):
    with pytest.raises(InputError):
        list(windows(10, context, stride))


def test_bits_are_exact_for_a_known_model(make_engine, make_files):
    texts = ["", "é" * 50, "abc\n", "x" * 500]

    def probability(context, token):
        assert context[0] == 256, "every window starts with <|endoftext|>"
        return 1 / (2 + token % 5)

    engine = make_engine(context_tokens=32, probability=probability)
    calls = []
    loss = bits_per_byte(
        engine,
        make_files("code", texts),
        256,
        seed=1,
        progress=lambda done, total: calls.append((done, total)),
    )
    tokens = [byte for text in texts for byte in text.encode()]
    bits = sum(math.log2(2 + token % 5) for token in tokens)
    assert loss.bits_per_byte.value == pytest.approx(bits / len(tokens), rel=1e-12)
    assert loss.num_bytes == loss.num_tokens == len(tokens)
    assert [file.num_bytes for file in loss.files] == [0, 100, 4, 500]
    assert loss.files[0].nats == 0
    assert sum(len(targets) for _, targets in engine.scored) == len(tokens)
    assert calls[-1] == (len(tokens), len(tokens))
    assert loss.greedy_share == sum(token % 5 == 0 for token in tokens) / len(tokens)


def test_bytes_are_divided_by_even_where_tokens_are_fewer(make_engine, make_files):
    class Pairs(make_files):
        def tokens(self, i):
            return super().tokens(i)[::2]  # as if each token stood for two bytes

    loss = bits_per_byte(make_engine(), Pairs("code", ["abcdef"] * 3), 256, seed=1)
    assert loss.bits_per_byte.value == pytest.approx(0.5)
    assert (loss.bits_per_byte.low, loss.bits_per_byte.high) == pytest.approx((0.5, 0.5))


def test_files_without_a_byte_are_refused(make_engine, make_files):
    with pytest.raises(InputError, match="no byte"):
        bits_per_byte(make_engine(), make_files("code", ["", ""]), 256, seed=1)
