"""Tasks are done in order wherever they run, and their errors come back as they were."""

import errno
import os
import signal
import subprocess
import sys
import time

import pytest

from spanmix.errors import InputError, SpanmixError
from spanmix.text.engine import run_tasks


def task(job: str) -> str:
    if job == "refuse":
        raise InputError("this cannot be used")
    if job == "fail":
        raise SpanmixError("this did not work")
    if job == "break":
        raise ZeroDivisionError("by zero")
    if job == "full":
        raise OSError(errno.ENOSPC, "No space left on device", "/disk/file")
    if job == "slow":
        time.sleep(0.3)
    return f"{job} in {os.getpid()}"


@pytest.mark.parametrize("workers", [1, 2])
def test_answers_come_in_order(workers):
    jobs = ["slow", *map(str, range(9))]
    answers = list(run_tasks(task, jobs, workers))
    assert [answer.split(" in ")[0] for answer in answers] == jobs
    processes = {answer.split(" in ")[1] for answer in answers}
    assert (processes == {str(os.getpid())}) == (workers == 1)
    assert len(processes) <= workers


@pytest.mark.parametrize("workers", [1, 2])
def test_answers_come_as_they_are_there(workers):
    seen = [
        answer
        for answer, _ in zip(run_tasks(task, ["0", "1", "2", "break"], workers), range(2), strict=False)
    ]
    assert [answer[0] for answer in seen] == ["0", "1"]


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize(
    ("job", "kind", "said"),
    [("refuse", InputError, "cannot be used"), ("fail", SpanmixError, "did not work")],
)
def test_errors_are_of_the_same_class(workers, job, kind, said):
    with pytest.raises(SpanmixError, match=said) as error:
        list(run_tasks(task, ["0", job, "1"], workers))
    assert type(error.value) is kind


def test_a_fault_comes_with_its_traceback():
    with pytest.raises(SpanmixError, match="ended with ZeroDivisionError: by zero") as error:
        list(run_tasks(task, ["0", "break"], 2))
    assert "in task" in error.value.__notes__[0]


@pytest.mark.parametrize("workers", [1, 2])
def test_a_full_disk_is_told_as_one(workers):
    with pytest.raises(OSError, match="No space left") as error:
        list(run_tasks(task, ["0", "full"], workers))
    assert error.value.errno == errno.ENOSPC and error.value.filename == "/disk/file"


def test_nothing_to_do():
    assert list(run_tasks(task, [], 2)) == []


SCRIPT = """
import sys, time
from spanmix.errors import SpanmixError
from spanmix.text.engine import run_tasks
from waiting import task
if __name__ == "__main__":
    try:
        for answer in run_tasks(task, [str(i) for i in range(40)], 2):
            print(answer, flush=True)
        print("all", flush=True)
    except KeyboardInterrupt:
        print("interrupted", flush=True)
    except SpanmixError as error:
        print(error, flush=True)
"""
WAITING = """
import os, time
def task(job):
    time.sleep(0.2)
    return f"process {os.getpid()}"
"""


@pytest.mark.parametrize(
    ("whom", "before"),
    [
        ("all", signal.default_int_handler),
        ("all", signal.SIG_IGN),  # as a shell starts what a script puts in the background
        ("worker", signal.default_int_handler),
    ],
)
def test_an_end_before_the_last_answer_is_never_taken_for_the_last(tmp_path, whom, before):
    (tmp_path / "waiting.py").write_text(WAITING)
    (tmp_path / "script.py").write_text(SCRIPT)
    command = [sys.executable, str(tmp_path / "script.py")]
    # A group of its own, in which Ctrl-C is not ignored, as in a terminal, or is.
    run = subprocess.Popen(
        command,
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, before) and None,
    )
    assert run.stdout is not None
    first = run.stdout.readline()
    if whom == "all":
        os.killpg(run.pid, signal.SIGINT)
    else:
        os.kill(int(first.split()[1]), signal.SIGKILL)
    lines = run.communicate(timeout=100)[0].splitlines()
    assert "all" not in lines and len(lines) < 40
    said = {"all": "interrupted", "worker": "a process that did a part of the work ended"}
    assert lines[-1].startswith(said[whom])
