"""A file of any published shape becomes problems, or a sentence with file, line and field."""

import gzip
import json
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spanmix.errors import InputError
from spanmix.evaluate.code.problem import AssertCheck, CallCheck, CodeProblem, ExitCheck
from spanmix.evaluate.code.readers import fingerprint, read_problems

HUMAN_EVAL = {
    "task_id": "HumanEval/0",
    "prompt": "def one():\n",
    "entry_point": "one",
    "canonical_solution": "    return 1\n",
    "test": "def check(candidate):\n    assert candidate() == 1\n",
}
INFILLING = {**HUMAN_EVAL, "task_id": "S/0", "suffix": "\n# end\n"}
MBPP = {
    "text": "Write a function to add.",
    "code": "def add(a, b):\r\n  return a + b",
    "task_id": 11,
    "test_setup_code": "import math",
    "test_list": ["assert add(1, 2) == 3", "assert add(0, 0) == 0"],
    "challenge_test_list": ["assert add(-1, 1) == 0"],
}
SANITIZED = {
    "source_file": "Benchmark Questions Verification V2.ipynb",
    "task_id": 2,
    "prompt": "Write a function to find the shared elements.",
    "code": "def shared(a, b):\n  return set(a) & set(b)",
    "test_imports": ["import math", "import re"],
    "test_list": ["assert shared((1, 2), (2, 3)) == {2}"],
}
MULTIPL_E = {
    "name": "HumanEval_0_one",
    "language": "sh",
    "prompt": "#!/bin/bash\none() {\n",
    "doctests": "transform",
    "original": "HumanEval_0_one.py",
    "prompt_terminology": "reworded",
    "tests": "}\n\nrun_test() { [[ $(one) = 1 ]]; }\nrun_test",
    "stop_tokens": ["\n}"],
}
EVALPLUS = {
    **HUMAN_EVAL,
    "contract": "",
    "base_input": [[]],
    "plus_input": [[]],
    "atol": 0,
}
ROWS = {
    "human-eval": HUMAN_EVAL,
    "human-eval-infilling": INFILLING,
    "MBPP": MBPP,
    "MultiPL-E": MULTIPL_E,
    "EvalPlus": EVALPLUS,
}


def write(folder, *rows, name="problems.jsonl"):
    path = folder / name
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def test_each_shape_becomes_the_problem_that_it_is(tmp_path):
    def read(row):
        return read_problems(write(tmp_path, row))

    program = "def one():\n    return 1\n"
    assert read(HUMAN_EVAL) == [
        CodeProblem(
            "HumanEval/0",
            "def one():\n",
            None,
            "    return 1\n",
            CallCheck(program, HUMAN_EVAL["test"], "one"),
        )
    ]
    (infill,) = read(INFILLING)
    assert infill.suffix == "\n# end\n" and infill.check.context == program + "\n# end\n"
    assert infill.program("    pass") == "def one():\n    pass\n# end\n"
    assert read(MBPP) == [
        CodeProblem(
            "MBPP/11",
            '"""\nWrite a function to add.\nassert add(1, 2) == 3\n"""\n',
            None,
            "def add(a, b):\r\n  return a + b",
            AssertCheck("import math", ("assert add(1, 2) == 3", "assert add(0, 0) == 0")),
        )
    ]
    (sanitized,) = read(SANITIZED)
    assert sanitized.check.setup == "import math\nimport re" and sanitized.task_id == "MBPP/2"
    assert sanitized.prompt.startswith('"""\nWrite a function to find the shared elements.\nassert shared(')
    assert read(MULTIPL_E) == [
        CodeProblem(
            "HumanEval_0_one",
            MULTIPL_E["prompt"],
            None,
            "",
            ExitCheck("sh", MULTIPL_E["tests"]),
            stop=("\n}",),
        )
    ]


def test_the_hubs_mbpp_plus_is_judged_by_its_longer_test(tmp_path):
    path = write(tmp_path, {**SANITIZED, "test": "for n in range(9):\n    assert shared([n], [n]) == {n}\n"})
    (plus,), (base,) = read_problems(path), read_problems(path, plus_tests=False)
    assert len(plus.check.statements) == 1 and "range(9)" in plus.check.statements[0]
    assert base.check.statements == tuple(SANITIZED["test_list"])


def test_packed_arrays_and_odd_line_ends_are_the_same_problems(tmp_path):
    rows = [{**HUMAN_EVAL, "task_id": f"T/{n}", "prompt": f"# \u2028 {n} \x85 ü\n"} for n in range(5)]
    plain = read_problems(write(tmp_path, *rows))
    lines = [json.dumps(row, ensure_ascii=False) for row in rows]
    forms = {
        "packed.jsonl.gz": gzip.compress("\n".join(lines).encode()),
        "packed-by-another-name.jsonl": gzip.compress("\n".join(lines).encode()),
        "array.json": json.dumps(rows, indent=2).encode(),
        "array.json.gz": gzip.compress(json.dumps(rows).encode()),
        "windows.jsonl": ("\r\n".join(lines) + "\r\n\r\n").encode(),
        "mark.jsonl": b"\xef\xbb\xbf" + "\n\n".join(lines).encode(),
    }
    for name, content in forms.items():
        (tmp_path / name).write_bytes(content)
        assert read_problems(tmp_path / name) == plain, name
    assert [problem.prompt for problem in plain] == [row["prompt"] for row in rows]


def test_a_damaged_field_is_named_with_its_line(tmp_path):
    met = Counter()
    required = {
        "human-eval": list(HUMAN_EVAL),
        "human-eval-infilling": list(INFILLING),
        "MBPP": ["code", "task_id", "test_list"],
        "MultiPL-E": ["name", "language", "prompt", "tests", "stop_tokens"],
        "EvalPlus": [name for name in EVALPLUS if name != "test"],
    }
    marks = {"test", "suffix", "entry_point", "test_list", "code", "name", "language", "tests"}
    marks |= {"base_input", "plus_input"}

    @given(st.sampled_from(sorted(ROWS)), st.data())
    def check(shape, data):
        field = data.draw(st.sampled_from(required[shape]))
        damage = data.draw(st.sampled_from(["drop", "number", "null", "list"]))
        row = {**ROWS[shape], "task_id": "other", "name": "other"}
        if shape not in ("MultiPL-E",):
            del row["name"]
        if damage == "drop":
            del row[field]
        else:
            row[field] = {"number": 1.5, "null": None, "list": [[1]]}[damage]
        if (damage, field) in (("number", "atol"), ("list", "base_input"), ("list", "plus_input")):
            return  # what it should be
        if (damage, field) == ("drop", "suffix"):
            return  # the rest is a problem of human-eval
        num_good = data.draw(st.integers(0, 3))
        good = [{**ROWS[shape], "task_id": n, "name": str(n)} for n in range(num_good)]
        if shape != "MBPP":
            good = [{**one, "task_id": str(one["task_id"])} for one in good]
        path = write(tmp_path, *good, row)
        with pytest.raises(InputError) as error:
            read_problems(path)
        message = str(error.value)
        assert f"{path}, line {num_good + 1} has " in message, message
        if damage == "drop" and field in marks:
            met["mark dropped"] += 1
        else:
            assert field in message, message
            met[damage] += 1

    check()
    assert len(met) == 5 and min(met.values()) >= 15, met


MBPP_ALONE = {name: value for name, value in MBPP.items() if name != "text"}
REFUSED = {
    "mixed": (
        [HUMAN_EVAL, INFILLING],
        r"line 2 has the fields of human-eval-infilling, and .*line 1 those of hu",
    ),
    "unknown": ([{"id": 1, "question": "?"}], r"line 1 has the fields id, question, of no benchmark"),
    "empty object": ([{}], r"line 1 has the fields \(none\)"),
    "twice": (
        [HUMAN_EVAL, INFILLING | {"task_id": "x"}, HUMAN_EVAL][::2],
        r"line 2 has the id 'HumanEval/0', w",
    ),
    "no name": ([HUMAN_EVAL | {"entry_point": "a-b"}], r"line 1 has entry_point 'a-b', which is no name"),
    "keyword": ([HUMAN_EVAL | {"entry_point": "class"}], r"line 1 has entry_point 'class', which is no name"),
    "broken test": ([HUMAN_EVAL | {"test": "def check(f:\n"}], r"line 1 has a test that is not Python \("),
    "no check": (
        [HUMAN_EVAL | {"test": "assert add(1, 2) == 3\n"}],
        r"line 1 has a test that defines no check",
    ),
    "no check, infill": ([INFILLING | {"test": ""}], r"line 1 has a test that defines no check"),
    "no name, plus": ([EVALPLUS | {"entry_point": ""}], r"line 1 has entry_point '', which is no name"),
    "no tests": ([MBPP | {"test_list": []}], r"line 1 has test_list \[\]; every answer would pass"),
    "no text": ([MBPP_ALONE], r"line 1 has no text, and no prompt either"),
    "no inputs": ([EVALPLUS | {"base_input": [], "plus_input": []}], r"line 1 has no inputs; every answer"),
    "empty stop": ([MULTIPL_E | {"stop_tokens": ["\n}", ""]}], r"line 1 has an empty string in stop_tokens"),
    "nothing": ([], r"problems\.jsonl holds no problem"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_used_is_refused(tmp_path, case):
    rows, message = REFUSED[case]
    with pytest.raises(InputError, match=message):
        read_problems(write(tmp_path, *rows))


def test_damaged_files_are_refused_by_name_and_line(tmp_path):
    whole = gzip.compress(json.dumps(HUMAN_EVAL).encode() * 50)
    files = {
        "torn.gz": (whole[:-20], r"torn\.gz is a damaged gzip file"),
        "bits.gz": (whole[:30] + bytes(40) + whole[70:], r"bits\.gz is a damaged gzip file"),
        "bytes": (b"{}\n\xff\xfe", r"bytes, line 2 is not UTF-8 text \(byte 3\)"),
        "json": (json.dumps(HUMAN_EVAL).encode() + b"\n{'task_id': 1}", r"json, line 2 is not JSON"),
        "deep": (b'{"task_id":' + b"[" * 100_000, r"deep, line 1 is not JSON"),
        "number": (b"12\n", r"number, line 1 is 12, which is no JSON object"),
        "array": (b'[{"task_id": 1},', r"array is not JSON"),
        "items": (b"[1]", r"items, item 1 is 1, which is no JSON object"),
    }
    for name, (content, message) in files.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(InputError, match=message):
            read_problems(tmp_path / name)
    with pytest.raises(InputError, match="is missing"):
        read_problems(tmp_path / "none.jsonl")
    with pytest.raises(InputError, match="cannot be read"):
        read_problems(tmp_path)


def test_the_fingerprint_is_of_every_field(tmp_path):
    base = read_problems(write(tmp_path, HUMAN_EVAL))
    seen = {fingerprint(base)}
    for name in HUMAN_EVAL:
        changed = {name: "def check(f): f()" if name == "test" else "changed"}
        seen.add(fingerprint(read_problems(write(tmp_path, HUMAN_EVAL | changed))))
    for row in (INFILLING, MBPP, SANITIZED, MULTIPL_E, EVALPLUS, EVALPLUS | {"atol": 0.5}):
        seen.add(fingerprint(read_problems(write(tmp_path, row))))
    assert len(seen) == 1 + len(HUMAN_EVAL) + 6
    assert fingerprint(base) == fingerprint(read_problems(write(tmp_path, HUMAN_EVAL)))
