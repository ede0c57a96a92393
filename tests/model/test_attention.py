"""Every attention kernel agrees with one dense float64 reference, forward and backward."""

from collections import Counter

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from spanmix.model import attention
from spanmix.model.attention import (
    attend,
    attend_by_blocks_of_the_mask,
    attend_cached,
    attend_densely,
    attend_in_cache_blocks,
    kernel_for,
)
from spanmix.model.masks import AttentionMask

NUM_HEADS, CHANNELS = 2, 8


def reference(q, k, v, segment_ids_BT, prefix_ends_BT=None):
    """Softmax over the keys of the query's own segment, up to itself or the end of the segment's prefix.

    In float64, pair by pair; `prefix_ends_BT` says for each query where its segment's prefix ends.
    """
    q, k, v = q.double(), k.double(), v.double()
    index = torch.arange(q.shape[2])
    same = segment_ids_BT[:, :, None] == segment_ids_BT[:, None, :]
    seen = index[None, None, :] <= index[None, :, None]
    if prefix_ends_BT is not None:
        seen = seen | (index[None, None, :] < prefix_ends_BT[:, :, None])
    seen = same & seen
    scores = (q @ k.transpose(-1, -2)) / CHANNELS**0.5
    return scores.masked_fill(~seen[:, None], float("-inf")).softmax(-1) @ v


@st.composite
def layouts(draw):
    """Segment ids of 1 to 3 rows, as packing lays them out, padding behind; prefixes; a seed."""
    beyond_a_block = st.integers(257, 560)
    short, whole_blocks = st.integers(1, 40), st.sampled_from([128, 256, 512])
    num_tokens = draw(st.one_of(short, beyond_a_block, beyond_a_block, beyond_a_block, whole_blocks))
    share = draw(st.sampled_from([0.0, 0.9, 1.0, 1.0]))
    rows, ends = [], []
    for _ in range(draw(st.integers(1, 3))):
        row, row_ends, segment = [], [], 1
        kind = draw(st.sampled_from(["few", "few", "few", "many", "single tokens"]))
        least, most = {"few": (num_tokens // 2 + 1, num_tokens), "many": (1, 24), "single tokens": (1, 1)}[
            kind
        ]
        limit = num_tokens - draw(st.sampled_from([0, 1, num_tokens // 8, num_tokens // 2]))
        while len(row) < limit:
            length = min(draw(st.integers(least, most)), limit - len(row))
            row_ends += [len(row) + int(share * length)] * length
            row += [segment] * length
            segment += 1
        num_pad = num_tokens - len(row)
        rows.append(row + [0] * num_pad)
        ends.append(row_ends + [0] * num_pad)
    return torch.tensor(rows), torch.tensor(ends), draw(st.integers(0, 2**31))


def mask_of(segment_ids_BT, prefix_ends_BT):
    index = torch.arange(segment_ids_BT.shape[1])
    return AttentionMask.from_segments(segment_ids_BT, index < prefix_ends_BT)


def flex(q, k, v, mask):
    """Forward only: PyTorch has no backward of it for a CPU."""
    return attend_by_blocks_of_the_mask(q.detach(), k.detach(), v.detach(), mask)


KERNELS = [
    (attend_densely, torch.float32, 2e-5),
    (attend_in_cache_blocks, torch.float32, 2e-5),
    (flex, torch.float32, 2e-5),
    (attend, torch.float32, 2e-5),
    (attend, torch.bfloat16, 4e-2),
]


def test_the_kernel_follows_the_processor_and_the_precision():
    kernels = {
        ("cpu", torch.float32): attend_densely,
        ("cpu", torch.float64): attend_densely,
        ("cpu", torch.bfloat16): attend_in_cache_blocks,
        ("cuda", torch.float32): attend_by_blocks_of_the_mask,
        ("cuda", torch.bfloat16): attend_by_blocks_of_the_mask,
    }
    assert {key: kernel_for(*key) for key in kernels} == kernels


@pytest.mark.filterwarnings("ignore:flex_attention called without torch.compile")
@pytest.mark.parametrize(("kernel", "dtype", "tolerance"), KERNELS)
def test_kernel_agrees_with_the_reference(kernel, dtype, tolerance):
    met = Counter()

    @settings(max_examples=240)
    @given(layouts())
    def check(layout):
        segment_ids_BT, prefix_ends_BT, seed = layout
        num_rows, num_tokens = segment_ids_BT.shape
        generator = torch.Generator().manual_seed(seed)
        shape = (4, num_rows, NUM_HEADS, num_tokens, CHANNELS)
        q, k, v, upstream = torch.randn(shape, generator=generator).to(dtype)
        inputs = [x.clone().requires_grad_() for x in (q, k, v)]
        expected_inputs = [x.double().requires_grad_() for x in (q, k, v)]
        out = kernel(*inputs, mask_of(segment_ids_BT, prefix_ends_BT))
        expected = reference(*expected_inputs, segment_ids_BT, prefix_ends_BT)
        assert out.dtype == dtype
        grads = []
        if out.requires_grad:
            out.backward(upstream)
            expected.backward(upstream.double())
            grads = [(a.grad, b.grad) for a, b in zip(inputs, expected_inputs, strict=True)]
        for ours, theirs in [(out.detach(), expected.detach()), *grads]:
            scale = max(1.0, float(theirs.abs().max()))
            assert (ours.double() - theirs).abs().max() <= tolerance * scale
        counts = [Counter(row) for row in segment_ids_BT.tolist()]
        met["many segments"] += any(len(count) > 8 for count in counts)
        met["one-token segment"] += any(1 in count.values() for count in counts)
        met["not a multiple of the blocks"] += num_tokens > 256 and num_tokens % 128 != 0
        met["padding"] += any(0 in count for count in counts)
        index = torch.arange(num_tokens)
        met["keys beyond the block of their queries"] += bool(
            (prefix_ends_BT > index // 256 * 256 + 256).any()
        )

    check()
    assert len(met) == 5 and min(met.values()) >= 10, met


def test_probabilities_that_are_computed_anew_give_the_same_bits(monkeypatch):
    """A limit in the middle, so that tiles of both kinds meet in one row."""
    segment_ids_BT = torch.ones(2, 700, dtype=torch.int32)
    segment_ids_BT[1, 333:] = 2
    mask = AttentionMask.from_segments(segment_ids_BT)
    q, k, v, upstream = torch.randn(4, 2, NUM_HEADS, 700, CHANNELS).to(torch.bfloat16)
    found = []
    for kept_keys in (1024, 256, 0):
        monkeypatch.setattr(attention, "KEPT_KEYS", kept_keys)
        inputs = [x.clone().requires_grad_() for x in (q, k, v)]
        out = attend_in_cache_blocks(*inputs, mask)
        out.backward(upstream)
        found.append((out.detach(), *(x.grad for x in inputs)))
    for other in found[1:]:
        assert all(torch.equal(a, b) for a, b in zip(found[0], other, strict=True))


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 2e-5), (torch.bfloat16, 0.06)], ids=str)
def test_cached_attention_agrees_with_the_reference(dtype, tolerance):
    met = Counter()

    @settings(max_examples=60)
    @given(
        st.lists(st.just(0) | st.integers(0, 150), min_size=1, max_size=5),
        st.sampled_from([1, 2, 4, 32, 33, 100, 140, 300]),
        st.integers(0, 400),
        st.integers(0, 2**31),
    )
    def check(lengths, num_new, num_left, seed):
        """Rows that hold tokens of their own, as many new ones in each, and slots that are not in use."""
        generator = torch.Generator().manual_seed(seed)
        num_slots = max(lengths) + num_new + num_left
        shape = (3, len(lengths), NUM_HEADS, num_slots, CHANNELS)
        q, k, v = torch.randn(shape, generator=generator).to(dtype)
        positions_BT = torch.tensor(lengths)[:, None] + torch.arange(num_new)
        rows_B1 = torch.arange(len(lengths))[:, None]
        out = attend_cached(q.transpose(1, 2)[rows_B1, positions_BT].transpose(1, 2), k, v, positions_BT)
        expected = reference(q, k, v, torch.ones(len(lengths), num_slots))
        expected = expected.transpose(1, 2)[rows_B1, positions_BT].transpose(1, 2)
        assert out.dtype == dtype
        assert (out.double() - expected).abs().max() < tolerance
        met["ragged"] += len(set(lengths)) > 1
        met["more than a tile"] += num_new > 128
        met["few of the slots in use"] += num_left > max(lengths) + num_new and num_new < 5
        met["from the beginning"] += max(lengths) == 0

    check()
    assert len(met) == 4 and min(met.values()) >= 3, met
