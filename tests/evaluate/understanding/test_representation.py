"""A text's vector depends on its tokens and the mask, and on nothing that lies beside it in a batch."""

import numpy as np
import pytest
import torch

from spanmix.errors import InputError
from spanmix.evaluate.understanding.encoding import (
    BETWEEN,
    EncodedText,
    encode_all,
    in_order,
    shuffled,
)
from spanmix.evaluate.understanding.examples import LabeledText
from spanmix.evaluate.understanding.representation import REPRESENTATIONS, Classifier

SHAPES = [((2, 16, 2, 8, 256), {}), ((2, 16, 2, 8, 256), {"form": "llama", "hidden_dim": 24})]


def text(*ids, label=0):
    return EncodedText(np.array(ids, dtype=np.int32), label, 0)


def random_texts(count, longest, seed):
    generator = np.random.default_rng(seed)
    lengths = generator.integers(2, longest, count)
    return [text(*generator.integers(0, 300, n), label=n % 2) for n in lengths.tolist()]


def pooled(decoder, texts, representation, batch_size, dtype=torch.float32, pad_id=383):
    classifier = Classifier(decoder, representation, dtype)
    found = torch.zeros(len(texts), decoder.architecture.dim)
    with torch.no_grad():
        for batch in in_order(texts, batch_size, pad_id):
            found[batch.numbers] = classifier.pooled(batch)
    return found


@pytest.mark.parametrize(("shape", "form"), SHAPES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_padding_and_neighbors_change_nothing(make_decoder, shape, form, dtype):
    decoder = make_decoder(*shape, **form)
    texts = random_texts(12, 150, seed=1)
    for representation in REPRESENTATIONS:
        alone = pooled(decoder, texts, representation, 1, dtype)
        beside = pooled(decoder, texts, representation, 5, dtype)
        other_pad = pooled(decoder, texts, representation, 12, dtype, pad_id=7)
        tolerance = 1e-5 if dtype == torch.float32 else 0.03
        assert torch.allclose(alone, beside, atol=tolerance)
        assert torch.equal(other_pad, pooled(decoder, texts, representation, 12, dtype, pad_id=9))
        assert torch.allclose(alone, other_pad, atol=tolerance)
        assert alone.std(dim=0).min() > 3 * tolerance


@pytest.mark.parametrize(("shape", "form"), SHAPES)
def test_only_the_bidirectional_one_sees_ahead(make_decoder, shape, form):
    decoder = make_decoder(*shape, **form)
    tried = 0
    for seed in range(5):
        [one] = random_texts(1, 40, seed)
        other = text(*one.token_ids[:-1], (int(one.token_ids[-1]) + 1) % 300)
        n = len(one.token_ids)
        for representation in REPRESENTATIONS:
            classifier = Classifier(decoder, representation, torch.float32)
            # What the tokens before the last one add to the mean is the same, if they cannot see it.
            hidden = []
            for row in (one, other):
                [batch] = in_order([row], 1, 383)
                with torch.no_grad():
                    whole = classifier.pooled(batch) * n
                    last = whole - before_last(classifier, batch, n)
                hidden.append(whole - last)
            same = torch.allclose(*hidden, atol=1e-5)
            assert same == (representation == "causal")
            tried += 1
        causal, bidirectional = (pooled(decoder, [one], name, 1) for name in REPRESENTATIONS)
        assert (causal - bidirectional).abs().max() > 1e-2
    assert tried == 10


def before_last(classifier, batch, n):
    """The sum of the hidden states of all tokens but the last."""
    kept = []
    hook = classifier.decoder.ln_f.register_forward_hook(lambda module, given, hidden: kept.append(hidden))
    classifier.pooled(batch)
    hook.remove()
    return kept[0][:, : n - 1].sum(dim=1)


def test_the_mean_is_over_the_text_alone(make_decoder):
    decoder = make_decoder(2, 16, 2, 8, 256)
    texts = [text(1, 2, 3), text(4, 5, 6, 7, 8)]
    [batch] = in_order(texts, 2, 383)
    kept = []
    decoder.ln_f.register_forward_hook(lambda module, given, hidden: kept.append(hidden))
    with torch.no_grad():
        found = Classifier(decoder, "causal", torch.float32).pooled(batch)
    assert batch.numbers == [1, 0] and batch.token_ids_BT.shape == (2, 64)
    assert torch.allclose(found[0], kept[0][0, :5].mean(dim=0), atol=1e-6)
    assert torch.allclose(found[1], kept[0][1, :3].mean(dim=0), atol=1e-6)


def test_it_has_to_be_one_of_two(make_decoder):
    with pytest.raises(InputError, match=r"no representation 'casual' .did you mean 'causal'"):
        Classifier(make_decoder(2, 16, 2, 8, 256), "casual", torch.float32)


def test_rows_are_cut_to_the_room_there_is(tokenizer):
    words = " ".join(["value"] * 50)
    single = LabeledText("a", (words,), 1, "a")
    pair = LabeledText("b", (words, "def f"), 0, "b")
    long_pair = LabeledText("c", (words, words), 0, "c")
    length, short = len(tokenizer.encode(words)), len(tokenizer.encode("def f"))
    between = tokenizer.encode(BETWEEN)
    start = tokenizer.control.eot
    for most in (16, 33, 60, 1000):
        rows = encode_all([single, pair, long_pair], tokenizer, most)
        assert [row.label for row in rows] == [1, 0, 0]
        assert all(len(row.token_ids) <= most and row.token_ids[0] == start for row in rows)
        full = [1 + length, 1 + length + len(between) + short, 1 + 2 * length + len(between)]
        assert [len(row.token_ids) for row in rows] == [min(most, n) for n in full]
        assert [row.num_cut for row in rows] == [max(0, n - most) for n in full]
        # The short text of a pair stays whole; two long ones have half of the room each.
        assert rows[1].token_ids[-short:].tolist() == tokenizer.encode("def f")
        room = most - 1 - len(between)
        first = min(length, room - room // 2)
        assert rows[2].token_ids[1 + first : 1 + first + len(between)].tolist() == between


def test_every_example_is_in_one_batch_of_an_epoch():
    texts = random_texts(203, 90, seed=4)
    orders = set()
    for seed, epoch in ((0, 0), (0, 1), (1, 0)):
        batches = list(shuffled(texts, 8, 383, seed, epoch))
        numbers = [n for batch in batches for n in batch.numbers]
        assert sorted(numbers) == list(range(203)) and len(batches) == 26
        for batch in batches:
            assert batch.labels_B.tolist() == [texts[n].label for n in batch.numbers]
            assert batch.token_ids_BT.shape[1] % 64 == 0
        assert numbers == [n for batch in shuffled(texts, 8, 383, seed, epoch) for n in batch.numbers]
        orders.add(tuple(numbers))
    assert len(orders) == 3
    widths = [batch.token_ids_BT.shape[1] for batch in shuffled(texts, 8, 383, 0, 0)]
    assert 0.2 < np.mean([width == 64 for width in widths]) < 0.9
