"""Prompt and answer that do not fit together get the same room on every interface."""

import httpx
import pytest

PREFIX, SUFFIX = "def f(x):\n    y = ", "\n    return y\n"
CONTEXT = 256
LEAST = CONTEXT // 4


def ask_openai(http, prefix, suffix, num):
    body = {"prompt": prefix, "suffix": suffix, "max_tokens": num, "temperature": 0, "ignore_eos": True}
    return http.post("/v1/completions", json=body), lambda answer: (
        answer["usage"]["prompt_tokens"],
        answer["usage"]["completion_tokens"],
    )


def ask_llama_cpp(http, prefix, suffix, num):
    body = {"input_prefix": prefix, "input_suffix": suffix, "n_predict": num, "ignore_eos": True}
    return http.post("/infill", json=body), lambda answer: (
        answer["tokens_evaluated"],
        answer["tokens_predicted"],
    )


def ask_completion(http, prefix, suffix, num):
    body = {"prompt": sentinels(prefix, suffix), "n_predict": num, "ignore_eos": True}
    return http.post("/completion", json=body), lambda answer: (
        answer["tokens_evaluated"],
        answer["tokens_predicted"],
    )


def ask_mistral(http, prefix, suffix, num):
    body = {"prompt": prefix, "suffix": suffix, "max_tokens": num, "min_tokens": num}
    return http.post("/v1/fim/completions", json=body), lambda answer: (
        answer["usage"]["prompt_tokens"],
        answer["usage"]["completion_tokens"],
    )


def ask_ollama(http, prefix, suffix, num):
    body = {"prompt": prefix, "suffix": suffix, "stream": False, "options": {"num_predict": num}}
    return http.post("/api/generate", json=body), lambda answer: (answer["prompt_eval_count"], None)


def ask_tgi(http, prefix, suffix, num):
    body = {"inputs": sentinels(prefix, suffix), "parameters": {"max_new_tokens": num, "details": True}}
    return http.post("/generate", json=body), None


def sentinels(prefix, suffix):
    return f"<fim_prefix>{prefix}<fim_suffix>{suffix}<fim_middle>"


ASKERS = [ask_openai, ask_llama_cpp, ask_completion, ask_mistral, ask_ollama, ask_tgi]


@pytest.fixture(scope="module")
def strict(serve):
    with serve(clamp=False) as url, httpx.Client(base_url=url) as made:
        yield made


@pytest.mark.parametrize("ask", ASKERS)
def test_a_prompt_that_fits_stays_whole_and_max_tokens_is_lowered(http, strict, ask):
    whole = ask_openai(http, PREFIX, SUFFIX, 8)[0].json()["usage"]["prompt_tokens"]
    for num in (CONTEXT - whole + 1, CONTEXT, 10_000):
        response, read = ask(http, PREFIX, SUFFIX, num)
        assert response.status_code == 200
        if read is not None:
            num_read, num_made = read(response.json())
            assert num_read == whole
            # Some of the room is kept for what the answer repeats of the text.
            assert num_made is None or CONTEXT - whole - 8 <= num_made <= CONTEXT - whole
        refused, _ = ask(strict, PREFIX, SUFFIX, num)
        assert refused.status_code == 400
        assert f"maximum context length is {CONTEXT} tokens" in refused.text
        assert f"{num} in the completion" in refused.text
    assert ask(strict, PREFIX, SUFFIX, 20)[0].status_code == 200


@pytest.mark.parametrize("ask", [ask_openai, ask_llama_cpp, ask_completion, ask_mistral])
def test_a_text_is_cut_for_an_answer_of_a_quarter_of_the_context_and_no_more(http, strict, ask):
    prefix = "".join(f"x_{n} = {n}\n" for n in range(200)) + PREFIX
    for num in (LEAST, 10_000):
        response, read = ask(http, prefix, SUFFIX, num)
        num_read, num_made = read(response.json())
        assert num_read > CONTEXT // 2 and LEAST <= num_made <= CONTEXT - num_read
        assert num_made == LEAST or num > LEAST
    assert ask(strict, prefix, SUFFIX, LEAST)[0].status_code == 200  # as ever: the text is cut
    refused, _ = ask(strict, prefix, SUFFIX, 200)
    assert refused.status_code == 400 and "requested at least " in refused.text


def test_n_predict_that_is_not_said_is_what_fits_and_never_refused(http, strict):
    for prefix in (PREFIX, "x = 1\n" * 300):
        for one in (http, strict):
            assert ask_llama_cpp(one, prefix, SUFFIX, -1)[0].status_code == 200
    files = [{"filename": "a.py", "text": "x = 1\n" * 10}]
    body = {"input_prefix": PREFIX, "input_suffix": SUFFIX, "input_extra": files, "n_predict": -1}
    for one in (http, strict):
        answer = one.post("/infill", json=body).json()
        assert not answer["truncated"] and answer["tokens_predicted"] <= CONTEXT - answer["tokens_evaluated"]


def test_cursors_share_what_is_left(http, strict):
    body = {"input_parts": [PREFIX, "\n    z = ", SUFFIX], "max_tokens": 10_000, "ignore_eos": True}
    usage = http.post("/v1/completions", json=body).json()["usage"]
    assert CONTEXT * 0.8 < usage["total_tokens"] <= CONTEXT
    assert strict.post("/v1/completions", json=body).status_code == 400
