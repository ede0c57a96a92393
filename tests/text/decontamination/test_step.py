"""A step drops or reports, always says what matched, and is the same in every process."""

import json
import pickle

import pytest

from spanmix.corpus_configs.decontamination import DecontaminationConfig
from spanmix.errors import InputError
from spanmix.text.decontamination.step import DecontaminationStep
from spanmix.text.dropped import Dropped
from spanmix.types import Document

SOLUTION = "def total_of(queue):\n    limit = sum(queue)\n    return limit if queue else None\n"
ASKED = "Return the sum of all the numbers in a queue, or nothing if there are none."
COLUMNS = "path repository source benchmark task_id method kind matched line share action"


@pytest.fixture
def benchmark(tmp_path):
    path = tmp_path / "ours.jsonl"
    path.write_text(json.dumps({"task_id": "ours/1", "prompt": ASKED, "canonical_solution": SOLUTION}) + "\n")
    return str(path)


def run(step, text):
    notes = []
    document = Document(text, "code", "folder/file.py")
    return document, step(document, lambda kind, row: notes.append((kind, row))), notes


def test_a_document_with_a_problem_is_dropped_with_what_matched(benchmark):
    step = DecontaminationStep(DecontaminationConfig((benchmark,)))
    document, result, notes = run(step, "\n\n" + SOLUTION)
    assert result == Dropped(
        document.path, "holds a benchmark's problem", "ours: ours/1, exact solution", SOLUTION.strip()
    )
    kind, row = notes[0]
    assert kind == "contamination" and list(row) == COLUMNS.split()
    assert row == {
        "path": "folder/file.py",
        "repository": "",
        "source": "code", "benchmark": "ours", "task_id": "ours/1",
        "method": "exact", "kind": "solution", "matched": SOLUTION.strip(), "line": 3, "share": 1.0,
        "action": "drop",
    }  # fmt: skip


def test_a_report_keeps_the_document_and_the_rows(benchmark):
    text = f"# {ASKED}\n{SOLUTION}"
    dropped = run(DecontaminationStep(DecontaminationConfig((benchmark,))), text)
    kept = run(DecontaminationStep(DecontaminationConfig((benchmark,), action="report")), text)
    assert isinstance(dropped[1], Dropped) and kept[1] is kept[0]
    assert [{**row, "action": ""} for _, row in dropped[2]] == [{**row, "action": ""} for _, row in kept[2]]
    assert {row["action"] for _, row in kept[2]} == {"report"}


def test_a_clean_document_comes_back_itself_without_a_note(benchmark):
    document, result, notes = run(DecontaminationStep(DecontaminationConfig((benchmark,))), "import os\n")
    assert result is document and notes == []


def test_methods_are_chosen(benchmark):
    for method in ("exact", "n-gram"):
        _, _, notes = run(
            DecontaminationStep(DecontaminationConfig((benchmark,), methods=(method,))), SOLUTION + ASKED
        )
        assert {row["method"] for _, row in notes} == {method}


def test_a_step_is_made_anew_from_its_config(benchmark):
    config = DecontaminationConfig((benchmark,))
    again = pickle.loads(pickle.dumps(config))
    one, other = DecontaminationStep(config), DecontaminationStep(again)
    assert run(one, SOLUTION)[1:] == run(other, SOLUTION)[1:]
    assert one.fingerprint == other.fingerprint


def test_other_problems_have_another_fingerprint(benchmark, tmp_path):
    one = DecontaminationStep(DecontaminationConfig((benchmark,))).fingerprint
    (tmp_path / "ours.jsonl").write_text(json.dumps({"task_id": "ours/1", "prompt": ASKED}) + "\n")
    assert DecontaminationStep(DecontaminationConfig((benchmark,))).fingerprint != one


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n",
        "\0" * 50,
        "\ud800" * 9,
        "\\" * 99,
        "a" * 200_000,
        " " * 200_000,
        "é " * 9,
        "漢" * 99,
        "\r\r\n",
    ],
)
def test_odd_texts_are_no_error(benchmark, text):
    document, result, _ = run(DecontaminationStep(DecontaminationConfig((benchmark,))), text)
    assert result is document


@pytest.mark.parametrize(
    "field, value",
    [
        ("benchmarks", ()), ("benchmarks", ("",)), ("benchmarks", ("a", "a")), ("action", "cut"),
        ("methods", ()), ("methods", ("fuzzy",)), ("methods", ("exact", "exact")), ("ngram_words", 4),
        ("min_share", 0.0), ("min_share", 1.01), ("min_share", float("nan")), ("min_exact_words", 4),
    ],
)  # fmt: skip
def test_a_bad_field_is_named(field, value):
    fields = {"benchmarks": ("human-eval",), field: value}
    with pytest.raises(InputError, match=rf"^corpus\.decontamination\.{field} is .*; (use|name) "):
        DecontaminationConfig(**fields)
