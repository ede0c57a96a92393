"""Choose the isolation that this machine can give, and try whether it holds."""

from __future__ import annotations

import os
import shutil
import socket
import sys
import tempfile
from pathlib import Path

from spanmix.errors import InputError, SpanmixError
from spanmix.evaluate.code.problem import AssertCheck
from spanmix.evaluate.grade.grade import grade
from spanmix.evaluate.grade.isolation import Bubblewrap, Isolation, Namespaces
from spanmix.evaluate.grade.limits import Limits

_PROBE = """
import os, socket

def readable(path):
    try:
        with open(path, "rb"):
            return True
    except OSError:
        return False

def writable(folder):
    try:
        with open(folder + "/probe", "wb"):
            return True
    except OSError:
        return False

def connects(port):
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
        return True
    except OSError:
        return False

def user():
    return os.getuid()

def processes():
    return len([name for name in os.listdir("/proc") if name.isdigit()])

def forks(most):
    children = []
    try:
        for _ in range(most):
            child = os.fork()
            if not child:
                os.read(waiting, 1)
                os._exit(0)
            children.append(child)
    except OSError:
        pass
    os.write(ending, bytes(len(children)))
    for child in children:
        os.waitpid(child, 0)
    return len(children)

waiting, ending = os.pipe()
"""


def best_isolation() -> Isolation:
    """Return bubblewrap if it is installed, else our own namespaces, after a trial that it holds.

    Raises:
        InputError: neither works here, with what to do.
    """
    reasons = []
    for isolation in _candidates():
        reason = why_not(isolation)
        if reason is None:
            return isolation
        reasons.append(f"{isolation.name}: {reason}")
    if not reasons:
        reasons = [f"this is {sys.platform}, and they need Linux"]
    raise InputError(
        "programs of a model are run in a sandbox only, and none works here "
        f"({'; '.join(reasons)}). Install bubblewrap (`apt install bubblewrap`), allow namespaces of users "
        "(`sysctl kernel.unprivileged_userns_clone=1` on Debian, on Ubuntu "
        "`sysctl kernel.apparmor_restrict_unprivileged_userns=0`), or say --unsafe to run them with your own "
        "rights"
    )


def _candidates() -> list[Isolation]:
    if sys.platform != "linux":
        return []
    found: list[Isolation] = [Namespaces()]
    bubblewrap = shutil.which("bwrap")
    return [Bubblewrap(bubblewrap, os.geteuid() == 0), *found] if bubblewrap else found


def why_not(isolation: Isolation) -> str | None:
    """Run a program that tries to get out; return what is wrong with the isolation, or None.

    The program may not read a file of ours, write beside its own folder, reach a port of this machine, be
    root, see other processes, or start more of them than it is allowed.
    """
    limits = Limits(seconds=20.0, num_processes=12)
    with tempfile.NamedTemporaryFile() as secret, socket.create_server(("127.0.0.1", 0)) as server:
        Path(secret.name).chmod(0o644)
        statements = (
            f"assert not readable({secret.name!r}), 'it reads files of this machine'",
            f"assert not connects({server.getsockname()[1]}), 'it reaches the network'",
            "assert not any(map(writable, ['/', '/usr', '/etc', '/dev'])), 'it writes to the system'",
            "assert writable('/tmp'), 'it has no folder of its own'",
            "assert user() != 0, 'it is root'",
            "assert processes() <= 2, 'it sees other processes'",
            f"assert 0 < forks({2 * limits.num_processes}) < {limits.num_processes}, 'it starts processes'",
        )
        try:
            [(_, verdict)] = grade([(_PROBE, AssertCheck("", statements))], 1, limits, isolation)
        except SpanmixError as error:
            return str(error)
    return None if verdict.passed else verdict.result
