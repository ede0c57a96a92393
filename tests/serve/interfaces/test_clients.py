"""Each client's request, as it sends it, gives the tokens that ``suffix`` gives."""

import importlib.util
import re
from pathlib import Path

import pytest

from spanmix.generate.formats import codegen2_format
from spanmix.generate.healing import Healer
from spanmix.generate.infill import infill
from spanmix.generate.text import Sampling
from spanmix.generate.torch_engine import TorchEngine

_spec = importlib.util.spec_from_file_location("clients", Path(__file__).with_name("clients.py"))
clients = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(clients)
DOCS = (Path(__file__).parents[3] / "docs" / "clients.md").read_text()


@pytest.fixture(scope="module")
def greedy(serve):
    """A server whose own temperature is 0, as most clients send none."""
    with serve(temperature=0.0) as url:
        yield url


@pytest.fixture(scope="module")
def expected(decoder, tokenizer):
    format = codegen2_format(tokenizer.control, lead_tokens=0)
    engine = TorchEngine(decoder)
    parts = clients.PREFIX, clients.SUFFIX
    return infill(engine, tokenizer, format, *parts, Sampling(20), Healer(tokenizer)).text


@pytest.mark.parametrize("name", clients.CLIENTS)
def test_what_a_client_sends_gives_the_answer_of_suffix(greedy, http, expected, name):
    path, body, read = clients.CLIENTS[name]
    response = http.post(f"{greedy}{path}", json=body)
    assert response.status_code == 200, response.text
    assert read(response.json()) == expected and len(expected) >= 20


def test_every_client_has_its_configuration_written_down():
    sections = re.findall(r"^## (.+)$", DOCS, re.M)
    for name in clients.CLIENTS:
        first = re.split(r"[, ]", name)[0]
        if first != "DeepSeek's":
            assert any(first in section for section in sections), name
    assert len(sections) >= 11
