"""Send a span of each request to an OpenTelemetry collector, without a text of it."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from spanmix import __version__
from spanmix.errors import InputError
from spanmix.serve.front.gate import CLIENT_GONE, RECORD, Record
from spanmix.serve.served_model import ServedModel

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.trace import Span

UNTRACED_PATHS = frozenset({"/health", "/ready", "/metrics"})
"""What is asked every few seconds by whoever watches the server."""
_METHODS = frozenset(
    {"GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH", "QUERY"}
)
_FLUSH_SECONDS = 5
"""Longest time to hand over the last spans when the server ends, whether or not somebody takes them."""


def open_spans(url: str) -> TracerProvider:
    """Return what sends spans to a collector, in the background, as OTLP over HTTP.

    All but the address follows the environment's ``OTEL_*``: headers, sampling, batches, service name.

    Args:
        url: of the collector, such as ``http://localhost:4318``; ``/v1/traces`` is added if it has no path.

    Raises:
        InputError: the address cannot be one, or the packages are not installed.
    """
    try:
        parts = urlsplit(url)
        is_address = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_address = False
    if not is_address:
        raise InputError(f"--otlp {url}: give the collector's address, such as http://localhost:4318")
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import OTELResourceDetector, Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ModuleNotFoundError as error:
        raise InputError(
            f"--otlp needs {error.name}, which is not installed: pip install 'spanmix[otel]'"
        ) from None
    own = {"service.name": "spanmix", "service.version": __version__}
    told = OTELResourceDetector().detect().attributes  # what the environment says, which goes first
    provider = TracerProvider(resource=Resource.create({**own, **told}))
    endpoint = url if parts.path.strip("/") else parts._replace(path="/v1/traces").geturl()
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=endpoint)))
    return provider


def close_spans(spans: TracerProvider) -> None:
    """Hand over what is left, for at most some seconds."""
    flush = threading.Thread(target=spans.shutdown, daemon=True)
    flush.start()
    flush.join(_FLUSH_SECONDS)


class Traced:
    """Makes a span of each request, as a child of the client's if it sends ``traceparent``.

    Names are those of OpenTelemetry's conventions for HTTP servers and for generative AI. The span is the
    outermost of all, so it lasts from a request's arrival to its last byte; what the gate notes of the
    request becomes its attributes.

    Args:
        app: what answers.
        spans: where they go.
        server: whose requests run and wait.
    """

    def __init__(self, app: ASGIApp, spans: TracerProvider, server: ServedModel) -> None:
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        self._app = app
        self._tracer = spans.get_tracer("spanmix.serve", __version__)
        self._parent = TraceContextTextMapPropagator()
        self._server = server

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, and tell of it."""
        if scope["type"] != "http" or scope["path"] in UNTRACED_PATHS:
            await self._app(scope, receive, send)
            return
        span = self._begun(scope)
        try:
            await self._app(scope, receive, send)
        except BaseException as error:  # its message and trace could hold a text
            self._end(span, scope, type(error).__qualname__)
            raise
        self._end(span, scope, None)

    def _begun(self, scope: Scope) -> Span:
        from opentelemetry.trace import SpanKind

        headers = Headers(scope=scope)
        sent = {name: headers[name] for name in ("traceparent", "tracestate") if name in headers}
        thread = self._server.thread
        num_running = thread.num_running
        return self._tracer.start_span(
            scope["method"],
            context=self._parent.extract(sent),
            kind=SpanKind.SERVER,
            attributes={
                "spanmix.requests.running": num_running,
                "spanmix.requests.waiting": thread.num_requests - num_running,
            },
        )

    def _end(self, span: Span, scope: Scope, failure: str | None) -> None:
        """End a span with what is known of its request; `failure` names what nobody caught."""
        from opentelemetry.trace import StatusCode

        record: Record = scope.get(RECORD, {})
        method = scope["method"] if scope["method"] in _METHODS else "HTTP"
        route = getattr(scope.get("route"), "path", None)
        status = record.get("status")
        if failure and status == CLIENT_GONE:  # nothing has been sent yet, so this is what will be
            status = 500
        span.update_name(f"{method} {route}" if route else method)
        span.set_attributes(self._attributes(record, method, route, status))
        if failure or (status is not None and status >= 500):
            span.set_attribute("error.type", failure or str(status))
            span.set_status(StatusCode.ERROR)
        span.end()

    def _attributes(
        self, record: Record, method: str, route: str | None, status: int | None
    ) -> dict[str, Any]:
        values: dict[str, Any] = {
            "http.request.method": "_OTHER" if method == "HTTP" else method,
            "http.route": route,
            "http.response.status_code": status,
            "spanmix.request_id": record.get("request_id"),
        }
        if "prompt_tokens" in record:
            values |= {
                "gen_ai.operation.name": "text_completion",
                "gen_ai.provider.name": "spanmix",
                "gen_ai.response.model": self._server.settings.name,
                "gen_ai.usage.input_tokens": record["prompt_tokens"],
                "gen_ai.usage.output_tokens": record["completion_tokens"],
                "gen_ai.response.time_to_first_chunk": record.get("first_token_seconds"),
            }
        return {name: value for name, value in values.items() if value is not None}
