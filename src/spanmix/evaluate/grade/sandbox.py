"""One sandbox: a process that was started in an isolation, the channel to it, and its end."""

from __future__ import annotations

import contextlib
import os
import resource
import select
import signal
import socket
import subprocess
from pathlib import Path
from typing import IO, Protocol

from spanmix.errors import SpanmixError
from spanmix.evaluate.grade import frames
from spanmix.evaluate.grade.enter import READY
from spanmix.evaluate.grade.isolation import Isolation
from spanmix.evaluate.grade.languages import PATH
from spanmix.evaluate.grade.limits import Limits
from spanmix.evaluate.grade.setup import Resources, Setup

# Strings are hashed the same way each time, so that a program that depends on it always does the same.
_ENVIRONMENT = {"PATH": PATH, "HOME": "/tmp", "LANG": "C.UTF-8", "PYTHONHASHSEED": "0"}
_START_SECONDS = 120.0
_END_SECONDS = 60.0
_PAGE_BYTES = resource.getpagesize()
_NURSERY = Setup("nursery", Resources.of_judge(Limits()), 0)


class SandboxError(SpanmixError):
    """A sandbox did not start."""


class Process(Protocol):
    """The outermost process of a sandbox."""

    @property
    def number(self) -> int:
        """Its number."""
        ...

    def kill(self) -> None:
        """End it, and with it the sandbox; it may have ended already."""
        ...

    def complaint(self) -> str:
        """Return the last line that it wrote to its standard error."""
        ...


class Sandbox:
    """A sandbox that has been started; it goes on by itself until `wait_ready`.

    The thread that starts a sandbox must also end it: some isolations end it with the thread.

    Args:
        channel: our end of what the process in it keeps.
        process: the process.
    """

    def __init__(self, channel: socket.socket, process: Process) -> None:
        self.channel = channel
        self._process = process

    def wait_ready(self) -> None:
        """Wait until it is set up; what runs in it until then is our own.

        Raises:
            SandboxError: it ended, or takes too long, with what it said.
        """
        self.channel.settimeout(_START_SECONDS)
        try:
            said = self.channel.recv(1)
        except (TimeoutError, ConnectionError):
            said = b""
        self.channel.settimeout(None)
        if said != READY:
            raise SandboxError(f"a sandbox did not start: {self._process.complaint()}")

    def memory_bytes(self) -> int:
        """Return the memory that all its processes have now; what two share is counted twice."""
        return sum(map(_resident_bytes, with_descendants(self._process.number)))

    def kill(self) -> None:
        """End it and all that it started, and close the channel; it may have ended already."""
        self._process.kill()
        self.channel.close()


class Spawned:
    """A process that we started ourselves, in a session of its own.

    Args:
        command: what is run.
        channel: a file descriptor that it keeps.
        piped: whether its standard input and output are pipes; otherwise both are empty.

    Raises:
        SandboxError: the system cannot start it.
    """

    def __init__(self, command: list[str], channel: int, *, piped: bool = False) -> None:
        stream = subprocess.PIPE if piped else subprocess.DEVNULL
        try:
            self._process = subprocess.Popen(
                command,
                pass_fds=(channel,),
                stdin=stream,
                stdout=stream,
                stderr=subprocess.PIPE,
                env=_ENVIRONMENT,
                cwd="/",
                start_new_session=True,
                umask=0o022,
            )
        except OSError as error:
            raise SandboxError(f"a sandbox could not be started: {error}") from None

    @property
    def number(self) -> int:
        """See `Process`."""
        return self._process.pid

    @property
    def input(self) -> IO[bytes]:
        """The pipe to its standard input."""
        assert self._process.stdin is not None
        return self._process.stdin

    @property
    def output(self) -> IO[bytes]:
        """The pipe from its standard output."""
        assert self._process.stdout is not None
        return self._process.stdout

    def end_code(self) -> int | None:
        """Return the code that it has ended with; None if it has not."""
        # It stays unburied until `kill`, so that its number is nobody else's until then.
        ended = os.waitid(os.P_PID, self._process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        if ended is None:
            return None
        return ended.si_status if ended.si_code == os.CLD_EXITED else 128 + ended.si_status

    def kill(self) -> None:
        """See `Process`."""
        if self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait(_END_SECONDS)
        for stream in (self._process.stdin, self._process.stdout, self._process.stderr):
            if stream is not None:
                with contextlib.suppress(OSError):  # what was written to it and is not read is dropped
                    stream.close()

    def complaint(self) -> str:
        """See `Process`."""
        assert self._process.stderr is not None
        if readable(self._process.stderr.fileno(), 1.0):
            lines = os.read(self._process.stderr.fileno(), 1 << 16).decode(errors="replace").split("\n")
            return next((line for line in reversed(lines) if line.strip()), "it said nothing")
        return "it said nothing"


class Forked:
    """A process that a `Nursery` started.

    Args:
        handle: a file descriptor that stands for the process (pidfd), whatever becomes of its number.
        number: its number.
        nursery: which one.
    """

    def __init__(self, handle: int, number: int, nursery: Spawned) -> None:
        self._handle = handle
        self._nursery = nursery
        self.number = number
        self._ended = False

    def kill(self) -> None:
        """See `Process`."""
        if not self._ended:
            self._ended = True
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._handle, signal.SIGKILL)
            readable(self._handle, _END_SECONDS)  # which says that the process has ended
            os.close(self._handle)

    def complaint(self) -> str:
        """See `Process`."""
        return self._nursery.complaint()


class Spawner:
    """Starts sandboxes, each with a command of its own.

    Args:
        isolation: how they are kept apart.
    """

    def __init__(self, isolation: Isolation) -> None:
        self._isolation = isolation

    def start(self, setup: Setup) -> Sandbox:
        """Start a sandbox; raises `SandboxError` if the system cannot."""
        channel, process = self.start_process(setup)
        return Sandbox(channel, process)

    def start_process(self, setup: Setup, *, piped: bool = False) -> tuple[socket.socket, Spawned]:
        """Start a sandbox; return our end of its channel, and its process. See `Spawned`."""
        ours, theirs = socket.socketpair()
        with theirs:
            try:
                command = self._isolation.command(setup, theirs.fileno())
                return ours, Spawned(command, theirs.fileno(), piped=piped)
            except BaseException:
                ours.close()
                raise

    def close(self) -> None:
        """There is nothing to end but what was started."""


class Nursery(Spawner):
    """Starts sandboxes by forking a process that has everything loaded; see `nursery`."""

    def __init__(self, isolation: Isolation) -> None:
        super().__init__(isolation)
        self._control, self._process = self.start_process(_NURSERY)

    def start(self, setup: Setup) -> Sandbox:
        """Start a sandbox; raises `SandboxError` if the system cannot."""
        ours, theirs = socket.socketpair()
        try:
            with theirs:
                frames.send(self._control.fileno(), self._isolation.told(setup, theirs.fileno()))
                socket.send_fds(self._control, [b"c"], [theirs.fileno()])
            number, [handle], *_ = socket.recv_fds(self._control, 8, 1)
            return Sandbox(ours, Forked(handle, int.from_bytes(number, "big"), self._process))
        except (OSError, ValueError):  # it has ended
            ours.close()
            raise SandboxError(f"a sandbox could not be started: {self._process.complaint()}") from None

    def close(self) -> None:
        """End the process, and with it all that it started."""
        self._process.kill()
        self._control.close()


def readable(descriptor: int, seconds: float) -> bool:
    """Wait until there is something to read, or the other side has closed; False if neither comes in time."""
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(seconds * 1000))


def with_descendants(process: int) -> list[int]:
    """Return a process and all that it started, as far as they still have each other for parents."""
    found = [process]
    for parent in found:
        for listed in Path(f"/proc/{parent}/task").glob("*/children"):
            with contextlib.suppress(OSError):
                found += map(int, listed.read_text().split())
    return found


def _resident_bytes(process: int) -> int:
    try:
        return int(Path(f"/proc/{process}/statm").read_text().split()[1]) * _PAGE_BYTES
    except (OSError, IndexError):  # it has just ended
        return 0
