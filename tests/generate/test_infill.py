"""Gaps are asked for as in training, answered one after the other, and stitched back exactly."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spanmix.errors import InputError
from spanmix.generate.cursors import offset_of, parse_position, split_at, stitch
from spanmix.generate.engine import EngineInfo, TokenEvent
from spanmix.generate.formats import InfillFormat, codegen2_format
from spanmix.generate.infill import infill, infill_many, infill_prompt, share
from spanmix.generate.text import Sampling
from spanmix.generate.torch_engine import TorchEngine

texts = st.text(alphabet=st.sampled_from("ab 1\n\tåß☃🦉\r"), max_size=40).map(
    lambda s: s.replace("\r", "\r\n")
)


class Answers:
    """An engine that answers the n-th request with the n-th list of ids."""

    def __init__(self, *answers, context_tokens=200):
        self.info = EngineInfo(context_tokens, 384, "fp32", frozenset())
        self.answers, self.requests = [list(answer) for answer in answers], []

    def submit(self, request):
        assert len(request.prompt_ids) + request.max_tokens <= self.info.context_tokens
        self.requests.append(request)
        return len(self.requests)

    def step(self):
        request, left = self.requests[-1], self.answers[len(self.requests) - 1]
        token = left.pop(0)
        reason = "stop" if token in request.stop_ids else None if left else "length"
        return [TokenEvent(len(self.requests), token, -0.5, (), reason)]

    def cancel(self, request_id):
        pass

    def score(self, requests):
        raise AssertionError


def test_stitching_gives_the_file_with_the_middles():
    met = Counter()

    @given(texts, st.lists(st.integers(0, 100), min_size=1, max_size=4), st.data())
    def check(text, places, data):
        # Every place but the one between \r and \n has a line and a column.
        places = sorted({place % (len(text) + 1) for place in places})
        places = [place for place in places if text[place - 1 : place + 1] != "\r\n" or place == 0]
        if not places:
            return
        positions = []
        for place in places:
            before = text[:place]
            positions.append(f"{before.count(chr(10)) + 1}:{place - (before.rfind(chr(10)) + 1) + 1}")
        parts = split_at(text, data.draw(st.permutations(positions)))
        assert stitch(parts, [""] * len(places)) == text
        assert [len("".join(parts[: n + 1])) for n in range(len(places))] == places
        middles = [data.draw(texts) for _ in places]
        expected = text
        for place, middle in reversed(list(zip(places, middles, strict=True))):
            expected = expected[:place] + middle + expected[place:]
        assert stitch(parts, middles) == expected
        met["empty prefix"] += parts[0] == ""
        met["empty suffix"] += parts[-1] == ""
        met["several"] += len(places) > 1
        met["CRLF"] += "\r\n" in text
        met["beyond ASCII"] += not text.isascii()

    check()
    assert len(met) == 5 and min(met.values()) >= 15, met


@pytest.mark.parametrize(
    ("position", "message"),
    [
        ("4:1", "the last line of the text is 3; use 1 to 3"),
        ("1:5", "line 1 has 3 characters; use a column from 1 to 4"),
        ("2:3", "line 2 has 1 characters; use a column from 1 to 2"),
        ("0:1", "not LINE:COL"),
        ("1", "not LINE:COL"),
        ("1:-1", "not LINE:COL"),
        ("x:1", "not LINE:COL"),
    ],
)
def test_a_position_outside_the_text_is_refused_with_the_real_size(position, message):
    with pytest.raises(InputError, match=message):
        split_at("aß☃\r\nb\n", [position])


def test_the_same_cursor_twice_is_refused():
    with pytest.raises(InputError, match="same place"):
        split_at("ab", ["1:2", "1:2"])
    assert offset_of("aß☃\r\nb\n", *parse_position("3:1")) == 7


def test_a_byte_order_mark_stays_in_front_of_everything():
    text = "\ufeffab\r\n\ufeffc"
    assert split_at(text, ["1:1"]) == ["\ufeff", "ab\r\n\ufeffc"]
    assert split_at(text, ["1:3", "2:1"]) == ["\ufeffab", "\r\n", "\ufeffc"]
    with pytest.raises(InputError, match="line 1 has 2 characters; use a column from 1 to 3"):
        split_at(text, ["1:4"])
    assert split_at("\ufeff", ["1:1"]) == ["\ufeff", ""]


def test_the_prompt_is_the_contracts(tokenizer):
    control = tokenizer.control
    format = codegen2_format(control, lead_tokens=0)
    answer = tokenizer.encode("b = 2")
    engine = Answers([*answer, control.eom])
    got = infill(engine, tokenizer, format, "a = 1\n", "\nc = 3", Sampling(max_tokens=50))
    prefix, suffix = tokenizer.encode("a = 1\n"), tokenizer.encode("\nc = 3")
    mask = control.masks[0]
    expected = [control.eot, *prefix, mask, *suffix, control.eot, control.sep, mask]
    request = engine.requests[0]
    assert request.prompt_ids == expected
    assert (got.text, got.finish_reason, got.num_prefix_cut, got.num_suffix_cut) == ("b = 2", "stop", 0, 0)
    assert got.token_ids == (*answer, control.eom)
    assert request.stop_ids == {control.eom, control.eot}
    assert set(control.masks) | {control.sep, control.pad} <= request.suppress_ids
    assert not request.stop_ids & request.suppress_ids


def test_several_cursors_are_answered_one_after_the_other(tokenizer):
    control = tokenizer.control
    answers = [tokenizer.encode(text) for text in ("one", "two and more", "three")]
    # The first ends itself, the second meets a stop string, the third runs to its length.
    engine = Answers([*answers[0], control.eom], answers[1], answers[2])
    parts = ["A\n", "B\n", "", "D\n"]
    sampling = Sampling(max_tokens=20, stop=(" and",))
    got = infill_many(engine, tokenizer, codegen2_format(control, lead_tokens=0), parts, sampling)
    assert [answer.text for answer in got] == ["one", "two", "three"]
    assert [answer.finish_reason for answer in got] == ["stop", "stop", "length"]
    masks = control.masks
    ids = [tokenizer.encode(part) for part in parts]
    shown = [*ids[0], masks[0], *ids[1], masks[1], *ids[2], masks[2], *ids[3]]
    first = [control.eot, *shown, control.eot, control.sep, masks[0]]
    second = [*first, *tokenizer.encode("one"), control.eom, masks[1]]
    third = [*second, *tokenizer.encode("two"), control.eom, masks[2]]
    assert [request.prompt_ids for request in engine.requests] == [first, second, third]
    assert stitch(parts, [answer.text for answer in got]) == "A\noneB\ntwothreeD\n"


def test_with_a_lead_the_prompt_is_the_beginning_of_a_training_example(tokenizer):
    """The gaps begin earlier, and their answers with what stood there: an example that training writes."""
    control, met = tokenizer.control, Counter()
    parts_ids = st.lists(st.lists(st.integers(1000, 1999), max_size=6), min_size=2, max_size=5)

    @given(parts_ids, st.integers(0, 5), st.data())
    def check(parts, lead_tokens, data):
        format = codegen2_format(control, lead_tokens)
        middles = [data.draw(st.lists(st.integers(2000, 2999), min_size=1, max_size=3)) for _ in parts[1:]]
        ids = format.prompt_many(parts)
        for gap, middle in enumerate(middles):
            ids += [*format.next_gap(gap, parts[gap])] * (gap > 0) + [*middle, control.eom]
        shown, answers = _cut_example(ids, control)
        whole = [
            token for part in zip(shown, [*answers, []], strict=True) for piece in part for token in piece
        ]
        assert whole == [
            token for part in zip(parts, [*middles, []], strict=True) for piece in part for token in piece
        ]
        for gap, (answer, middle) in enumerate(zip(answers, middles, strict=True)):
            lead = answer[: len(answer) - len(middle)]
            assert len(lead) <= lead_tokens and lead == parts[gap][len(parts[gap]) - len(lead) :]
            if gap > 0 and parts[gap]:
                assert shown[gap], "two gaps have a shown token between them"
            met["whole lead"] += len(lead) == lead_tokens > 0
            met["short part"] += len(lead) < lead_tokens
            met["no lead"] += lead_tokens == 0
            met["kept apart"] += gap > 0 and 0 < len(parts[gap]) <= lead_tokens

    check()
    assert len(met) == 4 and min(met.values()) >= 15, met


def _cut_example(ids, control):
    """Return the shown parts and the answers of ``<eot> shown <eot> <sep> (<mask_n> answer <eom>)...``."""
    end = ids.index(control.sep)
    assert ids[0] == ids[end - 1] == control.eot
    shown, answers = [[]], []
    for token in ids[1 : end - 1]:
        if token in control.masks:
            assert token == control.masks[len(shown) - 1]
            shown.append([])
        else:
            shown[-1].append(token)
    for token in ids[end + 1 :]:
        if token in control.masks:
            assert token == control.masks[len(answers)]
            answers.append([])
        elif token != control.eom:
            answers[-1].append(token)
    return shown, answers


def test_later_gaps_are_asked_for_with_their_leads(tokenizer):
    control = tokenizer.control
    answers = [tokenizer.encode(text) for text in ("one", "two")]
    engine = Answers([*answers[0], control.eom], [*answers[1], control.eom])
    parts = ["A\n", "BCD\n", "E\n"]
    got = infill_many(engine, tokenizer, codegen2_format(control, 2), parts, Sampling(max_tokens=20))
    assert [answer.text for answer in got] == ["one", "two"]
    ids = [tokenizer.encode(part) for part in parts]
    assert [len(part) for part in ids] == [2, 4, 2]
    masks = control.masks
    shown = [control.eot, masks[0], *ids[1][:2], masks[1], *ids[2], control.eot, control.sep]
    first = [*shown, masks[0], *ids[0]]
    second = [*first, *answers[0], control.eom, masks[1], *ids[1][2:]]
    assert [request.prompt_ids for request in engine.requests] == [first, second]


def test_the_context_is_shared_and_never_exceeded(tokenizer):
    format = codegen2_format(tokenizer.control)
    met = Counter()

    @given(st.lists(st.integers(0, 300), min_size=2, max_size=5), st.integers(1, 40), st.integers(40, 400))
    def check(lengths, max_tokens, context):
        parts = [list(range(1000 * n, 1000 * n + length)) for n, length in enumerate(lengths)]
        num_gaps = len(parts) - 1
        asked_later = sum(len(format.next_gap(gap, parts[gap])) for gap in range(1, num_gaps))
        longest_answers = num_gaps * max_tokens + asked_later + num_gaps - 1  # and each <eom> but the last
        try:
            prompt = infill_prompt(format, parts, context, max_tokens)
        except InputError as error:
            assert str(context) in str(error)
            met["does not fit"] += 1
            return
        total = len(prompt.prompt_ids) + longest_answers
        cut = prompt.num_prefix_cut + prompt.num_suffix_cut
        assert total <= context
        assert cut == 0 or total == context  # nothing is cut that had room
        kept_first = parts[0][prompt.num_prefix_cut :]
        kept_last = parts[-1][: len(parts[-1]) - prompt.num_suffix_cut]
        assert prompt.prompt_ids == format.prompt_many([kept_first, *parts[1:-1], kept_last])
        if prompt.num_prefix_cut and prompt.num_suffix_cut:
            assert 0 <= len(kept_first) - len(kept_last) <= 1
            met["both cut"] += 1
        met["one side cut"] += bool(prompt.num_prefix_cut) != bool(prompt.num_suffix_cut)
        met["empty prefix"] += lengths[0] == 0
        met["empty suffix"] += lengths[-1] == 0
        met["nothing cut"] += cut == 0

    check()
    assert len(met) == 6 and min(met.values()) >= 5, met


@given(st.integers(0, 99), st.integers(0, 99), st.integers(0, 150))
def test_a_share_uses_the_whole_budget_and_no_more(num_prefix, num_suffix, budget):
    kept = share(num_prefix, num_suffix, budget)
    assert sum(kept) == min(budget, num_prefix + num_suffix)
    assert 0 <= kept[0] <= num_prefix and 0 <= kept[1] <= num_suffix
    assert kept[0] >= min(num_prefix, budget // 2) and kept[1] >= min(num_suffix, budget // 2)


def test_a_format_that_fills_one_gap_says_so(tokenizer):
    format = InfillFormat((1,), (2,), (3,), (4,), (5,), order="spm")
    assert format.prompt([10], [20]) == [1, 3, 20, 2, 10, 4]
    with pytest.raises(InputError, match="2 cursors were given; this model can fill 1"):
        infill_many(Answers(), tokenizer, format, ["a", "b", "c"], Sampling())
    few = codegen2_format(tokenizer.control)
    with pytest.raises(InputError, match="10 cursors were given; this model can fill 9"):
        infill_many(Answers(), tokenizer, few, ["a"] * 11, Sampling(max_tokens=1))
    with pytest.raises(InputError, match="end is empty"):
        InfillFormat((), (), (), (), ())
    with pytest.raises(InputError, match="lead_tokens is -1"):
        codegen2_format(tokenizer.control, -1)
    with pytest.raises(InputError, match="first sentinel"):
        InfillFormat((), (), (3,), (4,), (5,), sentinels=(3,))


def test_a_real_model_fills_a_file_and_keeps_the_rest(tokenizer, make_decoder):
    engine = TorchEngine(make_decoder(1, 32, 1, 8, 128))
    text = "def add(a, b):\r\n    return a + b\r\n" * 9
    parts = split_at(text, ["9:1", "9:8", "10:5"])
    sampling = Sampling(max_tokens=12, temperature=1.5, seed=3)
    got = infill_many(engine, tokenizer, codegen2_format(tokenizer.control), parts, sampling)
    assert len(got) == 3
    single = infill(engine, tokenizer, codegen2_format(tokenizer.control), text, text, sampling)
    assert single.num_prefix_cut > 0 and single.num_suffix_cut > 0
    controls = {tokenizer.control.eom, tokenizer.control.eot}
    for answer in (*got, single):
        assert all(token in controls or not tokenizer.is_control[token] for token in answer.token_ids)
        filled = stitch([text, text], [answer.text])
        assert filled.startswith(text) and filled.endswith(text)
        assert filled[len(text) : len(filled) - len(text)] == answer.text
