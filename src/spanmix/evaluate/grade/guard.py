"""Take from this process, for good, what a program may not have: privileges and resources."""

from __future__ import annotations

import contextlib
import os
import resource
import struct

from spanmix.evaluate.grade import syscalls

NOBODY = 65534
_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_CAPBSET_DROP, _PR_SET_NO_NEW_PRIVS = 1, 4, 24, 38
_CAPABILITY_VERSION = 0x20080522
_NUM_CAPABILITIES = 64
_SIGKILL = 9


def limit_resources(
    cpu_seconds: int | None,
    memory_bytes: int,
    file_bytes: int,
    num_processes: int | None,
    num_files: int,
    sparse: bool,
) -> None:
    """Limit this process and all that it starts; see `setup.Resources` for the arguments."""
    memory = resource.RLIMIT_DATA if sparse else resource.RLIMIT_AS
    wanted = {
        resource.RLIMIT_CPU: cpu_seconds,
        memory: memory_bytes,
        resource.RLIMIT_FSIZE: file_bytes,
        resource.RLIMIT_NOFILE: num_files,
        resource.RLIMIT_CORE: 0,
    }
    if os.uname().sysname == "Linux":
        wanted |= {
            resource.RLIMIT_NPROC: num_processes,
            resource.RLIMIT_MSGQUEUE: 0,
            resource.RLIMIT_MEMLOCK: 0,
        }
    for kind, most in wanted.items():
        hard = resource.getrlimit(kind)[1]
        if most is not None:
            allowed = most if hard == resource.RLIM_INFINITY else min(most, hard)
            resource.setrlimit(kind, (allowed, allowed))


def renounce_root(user: int) -> None:
    """Turn root into an unprivileged user; anybody else stays who it is.

    Args:
        user: a number that no other process runs under, so that processes are counted by themselves. Where
            it is not to be had, as in a container's share of the numbers, `NOBODY`.
    """
    if os.getuid() != 0:
        return
    _drop_bounding_set()  # a right that the change of user takes away
    os.setgroups([])
    try:
        _become(user)
    except OSError:
        _become(NOBODY)


def _become(user: int) -> None:
    os.setresgid(user, user, user)
    os.setresuid(user, user, user)


def renounce_capabilities() -> None:
    """Give up all capabilities, and the chance of new ones by running a privileged file."""
    _drop_bounding_set()
    syscalls.call("capset", struct.pack("Ii", _CAPABILITY_VERSION, 0), bytes(24))
    syscalls.call("prctl", _PR_SET_NO_NEW_PRIVS, 1)


def _drop_bounding_set() -> None:
    with contextlib.suppress(OSError):  # this process has no say over it, or it is the end of the list
        for capability in range(_NUM_CAPABILITIES):
            syscalls.call("prctl", _PR_CAPBSET_DROP, capability)


def die_with_parent() -> None:
    """Have this process killed when the one that started it ends. A change of user undoes it."""
    syscalls.call("prctl", _PR_SET_PDEATHSIG, _SIGKILL)


def set_readable(readable: bool) -> None:
    """Say whether other processes of this user may look into this one (``/proc/PID/mem``)."""
    syscalls.call("prctl", _PR_SET_DUMPABLE, int(readable))
