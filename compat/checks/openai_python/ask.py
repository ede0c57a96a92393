"""ask.py URL LOCKED MODEL: LOCKED wants the key `right`, and lets one request in at a time."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import openai
from own_python import tell
from report import CheckFailedError, expect

URL, LOCKED, MODEL = sys.argv[1:]
PROMPT, SUFFIX = "def f(x):\n    y = ", "\n    return y\n"
LONG = {"max_tokens": 1500, "stream": True, "extra_body": {"ignore_eos": True}}
FIELDS = {"model": MODEL, "prompt": PROMPT, "suffix": SUFFIX, "max_tokens": 24, "temperature": 0}


def client(base: str = URL, key: str = "none", retries: int = 0) -> openai.OpenAI:
    """Return a client of a server."""
    return openai.OpenAI(base_url=f"{base}/v1", api_key=key, max_retries=retries)


def ask(*, by: openai.OpenAI | None = None, **fields: Any) -> Any:
    """Ask for a completion, greedily unless the fields say otherwise."""
    return (by or client()).completions.create(**FIELDS | fields)


def refused(kind: type[Exception], what: str, act: Callable[[], Any]) -> Any:
    """Return the error of a class that an action ends with."""
    try:
        came = act()
    except kind as error:
        return error
    raise CheckFailedError(what, kind.__name__, repr(came))


def names_the_model() -> None:
    """models.list() and models.retrieve() name the model"""
    expect("models.list()", [MODEL], [one.id for one in client().models.list()])
    expect("models.retrieve()", MODEL, client().models.retrieve(MODEL).id)


def infills() -> None:
    """completions.create() with suffix: text, finish_reason, usage"""
    answer = ask()
    [choice] = answer.choices
    expect("finish_reason", True, choice.finish_reason in ("stop", "length"))
    expect("usage", answer.usage.total_tokens, answer.usage.prompt_tokens + answer.usage.completion_tokens)
    expect("a text that heeds the suffix", True, choice.text not in ("", ask(suffix=None).choices[0].text))


def streams() -> None:
    """stream=True gives the same text piece by piece, and usage where it is asked for"""
    events = list(ask(stream=True, extra_body={"stream_options": {"include_usage": True}}))
    told = [choice for event in events for choice in event.choices]
    expect("streamed text", ask().choices[0].text, "".join(choice.text for choice in told))
    expect("last finish_reason", ask().choices[0].finish_reason, told[-1].finish_reason)
    expect("last usage", ask().usage, events[-1].usage)


def stops() -> None:
    """stop ends an answer in front of the string, as a text and as a list"""
    whole = ask().choices[0].text
    mark = whole[4:7]
    for stop in (mark, ["never there", mark]):
        [choice] = ask(stop=stop).choices
        expect("stopped text", (whole[: whole.index(mark)], "stop"), (choice.text, choice.finish_reason))


def tells_logprobs() -> None:
    """logprobs, whole and streamed: the same tokens, and the greedy one the likeliest"""
    told = ask(logprobs=3).choices[0].logprobs
    expect("likeliest", [max(top.values()) for top in told.top_logprobs], told.token_logprobs)
    streamed = [event.choices[0].logprobs for event in ask(logprobs=3, stream=True)]
    expect("streamed tokens", told.tokens, [token for one in streamed for token in one.tokens])


def gives_several() -> None:
    """n, seed, echo, several prompts and token ids"""
    drawn = [
        [choice.text for choice in ask(n=2, extra_body={"seed": 7}, temperature=1).choices] for _ in "ab"
    ]
    expect("choices of one seed", drawn[0], drawn[1])
    expect("two choices that differ", 2, len(set(drawn[0])))
    echoed = ask(suffix=None, echo=True).choices[0].text
    expect("echo", PROMPT, echoed[: len(PROMPT)])
    expect("two prompts", [0, 1], [one.index for one in ask(suffix=None, prompt=["a = ", "b = "]).choices])
    expect("token ids", 3, ask(suffix=None, prompt=[40, 41, 42]).usage.prompt_tokens)


def refuses() -> None:
    """400 is a BadRequestError with type and param, 404 a NotFoundError, 401 an AuthenticationError"""
    wrong = {"max_tokens": -1, "temperature": 9, "logprobs": 1000, "prompt": "x = 1\n" * 5000}
    for param, value in wrong.items():
        fields = {param: value} | ({"suffix": None} if param == "prompt" else {})
        error = refused(openai.BadRequestError, param, lambda fields=fields: ask(**fields))
        told = error.response.json()["error"]  # the oldest has no `type` of its own
        expect(f"error of {param}", ("invalid_request_error", param), (told["type"], told["param"]))
    refused(openai.NotFoundError, "another model's name", lambda: client().models.retrieve("gpt-none"))
    error = refused(openai.AuthenticationError, "a wrong key", lambda: ask(by=client(LOCKED, "wrong")))
    expect("code", "invalid_api_key", error.response.json()["error"]["code"])
    expect("the right key", ask().choices[0].text, ask(by=client(LOCKED, "right")).choices[0].text)


def frees_what_is_closed() -> None:
    """429 is a RateLimitError with Retry-After; a closed stream frees its place, and a retry gets it"""
    for _ in range(3):
        stream = ask(by=client(LOCKED, "right", retries=5), **LONG)
        next(iter(stream))
        error = refused(openai.RateLimitError, "a full server", lambda: ask(by=client(LOCKED, "right")))
        expect("Retry-After", True, int(error.response.headers["retry-after"]) >= 1)
        stream.response.close()
    retried = ask(by=client(LOCKED, "right", retries=5))
    expect("after the streams", ask().choices[0].text, retried.choices[0].text)


def closes_at_the_end_of_with() -> None:
    """with_streaming_response gives the bytes as they come, and ends the request at the end of with"""
    by = client(LOCKED, "right", retries=5)
    with by.completions.with_streaming_response.create(**FIELDS | LONG) as response:
        line = next(response.iter_lines())
        expect("first line", "data: {", line[:7])
    expect("after with", ask().choices[0].text, ask(by=by).choices[0].text)


CHECKS = [
    names_the_model,
    infills,
    streams,
    stops,
    tells_logprobs,
    gives_several,
    refuses,
    frees_what_is_closed,
]
if hasattr(client().completions, "with_streaming_response"):  # since 1.7
    CHECKS.append(closes_at_the_end_of_with)
for one in CHECKS:
    one()
tell("openai (PyPI)", openai.__version__, [str(one.__doc__) for one in CHECKS])
