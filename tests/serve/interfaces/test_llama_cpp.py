"""llama.cpp's routes answer as llama.vim and llama.vscode read them, with the tokens of ``suffix``."""

import importlib.util
import json
import re
import urllib.request
from pathlib import Path

import pytest

from spanmix.generate.asked import Asked
from spanmix.generate.formats import codegen2_format
from spanmix.generate.healing import Healer
from spanmix.generate.infill import infill_many
from spanmix.generate.opening import OpenModel
from spanmix.generate.text import Sampling
from spanmix.generate.torch_engine import TorchEngine
from spanmix.serve.block_end import BlockEnd
from spanmix.serve.line_end import LineEnd
from spanmix.serve.prompts import PromptWriter
from spanmix.serve.reading import Reading

_spec = importlib.util.spec_from_file_location("clients", Path(__file__).with_name("clients.py"))
clients = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(clients)
LLAMA_VIM = clients.LLAMA_VIM


@pytest.fixture
def body():
    return LLAMA_VIM | {"temperature": 0}


def test_what_llama_vim_sends_gives_the_tokens_of_suffix(url, body, client):
    headers = {"Authorization": "Bearer ", "Content-Type": "application/json"}
    request = urllib.request.Request(f"{url}/infill", json.dumps(body).encode(), headers)
    with urllib.request.urlopen(request) as response:
        raw = response.read().decode()
    answer = json.loads(raw)
    assert set(answer) == set(LLAMA_VIM["response_fields"])
    assert re.match(r'\{"content":"', raw)  # its pattern allows no blank
    prefix = body["input_prefix"] + body["prompt"]
    same = client.completions.create(
        model="", prompt=prefix, suffix=body["input_suffix"], max_tokens=20, temperature=0
    )
    assert answer["content"] == same.choices[0].text
    assert answer["timings/prompt_n"] == same.usage.prompt_tokens and answer["truncated"] is False


def test_the_request_that_warms_up_is_answered_at_once(http, body):
    warm = body | {
        "n_predict": 0,
        "t_max_prompt_ms": 1,
        "samplers": [],
        "prompt": "",
        "response_fields": [""],
    }
    response = http.post("/infill", json=warm)
    assert (response.status_code, response.json()) == (200, {})


def test_a_stream_has_what_the_plain_answer_has(http, body):
    del body["response_fields"]
    plain = http.post("/infill", json=body).json()
    with http.stream("POST", "/infill", json=body | {"stream": True}) as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        parts = [json.loads(line[6:]) for line in response.iter_lines() if line]
    assert "".join(part["content"] for part in parts) == plain["content"]
    assert [part["stop"] for part in parts] == [False] * (len(parts) - 1) + [True]
    assert parts[-1]["stop_type"] == plain["stop_type"] in ("eos", "limit")
    assert parts[-1]["tokens_predicted"] == plain["tokens_predicted"] == 20


def test_other_files_are_shown_while_there_is_room(http, body):
    body |= {"response_fields": ["tokens_evaluated", "truncated"]}
    files = [{"filename": f"src/{name}.py", "text": f"{name} = 1\n"} for name in "ab"]
    without = http.post("/infill", json=body).json()["tokens_evaluated"]
    one = http.post("/infill", json=body | {"input_extra": files[:1]}).json()["tokens_evaluated"]
    both = http.post("/infill", json=body | {"input_extra": files}).json()["tokens_evaluated"]
    assert without < one < both
    # A file that does not fit is left out, and so are those in front of it.
    large = {"filename": "large.py", "text": "x = 1\n" * 500}
    assert http.post("/infill", json=body | {"input_extra": [files[0], large]}).json() == {
        "tokens_evaluated": without,
        "truncated": True,
    }
    assert not http.post("/infill", json=body | {"input_extra": files}).json()["truncated"]


def test_completion_with_several_answers_stop_words_and_ids(http, tokenizer):
    ids = [tokenizer.control.eot, *tokenizer.encode("x = [1, ")]
    asked = {"prompt": ids, "n_predict": 15, "temperature": 1.5, "top_k": 0, "top_p": 1.0, "seed": 3}
    answers = http.post("/completion", json=asked | {"n_cmpl": 3}).json()
    assert [answer["index"] for answer in answers] == [0, 1, 2]
    assert len({answer["content"] for answer in answers}) == 3
    text = answers[0]["content"]
    word = text[3:5]
    stopped = http.post("/completion", json=asked | {"stop": [word]}).json()
    assert (stopped["stop_type"], stopped["stopping_word"]) == ("word", word)
    assert stopped["content"] == text[: text.index(word)]
    same = http.post("/completion", json=asked | {"prompt": "x = [1, "}).json()
    assert same["content"] == text


def test_tokens_come_and_go_with_either_name(http, tokenizer):
    text = "def f(): <mask_1> ☃"
    ids = tokenizer.encode(text)
    for name in ("content", "prompt"):
        assert http.post("/tokenize", json={name: text}).json()["tokens"] == ids
    pieces = http.post("/tokenize", json={"content": text, "with_pieces": True}).json()["tokens"]
    assert [piece["id"] for piece in pieces] == ids
    answer = http.post("/detokenize", json={"tokens": ids}).json()
    assert answer["content"] == answer["prompt"] == text
    refused = http.post("/detokenize", json={"tokens": [999]})
    assert refused.status_code == 400 and "0 to 383" in refused.json()["error"]["message"]


def test_when_the_time_is_over_an_answer_ends_at_the_first_end_of_a_line_that_comes():
    text = "a\nb = 1\n    c\nd"
    for size in range(1, 9):
        rule = LineEnd(1.0)
        pieces = [text[start : start + size] for start in range(2, len(text), size)]
        given = rule.push("a\n", 5.0)
        while not rule.is_over:
            given += rule.push(pieces.pop(0), 6.0)
        assert given == "a\nb = 1\n"
    assert LineEnd(None).push("a\nb", 1e9) == LineEnd(9.0).push("a\nb", 1e9) == "a\nb"


def test_the_time_for_an_answer_never_ends_it_within_a_line(http):
    asked = {"input_prefix": "x = [", "input_suffix": "]\n", "n_predict": 60, "temperature": 2, "top_p": 1}
    num_ended = 0
    for seed in range(20):
        whole = http.post("/infill", json=asked | {"seed": seed}).json()
        ended = http.post("/infill", json=asked | {"seed": seed, "t_max_predict_ms": 1}).json()
        if ended["content"] != whole["content"]:
            assert whole["content"].startswith(ended["content"]) and ended["content"].endswith("\n")
            assert ended["stop_type"] == "limit"
            num_ended += 1
    assert num_ended > 0


def test_an_empty_file_is_answered_and_a_body_without_text_refused(http):
    empty = {"input_prefix": "", "input_suffix": "", "n_predict": 2}
    assert http.post("/infill", json=empty).status_code == 200
    refused = http.post("/infill", json={"max_tokens": 3})
    assert refused.status_code == 400 and "there is no text" in refused.json()["error"]["message"]


def test_errors_are_in_llama_cpps_form(http, body):
    error = http.post("/infill", json=body | {"n_predict": "many"}).json()["error"]
    assert (
        error["code"] == 400 and "n_predict" in error["message"] and error["type"] == "invalid_request_error"
    )


def test_a_block_ends_at_a_line_that_is_indented_less_however_the_text_comes():
    text = "a\n    b\n\n    c\n  d\ne"
    for size in range(1, 8):
        rule = BlockEnd(4)
        given = "".join(rule.push(text[start : start + size]) for start in range(0, len(text), size))
        assert (given, rule.is_over) == ("a\n    b\n\n    c\n", True)
    rule = BlockEnd(0)
    assert rule.push(text) + rule.flush() == text and not rule.is_over


@pytest.fixture
def by_the_library(decoder, tokenizer):
    """What the model writes in the gaps of some parts, without a server."""

    def written(parts, max_tokens, healed=True, **how):
        format = codegen2_format(tokenizer.control, lead_tokens=0)
        healer = Healer(tokenizer) if healed else None
        answers = infill_many(
            TorchEngine(decoder), tokenizer, format, parts, Sampling(max_tokens, **how), healer
        )
        return [answer.text for answer in answers]

    return written


def test_a_cursor_inside_a_word_is_healed_unless_that_is_not_wanted(http, by_the_library):
    parts = ["def add(a, b):\n    retu", "\n"]
    asked = {"input_prefix": parts[0], "input_suffix": parts[1], "n_predict": 12, "temperature": 0}
    for field, healed in (({}, True), ({"token_healing": True}, True), ({"token_healing": False}, False)):
        answer = http.post("/infill", json=asked | field).json()
        assert [answer["content"]] == by_the_library(parts, 12, healed)
        assert answer["tokens_predicted"] <= 12
    assert by_the_library(parts, 12, True) != by_the_library(parts, 12, False)
    # Without a suffix it has to be asked for; ``/completion`` is else what it was.
    plain = [
        {"prompt": parts[0], "n_predict": 12, "temperature": 0} | more
        for more in ({}, {"token_healing": False})
    ]
    assert len({http.post("/completion", json=one).json()["content"] for one in plain}) == 1
    healed = http.post("/completion", json=plain[0] | {"token_healing": True}).json()
    assert healed["tokens_evaluated"] < http.post("/completion", json=plain[0]).json()["tokens_evaluated"]


def test_several_cursors_get_what_the_library_gives(http, by_the_library):
    parts = ["def add(a, b):\n    retu", "\n\n\nclass N", "me:\n    ", "\n"]
    for how in ({"temperature": 0}, {"temperature": 0.9, "top_p": 1.0, "seed": 5}):
        asked = {"input_parts": parts, "n_predict": 9} | how
        answers = http.post("/infill", json=asked).json()
        assert [answer["index"] for answer in answers] == [0, 1, 2]
        assert [answer["content"] for answer in answers] == by_the_library(parts, 9, **how)
        with http.stream("POST", "/infill", json=asked | {"stream": True}) as response:
            told = [json.loads(line[6:]) for line in response.iter_lines() if line]
        for answer in answers:
            mine = [part for part in told if part["index"] == answer["index"]]
            assert "".join(part["content"] for part in mine) == answer["content"]
            assert [part["stop"] for part in mine] == [False] * (len(mine) - 1) + [True]
    # One cursor is a list of one, with the answer of its prefix and suffix.
    [one] = http.post("/infill", json={"input_parts": parts[:2], "n_predict": 9, "temperature": 0}).json()
    assert [one["content"]] == by_the_library(parts[:2], 9)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"input_parts": ["a"]}, "at least 2"),
        ({"input_parts": ["a", "b"], "prompt": "c"}, "leave out input_prefix"),
        ({"input_parts": ["a", "b"], "n_cmpl": 2}, "leave out input_prefix"),
        ({"input_parts": ["a"] * 12}, "this model can fill 9 at once"),
        ({"input_parts": ["a", "b " * 300, "c"]}, "does not fit"),
    ],
)
def test_cursors_that_cannot_be_answered_together_are_refused(http, fields, said):
    response = http.post("/infill", json={"n_predict": 4} | fields)
    assert response.status_code == 400 and said in response.json()["error"]["message"]


def test_a_prompt_that_takes_longer_than_its_client_waits_is_cut_around_the_cursor(
    http, decoder, tokenizer, monkeypatch
):
    prefix, suffix = "".join(f"x_{n} = {n}\n" for n in range(12)) + "y = ", "\nz = 1\n" * 6
    asked = {"input_prefix": prefix, "input_suffix": suffix, "n_predict": 8, "temperature": 0}
    whole = http.post("/infill", json=asked).json()
    monkeypatch.setattr(Reading, "most_tokens", lambda self, ids, seconds: 64 if seconds < 1 else None)
    assert http.post("/infill", json=asked | {"t_max_prompt_ms": 2000}).json()["content"] == whole["content"]
    cut = http.post("/infill", json=asked | {"t_max_prompt_ms": 500}).json()
    assert cut["truncated"] and not whole["truncated"]
    assert cut["tokens_evaluated"] <= 64 < whole["tokens_evaluated"]
    # What is left is asked for as ever: the end of the prefix, and the beginning of the suffix.
    format = codegen2_format(tokenizer.control, lead_tokens=0)
    model = OpenModel("tiny", TorchEngine(decoder), tokenizer, Asked((), format), None)
    prompt = PromptWriter(model, 256, 0.35).infill([prefix, suffix], 8, most_prompt=64)
    assert len(prompt.ids) == cut["tokens_evaluated"]
    shown, eot, asking = (
        tokenizer.decode(prompt.ids).removeprefix("<|endoftext|>").rpartition("<|endoftext|>")
    )
    front, behind = shown.split("<mask_1>")
    assert prefix.encode().endswith(front.encode() + prompt.opening.data) and len(front) > 20
    assert suffix.startswith(behind) and len(behind) > 5 and (eot + asking).endswith("<sep><mask_1>")


def test_what_is_known_of_reading_says_how_long_a_prompt_may_be():
    for keeps, expected in ((True, None), (False, 256)):
        reading = Reading(keeps)
        assert reading.most_tokens(range(1000), 0.001) is None  # nothing is known yet
        reading.note(range(1000), 2.0)
        reading.note(range(1010), 0.001)  # where prompts are kept hardly anything of it was new
        if not keeps:
            reading.note(range(5000, 6000), 2.0)
        assert reading.most_tokens(range(1020), 0.6) == expected
        assert reading.most_tokens(range(9000, 9900), 0.6) == 256
        assert reading.most_tokens(range(9000, 9900), 0.0001) == 64
