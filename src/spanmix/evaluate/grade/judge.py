"""Judge one program after the other, each in a process of its own that is forked from this one.

This process never meets a program: it starts the judges, watches their time, and passes their verdicts
on. A judge has the program's channel, and a pipe for its verdict that nobody else has.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import time
from typing import Any

from spanmix.evaluate.grade import checks, frames
from spanmix.evaluate.grade.remote import RemoteProgram
from spanmix.evaluate.grade.verdict import PASSED, TIMED_OUT

_LONGEST_RESULT = 2_000


def serve(control: int, _command: list[str]) -> None:
    """Take tasks until the other side closes; never returns.

    A task is a message with ``nonce``, ``text``, ``check``, ``seconds`` and ``answer_bytes``, and one byte
    that brings the channel to a program that waits. Its answer has ``nonce``, ``result`` and ``seconds``.
    """
    with contextlib.suppress(EOFError, OSError), socket.socket(fileno=control) as connection:
        while True:
            task = frames.receive(control)
            _, [channel], *_ = socket.recv_fds(connection, 1, 1)
            frames.send(control, _judged(task, channel, control))
    os._exit(0)


def _judged(task: dict[str, Any], channel: int, control: int) -> dict[str, Any]:
    start = time.monotonic()
    reading, writing = os.pipe()
    judge = os.fork()
    if not judge:
        os.setpgid(0, 0)
        os.close(control)
        os.close(reading)
        _judge(task, channel, writing)
    os.close(writing)
    os.close(channel)
    verdict = _verdict(reading, control, start + task["seconds"])
    os.close(reading)
    for kill in (os.killpg, os.kill):
        with contextlib.suppress(ProcessLookupError):
            kill(judge, signal.SIGKILL)
    os.waitpid(judge, 0)
    return {"nonce": task["nonce"], "result": verdict, "seconds": time.monotonic() - start}


def _verdict(reading: int, control: int, deadline: float) -> str:
    """Wait for the verdict of the judge; raises `EOFError` if the other side closes meanwhile."""
    written = b""
    poll = select.poll()
    poll.register(reading, select.POLLIN)
    poll.register(control, select.POLLHUP)
    while (left := deadline - time.monotonic()) > 0:
        for descriptor, _ in poll.poll(left * 1000):
            if descriptor == control:
                raise EOFError
            part = os.read(reading, 1 << 16)
            written += part
            if not part:
                return str(json.loads(written)) if written else "failed: the judge's process ended"
    return TIMED_OUT


def _judge(task: dict[str, Any], channel: int, writing: int) -> None:
    """Be the judge of one program; never returns."""
    result = "failed: "
    try:
        checks.run(RemoteProgram(channel, task["answer_bytes"]), task["text"], task["check"])
        result = PASSED
    except BaseException as error:
        with contextlib.suppress(BaseException):
            text = f"failed: {error}"[:_LONGEST_RESULT]
            result = text.encode("utf-8", "backslashreplace").decode()  # half characters fit in no file
    finally:
        os.write(writing, json.dumps(result).encode())
        os._exit(0)
