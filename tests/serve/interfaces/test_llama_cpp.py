"""llama.cpp's routes answer as llama.vim and llama.vscode read them, with the tokens of ``suffix``."""

import importlib.util
import json
import re
import urllib.request
from pathlib import Path

import pytest

from spanmix.serve.block_end import BlockEnd

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
        "truncated": False,
    }


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
