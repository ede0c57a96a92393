"""Answers are cut, scored and chosen as lm-eval does, on engines whose every probability is known."""

import json
import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spanmix.errors import InputError
from spanmix.evaluate.choice.readers import ChoiceItem
from spanmix.evaluate.choice.score import encode_pairs, score_choices
from spanmix.generate.torch_engine import TorchEngine
from spanmix.text.tokenizer import Tokenizer


@pytest.fixture(scope="module")
def real_tokenizer():
    """One that joins what stands beside a boundary."""
    texts = ["the answer: yes, no. hello wörld  \n" * 5, "def answer():\n    return yes\n" * 5]
    return Tokenizer.train(texts, vocab_size=384, num_sentinels=9)


def choose(engine, tokenizer, *items, **options):
    tokenizer.encode_batch = lambda texts: [tokenizer.encode(text) for text in texts]
    return score_choices(engine, tokenizer, "made", items, **options)


def test_the_largest_sum_is_chosen_and_the_largest_by_length(make_engine, tokenizer):
    per_byte = {ord("a"): 0.5, ord("b"): 0.2, ord(" "): 1.0}
    engine = make_engine(probability=lambda context, token: per_byte.get(token, 0.7))
    result = choose(
        engine,
        tokenizer,
        ChoiceItem("line 1", "Q:", ("b", "aaaa"), " ", 0),
        ChoiceItem("line 2", "Q:", ("b", "aaaa"), " ", 1),
        # "ää" has two characters and four bytes, each of the probability 0.7.
        ChoiceItem("line 3", "Q:", ("aa", "ää"), " ", 0),
    )
    first = result.items[0]
    assert first.logprobs == pytest.approx((math.log(0.2), 4 * math.log(0.5)))
    assert first.num_tokens == (2, 5)
    assert [item.chosen for item in result.items] == [
        {"acc": 0, "acc_norm": 1, "acc_bytes": 1},
        {"acc": 0, "acc_norm": 1, "acc_bytes": 1},
        {"acc": 0, "acc_norm": 0, "acc_bytes": 1},
    ]
    assert {name: figure.interval.value for name, figure in result.figures.items()} == pytest.approx(
        {"acc": 2 / 3, "acc_norm": 2 / 3, "acc_bytes": 1 / 3}
    )
    for figure in result.figures.values():
        assert figure.interval.low < figure.interval.value < figure.interval.high
        assert figure.stderr == pytest.approx(1 / 3)  # of 1, 1, 0: standard deviation 0.577, by root 3
    assert [item.is_right["acc"] for item in result.items] == [True, False, True]


def test_a_last_word_is_right_if_greedy_gives_it(make_engine, tokenizer):
    engine = make_engine(probability=lambda context, token: 0.3 if token == ord("x") else 0.5)
    words = ["ab", "x", "cde", "a"]
    items = [ChoiceItem(f"line {n}", "So", (word,), " ", 0) for n, word in enumerate(words, 1)]
    result = choose(engine, tokenizer, *items)
    assert [item.is_right["acc"] for item in result.items] == [True, False, True, True]
    assert result.figures["acc"].interval.value == 0.75
    sums = [3 * math.log(0.5), math.log(0.5 * 0.3), 4 * math.log(0.5), 2 * math.log(0.5)]
    found = result.figures["perplexity"].interval
    assert found.value == pytest.approx(math.exp(-np.mean(sums)))
    assert found.low < found.value < found.high
    assert result.items[0].chosen == {}


def test_what_is_too_long_is_cut_on_the_left_and_counted(make_engine, tokenizer):
    engine = make_engine(context_tokens=16)
    long = ChoiceItem("line 1", "0123456789abcdef", ("yes", "no"), " ", 0)
    short = ChoiceItem("line 2", "Q:", ("yes", "no"), " ", 0)
    result = choose(engine, tokenizer, long, short, start_ids=(256,))
    assert {bytes(token for token in context if token < 256) for context, _ in engine.scored} == {
        b"56789abcdef",
        b"456789abcdef",
        b"Q:",
    }
    assert all(context[0] == 256 for context, _ in engine.scored)
    assert [item.num_cut_tokens for item in result.items] == [5, 0]
    assert (result.num_cut_items, result.num_items) == (1, 2)
    with pytest.raises(InputError, match=r"line 7: an answer has 16 tokens.*context of 16"):
        choose(engine, tokenizer, ChoiceItem("line 7", "Q", ("a" * 15, "b"), " ", 0))


def test_an_answer_without_a_token_of_its_own_is_refused(make_engine, real_tokenizer):
    tokenizer = real_tokenizer
    joined = next(
        (left, right)
        for left, right in (("answe", "r"), ("hell", "o"), ("ye", "s"), ("n", "o"), ("a", "n"), ("e", "r"))
        if len(tokenizer.encode(left + right)) <= len(tokenizer.encode(left))
    )
    item = ChoiceItem("line 4", joined[0], (joined[1],), "", 0)
    with pytest.raises(InputError, match=r"line 4: an answer .* has no token of its own"):
        score_choices(make_engine(), tokenizer, "made", [item])


def test_pairs_are_cut_where_the_context_ends_by_itself(real_tokenizer):
    tokenizer = real_tokenizer
    met = Counter()
    pieces = st.text(st.sampled_from(list(" \n\tanswerhoyes:,.ö")), max_size=8)
    words = st.sampled_from([" ", ":", "answer", " answer", "wörld", "return", "  hello"])

    @given(pieces, words, st.integers(0, 6), pieces, st.booleans())
    def check(before, word, place, after, with_start):
        context, continuation = before + word[:place], (word[place:] + after) or "x"
        start_ids = (tokenizer.control.sep,) if with_start else ()
        (pair,) = encode_pairs(tokenizer, [(context, continuation)], start_ids)
        kept = context.rstrip()
        whole, alone = tokenizer.encode(context + continuation), tokenizer.encode(kept)
        start = list(start_ids) if with_start or alone else [tokenizer.control.eot]
        assert pair.context_ids == start + alone
        assert pair.target_ids == whole[len(alone) :]
        assert pair.moved == (whole[: len(alone)] != alone)
        assert pair.context_ids
        met["moved"] += pair.moved
        met["empty context"] += not kept
        met["blanks"] += kept != context
        if not pair.moved:
            text = tokenizer.decode([*alone, *pair.target_ids])
            assert text == context + continuation
        else:
            met["lost"] += tokenizer.decode([*alone, *pair.target_ids]) != context + continuation

    check()
    assert min(met[kind] for kind in ("moved", "empty context", "blanks", "lost")) >= 5


def test_a_real_model_gives_the_same_alone_and_together(make_decoder, real_tokenizer):
    engine = TorchEngine(make_decoder(2, 48, 3, 8, 64))
    items = [
        ChoiceItem(f"line {n}", "the answer " * (1 + n % 4), ("yes", "no", "hello wörld"), " ", n % 3)
        for n in range(9)
    ]
    told = []
    together = score_choices(
        engine, real_tokenizer, "made", items, progress=lambda done, total: told.append((done, total))
    )
    assert told[-1][0] == told[-1][1] == sum(sum(item.num_tokens) for item in together.items)
    for item, found in zip(items, together.items, strict=True):
        (alone,) = score_choices(engine, real_tokenizer, "made", [item]).items
        assert alone.logprobs == pytest.approx(found.logprobs, abs=1e-4)
        assert alone.chosen == found.chosen
    single = score_choices(engine, real_tokenizer, "made", items[:1])
    assert single.figures["acc"].stderr is None
    assert json.loads(json.dumps([item.__dict__ for item in together.items]))[3]["name"] == "line 3"
