"""Who is let in, what is too large or too much, and what becomes of a client that goes away."""

import asyncio
import json
import socket
import threading
import time

import httpx
import openai
import pytest
from prometheus_client.parser import text_string_to_metric_families

from spanmix.generate.torch_engine import TorchEngine
from spanmix.serve.app import make_app
from spanmix.serve.front.gate import Gate
from spanmix.serve.settings import ServeSettings

ENDLESS = {"prompt": "x", "max_tokens": 250, "ignore_eos": True, "temperature": 1}
ROUTES = [
    ("POST", "/v1/completions"),
    ("POST", "/infill"),
    ("POST", "/completion"),
    ("POST", "/tokenize"),
    ("POST", "/detokenize"),
    ("GET", "/props"),
    ("GET", "/v1/models"),
    ("GET", "/openapi.json"),
    ("POST", "/"),
    ("POST", "/generate"),
    ("POST", "/generate_stream"),
    ("POST", "/api/generate"),
    ("GET", "/api/tags"),
    ("POST", "/v1/fim/completions"),
    ("POST", "/v1/engines/codegen/completions"),
    ("POST", "/v1/events"),
]


class SlowEngine(TorchEngine):
    """Takes at least some milliseconds a step, and counts what it forgets."""

    seconds = 0.02

    def __init__(self, *args, **named):
        super().__init__(*args, **named)
        self.cancelled = 0

    def step(self):
        time.sleep(self.seconds)
        return super().step()

    def cancel(self, request_id):
        self.cancelled += 1
        super().cancel(request_id)


def test_a_key_is_asked_for_on_every_route_that_tells_or_runs_anything(serve):
    with serve(api_keys=("secret", "other")) as url, httpx.Client(base_url=url) as http:
        for method, path in ROUTES:
            for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "Bearer"}):
                refused = http.request(method, path, json={}, headers=headers)
                assert refused.status_code == 401, path
                assert "error" in refused.json()
                has_one = "Bearer wrong" in headers.values()
                what = "the API key is not one of this server's" if has_one else "no API key was given"
                assert what in refused.text
        for headers in ({"Authorization": "Bearer secret"}, {"X-Api-Key": "other"}):
            assert http.get("/v1/models", headers=headers).status_code == 200
        assert http.get("/health").json() == {"status": "ok"}
        assert http.get("/ready").status_code == http.get("/metrics").status_code == 200
        with openai.OpenAI(base_url=f"{url}/v1", api_key="wrong", max_retries=0) as client:
            with pytest.raises(openai.AuthenticationError) as caught:
                client.models.list()
            assert caught.value.code == "invalid_api_key"


def test_every_route_but_what_tells_nothing_asks_for_a_key(decoder, tokenizer, serve):
    with serve(api_keys=("secret",)) as url, httpx.Client(base_url=url) as http:
        document = http.get("/openapi.json", headers={"Authorization": "Bearer secret"}).json()
        routes = [(method, path) for path, methods in document["paths"].items() for method in methods]
        opened = {
            path
            for method, path in routes
            if http.request(method, path.replace("{", "").replace("}", "")).status_code != 401
        }
        assert opened == {"/health", "/ready", "/metrics", "/"} and len(routes) > 20


def test_models_tells_what_is_served(client):
    [model] = client.models.list().data
    assert (model.id, model.max_model_len, model.infill) == ("tiny", 256, True)
    assert client.models.retrieve("tiny").id == "tiny"
    with pytest.raises(openai.NotFoundError, match="there is no model 'other'"):
        client.models.retrieve("other")


def test_a_request_that_is_too_large_is_refused_with_or_without_its_length(serve):
    body = json.dumps({"prompt": "x" * 5000, "max_tokens": 1}).encode()
    with serve(max_body_bytes=4000) as url:
        whole = httpx.post(f"{url}/v1/completions", content=body)
        parts = httpx.post(f"{url}/v1/completions", content=iter([body[:3000], body[3000:]]))
        for response in (whole, parts):
            assert response.status_code == 413
            assert response.json()["error"]["code"] == "request_too_large"
        assert httpx.post(f"{url}/v1/completions", json={"prompt": "x"}).status_code == 200


@pytest.mark.parametrize(
    "content", [b"{", b"[]", b"\xff\xfe", b"", b'{"prompt": "\xff"}', b'{"prompt": "\\ud800"}']
)
def test_what_is_no_json_or_no_text_is_refused(http, content):
    response = http.post("/v1/completions", content=content, headers={"Content-Type": "application/json"})
    assert response.status_code == 400 and response.json()["error"]["message"]
    assert http.get("/health").status_code == 200


@pytest.mark.parametrize("path", ["/v1/completions", "/infill", "/api/generate", "/generate"])
def test_json_that_is_broken_is_placed(http, path):
    response = http.post(path, content=b'{"n": 1,\n "x",}', headers={"Content-Type": "application/json"})
    assert response.status_code == 400 and '"0"' not in response.text
    assert "the body is no JSON: Expecting ':' delimiter at line 2, column 5" in response.text


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("/v1/chat/completions", "use /v1/completions, with a prompt"),
        ("/api/chat", "use /v1/completions, with a prompt"),
        ("/v2/completions", "there is no /v2/completions here; /openapi.json lists"),
    ],
)
def test_a_route_that_is_not_there_says_what_is(http, path, said):
    response = http.post(path, json={"messages": []})
    assert response.status_code == 404 and said in response.text


def test_more_choices_than_ever_run_at_once_are_refused_for_good(serve):
    with serve(max_requests=2) as url:
        refused = httpx.post(f"{url}/v1/completions", json={"prompt": "x", "n": 3})
        assert refused.status_code == 400 and "retry-after" not in refused.headers
        assert "3 answers are more than the 2 that run or wait at once" in refused.json()["error"]["message"]
        assert httpx.post(f"{url}/v1/completions", json={"prompt": "x", "n": 2}).status_code == 200


def test_more_than_can_wait_is_refused_with_the_time_to_come_back(serve, decoder):
    with serve(SlowEngine(decoder, max_rows=1), max_requests=3) as url:
        threads = [
            threading.Thread(
                target=httpx.post, args=(f"{url}/v1/completions",), kwargs={"json": ENDLESS, "timeout": 60}
            )
            for _ in range(3)
        ]
        for thread in threads:
            thread.start()
        wait_for(lambda: gauge(url, "spanmix_num_requests_waiting") == 2)
        refused = httpx.post(f"{url}/v1/completions", json=ENDLESS)
        assert refused.status_code == 429 and int(refused.headers["retry-after"]) >= 1
        assert refused.json()["error"]["code"] == "server_busy"
        streamed = httpx.post(f"{url}/v1/completions", json=ENDLESS | {"stream": True})
        assert streamed.status_code == 429
        for thread in threads:
            thread.join()
        assert httpx.post(f"{url}/v1/completions", json={"prompt": "x"}).status_code == 200


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("path", ["/v1/completions", "/completion"])
def test_a_client_that_goes_away_is_forgotten_at_once(serve, decoder, stream, path):
    engine = SlowEngine(decoder)
    body = ENDLESS | {"stream": stream, "n": 2, "n_predict": 120, "n_cmpl": 2}
    with serve(engine) as url:
        host, port = url.removeprefix("http://").split(":")
        data = json.dumps(body).encode()
        with socket.create_connection((host, int(port))) as connection:
            head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            head += f"Content-Length: {len(data)}\r\n\r\n"
            connection.sendall(head.encode() + data)
            wait_for(lambda: gauge(url, "spanmix_num_requests_running") == 2)
        wait_for(lambda: engine.cancelled == 2)
        wait_for(lambda: gauge(url, "spanmix_num_requests_running") == 0)
        assert engine.step() == []
        wait_for(lambda: gauge(url, "spanmix_requests_total", path=path, status="499") == 1)
        assert gauge(url, "spanmix_requests_total", path=path, status="200") is None


@pytest.mark.parametrize("begins", [False, True])
def test_an_answer_that_the_servers_end_cuts_short_is_told_without_a_traceback(begins):
    sent, records = [], []

    async def endless(scope, receive, send):
        await receive()
        if begins:
            await send({"type": "http.response.start", "status": 200, "headers": []})
        await asyncio.Event().wait()

    async def whole():
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message):
        sent.append(message)

    async def ended():
        gate = Gate(endless, ServeSettings(), records.append)
        scope = {"type": "http", "method": "POST", "path": "/v1/completions", "headers": []}
        task = asyncio.create_task(gate(scope, whole, send))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        task.cancel()
        await task

    asyncio.run(ended())
    assert [record["status"] for record in records] == [503]
    assert sent[0]["status"] == (200 if begins else 503)
    assert begins == (len(sent) == 1), "a stream that was cut does not look as if it were whole"


def test_an_engine_that_fails_ends_its_requests_and_goes_on(serve, decoder):
    engine = SlowEngine(decoder)
    step = engine.step
    failures = [RuntimeError("out of memory")]

    def failing():
        if failures:
            raise failures.pop()
        return step()

    engine.step = failing
    with serve(engine) as url:
        failed = httpx.post(f"{url}/v1/completions", json={"prompt": "x"})
        assert failed.status_code == 500 and "out of memory" in failed.json()["error"]["message"]
        assert httpx.post(f"{url}/v1/completions", json={"prompt": "x"}).status_code == 200
        assert gauge(url, "spanmix_engine_faults") == 1


def test_an_engine_that_fails_in_a_stream_says_so_to_the_client(serve, decoder):
    engine = SlowEngine(decoder)
    step, steps = engine.step, []

    def failing():
        steps.append(1)
        if len(steps) == 4:
            raise RuntimeError("out of memory")
        return step()

    engine.step = failing
    with serve(engine) as url, openai.OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0) as client:
        stream = client.completions.create(
            model="tiny", prompt="x", max_tokens=20, stream=True, temperature=1
        )
        with pytest.raises(openai.APIError, match="out of memory"):
            for _ in stream:
                pass


def test_numbers_and_log_tell_of_requests_and_not_of_texts(decoder, tokenizer, running):
    from spanmix.generate.asked import Asked
    from spanmix.generate.formats import codegen2_format
    from spanmix.generate.opening import OpenModel

    lines = []
    control = tokenizer.control
    asked = Asked((control.eot,), codegen2_format(control))
    model = OpenModel("tiny", TorchEngine(decoder), tokenizer, asked, None)
    with running(make_app(model, ServeSettings(), lines.append)) as url:
        body = {"prompt": "a_secret_name = ", "max_tokens": 5, "ignore_eos": True}
        made = httpx.post(f"{url}/v1/completions", json=body, headers={"X-Request-Id": "mine"})
        assert made.headers["x-request-id"] == "mine"
        httpx.get(f"{url}/nothing")
        wait_for(lambda: gauge(url, "spanmix_requests_total", status="404") == 1)
        numbers = httpx.get(f"{url}/metrics").text
    record = json.loads(lines[0])
    usage = made.json()["usage"]
    assert (record["path"], record["status"], record["request_id"]) == ("/v1/completions", 200, "mine")
    assert record["prompt_tokens"] == usage["prompt_tokens"] and record["completion_tokens"] == 5
    assert 0 < record["first_token_seconds"] <= record["seconds"]
    assert "secret" not in "".join(lines) + numbers
    families = {family.name: family for family in text_string_to_metric_families(numbers)}
    [total] = [
        s.value for s in families["spanmix_request_generation_tokens"].samples if s.name.endswith("_sum")
    ]
    assert total == 5


def gauge(url, name, **labels):
    for family in text_string_to_metric_families(httpx.get(f"{url}/metrics").text):
        for sample in family.samples:
            if sample.name == name and labels.items() <= sample.labels.items():
                return sample.value
    return None


def wait_for(condition):
    """Wait until something holds; a test that never gets there ends by its own time limit."""
    while not condition():
        time.sleep(0.01)
