"""``spanmix serve`` as it is typed: what it says, what it refuses, and how it ends."""

import json
import re
import signal
import subprocess
import sys

import httpx
import pytest

from spanmix.cli import main
from spanmix.interchange.convert import convert
from spanmix.model.folder import save_model_folder


@pytest.fixture(scope="module")
def folder(decoder, tokenizer, tmp_path_factory):
    return save_model_folder(tmp_path_factory.mktemp("served") / "mine", decoder, tokenizer, {})


def test_it_answers_and_ends_in_order(folder, tmp_path):
    """SIGTERM while an answer is on its way: the answer comes whole, and the exit code is 0."""
    (tmp_path / "keys.txt").write_text("# ours\nsecret\n")
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
    (["--top-p", "0"], "top_p is 0"),
    (["--api-keys", "missing.txt"], "missing.txt: cannot be read as keys"),
    (["--block-verbatim", "20"], "--block-verbatim needs --corpus"),
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


def test_a_precision_that_an_engine_does_not_have_is_refused(folder, tmp_path, capsys):
    exported = tmp_path / "exported"
    convert(str(folder), exported, "ctranslate2", "float32")
    assert main(["serve", str(exported), "--port", "0", "--precision", "bf16"]) == 2
    assert "--precision bf16 is for the torch engine" in " ".join(capsys.readouterr().err.split())
