"""``/v1/completions`` answers as OpenAI's own client expects, and the same as the model asked directly."""

import json
from collections import Counter

import openai
import pytest

from spanmix.generate.engine import ScoreRequest
from spanmix.generate.formats import codegen2_format
from spanmix.generate.healing import Healer
from spanmix.generate.infill import infill, infill_many
from spanmix.generate.text import Sampling, complete
from spanmix.generate.torch_engine import TorchEngine

GREEDY = {"model": "tiny", "temperature": 0, "max_tokens": 20}


@pytest.fixture(scope="module")
def engine(decoder):
    return TorchEngine(decoder)


def test_a_text_is_continued_as_by_the_model_itself(client, engine, tokenizer):
    found = client.completions.create(prompt="def f(x):", **GREEDY)
    expected = complete(engine, tokenizer, "def f(x):", Sampling(20)).run()
    [choice] = found.choices
    assert (choice.text, choice.finish_reason) == (expected.text, expected.finish_reason)
    assert (found.object, found.model) == ("text_completion", "tiny") and found.id.startswith("cmpl-")
    assert found.usage.prompt_tokens == expected.num_prompt_tokens
    assert found.usage.completion_tokens == len(expected.token_ids)
    assert found.usage.total_tokens == found.usage.prompt_tokens + found.usage.completion_tokens


def test_suffix_infills(client, engine, tokenizer):
    prefix, suffix = "def f(x):\n    y = ", "\n    return y\n"
    found = client.completions.create(prompt=prefix, suffix=suffix, **GREEDY)
    format = codegen2_format(tokenizer.control, lead_tokens=0)
    expected = infill(engine, tokenizer, format, prefix, suffix, Sampling(20), Healer(tokenizer))
    assert found.choices[0].text == expected.text
    assert found.choices[0].text != client.completions.create(prompt=prefix, **GREEDY).choices[0].text


def test_names_of_controls_in_a_text_are_text(client, tokenizer):
    text = "a<mask_1>b<|endoftext|><eom>"
    found = client.completions.create(prompt=text, suffix=text, **GREEDY)
    assert found.usage.prompt_tokens == 5 + 2 * len(tokenizer.encode(text))


def test_a_stream_is_the_plain_answer(client):
    met = Counter()
    for seed in range(12):
        asked = {"prompt": "x = [", "temperature": 1.5, "top_p": 1, "seed": seed, "n": 1 + seed % 3}
        asked |= {"max_tokens": 40, "model": "tiny", "stop": ["e", "\n", " a"][: seed % 4] or None}
        asked |= {"suffix": "]\n"} if seed % 2 else {}
        plain = client.completions.create(**asked)
        texts, reasons = [""] * asked["n"], [None] * asked["n"]
        for event in client.completions.create(stream=True, stream_options={"include_usage": True}, **asked):
            for choice in event.choices:
                assert reasons[choice.index] is None and choice.text is not None
                texts[choice.index] += choice.text
                reasons[choice.index] = choice.finish_reason
            usage = event.usage
        assert texts == [choice.text for choice in plain.choices]
        assert reasons == [choice.finish_reason for choice in plain.choices]
        assert usage == plain.usage
        met["stopped"] += "stop" in reasons
        met["non-ASCII"] += any(not text.isascii() for text in texts)
    assert met["stopped"] >= 3 and met["non-ASCII"] >= 1, met


def test_the_same_seed_gives_the_same_choices_and_each_its_own(client):
    asked = GREEDY | {"prompt": "import ", "temperature": 1.2, "n": 3}
    one, other = (client.completions.create(seed=5, **asked) for _ in range(2))
    texts = [choice.text for choice in one.choices]
    assert texts == [choice.text for choice in other.choices] and len(set(texts)) == 3
    assert [choice.index for choice in one.choices] == [0, 1, 2]
    alone = client.completions.create(seed=6, **asked | {"n": 1})
    assert alone.choices[0].text == texts[1]


def test_best_of_keeps_the_likeliest(client):
    asked = GREEDY | {"prompt": "import ", "temperature": 1.5, "logprobs": 0, "seed": 1}
    every = client.completions.create(n=6, **asked).choices
    best = client.completions.create(n=2, best_of=6, **asked).choices

    def mean(choice):
        return sum(choice.logprobs.token_logprobs) / len(choice.logprobs.token_logprobs)

    expected = sorted(every, key=mean, reverse=True)[:2]
    assert [choice.text for choice in best] == [choice.text for choice in expected]


def test_echo_with_logprobs_is_what_lm_eval_needs(client, engine, tokenizer):
    """One entry more than the prompt has, the first null, greedy exactly where it equals the largest."""
    prompts = [tokenizer.encode("def f(a, b):\n    return a"), tokenizer.encode("x = 1")]
    found = client.completions.create(model="tiny", prompt=prompts, max_tokens=1, echo=True, logprobs=1)
    for ids, choice in zip(prompts, found.choices, strict=True):
        logprobs = choice.logprobs
        columns = (logprobs.tokens, logprobs.token_logprobs, logprobs.top_logprobs, logprobs.text_offset)
        assert {len(column) for column in columns} == {len(ids) + 1}
        assert logprobs.token_logprobs[0] is None and logprobs.top_logprobs[0] is None
        [score] = engine.score([ScoreRequest(ids[:1], ids[1:])])
        assert logprobs.token_logprobs[1:-1] == pytest.approx(score.logprobs, abs=1e-4)
        greedy = [
            value == max(top.values())
            for value, top in zip(logprobs.token_logprobs[1:-1], logprobs.top_logprobs[1:-1], strict=True)
        ]
        assert greedy == score.is_greedy
        assert choice.text.startswith(tokenizer.decode(ids))
    only = client.completions.create(model="tiny", prompt="x = 1", max_tokens=0, echo=True)
    assert only.choices[0].text == "x = 1" and only.usage.completion_tokens == 0


def test_top_logprobs_never_collide_and_offsets_are_characters(client, tokenizer):
    asked = GREEDY | {"prompt": "é☃", "temperature": 2, "logprobs": 20, "seed": 4, "max_tokens": 60}
    choice = client.completions.create(**asked).choices[0]
    assert {len(top) for top in choice.logprobs.top_logprobs} <= {20, 21}
    for offset, token in zip(choice.logprobs.text_offset, choice.logprobs.tokens, strict=True):
        if not token.startswith("bytes:") and token not in tokenizer.special_ids:
            assert choice.text[offset:].startswith(token) or "\ufffd" in choice.text
    named = client.completions.create(extra_body={"return_tokens_as_token_ids": True}, **asked).choices[0]
    ids = [int(name.removeprefix("token_id:")) for name in named.logprobs.tokens]
    assert tokenizer.decode_bytes(ids).decode("utf-8", "replace").startswith(choice.text[:-1])


def test_offsets_are_the_same_whole_and_streamed(client):
    """Of bytes that are no character, and of a first token that begins in front of the cursor."""
    met = Counter()
    for seed in range(30):
        asked = GREEDY | {"prompt": "x = retu", "suffix": "\n", "temperature": 2, "seed": seed, "logprobs": 1}
        whole = client.completions.create(**asked).choices[0]
        pieces = [part.choices[0] for part in client.completions.create(**asked, stream=True)]
        streamed = [offset for piece in pieces for offset in piece.logprobs.text_offset]
        assert whole.logprobs.text_offset == streamed
        assert "".join(piece.text for piece in pieces) == whole.text
        for place, offset in enumerate(streamed[1:], start=1):
            name = whole.logprobs.tokens[place]
            if not name.startswith(("bytes:", "<")) and offset < len(whole.text):
                assert whole.text[offset:].startswith(name[: len(whole.text) - offset])
        met["not a character"] += "\ufffd" in whole.text
        met["begins in front"] += len(streamed) > 1 and streamed[1] < len(whole.logprobs.tokens[0])
    assert min(met["not a character"], met["begins in front"]) >= 3, met


def test_an_answer_ends_at_the_ids_that_a_request_names(client, tokenizer):
    asked = GREEDY | {"prompt": "def f(x):", "temperature": 2, "seed": 4, "logprobs": 0}
    named = client.completions.create(**asked, extra_body={"return_tokens_as_token_ids": True})
    ids = [int(name.removeprefix("token_id:")) for name in named.choices[0].logprobs.tokens]
    place = next(place for place, token in enumerate(ids) if place >= 3 and token not in ids[:place])
    ended = client.completions.create(**asked, extra_body={"stop_token_ids": [ids[place]]}).choices[0]
    expected = tokenizer.decode_bytes(ids[:place]).decode(errors="replace")
    assert (ended.finish_reason, ended.text) == ("stop", expected)


REFUSED = [
    ({"extra_body": {"stop_token_ids": [384]}}, "outside the vocabulary, 0 to 383", "stop_token_ids"),
    ({"prompt": []}, "empty list", "prompt"),
    ({"prompt": [384]}, "outside the vocabulary, 0 to 383", "prompt"),
    (
        {"prompt": "x" * 40_000, "max_tokens": 12},
        "maximum context length is 256 tokens. However, you requested at least ",
        "prompt",
    ),
    ({"prompt": "x" * 40_000, "max_tokens": 12}, "in the prompt, 12 in the completion", "prompt"),
    ({"prompt": [1] * 300, "max_tokens": 12}, "requested 312 tokens (300 in the prompt, 12 in", "prompt"),
    ({"n": 33}, "more than this server's 32", "n"),
    ({"n": 3, "best_of": 2}, "best_of 2 is below n 3", "best_of"),
    ({"best_of": 2, "stream": True}, "cannot be streamed", "best_of"),
    ({"echo": True, "suffix": "x"}, "Echo is unsupported with suffix", "echo"),
    ({"max_tokens": 0}, "max_tokens is 0", "max_tokens"),
    ({"max_tokens": -1}, "max_tokens: ", "max_tokens"),
    ({"logprobs": 21}, "reports up to 20", "logprobs"),
    ({"stop": ["x" * 513]}, "longer than 512", "stop"),
    ({"stop": [str(n) for n in range(33)]}, "33 stop strings", "stop"),
    ({"temperature": 3}, "temperature: ", "temperature"),
    ({"logit_bias": {"x": 1}}, "logit_bias names 'x'", "logit_bias"),
    ({"logit_bias": {"384": 1}}, "token ids run from 0 to 383", "logit_bias"),
    ({"prompt": [1, 2], "suffix": "x"}, "suffix goes with a prompt of text", "suffix"),
]


@pytest.mark.parametrize(("fields", "said", "param"), REFUSED)
def test_what_cannot_be_answered_is_refused_with_the_field(client, fields, said, param):
    with pytest.raises(openai.BadRequestError) as caught:
        asked = {"prompt": "x", "model": "tiny"} | fields
        client.completions.create(**asked)
    error = caught.value
    assert said in error.body["message"] and error.body["param"] == param, error.body
    assert error.response.json()["detail"][0]["msg"] == error.body["message"]


def test_unknown_fields_are_passed_over_and_an_answer_is_compact_json(http):
    body = {"prompt": "x", "max_tokens": 2, "top_kk": 3, "cache_prompt": True, "model": "any"}
    response = http.post("/v1/completions", json=body)
    assert response.status_code == 200
    assert response.text == json.dumps(response.json(), ensure_ascii=False, separators=(",", ":"))


def test_max_tokens_is_lowered_to_what_fits_unless_the_server_is_strict(http, serve):
    body = {"prompt": "x", "max_tokens": 10_000, "temperature": 0, "ignore_eos": True}
    made = http.post("/v1/completions", json=body).json()
    assert made["usage"]["total_tokens"] == 256 and made["choices"][0]["finish_reason"] == "length"
    with serve(clamp=False) as url:
        refused = http.post(f"{url}/v1/completions", json=body)
    assert refused.status_code == 400 and refused.json()["error"]["code"] == "context_length_exceeded"


def test_several_cursors_get_a_choice_each_streamed_or_not(client, engine, tokenizer):
    parts = ["def f(x):\n    y = x + ", "\n    retu", "\n"]
    format = codegen2_format(tokenizer.control, lead_tokens=0)
    asked = {"prompt": "", "model": "tiny", "max_tokens": 7, "temperature": 0.8, "top_p": 1.0, "seed": 3}
    asked["extra_body"] = {"input_parts": parts}
    expected = infill_many(
        engine, tokenizer, format, parts, Sampling(7, temperature=0.8, seed=3), Healer(tokenizer)
    )
    found = client.completions.create(**asked, logprobs=1)
    assert [(choice.index, choice.text) for choice in found.choices] == [
        (gap, answer.text) for gap, answer in enumerate(expected)
    ]
    # Tokens that only repeat the end of a part are not told.
    assert all(len(choice.logprobs.tokens) <= 7 for choice in found.choices)
    assert found.usage.completion_tokens == sum(len(choice.logprobs.tokens) for choice in found.choices)
    asked["suffix"] = ""  # as nothing is said, beside the prompt that the client always sends
    texts = ["", ""]
    for event in client.completions.create(**asked, stream=True):
        texts[event.choices[0].index] += event.choices[0].text
    assert texts == [answer.text for answer in expected]


def test_a_prompt_without_a_suffix_is_healed_only_where_that_is_asked_for(client, engine, tokenizer):
    text = "def add(a, b):\n    retu"
    plain = client.completions.create(prompt=text, **GREEDY)
    assert plain.choices[0].text == complete(engine, tokenizer, text, Sampling(20)).run().text
    healed = client.completions.create(prompt=text, **GREEDY, extra_body={"token_healing": True}, logprobs=0)
    assert healed.usage.prompt_tokens < plain.usage.prompt_tokens
    tokens = healed.choices[0].logprobs.tokens
    assert 0 < len(tokens) <= 20 and healed.usage.completion_tokens == len(tokens)
    with pytest.raises(openai.BadRequestError, match="leave out token_healing"):
        client.completions.create(prompt=text, echo=True, **GREEDY, extra_body={"token_healing": True})
    with pytest.raises(openai.BadRequestError, match="leave out prompt"):
        client.completions.create(prompt=text, **GREEDY, extra_body={"input_parts": ["a", "b"]})
