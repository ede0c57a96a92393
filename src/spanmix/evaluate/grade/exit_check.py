"""Run an answer and its test as one program of another language.

The two share a process, so this protects less than `pairs`: the program has to come to its end, behind
the test, and print there a text that is made for it alone and lies in no file.
"""

from __future__ import annotations

import os
import secrets
import select
import threading
import time

from spanmix.evaluate.code.problem import ExitCheck
from spanmix.evaluate.grade.isolation import Isolation
from spanmix.evaluate.grade.languages import language_named
from spanmix.evaluate.grade.limits import Limits
from spanmix.evaluate.grade.pairs import TICK_SECONDS
from spanmix.evaluate.grade.sandbox import Sandbox, Spawned, Spawner
from spanmix.evaluate.grade.setup import Resources, Setup
from spanmix.evaluate.grade.verdict import PASSED, TIMED_OUT, StoppedError, Verdict

_SHOWN_BYTES = 200
_CHUNK_BYTES = 1 << 16


def run_exit_check(
    answer: str, check: ExitCheck, isolation: Isolation, limits: Limits, stop: threading.Event
) -> Verdict:
    """Return the verdict about an answer in another language.

    Raises:
        InputError: the language is unknown or not installed.
        SandboxError: a sandbox did not start.
        StoppedError: told to stop.
    """
    language, command = language_named(check.language)
    nonce = secrets.token_hex(16)
    text = language.whole(answer, check.test, nonce).encode("utf-8", "surrogatepass")
    resources = Resources.of_program(limits, language.sparse)
    setup = Setup("interpreter", resources, limits.file_bytes, command)
    channel, process = Spawner(isolation).start_process(setup, piped=True)
    sandbox = Sandbox(channel, process)
    try:
        sandbox.wait_ready()
        start = time.monotonic()
        result = _Run(sandbox, process, limits, stop, start + limits.seconds).result(text, nonce.encode())
        return Verdict.of(result, time.monotonic() - start)
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

    def result(self, text: bytes, nonce: bytes) -> str:
        """Return `Verdict.result` of the program that has this text."""
        printed = bytearray()
        try:
            self._exchange(text, printed)
            code = self._code()
        except _EndedError as ended:
            return str(ended)
        if code:
            return f"failed: exit code {code}"
        if not printed.rstrip().endswith(nonce):
            shown = bytes(printed[-_SHOWN_BYTES:]).decode(errors="replace").strip()
            return f"failed: it ended before the end of the test, having printed {shown!r}"
        return PASSED

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

    def _code(self) -> int:
        while (code := self._process.end_code()) is None:
            self._check_limits(0)
            time.sleep(0.002)
        return code

    def _check_limits(self, num_printed: int) -> None:
        if self._stop.is_set():
            raise StoppedError
        if time.monotonic() > self._deadline:
            raise _EndedError(TIMED_OUT)
        if num_printed > self._limits.output_bytes:
            raise _EndedError(f"failed: more than {self._limits.output_bytes:,} bytes of output")
        if self._sandbox.memory_bytes() > self._limits.memory_bytes:
            raise _EndedError(f"failed: more than {self._limits.memory_bytes:,} bytes of memory")


class _EndedError(Exception):
    """The program was over a limit; the text is `Verdict.result`."""
