"""A server in trouble is asked again as it wishes, and every other trouble is told."""

import threading
import time
from types import SimpleNamespace

import pytest

from spanmix.errors import InputError, SpanmixError
from spanmix.generate.completions_client import Endpoint, api_key_of
from spanmix.generate.engine import ScoreRequest


@pytest.fixture
def slept(monkeypatch):
    """The pauses that the client makes, and no other thread; they take no time."""
    pauses = []
    clock = SimpleNamespace(sleep=pauses.append, time=time.time)
    monkeypatch.setattr("spanmix.generate.completions_client.time", clock)
    return pauses


BUSY = (429, {"Retry-After": "7"}, {"error": {"message": "slow down"}})


@pytest.mark.parametrize(
    ("before", "pauses"),
    [
        ([BUSY], [7.0]),
        ([BUSY, (500, {}, b"oops"), (503, {"Retry-After": "soon"}, {})], [7.0, 1.0, 2.0]),
        ([(429, {"Retry-After": "Thu, 01 Jan 1970 00:00:00 GMT"}, {})], [0.0]),
        ([(None, {}, None)], [0.5]),
        ([(502, {}, {}), (504, {}, {}), (408, {}, {})], [0.5, 1.0, 2.0]),
    ],
)
def test_a_busy_server_is_asked_again_after_the_pause_it_asks_for(open_engine, slept, before, pauses):
    engine, model = open_engine()
    model.before.extend(before)
    assert len(engine.score([ScoreRequest([1], [2, 3])])[0].logprobs) == 2
    assert slept == pauses
    assert len(model.bodies) == len(before) + 1
    assert all(body == model.bodies[0] for body in model.bodies)


@pytest.mark.parametrize(
    ("answer", "asked", "told"),
    [
        ((500, {}, {"error": {"message": "worker died"}}), 6, r"500, worker died \(asked 6 times\)"),
        ((429, {"Retry-After": "900"}, {}), 1, "left alone for 900 s"),
        ((400, {}, {"error": {"message": "bad field"}}), 1, "400, bad field"),
        ((404, {}, {"error": "no such model"}), 1, "404, no such model"),
        ((401, {}, {}), 1, "another API key"),
        ((302, {"Location": "http://127.0.0.1:9/"}, {}), 1, "another address"),
        ((200, {}, b"{" * (2**24 + 1)), 1, "longer than 16,777,216 bytes"),
        ((200, {}, {"error": {"message": "out of memory"}}), 1, "out of memory"),
        ((200, {}, {"choices": []}), 1, "1 prompts has 0 choices"),
        ((None, {}, None), 6, r"does not answer: .* \(asked 6 times\)"),
    ],
)
def test_other_errors_are_told_and_not_tried_again(open_engine, slept, answer, asked, told):
    engine, model = open_engine()
    model.before.extend([answer] * asked)
    with pytest.raises(SpanmixError, match=told):
        engine.score([ScoreRequest([1], [2, 3])])
    assert len(model.bodies) == asked
    assert len(slept) == asked - 1


def test_a_server_that_takes_too_long_is_asked_again(make_model_server, serve):
    model = make_model_server()
    done, asked = threading.Event(), []

    def on_request():
        asked.append(1)
        if len(asked) == 1:
            done.wait(60)

    with serve(model) as url:
        endpoint = Endpoint(url, timeout_seconds=2, retries=200)
        model.on_request = on_request
        try:
            (choice,) = endpoint.complete([[1, 2, 3]], max_tokens=2)
        finally:
            done.set()
        assert choice.finish_reason == "length"
        assert len(asked) >= 2


def test_the_key_is_sent_and_never_told(make_model_server, serve, monkeypatch):
    monkeypatch.setenv("MY_KEY", "s3cret")
    monkeypatch.delenv("NO_KEY", raising=False)
    assert api_key_of("MY_KEY") == "s3cret"
    with pytest.raises(InputError, match="no variable NO_KEY"):
        api_key_of("NO_KEY")
    model = make_model_server()
    with serve(model) as url:
        endpoint = Endpoint(f"{url}/v1/completions", api_key=api_key_of("MY_KEY"))
        endpoint.complete([[1, 2]], max_tokens=1)
        assert model.headers[-1]["Authorization"] == "Bearer s3cret"
        assert "s3cret" not in repr(endpoint)
        Endpoint(url).complete([[1, 2]], max_tokens=1)
        assert "Authorization" not in model.headers[-1]
        with pytest.raises(InputError, match="no header can hold") as raised:
            Endpoint(url, api_key="s3cret\n")
        assert "s3cret" not in str(raised.value)
    with pytest.raises(InputError, match="does not answer"):
        Endpoint(url)  # nobody is there any more, and nobody is waited for
    for address in ("ftp://x/v1", "http://", "http://a:b@host/v1", "http://host/v1?key=1"):
        with pytest.raises(InputError, match="address"):
            Endpoint(address)
