"""Listen, answer, and end without cutting an answer short."""

from __future__ import annotations

import json
import resource
import signal
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import uvicorn
from starlette.types import ASGIApp

from spanmix.errors import InputError
from spanmix.generate.opening import OpenModel
from spanmix.serve.app import make_app
from spanmix.serve.front.protocol import TimedProtocol
from spanmix.serve.provenance import Provenance
from spanmix.serve.settings import ServeSettings

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_DRAIN_SECONDS = 30
"""Longest time that answers on their way get when the server is asked to end."""
_HEAD_BYTES = 64 * 1024
_FILES = 65_536
"""Most open files that are asked for."""


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens; port 0 takes a free one.

    Raises:
        InputError: the address is taken, or not this machine's.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=2048)
    except (OSError, OverflowError) as error:
        raise InputError(
            f"cannot listen on {host}, port {port}: {getattr(error, 'strerror', None) or error}; choose "
            "others with --host and --port"
        ) from None


def read_keys(path: Path) -> tuple[str, ...]:
    """Read API keys, one a line; blank lines and those that begin with ``#`` are passed over.

    Raises:
        InputError: there is no such file, or no key in it.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeError) as error:
        raise InputError(f"{path}: cannot be read as keys: {error}") from None
    keys = tuple(line.strip() for line in lines if line.strip() and not line.startswith("#"))
    if not keys:
        raise InputError(f"{path} holds no key; write one a line, or leave the flag out to let everybody in")
    return keys


def serve(
    model: OpenModel,
    settings: ServeSettings,
    listener: socket.socket,
    log: Callable[[str], None] | None,
    provenance: Provenance | None = None,
    spans: TracerProvider | None = None,
) -> None:
    """Serve a model until SIGTERM or Ctrl-C, and then finish what is on its way.

    Args:
        model: what is served.
        settings: what is allowed.
        listener: where clients come; it is closed at the end.
        log: is given a line of JSON for each request that is over.
        provenance: what is asked of the training data, if anything.
        spans: where a span of each request goes, if anywhere.
    """
    _allow_files()
    _Server(configuration(make_app(model, settings, log, provenance, spans))).run(sockets=[listener])


def configuration(app: ASGIApp) -> uvicorn.Config:
    """Return how uvicorn serves an application."""
    return uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,
        lifespan="on",
        timeout_graceful_shutdown=_DRAIN_SECONDS,
        http=TimedProtocol,
        ws="none",
        h11_max_incomplete_event_size=_HEAD_BYTES,
    )


def _allow_files() -> None:
    """Let this process have as many files open as it may; connections are files, and 1,024 are usual."""
    allowed, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _FILES if most == resource.RLIM_INFINITY else min(_FILES, most)
    if allowed != resource.RLIM_INFINITY and allowed < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, most))


class _Server(uvicorn.Server):
    """Ends in order at SIGTERM and Ctrl-C; uvicorn's own would then die of the signal."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Let signals end the server, and nothing else."""
        before = {number: signal.signal(number, self.handle_exit) for number in _SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def stamped(line: str) -> str:
    """Put the time in front of a record.

    >>> stamped('{"status":200}').startswith('{"time":"2')
    True
    """
    now = time.strftime("%Y-%m-%dT%H:%M:%S%z")
    return f'{{"time":{json.dumps(now)},{line[1:]}'
