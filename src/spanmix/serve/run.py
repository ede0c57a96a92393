"""Listen, answer, and end without cutting an answer short."""

from __future__ import annotations

import json
import os
import resource
import signal
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
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
_INTERRUPTED = 130
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
        why = getattr(error, "strerror", None) or error
        raise InputError(f"{path}: cannot be read as keys: {why}; name a text file of keys") from None
    keys = tuple(key for line in lines if (key := line.strip()) and not key.startswith("#"))
    if not keys:
        raise InputError(f"{path} holds no key; write one a line, or leave the flag out to let everybody in")
    return keys


def serve(
    model: OpenModel,
    settings: ServeSettings,
    listener: socket.socket,
    say: Callable[[str], None],
    log: Callable[[str], None] | None,
    provenance: Provenance | None = None,
    spans: TracerProvider | None = None,
) -> None:
    """Serve a model until SIGTERM or Ctrl-C, and then finish what is on its way; a second Ctrl-C ends the
    process at once, with exit code 130.

    Args:
        model: what is served.
        settings: what is allowed.
        listener: where clients come; it is closed at the end.
        say: tells the user, in one line, what an end waits for.
        log: is given a line of JSON for each request that is over.
        provenance: what is asked of the training data, if anything.
        spans: where a span of each request goes, if anywhere.
    """
    _allow_files()
    server = _Server(configuration(make_app(model, settings, log, provenance, spans)), say)
    server.run(sockets=[listener])


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

    def __init__(self, config: uvicorn.Config, say: Callable[[str], None]) -> None:
        super().__init__(config)
        self._say = say

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Let signals end the server, and nothing else."""
        before = {number: signal.signal(number, self.handle_exit) for number in _SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin to end; at a Ctrl-C after that, end at once.

        Uvicorn's own would cancel each answer, with a traceback, and leave the engine's thread to abort the
        process.
        """
        if self.should_exit and sig == signal.SIGINT:
            os.write(2, b"spanmix: interrupted; answers on their way were cut short\n")
            os._exit(_INTERRUPTED)
        super().handle_exit(sig, frame)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Finish what is on its way."""
        if num := len(self.server_state.tasks):
            answers = "1 answer is" if num == 1 else f"{num} answers are"
            self._say(f"ends when {answers} done, at most {_DRAIN_SECONDS} s; Ctrl-C then ends at once")
        await super().shutdown(sockets)


def stamped(line: str) -> str:
    """Put the time in front of a record.

    >>> stamped('{"status":200}').startswith('{"time":"2')
    True
    """
    now = time.strftime("%Y-%m-%dT%H:%M:%S%z")
    return f'{{"time":{json.dumps(now)},{line[1:]}'
