"""Count what a server does, in Prometheus' form."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from spanmix.serve.front.gate import Record
from spanmix.serve.served_model import ServedModel

METRICS_TYPE = CONTENT_TYPE_LATEST
_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
_TOKENS = (1, 8, 32, 128, 512, 1024, 2048, 4096, 8192)


class Metrics:
    """The numbers of one server; the names are vLLM's under our prefix, where it has them."""

    def __init__(self, server: ServedModel) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "spanmix_requests", "Requests that are over.", ["path", "status"], registry=self._registry
        )
        self._seconds = Histogram(
            "spanmix_e2e_request_latency_seconds",
            "From a request's arrival to its last byte.",
            ["path"],
            buckets=_SECONDS,
            registry=self._registry,
        )
        self._first = Histogram(
            "spanmix_time_to_first_token_seconds",
            "From a request's arrival to its first token.",
            buckets=_SECONDS,
            registry=self._registry,
        )
        self._prompt = Histogram(
            "spanmix_request_prompt_tokens", "Tokens of a prompt.", buckets=_TOKENS, registry=self._registry
        )
        self._made = Histogram(
            "spanmix_request_generation_tokens",
            "Tokens that a request was answered with.",
            buckets=_TOKENS,
            registry=self._registry,
        )
        thread = server.thread
        for name, help, value in (
            ("num_requests_running", "Choices that get tokens.", lambda: thread.num_running),
            ("num_requests_waiting", "Choices that wait.", lambda: thread.num_requests - thread.num_running),
            ("engine_faults", "Steps of the engine that failed.", lambda: thread.num_faults),
            ("last_step_seconds", "Time of the engine's last step.", lambda: thread.last_step_seconds),
        ):
            Gauge(f"spanmix_{name}", help, registry=self._registry).set_function(value)

    def add(self, record: Record) -> None:
        """Count a request that is over."""
        path = record.get("route", "other")
        self._requests.labels(path, record["status"]).inc()
        self._seconds.labels(path).observe(record["seconds"])
        if "first_token_seconds" in record:
            self._first.observe(record["first_token_seconds"])
        if "prompt_tokens" in record:
            self._prompt.observe(record["prompt_tokens"])
            self._made.observe(record.get("completion_tokens", 0))

    def written(self) -> bytes:
        """Return all numbers."""
        return generate_latest(self._registry)
