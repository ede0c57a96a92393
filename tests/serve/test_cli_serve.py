"""``spanmix serve`` as it is typed: what it says, what it refuses, and how it ends."""

import json
import re
import signal
import subprocess
import sys
from dataclasses import replace

import httpx
import pytest

from spanmix.cli import main
from spanmix.generate.opening import open_model
from spanmix.interchange.convert import convert
from spanmix.model.folder import save_model_folder


@pytest.fixture(scope="module")
def folder(decoder, tokenizer, tmp_path_factory):
    return save_model_folder(tmp_path_factory.mktemp("served") / "mine", decoder, tokenizer, {})


def test_it_answers_and_ends_in_order(folder, tmp_path):
    """SIGTERM while an answer is on its way: the answer comes whole, and the exit code is 0."""
    (tmp_path / "keys.txt").write_text("# ours\n  # and theirs\nsecret\n")
    command = [sys.executable, "-m", "spanmix", "serve", str(folder), "--port", "0", "--precision", "fp32"]
    command += ["--api-keys", str(tmp_path / "keys.txt"), "--log", str(tmp_path / "log.jsonl")]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        said = process.stderr.readline()
        url = re.search(r"serving mine \(fp32, 256 tokens\) at (http://127\.0\.0\.1:\d+)", said)[1]
        with httpx.Client(base_url=url, headers={"Authorization": "Bearer secret"}, timeout=60) as http:
            wait_until_open(http)
            assert http.get("/v1/models").json()["data"][0]["id"] == "mine"
            assert httpx.get(f"{url}/v1/models").status_code == 401
            body = {"prompt": "x", "max_tokens": 240, "ignore_eos": True, "stream": True, "temperature": 1}
            with http.stream("POST", "/v1/completions", json=body) as response:
                lines = response.iter_lines()
                next(lines)
                process.send_signal(signal.SIGTERM)
                rest = list(lines)
        assert "data: [DONE]" in rest
        assert process.wait(60) == 0
    finally:
        process.kill()
        process.stderr.close()
    records = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert records[-1]["completion_tokens"] == 240 and re.match(r"\d{4}-", records[-1]["time"])


SLOW = """
import sys, time
from spanmix.__main__ import start
from spanmix.generate.torch_engine import TorchEngine

step = TorchEngine.step
TorchEngine.step = lambda engine: time.sleep(0.2) or step(engine)
start()
"""


def test_a_second_interrupt_ends_at_once_and_says_so(folder):
    command = [sys.executable, "-c", SLOW, "serve", str(folder), "--port", "0", "--precision", "fp32"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        with httpx.Client(
            base_url=re.search(r"http://\S+", process.stderr.readline())[0], timeout=60
        ) as http:
            wait_until_open(http)
            body = {"prompt": "x", "max_tokens": 240, "ignore_eos": True, "stream": True, "temperature": 1}
            with http.stream("POST", "/v1/completions", json=body) as response:
                lines = response.iter_lines()  # kept: the connection is closed with it
                next(lines)
                process.send_signal(signal.SIGINT)
                said = process.stderr.readline()
                process.send_signal(signal.SIGINT)
                rest = process.stderr.read()
        assert process.wait(60) == 130
    finally:
        process.kill()
        process.stderr.close()
    assert said == "spanmix: ends when 1 answer is done, at most 30 s; Ctrl-C then ends at once\n"
    assert rest == "spanmix: interrupted; answers on their way were cut short\n"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (8, ["serving mine (fp32, 8 tokens) at"]),
        (128, ["serving mine (fp32, 128 tokens) at"]),
        (1000, ["is 1,000, and the model has 256 tokens", "serving mine (fp32, 256 tokens) at"]),
    ],
)
def test_the_length_that_holds_is_said(folder, given, said, capsys, monkeypatch):
    monkeypatch.setattr("spanmix.serve.run.serve", lambda *_: None)
    flags = ["--port", "0", "--precision", "fp32", "--max-model-len", str(given)]
    assert main(["serve", str(folder), *flags]) == 0
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == len(said) and all(part in line for part, line in zip(said, lines, strict=True))


def test_a_model_that_cannot_infill_is_told_of(folder, capsys, monkeypatch):
    def opened(*given):
        model = open_model(*given)
        return replace(model, asked=replace(model.asked, infill=None))

    monkeypatch.setattr("spanmix.generate.opening.open_model", opened)
    monkeypatch.setattr("spanmix.serve.run.serve", lambda *_: None)
    assert main(["serve", str(folder), "--port", "0", "--precision", "fp32"]) == 0
    told = capsys.readouterr().err.splitlines()
    assert len(told) == 2 and "was not trained to infill" in told[1]


OPENED = [
    (["--device", "nope"], "there is no device 'nope' here; PyTorch can compute on cpu"),
    (["--device", "meta"], "there is no device 'meta' here"),
    (["--lead-tokens", "256"], "a lead of 256 tokens leaves nothing of the model's context of 256"),
]


@pytest.mark.parametrize(("flags", "said"), OPENED)
def test_what_the_model_or_the_machine_does_not_have_is_refused(folder, flags, said, capsys):
    assert main(["serve", str(folder), "--port", "0", *flags]) == 2
    assert said in " ".join(capsys.readouterr().err.split())


def wait_until_open(http):
    """The address is said before the model answers."""
    while True:
        try:
            assert http.get("/health").json() == {"status": "ok"}
            return
        except httpx.ConnectError:
            continue


REFUSED = [
    (["--port", "70000"], "'70000' is not a port, 0 to 65535"),
    (["--host", "no.such.host.invalid"], "cannot listen on no.such.host.invalid, port 8012"),
    (["--suffix-share", "1.5"], "suffix_share is 1.5; it is a share, so use a value from 0 to 1"),
    (["--temperature", "-1"], "temperature is -1"),
    (["--temperature", "3"], "temperature is 3.0; use a value from 0 to 2"),
    (["--top-p", "0"], "top_p is 0"),
    (["--api-keys", "missing.txt"], "missing.txt: cannot be read as keys: No such file or directory;"),
    (["--block-verbatim", "20"], "--block-verbatim needs --corpus"),
    (["--match-bytes", "60"], "--match-bytes needs --corpus"),
    (["--fast"], "unrecognized arguments: --fast; see `spanmix serve --help`"),
    (["--corpus", "missing"], "missing"),
    (["--max-model-len", "4"], "'4' is not a whole number from 8"),
    (["--log", "no/such/folder/log"], "no/such/folder/log"),
]


@pytest.mark.parametrize(("flags", "said"), REFUSED)
def test_what_cannot_be_served_is_refused_before_a_model_is_opened(
    folder, flags, said, capsys, monkeypatch, tmp_path
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("spanmix.generate.opening.open_model", lambda *_: pytest.fail("a model was opened"))
    assert main(["serve", str(folder), *flags]) == 2
    assert said in " ".join(capsys.readouterr().err.split())


def test_a_port_that_is_taken_is_named(folder, capsys, url):
    port = url.rpartition(":")[2]
    assert main(["serve", str(folder), "--port", port]) == 2
    assert f"cannot listen on 127.0.0.1, port {port}" in " ".join(capsys.readouterr().err.split())


def test_a_file_without_keys_would_let_everybody_in(folder, tmp_path, capsys):
    (tmp_path / "keys.txt").write_text("# none yet\n\n")
    assert main(["serve", str(folder), "--api-keys", str(tmp_path / "keys.txt")]) == 2
    assert "holds no key" in " ".join(capsys.readouterr().err.split())


def test_a_precision_or_device_that_an_engine_does_not_have_is_refused(folder, tmp_path, capsys, monkeypatch):
    exported = tmp_path / "exported"
    convert(str(folder), exported, "ctranslate2", "float32")
    assert main(["serve", str(exported), "--port", "0", "--precision", "bf16"]) == 2
    assert "--precision bf16 is for the torch engine" in " ".join(capsys.readouterr().err.split())
    assert main(["serve", str(exported), "--port", "0", "--device", "nope"]) == 2
    assert "there is no device 'nope' here" in " ".join(capsys.readouterr().err.split())
    monkeypatch.setattr("spanmix.generate.opening.check_device", lambda name: None)
    assert main(["serve", str(exported), "--port", "0", "--device", "cuda"]) == 2
    assert "which runs on the processor, not on cuda" in " ".join(capsys.readouterr().err.split())
