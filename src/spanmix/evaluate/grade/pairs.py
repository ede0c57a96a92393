"""Have a judge, which stays, decide about one program after the other, each in a fresh sandbox."""

from __future__ import annotations

import secrets
import socket
import threading
import time
from typing import Any

from spanmix.errors import InputError
from spanmix.evaluate.code.problem import AssertCheck, CallCheck, ReferenceCheck
from spanmix.evaluate.grade import frames
from spanmix.evaluate.grade.isolation import Isolation
from spanmix.evaluate.grade.limits import Limits
from spanmix.evaluate.grade.sandbox import Nursery, Sandbox, Spawner, readable
from spanmix.evaluate.grade.setup import Resources, Setup
from spanmix.evaluate.grade.values import UnfitValueError, pack
from spanmix.evaluate.grade.verdict import TIMED_OUT, StoppedError, Verdict

TICK_SECONDS = 0.05
"""How often one looks at a program's memory, and whether to stop."""
_GRACE_SECONDS = 10.0
"""What a judge may take beside the time of the check before it is replaced."""


class Pairs:
    """The sandboxes of one worker: a judge, a program that runs, and one that waits for its text.

    Use it as a context manager, and from one thread: leaving the block ends all of them.

    Args:
        isolation: how they are kept apart.
        limits: of the programs.
        stop: tells whether to stop.
    """

    def __init__(self, isolation: Isolation, limits: Limits, stop: threading.Event) -> None:
        self._starter = Nursery(isolation) if isolation.forks else Spawner(isolation)
        self._limits = limits
        self._stop = stop
        self._judge: Sandbox | None = None
        self._waiting: Sandbox | None = None

    def __enter__(self) -> Pairs:
        return self

    def __exit__(self, *error: object) -> None:
        for sandbox in (self._judge, self._waiting):
            if sandbox is not None:
                sandbox.kill()
        self._starter.close()

    def judge(self, text: str, check: CallCheck | AssertCheck | ReferenceCheck) -> Verdict:
        """Return the verdict about a program.

        Raises:
            InputError: the check has inputs that are not of builtin types.
            SandboxError: a sandbox did not start.
            StoppedError: told to stop.
        """
        message = _message(check)
        judge, candidate = self._ready_judge(), self._ready_candidate()
        nonce = secrets.token_hex(16)
        task = {"nonce": nonce, "text": text, "check": message, "seconds": self._limits.seconds}
        start = time.monotonic()
        try:
            frames.send(judge.channel.fileno(), {**task, "answer_bytes": self._limits.output_bytes})
            socket.send_fds(judge.channel, [b"c"], [candidate.channel.fileno()])
            candidate.channel.close()
            too_much = self._wait(judge, candidate)
            verdict = frames.receive(judge.channel.fileno())
        except (EOFError, OSError) as error:
            # Nothing that a program does should come to this; a judge in an unclear state is not kept.
            self._drop_judge()
            late = isinstance(error, TimeoutError)
            return Verdict.of(TIMED_OUT if late else "failed: the judge ended", time.monotonic() - start)
        finally:
            candidate.kill()
        if verdict["nonce"] != nonce:
            self._drop_judge()
            return Verdict.of("failed: the judge answered for another program", time.monotonic() - start)
        return Verdict.of(too_much or verdict["result"], verdict["seconds"])

    def _wait(self, judge: Sandbox, candidate: Sandbox) -> str | None:
        """Wait until the judge has a verdict; returns why the program was ended, if it was ended here."""
        deadline = time.monotonic() + self._limits.seconds + _GRACE_SECONDS
        too_much = None
        while not readable(judge.channel.fileno(), TICK_SECONDS):
            if self._stop.is_set():
                raise StoppedError
            if time.monotonic() > deadline:
                raise TimeoutError
            if too_much is None and candidate.memory_bytes() > self._limits.memory_bytes:
                too_much = f"failed: more than {self._limits.memory_bytes:,} bytes of memory"
                candidate.kill()
        return too_much

    def _ready_candidate(self) -> Sandbox:
        """Return a sandbox that has started, and start the next."""
        candidate = self._waiting or self._start_candidate()
        self._waiting = None
        try:
            candidate.wait_ready()
        except BaseException:
            candidate.kill()
            raise
        self._waiting = self._start_candidate()
        return candidate

    def _start_candidate(self) -> Sandbox:
        setup = Setup("candidate", Resources.of_program(self._limits), self._limits.file_bytes)
        return self._starter.start(setup)

    def _ready_judge(self) -> Sandbox:
        if self._judge is None:
            setup = Setup("judge", Resources.of_judge(self._limits), self._limits.file_bytes)
            self._judge = self._starter.start(setup)
            self._judge.wait_ready()
        return self._judge

    def _drop_judge(self) -> None:
        if self._judge is not None:
            self._judge.kill()
            self._judge = None


def _message(check: CallCheck | AssertCheck | ReferenceCheck) -> dict[str, Any]:
    """Return what `checks.run` gets."""
    message = {"kind": type(check).__name__, **vars(check)}
    if isinstance(check, ReferenceCheck):
        try:
            message["inputs"] = [pack(given, _refuse) for given in check.inputs]
        except UnfitValueError as error:
            raise InputError(f"the inputs of the check of {check.entry_point} hold {error}") from None
    return message


def _refuse(value: object) -> int:
    raise UnfitValueError(f"a {type(value).__name__}, which is no builtin value")
