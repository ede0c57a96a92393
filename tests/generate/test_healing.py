"""An answer that goes on inside a word begins with what was taken back, in tokens that training has."""

import copy
import email
from collections import Counter
from itertools import accumulate
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from spanmix.errors import InputError
from spanmix.generate.adjust import Turn
from spanmix.generate.engine import EngineInfo, GenerateRequest
from spanmix.generate.formats import codegen2_format
from spanmix.generate.healing import NO_OPENING, Healer
from spanmix.generate.infill import infill, infill_many
from spanmix.generate.sampling import choose, uniforms
from spanmix.generate.text import Sampling
from spanmix.generate.torch_engine import TorchEngine
from spanmix.text.tokenizer import Tokenizer

FILES = [path.read_text() for path in sorted(Path(email.__file__).parent.glob("*.py"))]
SHAPE = (2, 48, 3, 8, 256)


@pytest.fixture(scope="module")
def large():
    """A tokenizer of code, with tokens of many words."""
    return Tokenizer.train(FILES, vocab_size=1024, num_sentinels=9)


@pytest.fixture(scope="module")
def decoder(make_decoder, large):
    return make_decoder(*SHAPE, vocab_size=large.vocab_size)


@pytest.fixture(scope="module")
def engine(decoder):
    return TorchEngine(decoder)


texts = st.lists(
    st.sampled_from(
        ["def", " comp", "u", "te", "\n", "    ", "\t", "  ", "ß", "☃", "🦉", "<mask_1>", "'", "s", "1"]
    ),
    max_size=12,
).map("".join)


def begins_as_allowed(token_ids, opening):
    """Whether tokens are among those that an opening lets come; as far as it says."""
    return all(
        token in opening.next_ids[key]
        for place, token in enumerate(token_ids)
        if (key := tuple(token_ids[:place])) in opening.next_ids
    )


def test_what_is_kept_and_taken_back_is_the_prompt_and_every_way_on_spells_it(large):
    healer, met = Healer(large), Counter()

    @given(texts)
    def check(text):
        ids = large.encode(text)
        kept, opening = healer.heal(ids)
        assert large.decode_bytes(kept) + opening.data == text.encode()
        assert ids[: len(kept)] == kept and not large.is_control[kept].any()
        opening.data.decode()  # whole characters
        for key, next_ids in opening.next_ids.items():
            left = opening.data.removeprefix(large.decode_bytes(key))
            assert left + large.decode_bytes(key) != opening.data or left
            for token in next_ids:
                piece = large.token_bytes[token]
                assert piece and (piece.startswith(left) or left.startswith(piece))
                spent = piece.startswith(left)
                assert spent != ((*key, token) in opening.next_ids)
            assert len(key) < opening.most_tokens
        # The prompt's own tokens are always one way.
        assert begins_as_allowed(ids[len(kept) :], opening)
        met["healed"] += bool(opening.data)
        met["as it was"] += opening is NO_OPENING
        met["in several tokens"] += opening.most_tokens > 1
        met["beyond ASCII"] += not text.isascii()
        met["name of a control"] += "<mask_1>" in text
        met["ends in blanks"] += text[-1:].isspace()

    settings(max_examples=60)(check)()
    assert len(met) == 6 and min(met.values()) >= 4, met


def test_a_cursor_anywhere_in_code_leaves_the_texts_own_tokens_reachable(large):
    healer, met = Healer(large), Counter()
    for number, text in enumerate(text[:1200] for text in FILES[::2]):
        true_ids = large.encode(text)
        for cut in range(17 + number, len(text), 97):
            ids = large.encode(text[:cut])
            kept, opening = healer.heal(ids)
            assert true_ids[: len(kept)] == kept, text[:cut][-20:]
            assert begins_as_allowed(true_ids[len(kept) :], opening), (text[:cut][-20:], text[cut:][:9])
            met["seam differs"] += ids + large.encode(text[cut:]) != true_ids
            met["cursors"] += 1
    assert met["cursors"] > 100 and met["seam differs"] > 0.5 * met["cursors"], met


def test_only_tokens_that_can_be_others_are_taken_back(large):
    healer = Healer(large)
    control = large.control
    assert healer.heal([]) == ([], NO_OPENING)
    assert healer.heal([control.eot]) == ([control.eot], NO_OPENING)
    met = Counter()
    for text in ("def compl", "return s", "    ", "import os.pa"):
        ids = [control.eot, *large.encode(text)]
        kept, opening = healer.heal(ids)
        assert len(opening.next_ids[()]) > 1 and ids[: len(kept)] == kept
        met[len(ids) - len(kept)] += 1
        kept, opening = healer.heal(ids, least_kept=len(ids))
        assert (kept, opening) == (ids, NO_OPENING)
    assert met[1] and len(met) > 1, met


def test_where_the_prompts_own_tokens_are_the_likeliest_nothing_changes(engine, large):
    format, healer, met = codegen2_format(large.control, lead_tokens=8), Healer(large), Counter()
    for prefix in ("def heal(sel", "x = 1  # Räub", "    retur", "a ☃", "def ", "class Ans", "f(x)\n"):
        kept, opening = healer.heal(large.encode(prefix))
        own = large.encode(prefix)[len(kept) :]
        for bias in (0.0, 100.0):
            sampling = Sampling(12, logit_bias=tuple((token, bias) for token in set(own)))
            got = infill(engine, large, format, prefix, "\n", sampling, healer)
            raw = b"".join(large.token_bytes[token] for token in got.token_ids)
            assert raw.startswith(opening.data) and begins_as_allowed(got.token_ids, opening)
            assert raw[len(opening.data) :].decode(errors="replace").startswith(got.text)
            if list(got.token_ids[: len(own)]) == own:
                without = infill(engine, large, format, prefix, "\n", sampling)
                assert got.text == without.text and got.token_ids[len(own) :] == without.token_ids
                met["same"] += bool(own)
            met["healed"] += bool(own)
    assert met["healed"] > met["same"] >= 4, met


@settings(max_examples=10)
@given(texts, st.integers(0, 2**40))
def test_sampled_prefix_and_answer_are_the_text(engine, large, text, seed):
    format, healer = codegen2_format(large.control, lead_tokens=0), Healer(large)
    sampling = Sampling(6, temperature=1.3, seed=seed)
    got = infill(engine, large, format, text, "x", sampling, healer)
    kept, opening = healer.heal(large.encode(text))
    raw = b"".join(large.token_bytes[token] for token in got.token_ids)
    whole = (large.decode_bytes(kept) + raw).decode(errors="replace")
    assert whole.startswith(text + got.text)
    ends = accumulate(len(large.token_bytes[token]) for token in got.token_ids)
    repeated = sum(end <= len(opening.data) for end in ends)  # the last of them may end where the prompt does
    assert len(got.token_ids) - repeated <= 6


def test_the_law_of_a_sample_is_the_renormalized_one():
    logits_V = torch.tensor([2.0, 1.0, 0.5, 0.0, 3.0])
    request = GenerateRequest(
        [0], 2, temperature=1.0, opening={(): frozenset({1, 2}), (1,): frozenset({0, 3})}
    )
    shares = uniforms(0, 4000)
    for answer, allowed in (((), [1, 2]), ((1,), [0, 3]), ((2,), [0, 1, 2, 3, 4])):
        turns = [Turn(request, float(share), answer) for share in shares]
        counts = Counter(one.token_id for one in choose(logits_V.expand(len(turns), -1), turns))
        expected = torch.softmax(logits_V[allowed], 0)
        assert sorted(counts) == allowed
        for token, share in zip(allowed, expected.tolist(), strict=True):
            assert counts[token] / 4000 == pytest.approx(share, abs=0.03)
    # What is reported is what the model thinks, whatever may come.
    [told] = choose(logits_V[None], [Turn(request, 0.0, ())])
    assert told.logprob == pytest.approx(float(torch.log_softmax(logits_V, 0)[told.token_id]))


def test_an_opening_needs_an_engine_that_can_and_a_token_that_may_come():
    request = GenerateRequest([0], 2, opening={(): frozenset({1})})
    with pytest.raises(InputError, match="opening"):
        EngineInfo(10, 5, "fp32", frozenset()).check_generate(request)
    can = EngineInfo(10, 5, "fp32", frozenset({"opening"}))
    can.check_generate(request)
    for wrong in (
        {"suppress_ids": frozenset({1})},
        {"opening": {(): frozenset()}},
        {"opening": {(): frozenset({9})}},
    ):
        with pytest.raises(InputError):
            can.check_generate(GenerateRequest([0], 2, **{"opening": request.opening} | wrong))


def test_each_gap_is_healed_and_later_ones_stand_behind_the_answers(decoder, large):
    engine = TorchEngine(copy.deepcopy(decoder))
    asked = []
    submit = engine.submit
    engine.submit = lambda request: (asked.append(request), submit(request))[1]
    format, healer = codegen2_format(large.control, lead_tokens=0), Healer(large)
    parts = ["def heal(sel", "):\n    retur", "\n"]
    answers = infill_many(engine, large, format, parts, Sampling(5, stop=("e",)), healer)
    assert len(answers) == len(asked) == 2
    for part, request in zip(parts, asked, strict=False):
        _, opening = healer.heal(large.encode_inside(part), least_kept=min(1, part != parts[0]))
        assert request.opening == opening.next_ids and opening.data
    assert asked[1].prompt_ids[: len(asked[0].prompt_ids)] == asked[0].prompt_ids
    behind = asked[1].prompt_ids[len(asked[0].prompt_ids) :]
    closed = behind[: behind.index(format.end[0])]
    _, opening = healer.heal(large.encode(parts[0]))
    assert large.decode_bytes(closed).decode(errors="replace").rstrip("\ufffd") == (
        opening.data.decode() + answers[0].text
    )
