"""What clients do wrong: each gets the right status, nothing is left behind, and the next one is answered."""

import asyncio
import gc
import gzip
import json
import logging
import resource
import socket
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import httpx
import openai
import pytest
from starlette.applications import Starlette
from starlette.routing import Route

from spanmix.generate.asked import Asked
from spanmix.generate.formats import codegen2_format
from spanmix.generate.opening import OpenModel
from spanmix.generate.torch_engine import TorchEngine
from spanmix.serve.app import make_app
from spanmix.serve.front import connection
from spanmix.serve.front.protocol import TimedProtocol
from spanmix.serve.run import _allow_files
from spanmix.serve.settings import ServeSettings

JSON = {"Content-Type": "application/json"}
PROMPTS = {
    "/v1/completions": "prompt",
    "/infill": "input_prefix",
    "/completion": "prompt",
    "/api/generate": "prompt",
    "/generate": "inputs",
    "/v1/fim/completions": "prompt",
}
"""The routes that answer, and what a prompt is called."""
BROKEN = [
    b"",
    b"{",
    b"[1]",
    b'"x"',
    b'{"NAME": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    b'{"NAME": ' * 10_000 + b"1" + b"}" * 10_000,
    b'{"NAME": "\xff\xfe"}',
    b'{"NAME": "\xed\xa0\x80"}',
    b'{"NAME": "\\ud800"}',
    b'{"NAME": 5}',
    b'{"NAME": {"NAME": "x"}}',
    b'{"NAME": ' + b"9" * 5000 + b"}",
    b'{"NAME": "x", "stream": "perhaps"}',
    gzip.compress(b'{"NAME": "x"}'),
]
NUMBERS = ["NaN", "Infinity", "-Infinity", "1e999", "-1e999", '"much"', "[]", "-1"]


class GatedEngine(TorchEngine):
    """Makes a step each time it is let, and any number once it is open."""

    def __init__(self, *args, **named):
        super().__init__(*args, **named)
        self.let = threading.Semaphore(0)
        self.is_open = False

    def step(self):
        if not self.is_open:
            self.let.acquire()
        return super().step()

    def open(self):
        self.is_open = True
        self.let.release()

    def close(self):
        self.is_open = False
        while self.let.acquire(blocking=False):
            pass

    @property
    def num_requests(self):
        return len(self._running) + len(self._waiting)


def left_over():
    """What a process holds: files, threads, and tasks that are not done."""
    tasks = sum(type(one) is asyncio.Task and not one.done() for one in gc.get_objects())
    return len(list(Path("/proc/self/fd").iterdir())), threading.active_count(), tasks


def is_clean(before):
    """Say whether nothing is left that was not there before."""
    return all(now <= then for now, then in zip(left_over(), before, strict=True))


@contextmanager
def nothing_leaks(url):
    """Give a client; check that what it did leaves nothing behind, and the server well."""
    with httpx.Client(base_url=url) as http:
        assert http.get("/health").status_code == 200
        assert http.post("/tokenize", json={"content": "x"}).status_code == 200  # starts a pool of threads
    before = left_over()
    with httpx.Client(base_url=url, timeout=60) as http:
        yield http
        assert http.post("/v1/completions", json={"prompt": "x"}).status_code == 200
    wait_for(lambda: is_clean(before))


def connect(url, data=b""):
    host, port = url.removeprefix("http://").split(":")
    made = socket.create_connection((host, int(port)))
    made.sendall(data)
    return made


def request_of(path, body, *headers):
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    lines = [
        f"POST {path} HTTP/1.1",
        "Host: x",
        "Content-Type: application/json",
        f"Content-Length: {len(data)}",
    ]
    lines += [*headers, "", ""]
    return "\r\n".join(lines).encode() + data


def received(made):
    """Read until the server closes."""
    parts = []
    with made:
        while part := made.recv(65_536):
            parts.append(part)
    return b"".join(parts)


@pytest.mark.parametrize("path", PROMPTS)
def test_what_is_broken_is_refused_in_the_form_of_the_interface(url, path):
    with nothing_leaks(url) as http:
        for content in BROKEN:
            response = http.post(path, content=content.replace(b"NAME", PROMPTS[path].encode()), headers=JSON)
            assert response.status_code == 400, content[:80]
            error = response.json()["error"]
            assert error if isinstance(error, str) else error["message"], content[:80]


@pytest.mark.parametrize("path", PROMPTS)
def test_numbers_that_are_none_are_refused(http, path):
    nested = {"/api/generate": "options", "/generate": "parameters"}.get(path)
    num_refused = 0
    for number in NUMBERS:
        field = f'"temperature": {number}'
        content = f'{{"{PROMPTS[path]}": "x", "n_predict": 1, "max_tokens": 1, "stream": false, '
        content += f'"{nested}": {{{field}}}}}' if nested else f"{field}}}"
        num_refused += http.post(path, content=content.encode(), headers=JSON).status_code == 400
    assert num_refused == len(NUMBERS)


def test_what_is_long_is_refused_or_cut_before_it_costs_anything(url):
    """10 MB in every field that may be long; a list that mixes ids with texts is not read in every way."""
    text = "x = 1\n" * 1_700_000
    with nothing_leaks(url) as http:
        for path in ("/v1/completions", "/completion", "/api/generate", "/generate"):
            response = http.post(path, json={PROMPTS[path]: text, "max_tokens": 1})
            assert response.status_code == 400 and "maximum context length" in response.text
        for path, body in (
            ("/v1/completions", {"prompt": "x", "suffix": text, "max_tokens": 1}),
            ("/infill", {"input_prefix": text, "n_predict": 1}),
            ("/v1/completions", {"prompt": "x", "user": text, "max_tokens": 1}),
        ):
            assert http.post(path, json=body).status_code == 200
        files = [{"filename": f"{number}.py", "text": "x = 1\n" * 1_000} for number in range(1_000)]
        asked = {"input_prefix": "x", "input_extra": files, "n_predict": 1}
        assert http.post("/infill", json=asked).status_code == 200
        for prompt in ([5] * 500_000, [5] * 500_000 + ["x"], ["x"] * 500_000, [[5]] * 300_000):
            assert http.post("/v1/completions", json={"prompt": prompt}).status_code == 400
        assert http.post("/completion", json={"prompt": ["x"] * 100_000}).status_code == 400
        biased = {"prompt": "x", "logit_bias": {"9" * 5_000: 1}}
        assert http.post("/v1/completions", json=biased).status_code == 400


RAW = {
    "no HTTP": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\r\n\r\n", b"400"),
    "a length that is none": (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n", b"400"),
    "a huge length": (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %s\r\n\r\n" % (b"9" * 5_000), b"400"),
    "two lengths": (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n", b"400"),
    "a chunk without length": (
        b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"400",
    ),
    "a head without end": (b"GET / HTTP/1.1\r\nX: " + b"y" * 200_000, b"400"),
    "HTTP/1.0": (b"GET /health HTTP/1.0\r\n\r\n", b"200"),
    "HEAD": (b"HEAD /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", b"405"),
    "OPTIONS": (b"OPTIONS /infill HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", b"405"),
    "a method": (b"DELETE /infill HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", b"405"),
    "no such route": (b"GET /%ff%00/../x HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", b"404"),
    "another protocol": (
        b"GET /health HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade, close\r\n\r\n",
        b"200",
    ),
    "a length over the text": (
        request_of("/v1/completions", b"{}").replace(b"Content-Length: 2", b"Content-Length: 1", 1),
        b"400",
    ),
}


def test_what_is_no_proper_http_is_refused(url):
    with nothing_leaks(url):
        for name, (data, status) in RAW.items():
            try:
                answer = received(connect(url, data))
            except ConnectionError:  # closed while a head without end was sent
                answer = b"HTTP/1.1 400"
            assert answer[9:12] == status, name


def test_requests_that_come_at_once_on_one_connection_are_answered_in_order(url):
    one = request_of("/tokenize", {"content": "a"})
    with nothing_leaks(url):
        answer = received(connect(url, one + one + request_of("/nothing", {}, "Connection: close")))
        assert [part[:3] for part in answer.split(b"HTTP/1.1 ")[1:]] == [b"200", b"200", b"404"]


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("/detokenize", {"tokens": [""] * 3_000_000}, "tokens"),
        ("/detokenize", {"tokens": [5] * 1_000_001}, "tokens"),
        ("/completion", {"prompt": [5] * 1_000_001}, "prompt"),
        ("/completion", {"prompt": "x", "stop": [1.5] * 300_000}, "stop"),
        ("/v1/completions", {"prompt": "x", "stop": [1.5] * 300_000}, "stop"),
        ("/generate", {"inputs": "x", "parameters": {"stop": [1.5] * 300_000}}, "stop"),
        ("/api/generate", {"prompt": "x", "options": {"stop": [1.5] * 300_000}}, "stop"),
        ("/infill", {"input_prefix": "x", "input_extra": [{}] * 1_000_000}, "input_extra"),
        ("/infill", {"input_prefix": "x", "response_fields": [""] * 1_000_000}, "response_fields"),
        ("/v1/completions", {"input_parts": ["x"] * 1_000_000}, "input_parts"),
        ("/infill", {"input_prefix": "x", "t_max_predict_ms": 10**400}, "t_max_predict_ms"),
        ("/infill", {"input_prefix": "x", "t_max_prompt_ms": 10**400}, "t_max_prompt_ms"),
        ("/completion", {"prompt": "x", "repeat_penalty": 5e-324}, "repeat_penalty"),
        ("/generate", {"inputs": "x", "parameters": {"repetition_penalty": 1e300}}, "repetition_penalty"),
        ("/api/generate", {"prompt": "x", "options": {"repeat_penalty": 5e-324}}, "repeat_penalty"),
        ("/v1/completions", {"prompt": "x", "repetition_penalty": 5e-324}, "repetition_penalty"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_would_cost_or_break_much_is_one_fault_in_few_words(http, path, body, field):
    answer = http.post(path, json=body)
    assert answer.status_code == 400 and field in answer.text and len(answer.text) < 1_000


@pytest.mark.parametrize("path", ["/v1/completions", "/completion", "/api/generate", "/"])
def test_a_client_that_vanishes_leaves_nothing_behind(serve, decoder, path):
    """In the head, in the body, while its request waits, and in its answer; streamed or not."""
    engine = GatedEngine(decoder)
    body = {PROMPTS.get(path, "inputs"): "x", "max_tokens": 99, "n_predict": 99, "temperature": 1}
    body |= {"ignore_eos": True, "options": {"num_predict": 99}}
    with serve(engine) as url:
        for stream in (False, True):
            data = request_of(path, body | {"stream": stream})
            for stage, num_sent in (("head", 20), ("body", len(data) - 5), ("waits", None), ("answer", None)):
                engine.open()
                with nothing_leaks(url):
                    engine.close()
                    with connect(url, data[:num_sent]):
                        if num_sent is None:
                            wait_for(lambda: engine.num_requests == 1)
                        if stage == "answer":
                            engine.let.release(3)
                            wait_for(lambda: any(len(one.answer_ids) > 2 for one in engine._running))
                    engine.open()
                    wait_for(lambda: engine.num_requests == 0)


def test_hundreds_of_connections_at_once_are_held_and_let_go(url):
    data = request_of("/v1/completions", {"prompt": "x", "max_tokens": 1}, "Connection: close")
    with nothing_leaks(url):
        idle = [connect(url) for _ in range(150)]
        asking = [connect(url, data) for _ in range(100)]
        assert {received(made)[9:12] for made in asking} == {b"200"}
        for made in idle:
            made.close()


@pytest.mark.parametrize("sent", [b"", b"GET /health HT"])
def test_a_connection_on_which_no_whole_head_comes_is_closed(url, monkeypatch, sent):
    monkeypatch.setattr(TimedProtocol, "seconds", 0.2)
    with nothing_leaks(url):
        try:
            answer = received(connect(url, sent))
        except ConnectionResetError:
            answer = b""
        assert answer == b""


def test_an_answer_that_nobody_takes_is_cut(running, monkeypatch):
    monkeypatch.setattr(TimedProtocol, "seconds", 0.2)
    sent, ended = [], threading.Event()

    async def endless():
        try:
            while True:
                sent.append(1)
                await asyncio.sleep(0)  # as answers do, for which it waits
                yield b"x" * 65_536
        finally:
            ended.set()

    async def answer(request):
        return connection.ClosedStream(endless())

    with running(Starlette(routes=[Route("/", answer)])) as url:
        before = left_over()
        with connect(url, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"):
            ended.wait()
            assert len(sent) < 1_000, "what is not taken is not made: some MB at most wait in the kernel"
        wait_for(lambda: is_clean(before))


@pytest.mark.parametrize("asks", ["OpenAI's client", "raw"])
def test_a_stream_that_waits_says_so_in_comments_that_clients_pass_over(serve, decoder, monkeypatch, asks):
    monkeypatch.setattr(connection, "SILENT_SECONDS", 0.01)
    engine = GatedEngine(decoder)
    asked = {"prompt": "x", "max_tokens": 5, "temperature": 0}
    with serve(engine) as url:
        if asks == "raw":
            with httpx.stream("POST", f"{url}/v1/completions", json=asked | {"stream": True}) as response:
                lines = response.iter_lines()
                assert [next(lines) for _ in range(4)] == [": waiting", ""] * 2
                engine.open()
                rest = [line for line in lines if line and line != ": waiting"]
            assert rest[-1] == "data: [DONE]" and all(line.startswith("data: ") for line in rest)
            return
        with openai.OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0) as client:
            streamed = client.completions.create(model="tiny", stream=True, **asked)
            threading.Timer(0.1, engine.open).start()
            text = "".join(chunk.choices[0].text for chunk in streamed)
            assert text == client.completions.create(model="tiny", **asked).choices[0].text


def test_a_log_that_cannot_be_written_ends_no_request(decoder, tokenizer, running, caplog):
    def full(line):
        raise OSError(28, "No space left on device")

    asked = Asked((tokenizer.control.eot,), codegen2_format(tokenizer.control))
    model = OpenModel("tiny", TorchEngine(decoder), tokenizer, asked, None)
    with caplog.at_level(logging.ERROR), running(make_app(model, ServeSettings(), full)) as url:
        for _ in range(3):
            assert httpx.post(f"{url}/v1/completions", json={"prompt": "x"}).status_code == 200
    assert caplog.text.count("No space left on device") == 3


def test_a_fault_of_ours_is_told_in_the_form_of_the_interface(serve, decoder, monkeypatch):
    with serve() as url:
        monkeypatch.setattr("spanmix.serve.prompts.PromptWriter.infill", lambda *_: 1 / 0)
        failed = httpx.post(f"{url}/infill", json={"input_prefix": "x"})
        assert failed.status_code == 500
        assert failed.json()["error"]["message"] == "a fault of the server: ZeroDivisionError"
        assert httpx.get(f"{url}/health").status_code == 200


def test_the_server_takes_as_many_open_files_as_it_may():
    allowed, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (512, most))
    try:
        _allow_files()
        now, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        assert now > 512 or most == 512
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, most))


def wait_for(condition):
    """Wait until something holds; a test that never gets there ends by its own time limit."""
    while not condition():
        time.sleep(0.01)
