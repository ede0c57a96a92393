"""A completions server on this machine that answers from a real engine, as vLLM or a plainer server."""

import json
import random
import threading
from collections import deque
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import torch

from spanmix.generate.completions_client import Endpoint
from spanmix.generate.endpoint_engine import EndpointEngine
from spanmix.generate.engine import GenerateRequest
from spanmix.generate.torch_engine import TorchEngine
from spanmix.model.masks import AttentionMask

VLLM_FIELDS = {"return_tokens_as_token_ids", "stop_token_ids", "top_k"}


class RefusalError(Exception):
    pass


class ModelServer:
    """Answers completions; `faults` names what it does wrongly.

    `before` holds answers (status, headers, content) that are given first, `bodies` all requests. A plain
    server passes over the fields that only vLLM knows.
    """

    def __init__(self, decoder, tokenizer, *faults, plain=False):
        self.decoder, self.tokenizer, self.faults, self.plain = decoder, tokenizer, set(faults), plain
        self.engine, self.lock = TorchEngine(decoder), threading.Lock()
        self.bodies, self.before, self.headers = [], deque(), []
        self.on_request = lambda: None
        self.context = decoder.architecture.context_tokens

    def models(self):
        entry = {"id": "tiny", "object": "model", "owned_by": "vllm", "max_model_len": self.context}
        if "no context" in self.faults:
            del entry["max_model_len"]
        return {"object": "list", "data": [entry]}

    def answer(self, body):
        self.bodies.append(body)
        self.on_request()
        if self.before:
            return self.before.popleft()
        try:
            with self.lock:
                return 200, {}, self.completion(body)
        except RefusalError as error:
            return 400, {}, {"error": {"message": str(error), "type": "BadRequestError", "code": 400}}

    def completion(self, body):
        if self.plain:
            body = {name: value for name, value in body.items() if name not in VLLM_FIELDS}
        prompt = body["prompt"]
        if isinstance(prompt, list) and "refuses ids" in self.faults:
            raise RefusalError("prompt must be a string")
        prompts = prompt if isinstance(prompt, list) and not isinstance(prompt[0], int) else [prompt]
        choices, counted, made = [], 0, 0
        for index, one in enumerate(prompts):
            ids = self.ids_of(one)
            choice, new = self.choice(index, ids, body)
            choices.append(choice)
            counted, made = counted + len(ids), made + new
        usage = {"prompt_tokens": counted, "completion_tokens": made, "total_tokens": counted + made}
        if "no usage" in self.faults:
            usage = None
        return {"object": "text_completion", "model": "tiny", "choices": choices[::-1], "usage": usage}

    def ids_of(self, prompt):
        """Read a text as transformers' tokenizers do, names of controls included."""
        if isinstance(prompt, list):
            return prompt
        start = [self.tokenizer.control.eot] if "adds a start" in self.faults else []
        return start + self.tokenizer._inner.encode(prompt, add_special_tokens=False).ids

    def choice(self, index, ids, body):
        wanted = body.get("max_tokens", 16)
        if len(ids) + wanted > self.context:
            raise RefusalError(f"This model's maximum context length is {self.context} tokens")
        if "cuts prompts" in self.faults:
            ids = ids[1:]
        eot = self.tokenizer.control.eot
        bias = {} if "ignores logit_bias" in self.faults else body.get("logit_bias", {})
        seed = body.get("seed")
        request = GenerateRequest(
            ids,
            wanted,
            temperature=0 if "ignores temperature" in self.faults else body.get("temperature", 1.0),
            top_p=body.get("top_p", 1.0),
            top_k=max(0, body.get("top_k", 0)),
            seed=random.getrandbits(30) if seed is None or "ignores seed" in self.faults else seed,
            stop_ids=frozenset({eot, *body.get("stop_token_ids", ())}),
            suppress_ids=frozenset(int(i) for i, value in bias.items() if value <= -100),
            num_top_logprobs=body.get("logprobs") or 0,
        )
        done = self.generate(request)
        stopped = done["ids"][-1] in request.stop_ids
        text = self.text(done["ids"][: -1 if stopped else None])
        finish = "stop" if stopped else "length"
        for stop in body.get("stop", ()):
            if stop in text:
                text, finish = text.partition(stop)[0], "stop"
        if "no reason" in self.faults:
            finish = None
        choice = {
            "index": index,
            "text": text,
            "finish_reason": finish,
            "stop_reason": None,
            "logprobs": None,
        }
        rows = list(zip(done["ids"], done["logprobs"], done["top"], strict=True))
        if body.get("echo") and "ignores echo" not in self.faults:
            rows = [*self.echoed(ids), *rows]
            choice["text"] = self.text(ids) + text
        if body.get("logprobs") is not None and "no logprobs" not in self.faults:
            choice["logprobs"] = self.logprobs(rows, body.get("return_tokens_as_token_ids"))
        return choice, len(done["ids"])

    def generate(self, request):
        request_id = self.engine.submit(request)
        found = {"ids": [], "logprobs": [], "top": []}
        while events := self.engine.step():
            for event in events:
                assert event.id == request_id
                found["ids"].append(event.token_id)
                found["logprobs"].append(event.logprob)
                found["top"].append({event.token_id: event.logprob} | dict(event.top))
        return found

    @torch.inference_mode()
    def echoed(self, ids):
        mask = AttentionMask.causal(1, len(ids))
        hidden = self.decoder(torch.tensor([ids]), torch.arange(len(ids))[None], mask)
        logprobs = self.decoder.head(hidden)[0].float().log_softmax(-1)
        rows = [(ids[0], None, None)]
        for place, token_id in enumerate(ids[1:]):
            best = int(logprobs[place].argmax())
            value = float(logprobs[place, token_id])
            rows.append((token_id, value, {token_id: value, best: float(logprobs[place, best])}))
        return rows

    def logprobs(self, rows, as_ids):
        def name(token_id):
            shift = 1 if "other tokenizer" in self.faults else 0
            return f"token_id:{token_id}" if as_ids else self.tokenizer.decode([token_id + shift])

        tops = [None if top is None else {name(i): value for i, value in top.items()} for _, _, top in rows]
        made = {
            "tokens": [name(token_id) for token_id, _, _ in rows],
            "token_logprobs": [value for _, value, _ in rows],
            "top_logprobs": tops,
            "text_offset": [0] * len(rows),
        }
        if "first is a number" in self.faults:
            made["token_logprobs"][0] = -1.0
        if "one is null" in self.faults and len(rows) > 2:
            made["token_logprobs"][2] = None
        if "one is NaN" in self.faults and len(rows) > 2:
            made["token_logprobs"][2] = float("nan")
        if "approximate" in self.faults:
            made["top_logprobs"] = [top and {n: v - 0.01 for n, v in top.items()} for top in tops]
        if "no top" in self.faults:
            made["top_logprobs"] = None
        if "one short" in self.faults:
            made = {name: value[:-1] for name, value in made.items()}
        if "one list short" in self.faults:
            made["token_logprobs"] = made["token_logprobs"][:-1]
        return made

    def text(self, ids):
        return self.tokenizer.decode_bytes(ids).decode("utf-8", errors="replace")


def _handler(model):
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            self.reply(200, {}, model.models() if self.path == "/v1/models" else {})

        def do_POST(self):
            assert self.path == "/v1/completions"
            model.headers.append(dict(self.headers))
            self.reply(*model.answer(json.loads(self.rfile.read(int(self.headers["Content-Length"])))))

        def reply(self, status, headers, content):
            if status is None:  # the connection is cut in the middle
                self.close_connection = True
                self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{")
                return
            data = content if isinstance(content, bytes) else json.dumps(content).encode()
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(data))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_):
            pass

    return Handler


@contextmanager
def _served(model):
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(model))
    server.daemon_threads = True
    server.handle_error = lambda *_: None  # clients that have gone away
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture(scope="session")
def serve():
    """Serves a `ModelServer` on a port of this machine; gives its address."""
    return _served


@pytest.fixture(scope="session")
def make_model_server(tiny_decoder, tokenizer):
    """Makes a `ModelServer` of the tiny model with the given faults."""
    return lambda *faults, **options: ModelServer(tiny_decoder, tokenizer, *faults, **options)


@pytest.fixture(scope="session")
def tiny_decoder(make_decoder):
    """The model that is served."""
    return make_decoder(2, 48, 3, 8, 160)


@pytest.fixture(scope="session")
def local(tiny_decoder):
    """The engine of the same model in this process."""
    return TorchEngine(tiny_decoder)


@pytest.fixture
def open_engine(make_model_server, serve, tokenizer):
    """Opens an engine on a server with faults; both are closed at the end."""
    with ExitStack() as opened:

        def open_one(*faults, plain=False, **options):
            model = make_model_server(*faults, plain=plain)
            endpoint = Endpoint(opened.enter_context(serve(model)), timeout_seconds=600)
            engine = opened.enter_context(EndpointEngine(endpoint, tokenizer, **options))
            model.bodies.clear()
            return engine, model

        yield open_one
