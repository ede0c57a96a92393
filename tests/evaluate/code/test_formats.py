"""Files for other graders hold whole programs in the problems' order, and the fields that those read."""

import json
from collections import namedtuple
from datetime import datetime

import pytest

from spanmix.evaluate.code.answers import read_answers, tally
from spanmix.evaluate.code.formats import (
    bigcode_results,
    evalplus_results,
    write_evalplus_results,
    write_evalplus_samples,
    write_generations,
)
from spanmix.evaluate.code.pass_at_k import pass_at_k

Verdict = namedtuple("Verdict", "passed result")
PASSED, FAILED, LATE = Verdict(True, "passed"), Verdict(False, "failed: x"), Verdict(False, "timed out")


@pytest.fixture
def problems(make_problem):
    return [make_problem("T/1"), make_problem("T/0", suffix="# end")]


@pytest.fixture
def answers(tmp_path, problems):
    path = tmp_path / "samples.jsonl"
    rows = [{"task_id": name, "completion": f"{n}"} for name, n in (("T/0", 1), ("T/1", 2), ("T/0", 3))]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return read_answers(path, problems)


def test_bigcodes_generations_are_in_the_order_of_the_problems(tmp_path, problems, answers):
    write_generations(tmp_path / "generations.json", problems, answers)
    head = "def add(a, b):\n"
    generations = json.loads((tmp_path / "generations.json").read_text())
    assert generations == [[f"{head}2"], [f"{head}1# end", f"{head}3# end"]]
    figures = pass_at_k(tally(problems, answers, [True, False, False]))
    results = bigcode_results("humaneval", figures, {"temperature": 0.2})
    assert results == {"humaneval": {"pass@1": 0.25}, "config": {"temperature": 0.2}}


def test_evalplus_grades_our_samples_as_solutions(tmp_path, problems, answers):
    path = tmp_path / "solutions.jsonl"
    write_evalplus_samples(path, answers)
    again = read_answers(path, problems)
    assert [(one.task_id, one.program) for one in again] == [(one.task_id, one.program) for one in answers]
    assert set(json.loads(path.read_text().splitlines()[0])) == {"task_id", "solution"}


def test_evalpluss_results_need_both_kinds_of_tests(tmp_path, problems, answers):
    results = evalplus_results(
        problems,
        answers,
        [PASSED, PASSED, LATE],
        [PASSED, FAILED, PASSED],
        ks=(1, 2),
        date=datetime(2026, 1, 2, 3, 4),
        checksum="abc",
    )
    path = tmp_path / "eval_results.json"
    write_evalplus_results(path, results)
    assert json.loads(path.read_text()) == results
    assert (results["date"], results["hash"], list(results["eval"])) == (
        "2026-01-02 03:04",
        "abc",
        ["T/1", "T/0"],
    )
    first, second = results["eval"]["T/0"]
    assert first["solution"] == "def add(a, b):\n1# end"
    assert (first["base_status"], first["plus_status"]) == ("pass", "pass")
    assert (second["base_status"], second["plus_status"]) == ("timeout", "pass")
    assert results["eval"]["T/1"][0]["plus_status"] == "fail"
    # T/0: 1 of 2; T/1: 1 of 1 by the base tests, 0 of 1 by all. pass@2 needs two samples of T/1 too.
    assert results["pass_at_k"] == {"base": {"pass@1": 0.75}, "plus": {"pass@1": 0.25}}
    base = evalplus_results(problems, answers, [PASSED, PASSED, LATE])
    assert base["pass_at_k"] == {"base": {"pass@1": 0.75}} and base["eval"]["T/1"][0]["plus_status"] is None
