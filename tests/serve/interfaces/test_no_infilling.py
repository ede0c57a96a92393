"""A model that was not trained to infill says so, and continues texts."""

import httpx
import pytest

from spanmix.generate.asked import Asked
from spanmix.generate.opening import OpenModel
from spanmix.generate.torch_engine import TorchEngine
from spanmix.serve.app import make_app
from spanmix.serve.settings import ServeSettings


@pytest.fixture(scope="module")
def plain(decoder, tokenizer, running):
    model = OpenModel("tiny", TorchEngine(decoder), tokenizer, Asked((tokenizer.control.eot,), None), None)
    with running(make_app(model, ServeSettings())) as url, httpx.Client(base_url=url) as made:
        yield made


SENTINELS = "<fim_prefix>a<fim_suffix>b<fim_middle>"


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/completions", {"prompt": "x", "suffix": "y"}),
        ("/v1/completions", {"prompt": SENTINELS}),
        ("/v1/completions", {"segments": {"prefix": "x"}}),
        ("/v1/completions", {"input_parts": ["x", "y"]}),
        ("/v1/fim/completions", {"prompt": "x", "suffix": "y"}),
        ("/infill", {"input_prefix": "x", "input_suffix": ""}),
        ("/completion", {"prompt": SENTINELS}),
        ("/api/generate", {"prompt": SENTINELS}),
        ("/generate", {"inputs": SENTINELS}),
    ],
)
def test_what_has_to_be_infilled_is_refused(plain, path, body):
    refused = plain.post(path, json=body)
    assert refused.status_code == 400 and "was not trained to infill" in refused.text
    assert ("starcoder's sentinels" in refused.text) == (SENTINELS in body.values())


def test_an_empty_suffix_is_none(plain):
    body = {"prompt": "x", "max_tokens": 6, "temperature": 0}
    expected = plain.post("/v1/completions", json=body).json()["choices"][0]["text"]
    for path in ("/v1/completions", "/v1/fim/completions"):
        [choice] = plain.post(path, json=body | {"suffix": ""}).json()["choices"]
        assert expected in (choice.get("text"), choice.get("message", {}).get("content"))
