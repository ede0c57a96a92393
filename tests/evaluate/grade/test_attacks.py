"""Programs that attack the grading fail, leave nothing behind, and disturb no other program."""

import os
import runpy
import socket
import threading
import time
from pathlib import Path

import pytest

from spanmix.evaluate.code.problem import CallCheck
from spanmix.evaluate.grade.grade import grade
from spanmix.evaluate.grade.limits import Limits

ATTACKS = runpy.run_path(str(Path(__file__).with_name("attacks.py")))
RIGHT = ATTACKS["RIGHT"]
CHECK = CallCheck("", ATTACKS["TEST"], "f")
pytestmark = pytest.mark.usefixtures("nothing_is_left_behind")


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
def attack(isolation, named):
    """Grades all attacks of a kind, and returns their results; right programs must pass meanwhile."""

    def run(kind, seconds, **limits):
        attacks = ATTACKS[kind]
        with socket.create_server(("127.0.0.1", 0)) as server, Others(isolation) as others:
            there = {**named, "PID": os.getpid(), "PORT": server.getsockname()[1]}
            programs = [filled(text, there) for text in attacks.values()]
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
