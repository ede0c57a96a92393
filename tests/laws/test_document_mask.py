"""Law 5: packed documents do not see each other."""

from collections import Counter

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from spanmix.model.architecture import Architecture
from spanmix.model.decoder import Decoder
from spanmix.model.masks import AttentionMask

VOCAB = 97


@pytest.fixture(scope="module", params=["codegen", "llama"])
def decoder(request):
    torch.set_num_threads(1)
    rotary, hidden = (8, 128) if request.param == "codegen" else (16, 88)
    shape = Architecture(2, 32, 2, rotary, 512, VOCAB, form=request.param, hidden_dim=hidden)
    decoder = Decoder(shape, seed=3)
    with torch.no_grad():
        for parameter in decoder.parameters():
            parameter.add_(
                torch.randn(parameter.shape, generator=torch.Generator().manual_seed(7)), alpha=0.1
            )
    return decoder


def pack(lengths, num_pad):
    """Segment ids and positions of one row, [1, T]."""
    segments = [number + 1 for number, length in enumerate(lengths) for _ in range(length)] + [0] * num_pad
    positions = [t for length in (*lengths, num_pad) for t in range(length)]
    return torch.tensor([segments]), torch.tensor([positions])


def random_ids(num_tokens, seed):
    return torch.randint(0, VOCAB, (1, num_tokens), generator=torch.Generator().manual_seed(seed))


def logits_of(decoder, token_ids, segment_ids, positions, dtype=torch.float32):
    hidden = decoder(token_ids, positions, AttentionMask.from_segments(segment_ids), dtype=dtype)
    return decoder.head(hidden).float()


packed = st.tuples(
    st.lists(st.one_of(st.integers(1, 12), st.integers(100, 180)), min_size=2, max_size=5),
    st.integers(0, 9),
    st.integers(0, 2**31),
)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_replacing_a_document_leaves_the_others_bit_equal(decoder, dtype):
    met = Counter()

    @settings(max_examples=30)
    @given(packed)
    @torch.no_grad()
    def check(case):
        lengths, num_pad, seed = case
        segments, positions = pack(lengths, num_pad)
        token_ids = random_ids(segments.shape[1], seed)
        before = logits_of(decoder, token_ids, segments, positions, dtype)
        for changed in range(len(lengths) + 1):
            mine = segments == changed
            other = torch.where(mine, (token_ids + 1) % VOCAB, token_ids)
            after = logits_of(decoder, other, segments, positions, dtype)
            assert torch.equal(before[~mine], after[~mine])
            met["a change is seen in its own document"] += not torch.equal(before[mine], after[mine])
        met["beyond one block"] += sum(lengths) > 256

    check()
    assert met["a change is seen in its own document"] >= 60 and met["beyond one block"] >= 5, met


def test_loss_of_one_document_has_no_gradient_in_another(decoder):
    met = Counter()

    @settings(max_examples=30)
    @given(packed, st.booleans())
    def check(case, bf16):
        lengths, num_pad, seed = case
        segments, positions = pack(lengths, num_pad)
        token_ids = random_ids(segments.shape[1], seed)
        embedded = []
        # The embeddings themselves: a gradient of the table would mix equal tokens of two documents.
        handle = decoder.wte.register_forward_hook(lambda module, args, out: embedded.append(out) or out)
        dtype = torch.bfloat16 if bf16 else torch.float32
        logits = logits_of(decoder, token_ids, segments, positions, dtype)
        handle.remove()
        chosen = len(lengths)
        mine = segments == chosen
        loss = F.cross_entropy(logits[mine], token_ids[mine])
        (grad,) = torch.autograd.grad(loss, embedded[0])
        assert torch.equal(grad[~mine], torch.zeros_like(grad[~mine]))
        met["gradient in its own"] += bool(grad[mine].abs().max() > 0)

    check()
    assert met["gradient in its own"] == 30


def test_a_document_is_the_same_alone_and_packed_anywhere(decoder):
    met = Counter()

    @settings(max_examples=40)
    @given(packed)
    @torch.no_grad()
    def check(case):
        lengths, num_pad, seed = case
        segments, positions = pack(lengths, num_pad)
        token_ids = random_ids(segments.shape[1], seed)
        together = logits_of(decoder, token_ids, segments, positions)
        for number, length in enumerate(lengths):
            mine = segments == number + 1
            alone = logits_of(decoder, token_ids[mine][None], *pack([length], 0))
            assert (together[mine] - alone[0]).abs().max() < 1e-5
            met["not first"] += number > 0

    check()
    assert met["not first"] >= 60


def test_pad_sees_only_pad():
    segments, _ = pack([3, 2], 4)
    mask = AttentionMask.from_segments(segments).allowed_BTS[0]
    assert not mask[5:, :5].any() and not mask[:5, 5:].any()
    assert torch.equal(mask[5:, 5:], torch.ones(4, 4, dtype=torch.bool).tril())


def test_a_prefix_sees_itself_in_both_directions_and_nothing_else_of_the_future(decoder):
    """Every pair: what a position's logits depend on is what the definition lets it see, and no more."""
    lengths, prefixes, num_pad = (5, 1, 7), (3, 0, 7), 3
    segments, positions = pack(lengths, num_pad)
    in_prefix = torch.tensor(
        [[t < p for n, p in zip(lengths, prefixes, strict=True) for t in range(n)] + [False] * num_pad]
    )
    token_ids = random_ids(segments.shape[1], 5)
    mask = AttentionMask.from_segments(segments, in_prefix)

    @torch.no_grad()
    def logits(ids, dtype):
        return decoder.head(decoder(ids, positions, mask, dtype=dtype)).float()[0]

    for dtype in (torch.float32, torch.bfloat16):
        before = logits(token_ids, dtype)
        for changed in range(segments.shape[1]):
            other = token_ids.clone()
            other[0, changed] = (other[0, changed] + 1) % VOCAB
            moved = (logits(other, dtype) != before).any(dim=-1)
            same = segments[0] == segments[0, changed]
            behind = torch.arange(len(same)) >= changed
            # Through a later layer a prefix passes nothing on that its readers could not see themselves.
            expected = same & (behind | in_prefix[0, changed])
            assert torch.equal(moved, expected), (changed, dtype)
