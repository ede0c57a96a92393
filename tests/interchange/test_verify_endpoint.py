"""A server on this machine that does everything rightly, and each thing wrongly in turn."""

import json
import re
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace

import pytest

from spanmix.cli import main
from spanmix.errors import InputError
from spanmix.generate.completions_client import Endpoint, RefusedError
from spanmix.interchange.verify.verify import verify

LOOP = "x = 1  # one\ny = 'two'\nz = \"three\"\n"


class Model:
    """Answers in OpenAI's form; `faults` names what it does wrongly."""

    def __init__(self, *faults):
        self.faults, self.asked, self.calls = set(faults), [], 0

    def answer(self, request):
        self.asked.append(request)
        self.calls += 1
        prompts = request["prompt"] if isinstance(request["prompt"], list) else [request["prompt"]]
        if "suffix" in request and "refuses suffix" in self.faults:
            return 400, {"error": {"message": "suffix is only supported for models with FIM", "code": 400}}
        if request.get("echo") and "refuses echo" in self.faults:
            return 400, {"error": {"message": "echo is not supported"}}
        choices = [self.choice(i, prompt, request, prompts) for i, prompt in enumerate(prompts)]
        counted = sum(len(self.tokens(prompt)) for prompt in prompts)
        if "suffix" in request and "ignores suffix" not in self.faults:
            counted += len(self.tokens(request["suffix"])) + 3
        if "empty lists" in self.faults:
            return 200, {"choices": choices}
        usage = {"prompt_tokens": counted, "completion_tokens": 1, "total_tokens": counted + 1}
        return 200, {"object": "text_completion", "choices": choices[::-1], "usage": usage}

    def tokens(self, prompt):
        if isinstance(prompt, list):
            return [f"token{i}" for i in prompt]
        controls = "<mask_1>|" if "reads controls" in self.faults else ""
        return re.findall(rf"{controls}\w+|\s+|.", prompt)

    def choice(self, index, prompt, request, prompts):
        text = self.generate(prompt, request)
        finish = "length"
        for stop in request.get("stop") or ():
            if stop in text:
                text, finish = text[: text.index(stop) + len(stop) * ("keeps stops" in self.faults)], "stop"
        if "ends at #" in self.faults and re.search(r"[#\"]", str(prompt)):
            text, finish = "", "stop"
        made = {"index": index, "text": text, "finish_reason": finish, "logprobs": None}
        if request.get("echo") and "no echo" not in self.faults:
            made["text"] = f"{prompt}{text}"
        if request.get("logprobs") is not None and "no logprobs" not in self.faults:
            made["logprobs"] = self.logprobs(prompt, request, prompts)
        return made

    def generate(self, prompt, request):
        seen = f"{prompt}{'' if 'ignores suffix' in self.faults else request.get('suffix', '')}"
        if "at random" in self.faults:
            seen += str(self.calls)
        start = sum(map(ord, seen)) % len(LOOP)
        text = (LOOP * 4)[start : start + 2 * request["max_tokens"]]
        return f"{text}<eom>" if "leaks <eom>" in self.faults else text

    def logprobs(self, prompt, request, prompts):
        tokens = [*(self.tokens(prompt) if "no echo" not in self.faults else []), "x"]
        rate = 6.0 if "knows nothing" in self.faults else 0.3
        values = [-rate * (1 + len(token) % 3) for token in tokens]
        longest = max(len(self.tokens(other)) for other in prompts)
        if "sees padding" in self.faults and longest > len(tokens) - 1:
            values = [value - 0.5 for value in values]
        top = [{token: value, "other": value - 1.0} for token, value in zip(tokens, values, strict=True)]
        if "rounds" in self.faults:
            top = [{token: round(value - 0.5, 1)} for token, value in zip(tokens, values, strict=True)]
        if "no echo" not in self.faults and "first is a number" not in self.faults:
            values[0] = top[0] = None
        if "empty lists" in self.faults:
            tokens, values, top = [], [], []
        if "endless numbers" in self.faults:
            values[2] = -(10**400)
        if "not numbers" in self.faults:
            values[2] = None
        made = {"tokens": tokens, "token_logprobs": values, "top_logprobs": top}
        cut = len(tokens) - ("one short" in self.faults)
        return {name: value[:cut] for name, value in made.items()} | {"text_offset": [0] * cut}


@contextmanager
def served(model, key=None, redirect=None):
    """Serve a model on a port of this machine."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.reply(200, {"data": [{"id": "tiny"}]} if self.path == "/v1/models" else {})

        def do_POST(self):
            request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            self.reply(*model.answer(request))

        def reply(self, status, content):
            if key and self.headers["Authorization"] != f"Bearer {key}":
                status, content = 401, {"error": {"message": "wrong key"}}
            if redirect:
                status = 307
            body = content if isinstance(content, bytes) else json.dumps(content).encode()
            self.send_response(status)
            if redirect:
                self.send_header("Location", redirect)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def results(*faults):
    with served(Model(*faults)) as url:
        checks = verify(url, 600).checks
    assert len(checks) == 9
    return {check.name: check.result for check in checks if check.result != "ok"}


def test_a_right_server_passes_every_check():
    assert results() == {}


FAULTS = {
    "refuses suffix": {"suffix": "wrong"},
    "ignores suffix": {"suffix": "wrong"},
    "keeps stops": {"stop strings": "wrong"},
    "ends at #": {"end of a text": "wrong"},
    "leaks <eom>": {"controls in answers": "wrong"},
    "reads controls": {"controls in a text": "wrong"},
    "sees padding": {"left padding": "wrong"},
    "rounds": {"echo with logprobs": "wrong", "echo of token ids": "wrong"},
    "one short": {"echo with logprobs": "wrong", "echo of token ids": "wrong"},
    "knows nothing": {"loss on code": "cannot tell"},
    "at random": {"stop strings": "cannot tell"},
    "not numbers": {
        "echo with logprobs": "wrong",
        "echo of token ids": "wrong",
        "loss on code": "wrong",
        "left padding": "cannot tell",
    },
}
SILENT = {
    "echo with logprobs": "wrong",
    "echo of token ids": "wrong",
    "loss on code": "cannot tell",
    "left padding": "cannot tell",
}


@pytest.mark.parametrize("fault", FAULTS)
def test_each_fault_is_found_and_nothing_else(fault):
    assert results(fault) == FAULTS[fault]


@pytest.mark.parametrize("fault", ["no logprobs", "no echo", "first is a number", "empty lists"])
def test_log_probabilities_that_lm_eval_cannot_read_are_found(fault):
    silent = SILENT | ({} if fault == "first is a number" else {"controls in a text": "cannot tell"})
    assert results(fault) == silent


def test_numbers_that_no_float_holds_are_none():
    assert results("endless numbers") == FAULTS["not numbers"]


def test_an_answer_of_millions_of_characters_is_not_searched():
    model = Model()
    model.generate = lambda prompt, request: "".join(map(chr, range(0x4E00, 0x9FFF))) * 20
    began = time.monotonic()
    with served(model) as url:
        verify(url, 600)
    assert time.monotonic() - began < 30


def test_what_a_server_says_does_not_command_the_terminal(capsys):
    model = Model()
    model.answer = lambda request: (400, {"error": {"message": "\x1b[2Jno \x07"}})
    with served(model) as url:
        assert main(["verify", url]) == 1
    printed = capsys.readouterr()
    assert "␛[2Jno ␇" in printed.out and "\x1b" not in printed.out + printed.err


def test_a_server_in_trouble_is_not_waited_for_long(monkeypatch):
    pauses = []
    clock = SimpleNamespace(sleep=pauses.append, time=time.time)
    monkeypatch.setattr("spanmix.generate.completions_client.time", clock)
    model = Model()
    model.answer = lambda request: (500, {"error": {"message": "worker died"}})
    with served(model) as url:
        checks = verify(url, 600).checks
    assert len(checks) == 9 and "worker died" in checks[1].detail
    assert sum(pauses) < 30


def test_an_address_without_http_is_not_asked_of_the_hub(capsys):
    for address in ("localhost:8000/v1", "127.0.0.1:8000"):
        assert main(["verify", address]) == 2
        assert "write http:// in front of it" in capsys.readouterr().err


def test_a_server_that_refuses_echo_cannot_be_measured():
    assert results("refuses echo") == SILENT | {"controls in a text": "cannot tell"}


def test_a_control_in_a_prompt_is_no_fault_where_it_is_the_only_way_to_infill():
    assert results("reads controls", "ignores suffix") == {
        "suffix": "wrong",
        "controls in a text": "cannot tell",
    }


def test_the_key_is_sent_as_bearer_token_and_nowhere_else(monkeypatch, capsys):
    monkeypatch.setenv("MY_KEY", "secret")
    with served(Model(), key="secret") as url:
        assert main(["verify", f"{url}/v1/completions", "--api-key-env", "MY_KEY", "--json"]) == 0
        assert "secret" not in str(capsys.readouterr())
        assert main(["verify", url, "--model", "tiny"]) == 2
        assert "--api-key-env" in capsys.readouterr().err
        assert main(["verify", url, "--api-key-env", "NO_SUCH"]) == 2
        other = Model()
        with (
            served(other) as elsewhere,
            served(Model(), redirect=f"{elsewhere}/v1/completions") as url,
            pytest.raises(InputError, match="sends to another address"),
        ):
            Endpoint(url, "tiny", "secret").complete("x", max_tokens=1)
        assert other.asked == []


def test_the_verb_fails_where_a_server_does_and_says_what_mends_it(capsys):
    with served(Model("ignores suffix")) as url:
        assert main(["verify", url]) == 1
    printed = capsys.readouterr()
    assert "mend: vllm serve FOLDER --tokenizer-mode spanmix" in printed.out
    assert "1 of 9 checks are wrong: suffix" in printed.err.splitlines()[-1]
    assert main(["verify", url]) == 2  # nobody is there any more
    assert "does not answer" in capsys.readouterr().err


@pytest.mark.parametrize("url", ["ftp://x/v1", "http://", "http://a:b@host/v1", "http://host/v1?key=1"])
def test_addresses_of_another_kind_are_refused(url):
    with pytest.raises(InputError, match="address"):
        Endpoint(url, "m")


@pytest.mark.parametrize("content", [b"no json", [], {}, {"choices": [{"text": None}]}, {"choices": [1]}])
def test_answers_of_another_form_are_refusals(content):
    model = Model()
    model.answer = lambda request: (200, content)
    with served(model) as url, pytest.raises(RefusedError):
        Endpoint(url, "m").complete("x")
