"""Start sandboxes by forking, from a process that has all modules loaded and never sees a program.

To load the interpreter and its modules takes longer than most programs run. Nothing that a program does
reaches this process, so all that are forked from it begin alike.
"""

from __future__ import annotations

import contextlib
import os
import socket
import sys
from collections.abc import Callable
from importlib import import_module
from typing import Any

from spanmix.evaluate.grade import frames, guard

_OFTEN_USED = (
    "bisect",
    "collections",
    "copy",
    "functools",
    "heapq",
    "itertools",
    "math",
    "re",
    "string",
    "typing",
)
"""Not `random`: it would be in the same state in all of them."""


def serve(control: int, _command: list[str], *, become: Callable[[dict[str, Any], int], None]) -> None:
    """Fork a sandbox for each setup that comes, until the other side closes; never returns.

    A setup is a message, and one byte that brings the channel. The answer is the number of the process in
    eight bytes, with a file descriptor that stands for it.

    Args:
        control: file descriptor of the stream.
        become: called in the new process, with the setup and the channel.
    """
    guard.die_with_parent()
    for name in _OFTEN_USED:
        import_module(name)
    connection = socket.socket(fileno=control)
    with contextlib.suppress(EOFError, OSError):
        while True:
            setup = frames.receive(control)
            _, [channel], *_ = socket.recv_fds(connection, 1, 1)
            child = os.fork()
            if not child:
                connection.close()
                _become(become, setup, channel)
            os.close(channel)
            handle = os.pidfd_open(child)
            socket.send_fds(connection, [child.to_bytes(8, "big")], [handle])
            os.close(handle)
            _bury()
    os._exit(0)


def _become(become: Callable[[dict[str, Any], int], None], setup: dict[str, Any], channel: int) -> None:
    """Go on as the new process, and not as this one, whatever happens."""
    try:
        become(setup, channel)
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        os._exit(1)


def _bury() -> None:
    """Take note of those that have ended."""
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
