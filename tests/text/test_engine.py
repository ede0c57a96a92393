"""Tasks are done in order wherever they run, and their errors come back as they were."""

import os
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


def test_nothing_to_do():
    assert list(run_tasks(task, [], 2)) == []
