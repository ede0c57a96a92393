"""Sandboxes are tried before they are used, and end with who started them, however that ends."""

import contextlib
import errno
import os
import signal
import struct
import subprocess
import sys
import time

import pytest

from spanmix.errors import InputError, SpanmixError
from spanmix.evaluate.code.problem import AssertCheck
from spanmix.evaluate.grade import choose, guard, seccomp, syscalls
from spanmix.evaluate.grade.grade import grade
from spanmix.evaluate.grade.isolation import Bubblewrap, Unsafe
from spanmix.evaluate.grade.limits import Limits
from spanmix.evaluate.grade.sandbox import with_descendants

RIGHT = ("def f(x): return x + 1", AssertCheck("", ("assert f(1) == 2",)))
LOOP = ("def f(x):\n    import time\n    while True: time.sleep(1)", AssertCheck("", ("assert f(1) == 2",)))


def test_each_isolation_here_holds(isolation):
    assert choose.why_not(isolation) is None


def test_the_best_isolation_is_one_that_holds():
    assert choose.best_isolation().name in ("bubblewrap", "namespaces")


def test_what_does_not_isolate_is_not_chosen(monkeypatch):
    broken = Bubblewrap("/bin/false", is_root=False)
    monkeypatch.setattr(choose, "_candidates", lambda: [Unsafe(), broken])
    with pytest.raises(InputError) as error:
        choose.best_isolation()
    text = str(error.value)
    assert "unsafe: failed: it reads files of this machine" in text
    assert "bubblewrap: a sandbox did not start: it said nothing" in text
    assert "apt install bubblewrap" in text and "--unsafe" in text


def test_a_sandbox_that_does_not_start_says_why():
    missing = Bubblewrap("/nowhere/bwrap", is_root=False)
    with pytest.raises(SpanmixError, match=r"could not be started: .*'/nowhere/bwrap'"):
        list(grade([RIGHT], 1, Limits(), missing))
    complaining = Bubblewrap("/bin/ls", is_root=False)
    with pytest.raises(SpanmixError, match=r"did not start: .*ls"):
        list(grade([RIGHT], 1, Limits(), complaining))


def test_without_isolation_programs_are_graded_too():
    wrong = ("def f(x): return x", RIGHT[1])
    exits = ("import os; os._exit(0)", RIGHT[1])
    found = dict(grade([RIGHT, wrong, exits], 2, Limits(seconds=250.0), Unsafe()))
    assert [found[index].passed for index in range(3)] == [True, False, False]


def test_what_the_user_has_set_does_not_matter(isolation, monkeypatch, tmp_path):
    (tmp_path / "math.py").write_text("raise ValueError('the wrong one')")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setenv("SECRET_OF_TEST", "secret")
    names = ["HOME", "LANG", "PATH", "PYTHONHASHSEED"]
    check = AssertCheck(
        "import math", (f"assert f(1.5) == 1 and math.floor(1.5) == 1 and names() == {names}",)
    )
    program = "import math, os\ndef f(x): return math.floor(x)\ndef names(): return sorted(os.environ)"
    before = os.umask(0o077)
    many = [os.dup(0) for _ in range(1100)]  # numbers that an old system call for waiting cannot take
    try:
        [(_, verdict)] = grade([(program, check)], 1, Limits(seconds=250.0), isolation)
    finally:
        os.umask(before)
        for number in many:
            os.close(number)
    assert verdict.result == "passed"


def test_tasks_are_drawn_as_they_are_needed(isolation):
    drawn = []

    def tasks():
        for index in range(1000):
            drawn.append(index)
            yield RIGHT

    verdicts = grade(tasks(), 2, Limits(seconds=250.0), isolation)
    assert next(verdicts)[1].passed and next(verdicts)[1].passed
    verdicts.close()
    assert len(drawn) <= 8


def test_an_error_of_the_tasks_ends_all(isolation):
    def tasks():
        yield RIGHT
        yield LOOP
        raise ValueError("no more")

    before = set(with_descendants(os.getpid()))
    start = time.monotonic()
    with pytest.raises(ValueError, match="no more"):
        list(grade(tasks(), 1, Limits(seconds=200.0), isolation))
    assert time.monotonic() - start < 100
    gone(before)


def gone(before, seconds=20.0):
    """Wait until this process has no more descendants than before."""
    end = time.monotonic() + seconds
    while left := set(with_descendants(os.getpid())) - before:
        assert time.monotonic() < end, f"{len(left)} processes are left"
        time.sleep(0.02)


SCRIPT = f"""
import os, sys
from spanmix.evaluate.code.problem import AssertCheck
from spanmix.evaluate.grade.grade import grade
from spanmix.evaluate.grade.isolation import Bubblewrap, Namespaces, Unsafe
from spanmix.evaluate.grade.limits import Limits
RIGHT = {RIGHT!r}
LOOP = {LOOP!r}
for index, verdict in grade([RIGHT, LOOP, LOOP, LOOP], 2, Limits(seconds=500.0, cpu_seconds=500), ISOLATION):
    print(verdict.result, flush=True)
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_sandboxes_end_with_who_started_them(isolation, number):
    before = set(with_descendants(os.getpid()))
    # Who loses the parent becomes a child of this process, and so is counted.
    syscalls.call("prctl", 36, 1)
    script = SCRIPT.replace("ISOLATION", repr(isolation))
    run = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    try:
        assert run.stdout.readline() == b"passed\n"
        while len(with_descendants(run.pid)) < 10:  # two judges, two programs, and what is around each
            assert run.poll() is None
            time.sleep(0.02)
        os.kill(run.pid, number)
        assert run.wait(60) == -number
    finally:
        run.kill()
        run.wait()
        run.stdout.close()
    end = time.monotonic() + 20
    while left := set(with_descendants(os.getpid())) - before:
        for process in left:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(process, os.WNOHANG)
        assert time.monotonic() < end, f"{len(left)} processes are left"
        time.sleep(0.02)
    syscalls.call("prctl", 36, 0)


CHECKS = {
    "import os\nos._exit(0)": "failed: the judge's process ended",
    "import os\nos.kill(os.getpid(), 9)": "failed: the judge's process ended",
    "import os\nos.kill(os.getppid(), 9)\nimport time\ntime.sleep(60)": "failed: the judge ended",
    "import sys\nsys.exit(0)": "failed: 0",
    "raise KeyboardInterrupt": "failed: ",
    "def g(): return g()\ng()": "failed: maximum recursion depth exceeded",
    "x = bytearray(8 << 30)": "failed: ",
}


def test_a_judge_that_breaks_passes_nobody(isolation):
    tasks = []
    for text in CHECKS:
        tasks += [(RIGHT[0], AssertCheck("", (text,))), RIGHT]
    found = dict(grade(tasks, 1, Limits(seconds=100.0), isolation))
    results = [found[index].result for index in range(len(tasks))]
    assert results[1::2] == ["passed"] * len(CHECKS)
    for result, expected in zip(results[::2], CHECKS.values(), strict=True):
        assert result.startswith(expected)


def filtered(lines, architecture, number, arguments=(0, 0)):
    """Run a filter as the kernel does: what becomes of a system call."""
    data = struct.pack("IIQQQ", number, architecture, 0, *arguments)
    code = [struct.unpack_from("HBBI", lines, at) for at in range(0, len(lines), 8)]
    held = at = 0
    while True:
        operation, if_true, if_false, value = code[at]
        at += 1
        if operation == 0x20:
            (held,) = struct.unpack_from("I", data, value)
        elif operation == 0x06:
            return value
        else:
            holds = {0x15: held == value, 0x35: held >= value, 0x45: bool(held & value)}[operation]
            at += if_true if holds else if_false


ALLOWED = {
    "x86_64": {"read": 0, "write": 1, "mmap": 9, "fork": 57, "execve": 59, "socketpair": 53, "openat": 257},
    "aarch64": {"read": 63, "write": 64, "mmap": 222, "execve": 221, "socketpair": 199, "openat": 56},
}


@pytest.mark.parametrize("machine", list(syscalls.ARCHITECTURES))
def test_the_filter_refuses_what_it_says(machine, monkeypatch):
    monkeypatch.setattr(syscalls, "architecture", lambda: machine)
    architecture, lines = syscalls.ARCHITECTURES[machine], seccomp.program()
    refused, allowed = 0x50000 | errno.EPERM, 0x7FFF0000
    tried = 0
    for name in seccomp.REFUSED:
        number = syscalls.number_of(name)
        if number is not None:
            tried += 1
            assert filtered(lines, architecture, number) == refused, name
            assert filtered(lines, 0xC0000000, number) == 0x80000000
    assert tried > 55
    for name, number in ALLOWED[machine].items():
        assert filtered(lines, architecture, number, (0xFFFFFFFF, 0xFFFFFFFF)) == allowed, name
    clone, ioctl = syscalls.number_of("clone"), syscalls.number_of("ioctl")
    assert filtered(lines, architecture, clone, (0x1200011, 0)) == allowed
    assert filtered(lines, architecture, clone, (0x3D0F00, 0)) == allowed
    for bit in range(25, 31):
        assert filtered(lines, architecture, clone, (1 << bit | 17, 0)) == (refused if bit != 24 else allowed)
    assert filtered(lines, architecture, clone, (0x20000 | 17, 0)) == refused
    assert filtered(lines, architecture, syscalls.number_of("clone3")) == 0x50000 | errno.ENOSYS
    assert filtered(lines, architecture, ioctl, (0, 0x5412)) == refused
    assert filtered(lines, architecture, ioctl, (0, 0x100005412)) == refused
    assert filtered(lines, architecture, ioctl, (0, 0x5401)) == allowed
    others = {number for number in range(470) if filtered(lines, architecture, number) == allowed}
    assert len(others) > 380


def test_an_unknown_machine_is_named(monkeypatch):
    monkeypatch.setattr(syscalls.os, "uname", lambda: type("Name", (), {"machine": "riscv64"}))
    with pytest.raises(OSError, match="the system calls of riscv64 are not known here"):
        syscalls.architecture()


def test_resources_are_those_that_were_asked_for(isolation):
    program = (
        "import resource, os\n"
        "def limit(name): return list(resource.getrlimit(getattr(resource, 'RLIMIT_' + name)))\n"
        "def user(): return os.getuid()\n"
        "def size(): s = os.statvfs('/tmp'); return s.f_blocks * s.f_frsize\n"
    )
    limits = Limits(
        60.0, cpu_seconds=7, memory_bytes=1 << 28, file_bytes=1 << 20, num_processes=9, num_files=33
    )
    expected = {"CPU": 7, "AS": 1 << 28, "FSIZE": 1 << 20, "NPROC": 9, "NOFILE": 33, "CORE": 0, "MEMLOCK": 0}
    statements = [
        f"assert limit({name!r}) == [{most}, {most}], limit({name!r})" for name, most in expected.items()
    ]
    statements += ["assert size() == 1 << 20", f"assert user() not in (0, {guard.NOBODY})"]
    [(_, verdict)] = grade([(program, AssertCheck("", tuple(statements)))], 1, limits, isolation)
    assert verdict.result == "passed"
    assert Limits(seconds=2.5).whole_cpu_seconds == 4
