"""Run a program in a sandbox of its own: feed it its standard input, and listen to it, within limits."""

from __future__ import annotations

import os
import select
import threading
import time
from dataclasses import dataclass

from spanmix.evaluate.grade.isolation import Isolation
from spanmix.evaluate.grade.limits import Limits
from spanmix.evaluate.grade.pairs import TICK_SECONDS
from spanmix.evaluate.grade.sandbox import Sandbox, Spawned, Spawner
from spanmix.evaluate.grade.setup import Setup
from spanmix.evaluate.grade.verdict import TIMED_OUT, StoppedError

_CHUNK_BYTES = 1 << 16


@dataclass(frozen=True)
class Ended:
    """How a program ended.

    Args:
        over: `Verdict.result` of a program that was ended because it was over a limit; None for any other.
        code: the code that it ended with, or 128 and the number of a signal.
        printed: its standard output.
        seconds: wall time.
    """

    over: str | None
    code: int
    printed: bytes
    seconds: float


def run_fed(setup: Setup, text: bytes, isolation: Isolation, limits: Limits, stop: threading.Event) -> Ended:
    """Run a program, of which nothing is left when this returns.

    Args:
        setup: an ``interpreter``, and what it gets.
        text: its standard input.
        isolation: how it is kept apart.
        limits: what it may use.
        stop: tells whether to stop.

    Raises:
        SandboxError: the sandbox did not start.
        StoppedError: told to stop.
    """
    channel, process = Spawner(isolation).start_process(setup, piped=True)
    sandbox = Sandbox(channel, process)
    try:
        sandbox.wait_ready()
        start = time.monotonic()
        printed = bytearray()
        code, over = 0, None
        try:
            code = _Run(sandbox, process, limits, stop, start + limits.seconds).code(text, printed)
        except _OverError as error:
            over = str(error)
        return Ended(over, code, bytes(printed), time.monotonic() - start)
    finally:
        sandbox.kill()


class _Run:
    """One program that is fed and listened to."""

    def __init__(
        self, sandbox: Sandbox, process: Spawned, limits: Limits, stop: threading.Event, deadline: float
    ) -> None:
        self._sandbox = sandbox
        self._process = process
        self._limits = limits
        self._stop = stop
        self._deadline = deadline

    def code(self, text: bytes, printed: bytearray) -> int:
        """Return the code that the program ends with, and add to `printed` what it prints."""
        self._exchange(text, printed)
        while (code := self._process.end_code()) is None:
            self._check_limits(0)
            time.sleep(0.002)
        return code

    def _exchange(self, text: bytes, printed: bytearray) -> None:
        """Write the text, and read what is printed until the program has closed its output."""
        writing, reading = self._process.input.fileno(), self._process.output.fileno()
        os.set_blocking(writing, False)
        poll = select.poll()
        poll.register(reading, select.POLLIN)
        poll.register(writing, select.POLLOUT)
        rest = memoryview(text)
        while True:
            self._check_limits(len(printed))
            ready = [descriptor for descriptor, _ in poll.poll(TICK_SECONDS * 1000)]
            if writing in ready:
                try:
                    rest = rest[os.write(writing, rest[:_CHUNK_BYTES]) :]
                except BrokenPipeError:
                    rest = memoryview(b"")
                if not rest:
                    poll.unregister(writing)
                    self._process.input.close()
            if reading in ready:
                part = os.read(reading, _CHUNK_BYTES)
                if not part:
                    return
                printed += part

    def _check_limits(self, num_printed: int) -> None:
        if self._stop.is_set():
            raise StoppedError
        if time.monotonic() > self._deadline:
            raise _OverError(TIMED_OUT)
        if num_printed > self._limits.output_bytes:
            raise _OverError(f"failed: more than {self._limits.output_bytes:,} bytes of output")
        if self._sandbox.memory_bytes() > self._limits.memory_bytes:
            raise _OverError(f"failed: more than {self._limits.memory_bytes:,} bytes of memory")


class _OverError(Exception):
    """The program was over a limit; the text is `Verdict.result`."""
