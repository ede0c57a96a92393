"""Text comes in whole characters, ends before a stop string, and its prompt fits the context."""

from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spanmix.errors import InputError
from spanmix.generate.answer import TextAssembler
from spanmix.generate.engine import EngineInfo, TokenEvent
from spanmix.generate.text import Sampling, complete
from spanmix.generate.torch_engine import TorchEngine


class ScriptedEngine:
    """Answers each request with the next list of token ids, whatever the prompt."""

    def __init__(self, *answers, context_tokens=200):
        self.info = EngineInfo(context_tokens, 384, "fp32", frozenset())
        self.answers = list(answers)
        self.requests = []
        self.cancelled = []
        self._left = []

    def submit(self, request):
        self.requests.append(request)
        self._left = list(self.answers.pop(0))[: request.max_tokens]
        self._full = len(self._left) == request.max_tokens
        return len(self.requests)

    def step(self):
        token = self._left.pop(0)
        reason = "stop" if token in self.requests[-1].stop_ids else None
        if reason is None and not self._left:
            reason = "length"
        return [TokenEvent(len(self.requests), token, -1.0, (), reason)]

    def cancel(self, request_id):
        self.cancelled.append(request_id)

    def score(self, requests):
        raise AssertionError


alphabet = st.text(alphabet="ab\nå☃🦉", max_size=24)


def cut_pieces(data, cuts):
    bounds = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    return [data[a:b] for a, b in pairwise(bounds)]


def first_completed(text, stops):
    """Where the stop string that is complete first begins, read character by character."""
    for end in range(len(text) + 1):
        starts = [end - len(stop) for stop in stops if text[:end].endswith(stop)]
        if starts:
            return min(starts)
    return None


def test_an_empty_stop_string_is_refused_before_a_model_is_opened():
    with pytest.raises(InputError, match="a stop string is empty"):
        Sampling(stop=("",))


def test_text_ends_before_the_first_stop_string_however_it_is_cut():
    met = Counter()

    @given(alphabet, st.lists(st.text(alphabet="ab\nå", min_size=1, max_size=4), max_size=3), st.data())
    def check(text, stops, data):
        cuts = data.draw(st.lists(st.integers(0, 200), max_size=12))
        pieces = cut_pieces(text.encode(), cuts)
        assembler = TextAssembler(stops)
        given_out = ""
        at = first_completed(text, stops)
        expected = text if at is None else text[:at]
        for piece in pieces:
            given_out += assembler.push(piece)
            assert expected.startswith(given_out)
        given_out += assembler.flush()
        assert given_out == expected and (assembler.stopped_by is None) == (at is None)
        met["stopped"] += at is not None
        met["not stopped, with stops"] += at is None and bool(stops)
        met["cut inside a character"] += any(piece and piece[0] & 0xC0 == 0x80 for piece in pieces)

    check()
    assert len(met) == 3 and min(met.values()) >= 15, met


def test_only_what_could_be_a_stop_string_is_held_back():
    assembler = TextAssembler(["\ndef ", "\n\n"])
    assert assembler.push(b"x\n") == "x"
    assert assembler.push(b"de") == ""
    assert assembler.push(b"l") == "\ndel"
    assert assembler.push("å".encode()[:1]) == ""
    assert assembler.push("å".encode()[1:]) == "å"
    assert assembler.push(b"\xe2\x98") == "" and assembler.flush() == ""
    with pytest.raises(InputError, match="stop string is empty"):
        TextAssembler(["a", ""])


def test_a_completion_streams_what_its_result_says(tokenizer):
    text = "def wörld():\n    return '☃'\n"
    ids = [*tokenizer.encode(text), tokenizer.control.eot]
    stream = complete(ScriptedEngine(ids), tokenizer, "x", Sampling(max_tokens=100))
    pieces = list(stream)
    assert "".join(pieces) == text == stream.result.text
    assert len(pieces) > 3 and "�" not in text
    assert stream.result.finish_reason == "stop" and stream.result.token_ids == tuple(ids)
    assert stream.result.num_prompt_tokens == 2 and len(stream.result.logprobs) == len(ids)


def test_a_stop_string_cancels_the_request(tokenizer):
    engine = ScriptedEngine(tokenizer.encode("a = 1\nprint(a)\nmore"))
    result = complete(engine, tokenizer, "", Sampling(stop=("\nprint", "never"))).run()
    assert (result.text, result.finish_reason) == ("a = 1", "stop")
    assert engine.cancelled == [1]
    assert engine.requests[0].prompt_ids == [tokenizer.control.eot]


def test_leaving_a_stream_early_cancels_the_request(tokenizer):
    engine = ScriptedEngine(tokenizer.encode("a = 1\nb = 2"))
    iterator = iter(complete(engine, tokenizer, "x", Sampling()))
    next(iterator)
    assert engine.cancelled == []
    iterator.close()
    assert engine.cancelled == [1]


def test_a_long_prompt_is_cut_from_the_left(tokenizer):
    prompt = "".join(f"line {n}\n" for n in range(100))
    ids = tokenizer.encode(prompt)
    for max_tokens in (1, 50, 199):
        engine = ScriptedEngine([5] * 200)
        result = complete(engine, tokenizer, prompt, Sampling(max_tokens=max_tokens)).run()
        kept = 200 - 1 - max_tokens
        expected = [tokenizer.control.eot, *ids[len(ids) - kept :]]
        assert engine.requests[0].prompt_ids == expected
        assert result.num_cut_tokens == len(ids) - kept and result.num_prompt_tokens == kept + 1
        assert len(result.token_ids) == max_tokens and result.finish_reason == "length"
    with pytest.raises(InputError, match=r"max_tokens 200 .* context of 200"):
        complete(ScriptedEngine(), tokenizer, prompt, Sampling(max_tokens=200))


def test_no_control_but_the_end_is_generated_by_a_real_model(tokenizer, make_decoder):
    engine = TorchEngine(make_decoder(1, 32, 1, 8, 128))
    for seed in range(5):
        sampling = Sampling(max_tokens=60, temperature=3.0, seed=seed)
        result = complete(engine, tokenizer, "def <mask_1>", sampling).run()
        controls = [token for token in result.token_ids if tokenizer.is_control[token]]
        assert set(controls) <= {tokenizer.control.eot}
        assert "<mask_" not in result.text and "<|endoftext|>" not in result.text
        assert result == complete(engine, tokenizer, "def <mask_1>", sampling).run()
