"""What a collector is told of each request, and that it is never a text of one."""

import http.server
import json
import subprocess
import sys
import threading

import httpx
import pytest

from spanmix.cli import main
from spanmix.errors import InputError
from spanmix.generate.asked import Asked
from spanmix.generate.formats import codegen2_format
from spanmix.generate.opening import OpenModel
from spanmix.generate.torch_engine import TorchEngine
from spanmix.serve.app import make_app
from spanmix.serve.front import tracing
from spanmix.serve.front.tracing import open_spans
from spanmix.serve.settings import ServeSettings

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
PROMPT = "a_text_that_nobody_else_may_read = 1"
BODY = {"prompt": PROMPT, "max_tokens": 5, "ignore_eos": True}


class FaultyEngine(TorchEngine):
    def step(self):
        raise RuntimeError(PROMPT)


@pytest.fixture
def traced(decoder, tokenizer, running):
    """Serves the model; gives a context of its address, and all spans that were made."""
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    kept = InMemorySpanExporter()

    def start(engine=TorchEngine, **fields):
        spans = TracerProvider()
        spans.add_span_processor(SimpleSpanProcessor(kept))
        asked = Asked((tokenizer.control.eot,), codegen2_format(tokenizer.control, lead_tokens=0))
        model = OpenModel("tiny", engine(decoder), tokenizer, asked, None)
        return running(make_app(model, ServeSettings(name="tiny", **fields), spans=spans))

    return start, kept.get_finished_spans


@pytest.mark.parametrize("stream", [False, True])
def test_a_request_is_a_span_with_its_tokens_and_times(traced, stream):
    start, spans = traced
    with start() as url:
        headers = {"x-request-id": "mine"}
        response = httpx.post(f"{url}/v1/completions", json=BODY | {"stream": stream}, headers=headers)
        assert response.status_code == 200
    [span] = spans()
    values = dict(span.attributes)
    first = values.pop("gen_ai.response.time_to_first_chunk")
    assert 0 < first <= (span.end_time - span.start_time) / 1e9
    assert 5 < values.pop("gen_ai.usage.input_tokens") < 60
    assert values == {
        "http.request.method": "POST",
        "http.route": "/v1/completions",
        "http.response.status_code": 200,
        "gen_ai.operation.name": "text_completion",
        "gen_ai.provider.name": "spanmix",
        "gen_ai.response.model": "tiny",
        "gen_ai.usage.output_tokens": 5,
        "spanmix.request_id": "mine",
        "spanmix.requests.running": 0,
        "spanmix.requests.waiting": 0,
    }
    assert span.name == "POST /v1/completions" and span.kind.name == "SERVER" and span.parent is None
    assert span.status.status_code.name == "UNSET"


def test_the_trace_of_a_client_goes_on(traced):
    start, spans = traced
    with start() as url, httpx.Client(base_url=url) as http:
        for flags in ("01", "00"):  # the second is one that the client does not keep
            http.get("/v1/models", headers={"traceparent": f"00-{TRACE}-{PARENT}-{flags}"})
        http.get("/v1/models", headers={"traceparent": f"00-{TRACE}-nothing-01"})
    followed, alone = spans()
    assert f"{followed.context.trace_id:032x}" == TRACE and f"{followed.parent.span_id:016x}" == PARENT
    assert alone.parent is None and f"{alone.context.trace_id:032x}" != TRACE


def test_what_fails_is_told_without_a_text(traced):
    start, spans = traced
    with start(FaultyEngine, api_keys=("secret",)) as url, httpx.Client(base_url=url) as http:
        assert http.post("/v1/completions", json=BODY).status_code == 401
        http.headers["Authorization"] = "Bearer secret"
        assert http.post("/v1/completions", json=BODY | {"max_tokens": -1}).status_code == 400
        assert http.post("/v1/completions", json=BODY).status_code == 500
        assert http.get(f"/{PROMPT}?{PROMPT}").status_code == 404
        assert http.request("PURGE", "/v1/completions", content=PROMPT).status_code == 405
    told = [
        (span.name, span.attributes["http.response.status_code"], span.status.status_code.name)
        for span in spans()
    ]
    assert told == [
        ("POST", 401, "UNSET"),
        ("POST /v1/completions", 400, "UNSET"),
        ("POST /v1/completions", 500, "ERROR"),
        ("GET", 404, "UNSET"),
        ("HTTP /v1/completions", 405, "UNSET"),
    ]
    assert spans()[2].attributes["error.type"] == "500"
    assert all(PROMPT not in span.to_json() and "secret" not in span.to_json() for span in spans())


def test_what_nobody_caught_is_an_error_by_its_kind(traced, monkeypatch):
    def broken(*_):
        raise LookupError(PROMPT)

    monkeypatch.setattr("spanmix.serve.interfaces.about._model", broken)
    start, spans = traced
    with start() as url:
        assert httpx.get(f"{url}/v1/models").status_code == 500
    [span] = spans()
    assert span.attributes["error.type"] == "LookupError" and PROMPT not in span.to_json()
    assert span.attributes["http.response.status_code"] == 500


def test_whoever_only_watches_the_server_leaves_no_spans(traced):
    start, spans = traced
    with start() as url, httpx.Client(base_url=url) as http:
        for path in ("/health", "/ready", "/metrics"):
            assert http.get(path).status_code == 200
        http.get("/v1/models")
    assert [span.name for span in spans()] == ["GET /v1/models"]


@pytest.fixture
def collector():
    """Takes what is sent to it; gives its address and a list of (path, headers, body)."""
    taken = []

    class Taker(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            taken.append((self.path, dict(self.headers), body))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Taker)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", taken
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize(
    ("path", "asked"), [("", "/v1/traces"), ("/", "/v1/traces"), ("/own/path", "/own/path")]
)
def test_spans_reach_a_collector_as_the_environment_says(collector, path, asked, monkeypatch):
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    url, taken = collector
    monkeypatch.setenv("OTEL_SERVICE_NAME", "ours")
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=test")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "x-tenant=us")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_COMPRESSION", "none")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    spans = open_spans(url + path)
    spans.get_tracer("test").start_span("one").end()
    tracing.close_spans(spans)
    [(where, headers, body)] = taken
    assert where == asked and headers["x-tenant"] == "us"
    [sent] = ExportTraceServiceRequest.FromString(body).resource_spans
    values = {value.key: value.value.string_value for value in sent.resource.attributes}
    assert values["service.name"] == "ours" and values["deployment.environment.name"] == "test"
    assert values["service.version"] and sent.scope_spans[0].spans[0].name == "one"


def test_a_collector_that_takes_nothing_does_not_hold_the_end(monkeypatch):
    monkeypatch.setattr(tracing, "_FLUSH_SECONDS", 0.05)
    asked, is_over = threading.Event(), threading.Event()

    class Stuck:
        def shutdown(self):
            asked.set()
            is_over.wait()

    tracing.close_spans(Stuck())  # else it would not come back
    assert asked.wait(10)
    is_over.set()


@pytest.mark.parametrize(
    "url", ["localhost:4318", "ftp://there", "http://", "http://[::1", "http://there:port"]
)
def test_an_address_that_is_none_is_refused_before_a_model_is_opened(url, capsys, monkeypatch):
    monkeypatch.setattr("spanmix.generate.opening.open_model", lambda *_: pytest.fail("a model was opened"))
    assert main(["serve", "model", "--otlp", url]) == 2
    assert "such as http://localhost:4318" in " ".join(capsys.readouterr().err.split())


def test_what_is_not_installed_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http.trace_exporter", None)
    with pytest.raises(InputError, match=r"--otlp needs opentelemetry.*: pip install 'spanmix\[otel\]'"):
        open_spans("http://localhost:4318")


def test_fastapi_tells_nobody_of_its_own_accord(traced, monkeypatch):
    """Where some other package has set providers for the whole process."""
    from opentelemetry.sdk.trace import TracerProvider

    told = []

    class Loggers:
        def get_logger(self, *_, **__):
            return self

        def emit(self, *values, **named):
            told.append(named)

    class Kept(TracerProvider):
        def get_tracer(self, *_, **__):
            told.append("a tracer")
            return super().get_tracer(*_, **__)

    for where in ("opentelemetry._logs", "opentelemetry._logs._internal"):
        monkeypatch.setattr(f"{where}.get_logger_provider", Loggers)
    monkeypatch.setattr("opentelemetry.trace.get_tracer_provider", lambda: Kept())
    monkeypatch.setenv("FASTAPI_OTEL_AUTO_CONFIGURE", "true")
    start, spans = traced
    with start() as url:
        assert httpx.post(f"{url}/v1/completions", json={"max_tokens": PROMPT}).status_code == 400
        assert httpx.get(f"{url}/v1/models?{PROMPT}").status_code == 200
    assert len(spans()) == 2 and told == []


def test_nothing_of_it_is_imported_where_it_is_off():
    script = "import json, sys, spanmix.cli.serve, spanmix.serve.run; print(json.dumps(list(sys.modules)))"
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    loaded = json.loads(found.stdout)
    assert "spanmix.serve.front.tracing" in loaded
    # FastAPI itself imports the interface.
    assert not [name for name in loaded if name.startswith(("opentelemetry.sdk", "opentelemetry.exporter"))]
