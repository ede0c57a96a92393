"""Ollama's, TGI's, Mistral's, FauxPilot's and Tabby's clients get the answer that ``suffix`` gives."""

import json

import pytest

PREFIX, SUFFIX = "def f(x):\n    y = ", "\n    return y\n"


@pytest.fixture(scope="module")
def expected(http):
    """The answer of 20 tokens, greedy."""
    body = {"prompt": PREFIX, "suffix": SUFFIX, "max_tokens": 20, "temperature": 0}
    return http.post("/v1/completions", json=body).json()


@pytest.fixture(scope="module")
def text(expected):
    return expected["choices"][0]["text"]


def lines_of(http, path, body):
    with http.stream("POST", path, json=body) as response:
        assert response.status_code == 200
        return response.headers["content-type"], [line for line in response.iter_lines() if line]


def test_ollama(http, text, expected):
    body = {
        "model": "any",
        "prompt": PREFIX,
        "suffix": SUFFIX,
        "options": {"num_predict": 20, "temperature": 0},
    }
    kind, lines = lines_of(http, "/api/generate", body)
    parts = [json.loads(line) for line in lines]
    assert kind == "application/x-ndjson" and "".join(part["response"] for part in parts) == text
    assert [part["done"] for part in parts] == [False] * (len(parts) - 1) + [True]
    assert parts[-1]["prompt_eval_count"] == expected["usage"]["prompt_tokens"]
    assert (parts[-1]["eval_count"], parts[-1]["done_reason"]) == (20, "length")
    plain = http.post("/api/generate", json=body | {"stream": False}).json()
    assert (plain["response"], plain["done"]) == (text, True)
    show = http.post("/api/show", json={"model": "any"}).json()
    assert ".Suffix" in show["template"] and "insert" in show["capabilities"]
    assert [model["name"] for model in http.get("/api/tags").json()["models"]] == ["tiny"]
    assert http.get("/api/version").json()["version"]
    refused = http.post("/api/generate", json={"prompt": 3})
    assert refused.status_code == 400 and isinstance(refused.json()["error"], str)


def test_zed_through_ollama_writes_the_sentinels_itself(http, text):
    prompt = f"<|fim_prefix|>{PREFIX}<|fim_suffix|>{SUFFIX}<|fim_middle|>"
    body = {"model": "m", "prompt": prompt, "raw": True, "stream": False}
    body["options"] = {"num_predict": 20, "temperature": 0, "stop": ["<|endoftext|>", "<|file_sep|>"]}
    answer = http.post("/api/generate", json=body)
    assert answer.json()["response"] == text and answer.headers["x-fim-dialect"] == "qwen"
    with http.stream("POST", "/api/generate", json=body | {"stream": True}) as streamed:
        assert streamed.headers["x-fim-dialect"] == "qwen"


def test_continue_writes_sentinels_to_llama_cpps_and_mistrals_routes(http, text):
    prompt = f"<fim_prefix>{PREFIX}<fim_suffix>{SUFFIX}<fim_middle>"
    body = {"prompt": prompt, "n_predict": 20, "max_tokens": 20, "temperature": 0}
    for path in ("/completion", "/v1/fim/completions"):
        answer = http.post(path, json=body)
        assert text in (answer.json().get("content"), _mistral_text(answer.json()))
        assert answer.headers["x-fim-dialect"] == "starcoder"
        with http.stream("POST", path, json=body | {"stream": True}) as streamed:
            assert streamed.headers["x-fim-dialect"] == "starcoder"
    plain = {"prompt": PREFIX, "max_tokens": 20, "temperature": 0}
    continued = http.post("/v1/completions", json=plain).json()["choices"][0]["text"]
    assert _mistral_text(http.post("/v1/fim/completions", json=plain).json()) == continued


def _mistral_text(answer):
    return answer["choices"][0]["message"]["content"] if "choices" in answer else None


def test_tgi(http, text):
    inputs = f"<fim_prefix>{PREFIX}<fim_suffix>{SUFFIX}<fim_middle>"
    body = {
        "inputs": inputs,
        "parameters": {"max_new_tokens": 20, "return_full_text": False, "details": True},
    }
    plain = http.post("/generate", json=body)
    assert plain.json()["generated_text"] == text and plain.headers["x-fim-dialect"] == "starcoder"
    assert plain.json()["details"]["generated_tokens"] == 20
    full = http.post(
        "/", json={"inputs": inputs, "parameters": {"max_new_tokens": 20, "return_full_text": True}}
    )
    assert full.json()["generated_text"] == inputs + text
    _, lines = lines_of(http, "/generate_stream", body)
    events = [json.loads(line.removeprefix("data:")) for line in lines]
    assert "".join(event["token"]["text"] for event in events) == text
    assert [event["generated_text"] for event in events] == [None] * 19 + [text]
    assert http.get("/info").json()["max_total_tokens"] == 256
    refused = http.post("/generate", json={"inputs": "x", "parameters": {"max_new_tokens": 0}})
    assert refused.status_code == 400 and refused.json()["error_type"] == "validation"


def test_mistral(http, text, expected):
    body = {"model": "codestral", "prompt": PREFIX, "suffix": SUFFIX, "max_tokens": 20, "temperature": 0}
    plain = http.post("/v1/fim/completions", json=body).json()
    assert plain["choices"][0]["message"]["content"] == text and plain["usage"] == expected["usage"]
    _, lines = lines_of(http, "/v1/fim/completions", body | {"stream": True})
    assert lines[-1] == "data: [DONE]"
    chunks = [json.loads(line[6:]) for line in lines[:-1]]
    assert "".join(chunk["choices"][0]["delta"]["content"] for chunk in chunks) == text
    assert chunks[-1]["usage"] == expected["usage"]


@pytest.mark.parametrize("path", ["/v1/engines/codegen/completions", "/beta/completions"])
def test_fauxpilot_and_deepseek_ask_the_same_elsewhere(http, text, path):
    body = {
        "prompt": PREFIX,
        "suffix": SUFFIX,
        "max_tokens": 20,
        "temperature": 0,
        "extra": {"language": "python"},
    }
    assert http.post(path, json=body).json()["choices"][0]["text"] == text


def test_tabby(http):
    segments = {"prefix": PREFIX, "suffix": SUFFIX, "filepath": "a.py", "declarations": None}
    body = {"language": "python", "segments": segments, "temperature": 0}
    plain = http.post("/v1/completions", json=body).json()
    same = {"prompt": PREFIX, "suffix": SUFFIX, "max_tokens": 64, "temperature": 0}
    assert plain["choices"][0]["text"] == http.post("/v1/completions", json=same).json()["choices"][0]["text"]
    segments["declarations"] = [{"filepath": "b.py", "body": "def g(): ...\n"}]
    shown = same | {"prompt": f"# b.py\ndef g(): ...\n{PREFIX}"}
    other = http.post("/v1/completions", json=body).json()
    assert (
        other["choices"][0]["text"] == http.post("/v1/completions", json=shown).json()["choices"][0]["text"]
    )
    assert http.post("/v1/health").json()["model"] == "tiny"
    assert http.post("/v1/events", json={"type": "view"}).status_code == 204
    assert http.get("/v1beta/server_setting").json()["disable_client_side_telemetry"] is True
