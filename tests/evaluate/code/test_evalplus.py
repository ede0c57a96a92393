"""EvalPlus's inputs are what they were before JSON, and tasks with several right answers accept them all."""

import json
import math
import re

import pytest

from spanmix.errors import InputError
from spanmix.evaluate.code.problem import CallCheck, ReferenceCheck
from spanmix.evaluate.code.readers import fingerprint, read_problems


def row(task_id, *calls, plus=(), entry_point="f", body="    return None\n", atol=0):
    return {
        "task_id": task_id,
        "prompt": f"def {entry_point}(*given):\n",
        "entry_point": entry_point,
        "canonical_solution": body,
        "contract": "",
        "base_input": list(calls),
        "plus_input": list(plus),
        "atol": atol,
    }


def read(folder, *rows, **options):
    path = folder / "plus.jsonl"
    path.write_text("".join(json.dumps(one) + "\n" for one in rows))
    return read_problems(path, **options)


def test_a_problem_is_a_reference_and_all_inputs(tmp_path):
    one = row("HumanEval/1", [1, [2.5, "x"]], plus=[[3, []], [float("inf"), {"a": None}]], atol=0.01)
    (problem,) = read(tmp_path, one)
    inputs = ((1, [2.5, "x"]), (3, []), (math.inf, {"a": None}))
    reference = "def f(*given):\n    return None\n"
    assert problem.check == ReferenceCheck(reference, "f", inputs, 0.01)
    assert problem.prompt + problem.canonical == reference and problem.suffix is None
    (base,) = read(tmp_path, one, plus_tests=False)
    assert base.check.inputs == inputs[:1]
    (exact,) = read(tmp_path, row("HumanEval/1", [1]))
    assert exact.check.tolerance == 1e-6


REBUILT = {
    2: ([[1, 2], [3]], ((1, 2), (3,))),
    63: ([[[1, 2], [3, 4]]], ([(1, 2), (3, 4)],)),
    75: ([[[1, 2], [3]], 4], ([(1, 2), (3,)], 4)),
    106: ([[1], [2, 3]], ([1], (2, 3))),
    115: ([[[1, 2], [], [3]]], ([{1, 2}, {}, {3}],)),
    124: (["1.5", "2j"], (1.5, 2j)),
    250: ([[1, 2], 3], ((1, 2), 3)),
    307: ([["a", []], 1, 50], (("a", []), 1, 50)),
    252: (["(1+2j)"], (1 + 2j,)),
    259: ([[[1, 3]], [[6, 7]]], (((1, 3),), ((6, 7),))),
    278: ([[1, [2, 3], "x"]], ((1, (2, 3), "x"),)),
    580: ([[4, [7, [3]]]], ((4, (7, (3,))),)),
    722: ([{"ann": [6.2, 70]}, 6.0, 70], ({"ann": (6.2, 70)}, 6.0, 70)),
    3: ([[1, [2]]], ([1, [2]],)),
}


def test_tuples_sets_and_complex_numbers_come_back(tmp_path):
    rows = [row(f"Mbpp/{number}", given) for number, (given, _) in REBUILT.items()]
    for problem, (number, (_, expected)) in zip(read(tmp_path, *rows), REBUILT.items(), strict=True):
        (given,) = problem.check.inputs
        # repr, since 1 == True and [] == [] do not tell what is nested in them.
        assert repr(given) == repr(expected), number
    (same,) = read(tmp_path, row("HumanEval/63", REBUILT[63][0]))
    assert same.check.inputs == (tuple(REBUILT[63][0]),)


def test_the_fingerprint_does_not_hang_on_the_order_of_a_set(tmp_path):
    (one,) = read(tmp_path, row("Mbpp/115", [[["a", "b", "c"], ["d"]]]))
    (other,) = read(tmp_path, row("Mbpp/115", [[["c", "b", "a"], ["d"]]]))
    (third,) = read(tmp_path, row("Mbpp/115", [[["c", "b", "x"], ["d"]]]))
    assert fingerprint([one]) == fingerprint([other]) != fingerprint([third])


def test_inputs_of_another_kind_are_refused(tmp_path):
    rows = [row("Mbpp/3", [1]), row("Mbpp/2", [[1]], plus=[[[2]], [7]])]
    with pytest.raises(
        InputError, match=r"line 2 has \[7\] as call 2 of plus_input, and Mbpp/2 takes other va"
    ):
        read(tmp_path, *rows)
    with pytest.raises(InputError, match=r"line 1 has \[\['x'\]\] as call 1 of base_input, and Mbpp/722"):
        read(tmp_path, row("Mbpp/722", [["x"]]))


def judge(check, candidate):
    """Run the trusted text with a candidate, and say whether it passes."""
    names = {}
    exec(check.context, names)
    names[check.entry_point] = candidate  # so does the judge, for tests that call it by its name
    exec(check.test, names)
    try:
        names["check"](candidate)
    except AssertionError:
        return False
    return True


PYRAMID = "    base, height = given\n    return round(base * base + 2 * base * height)\n"
DIGITS = "    return abs(sum(map(int, str(given[0]))) - sum(map(int, str(given[1]))))\n"
SHARED = "    return tuple(set(given[0]) & set(given[1]))\n"
ORACLES = {
    "find_zero": (
        row("HumanEval/32", [[-6, 11, -6, 1]], entry_point="find_zero", body="    return 1.0\n", atol=1e-4),
        [lambda xs: 1.0, lambda xs: 2.0, lambda xs: 3.00000001],
        [lambda xs: 1.5, lambda xs: 0.0],
    ),
    "are_equivalent": (
        row("Mbpp/164", [36, 57], entry_point="are_equivalent", body="    return False\n"),
        [lambda a, b: False, lambda a, b: True],
        [],
    ),
    "sum_div": (
        row("Mbpp/295", [8], entry_point="sum_div", body="    return 7\n"),
        [lambda n: 7, lambda n: 0],
        [lambda n: 15],
    ),
    "surface_Area": (
        row("Mbpp/581", [3, 4], entry_point="surface_Area", body=PYRAMID),
        [lambda b, h: 33, lambda b, h: round(b * b + 2 * b * math.hypot(b / 2, h))],
        [lambda b, h: 36],
    ),
    "digit_distance_nums": (
        row("Mbpp/558", [123, 56], entry_point="digit_distance_nums", body=DIGITS),
        [lambda a, b: 5, lambda a, b: 1 + 3 + 3],
        [lambda a, b: 6],
    ),
    "similar_elements": (
        row("Mbpp/2", [[3, 4, 5], [5, 4, 9]], entry_point="similar_elements", body=SHARED),
        [lambda a, b: (5, 4), lambda a, b: [4, 5, 5], lambda a, b: {4, 5}],
        [lambda a, b: (4,), lambda a, b: ()],
    ),
    "check_str": (
        row(
            "Mbpp/285",
            ["ab"],
            entry_point="check_str",
            body="    import re\n    return re.search('a', given[0])\n",
        ),
        [lambda s: True, lambda s: re.search("a", s), lambda s: "Valid"],
        [lambda s: None, lambda s: False],
    ),
}


@pytest.mark.parametrize("name", ORACLES)
def test_every_right_answer_counts_and_no_wrong_one(tmp_path, name):
    one, right, wrong = ORACLES[name]
    (problem,) = read(tmp_path, one)
    assert isinstance(problem.check, CallCheck) and problem.check.entry_point == name
    for candidate in right:
        assert judge(problem.check, candidate)
    for candidate in wrong:
        assert not judge(problem.check, candidate)
    assert judge(problem.check, _reference(problem.check, name))


def _reference(check, name):
    names = {}
    exec(check.context, names)
    return names[name]


def test_a_candidate_cannot_change_what_the_reference_gets(tmp_path):
    body = "    return sorted(set(given[0]) & set(given[1]))\n"
    (problem,) = read(tmp_path, row("HumanEval/x", [[1], [1]], entry_point="similar_elements", body=body))
    assert isinstance(problem.check, ReferenceCheck)  # the oracle is MBPP's alone
    (problem,) = read(
        tmp_path, row("Mbpp/9", [[1], [1]], [[2], [2]], entry_point="similar_elements", body=body)
    )

    def spoil(one, other):
        found = [item for item in one if item in other]
        one.clear()
        return found

    assert judge(problem.check, spoil) and judge(problem.check, spoil)
