"""Go, with this process, where there is nothing but a read-only system, without any other program's help.

Linux's namespaces give a process its own view: of processes (it sees those that it started), networks
(none), mounts, and shared memory. Needs Linux 5.14, and the right to make namespaces.

    outer    waits, and ends with the code of the inner one
      init   process 1 of the new namespace; when it ends, the kernel ends all others in there
        inner    goes on, and becomes the program
"""

# Every program waits for this file to load, and pathlib takes longer than all of it.
# ruff: noqa: PTH103, PTH112, PTH120, PTH123, PTH211

from __future__ import annotations

import contextlib
import os
import signal
import struct

from spanmix.evaluate.grade import guard, syscalls

USER = 1000
"""Who one is in a new namespace of users."""
DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom")
STREAMS = {"/dev/fd": "", "/dev/stdin": "/0", "/dev/stdout": "/1", "/dev/stderr": "/2"}

_NEW_MOUNTS, _NEW_CGROUPS, _NEW_HOST_NAME, _NEW_SHARED_MEMORY = 0x20000, 0x2000000, 0x4000000, 0x8000000
_NEW_USERS, _NEW_PROCESSES, _NEW_NETWORKS = 0x10000000, 0x20000000, 0x40000000
_NEW = _NEW_MOUNTS | _NEW_CGROUPS | _NEW_HOST_NAME | _NEW_SHARED_MEMORY | _NEW_PROCESSES | _NEW_NETWORKS
_READ_ONLY, _NO_SETUID, _NO_DEVICES, _NO_PROGRAMS = 1, 2, 4, 8
_BIND, _AND_BELOW, _PRIVATE = 4096, 16384, 1 << 18
_DETACH = 2
_CURRENT_FOLDER, _RECURSIVE = -100, 0x8000


def enter(
    shown: dict[str, str],
    hidden: list[str],
    links: dict[str, str],
    file_bytes: int,
    num_files: int,
    channel: int,
) -> None:
    """Go there; returns in a process that is the first of its namespace, and still has all privileges.

    Args:
        shown: files and folders that can be seen, read-only: where they are seen, and where they are.
        hidden: folders inside of those that can be seen empty.
        links: path of a symbolic link, and where it leads.
        file_bytes: size of ``/tmp``.
        num_files: most files and folders that it holds.
        channel: a file descriptor that this process does not keep while it waits.

    Raises:
        OSError: the system does not allow it. The message has the name of the call.
    """
    guard.die_with_parent()
    is_root, me, my_group = os.geteuid() == 0, os.geteuid(), os.getegid()
    syscalls.call("unshare", _NEW if is_root else _NEW | _NEW_USERS)
    if not is_root:
        _write("/proc/self/setgroups", "deny")
        _write("/proc/self/uid_map", f"{USER} {me} 1")
        _write("/proc/self/gid_map", f"{USER} {my_group} 1")
    init = os.fork()
    if init:
        os.close(channel)
        os._exit(_exit_code(os.waitpid(init, 0)[1]))
    guard.die_with_parent()
    _show_only(shown, hidden, links, file_bytes, num_files)


def become_inner(user: int, channel: int) -> None:
    """Leave the process that is the first of its namespace to wait for, and return in, one without privilege.

    Args:
        user: who root becomes; see `guard.renounce_root`.
        channel: a file descriptor that the inner process alone keeps.
    """
    guard.die_with_parent()
    # What a program sends to process 1 is ignored by the kernel, unless process 1 has asked for it.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    guard.set_readable(False)
    inner = os.fork()
    if inner:
        os.close(channel)
        # It stays the same user: a parent without privilege could not end another's process with itself.
        guard.renounce_capabilities()
        _reap(inner)
    # A signal to its process group would reach those outside that are of its group, and its user.
    os.setsid()
    guard.renounce_root(user)
    guard.renounce_capabilities()
    guard.set_readable(True)


def _exit_code(status: int) -> int:
    """Return what a shell would: the code that a process ended with, or 128 and the signal's number."""
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code


def _reap(inner: int) -> None:
    """Be process 1: bury whoever ends, until the inner process does."""
    while True:
        ended, status = os.wait()
        if ended == inner:
            os._exit(_exit_code(status))


def _show_only(
    shown: dict[str, str], hidden: list[str], links: dict[str, str], file_bytes: int, num_files: int
) -> None:
    """Build a root folder in memory, and make it the only one there is."""
    root = "/tmp"
    _mount("none", "/", "", _AND_BELOW | _PRIVATE)
    # Opened before anything is covered.
    sources = {path: os.open(outside, os.O_PATH) for path, outside in shown.items()}
    sources |= {path: os.open(path, os.O_PATH) for path in DEVICES}
    _mount("tmpfs", root, "tmpfs", _NO_SETUID, "size=64k,nr_inodes=512,mode=755")
    os.makedirs(f"{root}/tmp")
    mount_scratch(f"{root}/tmp", file_bytes, num_files)
    for path, source in sources.items():
        _bind(source, root + path, is_device=path in DEVICES)
    for path in hidden:
        flags = _READ_ONLY | _NO_SETUID | _NO_DEVICES
        _mount("tmpfs", root + path, "tmpfs", flags, "size=4k,nr_inodes=2,mode=755")
    for path, target in links.items():
        os.symlink(target, root + path)
    for path, part in STREAMS.items():
        os.symlink(f"/proc/self/fd{part}", root + path)
    os.makedirs(f"{root}/proc")
    mount_processes(f"{root}/proc")
    os.chdir(root)
    # The old root lies over the new one from then on, and is taken away: pivot_root(2).
    syscalls.call("pivot_root", b".", b".")
    syscalls.call("umount2", b".", _DETACH)
    _set_read_only("/", below_too=False)
    os.chdir("/tmp")


def mount_scratch(folder: str, file_bytes: int, num_files: int) -> None:
    """Put a folder in memory there that anybody can write to, of limited size and number of files."""
    options = f"size={file_bytes},nr_inodes={num_files},mode=1777"
    _mount("tmpfs", folder, "tmpfs", _NO_SETUID | _NO_DEVICES, options)


def mount_scratch_over(shown: dict[str, str], file_bytes: int, num_files: int) -> None:
    """Put such a folder at ``/tmp``; what of `shown` is seen below it stays to be seen."""
    below = {path: os.open(path, os.O_PATH) for path in shown if path.startswith("/tmp/")}
    mount_scratch("/tmp", file_bytes, num_files)
    for path, source in below.items():
        _bind(source, path, is_device=False)


def mount_processes(folder: str) -> None:
    """Show the processes of this namespace there, and nothing else of the machine.

    Where parts of the machine's own ``/proc`` are covered, as in most containers, only root may. It is left
    out there.
    """
    with contextlib.suppress(PermissionError):
        _mount("proc", folder, "proc", _NO_SETUID | _NO_DEVICES | _NO_PROGRAMS, "subset=pid")


def _bind(source: int, target: str, *, is_device: bool) -> None:
    """Show an open file or folder, and all that is mounted below, read-only at another place."""
    path = f"/proc/self/fd/{source}"
    if os.path.isdir(path):
        os.makedirs(target, exist_ok=True)
    else:
        os.makedirs(os.path.dirname(target), exist_ok=True)
        os.close(os.open(target, os.O_CREAT | os.O_WRONLY))
    _mount(path, target, "", _BIND | _AND_BELOW)
    if not is_device:
        _set_read_only(target, below_too=True)


def _set_read_only(path: str, *, below_too: bool) -> None:
    # struct mount_attr: what to set, what to clear, how mounts spread, whose ids.
    wanted = struct.pack("QQQQ", _READ_ONLY | _NO_SETUID | _NO_DEVICES, 0, 0, 0)
    flags = _RECURSIVE if below_too else 0
    syscalls.call("mount_setattr", _CURRENT_FOLDER, os.fsencode(path), flags, wanted, len(wanted))


def _mount(source: str, target: str, kind: str, flags: int, options: str = "") -> None:
    arguments = (os.fsencode(source), os.fsencode(target), kind.encode(), flags, options.encode())
    try:
        syscalls.call("mount", *arguments)
    except OSError as error:
        raise type(error)(error.errno, f"{target} could not be mounted: {error.strerror}") from None


def _write(path: str, text: str) -> None:
    with open(path, "w", encoding="ascii") as file:
        file.write(text)
