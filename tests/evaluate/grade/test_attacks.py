"""Programs that attack the grading fail, leave nothing behind, and disturb no other program."""

import contextlib
import os
import runpy
import socket
import threading
import time
from pathlib import Path

import pytest

from spanmix.evaluate.code.problem import CallCheck
from spanmix.evaluate.grade import syscalls
from spanmix.evaluate.grade.grade import grade
from spanmix.evaluate.grade.limits import Limits
from spanmix.evaluate.grade.sandbox import with_descendants

ATTACKS = runpy.run_path(str(Path(__file__).with_name("attacks.py")))
RIGHT = ATTACKS["RIGHT"]
CHECK = CallCheck("", ATTACKS["TEST"], "f")
MARK = "spanmix_attack_mark"
HOME, PROJECT = Path.home(), Path(__file__).parents[3]
_PR_SET_CHILD_SUBREAPER = 36


def mounts():
    return Path("/proc/self/mountinfo").read_text()


@pytest.fixture(autouse=True)
def nothing_is_left_behind(tmp_path):
    # What loses its parent becomes a child of this process, and so is counted.
    syscalls.call("prctl", _PR_SET_CHILD_SUBREAPER, 1)
    before, mounts_before = set(with_descendants(os.getpid())), mounts()
    yield
    end = time.monotonic() + 20
    while left := set(with_descendants(os.getpid())) - before:
        bury(left)
        assert time.monotonic() < end, f"{len(left)} processes are left"
        time.sleep(0.05)
    syscalls.call("prctl", _PR_SET_CHILD_SUBREAPER, 0)
    folders = [Path(path) for path in ("/", "/usr", "/etc", "/dev", "/dev/shm", "/tmp", "/var/tmp", "/home")]
    assert [str(f) for f in (*folders, HOME, PROJECT, tmp_path / "out") if (f / MARK).exists()] == []
    assert mounts() == mounts_before


def bury(processes):
    """Take note of the end of those that have become our children."""
    for process in processes:
        with contextlib.suppress(ChildProcessError):
            os.waitpid(process, os.WNOHANG)


class Others:
    """Right programs of somebody else, graded while the block runs."""

    def __init__(self, isolation):
        self.results = []
        self._num_begun = 0
        self._isolation = isolation
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work)

    def __enter__(self):
        self._thread.start()
        return self.results

    def __exit__(self, *error):
        self._stop.set()
        self._thread.join()

    def _work(self):
        for _, verdict in grade(self._tasks(), 1, Limits(seconds=250.0), self._isolation):
            self.results.append(verdict.result)

    def _tasks(self):
        while not self._stop.is_set() or self._num_begun < 5:
            self._num_begun += 1
            yield RIGHT, CHECK
            time.sleep(0.1)


@pytest.fixture
def attack(isolation, tmp_path):
    """Grades all attacks of a kind, and returns their results; right programs must pass meanwhile."""
    (tmp_path / "out").mkdir(mode=0o777)
    (tmp_path / "secret").write_text("secret")
    for path in (tmp_path, tmp_path / "secret"):
        path.chmod(0o777)

    def run(kind, seconds, **limits):
        named = {"HOME": HOME, "PROJECT": PROJECT, "OUT": tmp_path / "out", "SECRET": tmp_path / "secret"}
        attacks = ATTACKS[kind]
        with socket.create_server(("127.0.0.1", 0)) as server, Others(isolation) as others:
            named |= {"MARK": MARK, "PID": os.getpid(), "PORT": server.getsockname()[1]}
            programs = [filled(text, named) for text in attacks.values()]
            tasks = [(program, CHECK) for program in [*programs, RIGHT]]
            limits = Limits(seconds=seconds, **limits)
            found = dict(grade(tasks, 2, limits, isolation))
        assert found.pop(len(attacks)).result == "passed"
        assert set(others) == {"passed"} and len(others) >= 5
        verdicts = [found[index] for index in range(len(attacks))]
        assert [name for name, verdict in zip(attacks, verdicts, strict=True) if verdict.passed] == []
        return dict(zip(attacks, (verdict.result for verdict in verdicts), strict=True))

    return run


def filled(text, named):
    for name, value in named.items():
        text = text.replace(f"@{name}@", str(value))
    return text


def test_there_are_at_least_forty():
    kinds = ("FORGERIES", "ENDLESS", "HUNGRY", "ESCAPES")
    names = [name for kind in kinds for name in ATTACKS[kind]]
    assert len(names) == len(set(names)) >= 75


def test_verdicts_cannot_be_forged(attack):
    results = attack("FORGERIES", seconds=100.0, output_bytes=1 << 20)
    ended = [name for name, result in results.items() if "ended before it answered" in result]
    wrong = [name for name, result in results.items() if result == "failed: "]
    assert len(ended) >= 4 and len(wrong) >= 12, results


def test_what_never_ends_is_ended(attack):
    results = attack("ENDLESS", seconds=0.5)
    late = [name for name, result in results.items() if result == "timed out"]
    assert len(late) == len(results), results


def test_hunger_is_bounded(attack):
    mebibyte = 1 << 20
    results = attack(
        "HUNGRY", seconds=100.0, memory_bytes=256 * mebibyte, file_bytes=64 * mebibyte, num_processes=24
    )
    assert results.pop("fill the memory") == "failed: "
    assert results.pop("fill the memory in many processes") == "failed: more than 268,435,456 bytes of memory"
    assert results.pop("call itself without end") in (
        "failed: the program ended before it answered",  # its stack was used up first
        "failed: more than 268,435,456 bytes of memory",
    )
    assert set(results.values()) == {"failed: "}, results


def test_nothing_outside_is_reached(attack):
    results = attack("ESCAPES", seconds=100.0)
    # Each came to its end, and found all doors closed.
    assert set(results.values()) == {"failed: "}, results
