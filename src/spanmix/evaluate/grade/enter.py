"""Start in a sandbox: close the door, say so, and become what was asked for.

Run as ``python -S -s -P -c COMMAND FOLDER SETUP``, a fresh interpreter each time. Until it has said
that it is ready, this process runs our code alone; it is told the program afterwards.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

from spanmix.evaluate.grade import candidate, guard, namespaces, seccomp

COMMAND = (
    "import sys; sys.path.insert(0, sys.argv[1]); from spanmix.evaluate.grade.enter import main; "
    "main(sys.argv[2])"
)
READY = b"r"


def main(text: str) -> None:
    """Set up what the text describes (see `setup.Setup`), and go on as its role says; never returns."""
    setup: dict[str, Any] = json.loads(text)
    role = _role(setup["role"])  # loaded now: our files cannot be seen from inside
    del sys.path[0]
    sys.argv[1:] = []
    if setup["role"] == "nursery":
        role(setup["channel"], [])
    become(setup, setup["channel"])


def become(setup: dict[str, Any], channel: int) -> None:
    """Go into the sandbox, and on as the setup says; never returns."""
    role, move_in = _role(setup["role"]), _move_in(setup["workplace"])
    isolated = setup["isolation"] != "unsafe"
    if setup["isolation"] == "namespaces":
        namespaces.enter(**setup["view"], channel=channel)
    if setup["isolation"] == "bubblewrap":
        # It can limit the size of a folder, but not the number of files, which cost memory too.
        view = setup["view"]
        namespaces.mount_scratch_over(view["shown"], view["file_bytes"], view["num_files"])
        namespaces.mount_processes("/proc")
        os.chdir("/tmp")
        os.environ.pop("PWD", None)
    if isolated:
        namespaces.become_inner(setup["user"], channel)
    elif sys.platform == "linux":
        guard.die_with_parent()
    os.closerange(3, channel)
    os.closerange(channel + 1, os.sysconf("SC_OPEN_MAX"))
    guard.limit_resources(**setup["resources"])
    if isolated:
        seccomp.install()
    move_in()
    _say_ready(channel)
    role(channel, setup["command"])


def _role(name: str) -> Callable[[int, list[str]], None]:
    """Load what a role needs, and nothing else: each program waits for it."""
    if name == "nursery":
        from spanmix.evaluate.grade import judge, nursery

        return partial(nursery.serve, become=become)
    if name == "judge":
        from spanmix.evaluate.grade import judge

        return judge.serve
    return {"candidate": candidate.serve, "interpreter": _become_interpreter}[name]


def _move_in(workplace: dict[str, Any] | None) -> Callable[[], None]:
    """Load what it takes to get to a workplace, if there is one."""
    if workplace is None:
        return lambda: None
    from spanmix.evaluate.grade.workplace import move_in

    return partial(move_in, **workplace)


def _become_interpreter(channel: int, command: list[str]) -> None:
    """Become another program; its standard input and output lead out."""
    os.close(channel)
    os.execv(command[0], command)


def _say_ready(channel: int) -> None:
    """Errors are no longer told from here on: what a program prints is nobody's business."""
    nowhere = os.open(os.devnull, os.O_RDWR)
    os.dup2(nowhere, 2)
    os.close(nowhere)
    os.write(channel, READY)
