"""Refuse this process, and all that it starts, the system calls that no solution of a problem needs.

A filter of the kernel (seccomp, in classic BPF): a list of instructions that looks at the number of
each call. What it refuses fails with EPERM, and the process lives on.
"""

from __future__ import annotations

import ctypes
import errno
import struct

from spanmix.evaluate.grade import syscalls

REFUSED = (
    # into other processes
    *("ptrace", "process_vm_readv", "process_vm_writev", "process_madvise", "kcmp", "pidfd_getfd"),
    # out of the root folder and the namespaces
    *("mount", "umount2", "pivot_root", "chroot", "move_mount", "open_tree", "fsopen", "fsconfig", "fsmount"),
    *("fspick", "mount_setattr", "unshare", "setns", "name_to_handle_at", "open_by_handle_at"),
    # networks; a pair of sockets that are each other's ends is something else, and allowed
    "socket",
    # memory that no limit counts
    *("memfd_create", "memfd_secret", "shmget", "msgget", "semget", "mq_open"),
    # parts of the kernel that have often had holes
    *("bpf", "perf_event_open", "keyctl", "add_key", "request_key", "userfaultfd", "io_uring_setup"),
    *("io_uring_enter", "io_uring_register", "fanotify_init", "personality", "modify_ldt", "lookup_dcookie"),
    *("mbind", "set_mempolicy", "migrate_pages", "move_pages", "nfsservctl", "vhangup"),
    # the machine
    *("kexec_load", "kexec_file_load", "reboot", "init_module", "finit_module", "delete_module", "swapon"),
    *("swapoff", "acct", "syslog", "quotactl", "quotactl_fd", "iopl", "ioperm", "sethostname"),
    *("setdomainname", "settimeofday", "clock_settime", "adjtimex", "clock_adjtime"),
)
NEW_NAMESPACES = 0x7E020000
"""The flags of ``clone`` that make namespaces (CLONE_NEW* in linux/sched.h)."""

_LOAD, _IF_EQUAL, _IF_AT_LEAST, _IF_ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_NUMBER_AT, _ARCHITECTURE_AT, _FIRST_ARGUMENT_AT, _SECOND_ARGUMENT_AT = 0, 4, 16, 24
_ALLOW, _ERROR, _KILL = 0x7FFF0000, 0x00050000, 0x80000000
_X32_CALLS = 0x40000000
_TERMINAL_INPUT = 0x5412
"""TIOCSTI, which types into the terminal."""
_PR_SET_SECCOMP, _MODE_FILTER = 22, 2


def program() -> bytes:
    """Return the filter's instructions for this machine."""
    refuse = _ERROR | errno.EPERM
    absent = _ERROR | errno.ENOSYS
    lines = [
        _line(_LOAD, _ARCHITECTURE_AT),
        _line(_IF_EQUAL, syscalls.ARCHITECTURES[syscalls.architecture()], 1, 0),
        _line(_RETURN, _KILL),
        _line(_LOAD, _NUMBER_AT),
    ]
    if syscalls.architecture() == "x86_64":
        lines += [_line(_IF_AT_LEAST, _X32_CALLS, 0, 1), _line(_RETURN, absent)]
    for name in REFUSED:
        number = syscalls.number_of(name)
        if number is not None:
            lines += [_line(_IF_EQUAL, number, 0, 1), _line(_RETURN, refuse)]
    # Its flags lie in memory, where a filter cannot look; without it the C library uses `clone`.
    lines += [_line(_IF_EQUAL, _number("clone3"), 0, 1), _line(_RETURN, absent)]
    lines += [
        _line(_IF_EQUAL, _number("clone"), 0, 4),
        _line(_LOAD, _FIRST_ARGUMENT_AT),
        _line(_IF_ANY_BIT, NEW_NAMESPACES, 0, 1),
        _line(_RETURN, refuse),
        _line(_RETURN, _ALLOW),
        _line(_IF_EQUAL, _number("ioctl"), 0, 3),
        _line(_LOAD, _SECOND_ARGUMENT_AT),
        _line(_IF_EQUAL, _TERMINAL_INPUT, 0, 1),
        _line(_RETURN, refuse),
        _line(_RETURN, _ALLOW),
    ]
    return b"".join(lines)


def install() -> None:
    """Put the filter on this process for good; the process must have given up new privileges."""
    lines = program()
    held = ctypes.create_string_buffer(lines, len(lines))
    # struct sock_fprog: how many instructions, and where they are.
    header = struct.pack("HxxxxxxQ", len(lines) // 8, ctypes.addressof(held))
    syscalls.call("prctl", _PR_SET_SECCOMP, _MODE_FILTER, ctypes.create_string_buffer(header, len(header)))


def _number(name: str) -> int:
    number = syscalls.number_of(name)
    assert number is not None
    return number


def _line(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    """Return one instruction (struct sock_filter); a jump counts instructions to pass over."""
    return struct.pack("HBBI", code, if_true, if_false, value)
