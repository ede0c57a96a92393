"""Laws 1, 3 and 6: nothing is lost by corruption, no target is cut, and the right tokens carry loss."""

from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spanmix.config import ObjectiveConfig
from spanmix.errors import InputError
from spanmix.objectives.causal import Causal
from spanmix.objectives.choose import ObjectiveMixture
from spanmix.objectives.infill import Infill, num_positions
from spanmix.objectives.objective import Alphabet, DocumentKey
from spanmix.objectives.spans import Corruption, draw_spans
from spanmix.types import ControlIds, Example

VOCAB, NUM_MASKS = 64, 16
CONTROL = ControlIds(eot=0, sep=1, eom=2, pad=3, masks=tuple(range(VOCAB - 1, VOCAB - 1 - NUM_MASKS, -1)))
FIRST_PLAIN, LAST_PLAIN = 4, VOCAB - NUM_MASKS - 1
LINE_END = 10
ENDS_LINE = np.arange(VOCAB) == LINE_END
ALPHABET = Alphabet(CONTROL, ENDS_LINE)


@st.composite
def cases(draw):
    """A document, its key, a row length and an infill configuration."""
    max_spans = draw(st.integers(2, NUM_MASKS))
    shortest = num_positions(2 * max_spans, max_spans) + 10
    row_tokens = draw(st.integers(max(32, shortest), 320))
    low = draw(st.floats(0, 1))
    config = ObjectiveConfig(
        "infill",
        1.0,
        min_ratio=low,
        max_ratio=draw(st.floats(low, 1)),
        one_span_probability=draw(st.sampled_from([0.0, 0.5, 1.0])),
        max_spans=max_spans,
        loss_on_sentinels=draw(st.booleans()),
    )
    length = draw(
        st.one_of(st.integers(1, 8), st.integers(1, 1000), st.integers(row_tokens - 3, row_tokens + 3))
    )
    generator = np.random.default_rng(draw(st.integers(0, 2**32)))
    tokens = generator.integers(FIRST_PLAIN, LAST_PLAIN + 1, size=length).astype(np.int32)
    key = DocumentKey(
        draw(st.integers(0, 99)), 0, draw(st.integers(0, 2**64 - 1)), draw(st.integers(0, 999)), 0
    )
    return tokens, key, row_tokens, config


def answers(example: Example) -> list[list[int]]:
    """The hidden spans, read the way a model is asked: sentinel, tokens, <eom>."""
    ids = example.token_ids.tolist()
    tail = ids[ids.index(CONTROL.sep) + 1 :]
    spans = []
    while tail[0] != CONTROL.eot:
        assert tail[0] == CONTROL.masks[len(spans)], "sentinels count from 1 in each piece"
        end = tail.index(CONTROL.eom)
        spans.append(tail[1:end])
        tail = tail[end + 1 :]
    assert len(tail) == 1
    return spans


def test_infill_is_undone_and_never_cut():
    met: Counter[str] = Counter()

    @given(cases())
    def check(case):
        tokens, key, row_tokens, config = case
        infill = Infill(0, config, ALPHABET, row_tokens)
        examples = infill.examples(tokens, key)
        pieces = [infill.restore(example) for example in examples]
        assert np.concatenate(pieces).tolist() == tokens.tolist()
        for number, example in enumerate(examples):
            assert example.num_positions <= row_tokens
            assert example.ref.piece == number
            ids = example.token_ids.tolist()
            sep = ids.index(CONTROL.sep)
            assert ids[0] == ids[sep - 1] == ids[-1] == CONTROL.eot
            assert ids.count(CONTROL.eot) == 3
            spans = answers(example)
            assert 1 <= len(spans) <= config.max_spans and all(spans)
            shown = ids[1 : sep - 1]
            masks = [token for token in shown if token in CONTROL.masks]
            assert masks == list(CONTROL.masks[: len(spans)])
            adjacent = pairwise(shown)
            assert not any(a in CONTROL.masks and b in CONTROL.masks for a, b in adjacent)
            met["many spans"] += len(spans) >= 4
            met["empty prefix"] += shown[0] == CONTROL.masks[0]
            met["empty suffix"] += shown[-1] == masks[-1]
            met["whole piece hidden"] += len(shown) == 1
        met["one-token file"] += len(tokens) == 1
        met["longer than a row"] += len(examples) > 1

    check()
    assert len(met) == 6 and min(met.values()) >= 5, met


def test_a_full_piece_fills_its_row_or_ends_a_line_within_a_hundredth():
    met: Counter[str] = Counter()

    @given(cases())
    def check(case):
        tokens, key, row_tokens, config = case
        tokens = np.resize(tokens, 3 * row_tokens)
        for objective in (Infill(0, config, ALPHABET, row_tokens), Causal(0, ALPHABET, row_tokens)):
            start = 0
            for example in objective.examples(tokens, key)[:-1]:
                start += len(objective.restore(example))
                missing = row_tokens - example.num_positions
                ends_line = bool(ENDS_LINE[tokens[start - 1]])
                near_end = start >= len(tokens) - 1
                assert missing == 0 or (ends_line and missing <= row_tokens // 100) or near_end
                met["exact"] += missing == 0
                met["line end"] += missing > 0 and ends_line

    check()
    assert met["exact"] >= 50 and met["line end"] >= 5, met


def test_causal_is_undone_and_ends_a_file_once():
    met: Counter[str] = Counter()

    @given(cases())
    def check(case):
        tokens, key, row_tokens, _ = case
        causal = Causal(0, ALPHABET, row_tokens)
        examples = causal.examples(tokens, key)
        assert np.concatenate([causal.restore(e) for e in examples]).tolist() == tokens.tolist()
        assert all(e.num_positions <= row_tokens and e.token_ids[0] == CONTROL.eot for e in examples)
        assert [int(e.token_ids[-1] == CONTROL.eot) for e in examples] == [0] * (len(examples) - 1) + [1]
        met["one-token file"] += len(tokens) == 1
        met["longer than a row"] += len(examples) > 1
        met["as long as a row"] += abs(len(tokens) - row_tokens) <= 1

    check()
    assert len(met) == 3 and min(met.values()) >= 5, met


@given(cases())
def test_loss_weights_follow_the_contract(case):
    tokens, key, row_tokens, config = case
    for example in Infill(0, config, ALPHABET, row_tokens).examples(tokens, key):
        for i, token in enumerate(example.token_ids.tolist()):
            sentinel = token == CONTROL.sep or token in CONTROL.masks
            expected = 0.0 if i == 0 or (sentinel and not config.loss_on_sentinels) else 1.0
            assert example.loss_weights[i] == expected


def test_spans_are_uniform():
    """Two spans of 3 hidden among 7 tokens: every split and every placing is equally likely."""
    counts: Counter[tuple[tuple[int, int], ...]] = Counter()
    num_draws = 12_000
    for document in range(num_draws):
        words = DocumentKey(7, 0, 0, document, 0).words("spans", 8)
        counts[tuple(draw_spans(Corruption(round(3.2 / 7 * 2**32), 2), 7, words))] += 1
    possible = 2 * 10  # splits of 3 in two parts; 2 of the 5 places before, between and behind 4 shown
    assert len(counts) == possible
    expected = num_draws / possible
    chi_squared = sum((count - expected) ** 2 / expected for count in counts.values())
    assert chi_squared < 43.8  # 0.1 % point of 19 degrees of freedom; the draws are fixed


def test_too_many_spans_for_the_tokenizer_are_refused():
    config = ObjectiveConfig("infill", 1.0, max_spans=NUM_MASKS + 1)
    with pytest.raises(InputError, match=rf"{NUM_MASKS + 1} spans.*{NUM_MASKS} sentinels"):
        ObjectiveMixture([config], ALPHABET, row_tokens=512)


def test_rows_too_short_for_the_spans_are_refused():
    with pytest.raises(InputError, match="row_tokens is 40"):
        Infill(0, ObjectiveConfig("infill", 1.0, max_spans=8), ALPHABET, row_tokens=40)


def test_the_choice_of_objective_follows_the_weights_and_changes_with_the_epoch():
    configs = [ObjectiveConfig("causal", 0.25), ObjectiveConfig("infill", 0.75)]
    mixture = ObjectiveMixture(configs, ALPHABET, row_tokens=512)
    chosen = {
        (document, epoch): mixture.choose(DocumentKey(1, 0, 5, document, epoch)) is mixture.objectives[1]
        for document in range(2000)
        for epoch in range(2)
    }
    assert abs(sum(chosen.values()) / len(chosen) - 0.75) < 0.03
    assert sum(chosen[d, 0] != chosen[d, 1] for d in range(2000)) > 500
