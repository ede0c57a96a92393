"""A server with a tiny model on a loopback port, as its users meet it."""

import socket
import threading
import time
from contextlib import contextmanager

import httpx
import openai
import pytest
import uvicorn

from spanmix.generate.asked import Asked
from spanmix.generate.formats import codegen2_format
from spanmix.generate.opening import OpenModel
from spanmix.generate.torch_engine import TorchEngine
from spanmix.serve.app import make_app
from spanmix.serve.run import configuration
from spanmix.serve.settings import ServeSettings

SHAPE = (2, 48, 3, 8, 256)


@pytest.fixture(scope="module")
def decoder(make_decoder):
    return make_decoder(*SHAPE)


@pytest.fixture(scope="session")
def running():
    """Serves an application: gives a context of its address."""
    return _running


@contextmanager
def _running(app):
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(configuration(app))
    thread = threading.Thread(target=server.run, args=([listener],))
    thread.start()
    try:
        while not server.started:
            assert thread.is_alive(), "the server did not start"
            time.sleep(0.01)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()
        listener.close()


@pytest.fixture(scope="module")
def serve(decoder, tokenizer, running):
    """Serve the model with some settings; give a context of the address."""

    def start(engine=None, provenance=None, **fields):
        engine = TorchEngine(decoder) if engine is None else engine
        control = tokenizer.control
        asked = Asked((control.eot,), codegen2_format(control, lead_tokens=0))
        model = OpenModel("tiny", engine, tokenizer, asked, None)
        return running(make_app(model, ServeSettings(**{"name": "tiny"} | fields), None, provenance))

    return start


@pytest.fixture(scope="module")
def url(serve):
    with serve() as address:
        yield address


@pytest.fixture(scope="module")
def client(url):
    with openai.OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0) as made:
        yield made


@pytest.fixture(scope="module")
def http(url):
    with httpx.Client(base_url=url) as made:
        yield made
