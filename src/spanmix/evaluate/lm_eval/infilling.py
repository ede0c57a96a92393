"""Give lm-eval the problems of HumanEval-Infilling, and grade the answers by the project's own grader.

The single-line and multi-line sets are made from HumanEval, so nothing is downloaded. The random-span sets
are read from their files: ``--metadata '{"random_span": "HumanEval-RandomSpanInfilling.jsonl.gz"}'``, and
``random_span_light`` likewise.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from spanmix.errors import InputError
from spanmix.evaluate.code.humaneval import infilling_problems
from spanmix.evaluate.code.problem import CallCheck, CodeProblem
from spanmix.evaluate.code.readers import read_problems
from spanmix.evaluate.grade.choose import best_isolation
from spanmix.evaluate.grade.grade import grade
from spanmix.evaluate.grade.isolation import Isolation
from spanmix.evaluate.grade.limits import Limits


def single_line(**_: object) -> dict[str, Any]:
    """Return the single-line set in the form that lm-eval wants."""
    return _dataset(infilling_problems("single-line"))


def multi_line(**_: object) -> dict[str, Any]:
    """Return the multi-line set in the form that lm-eval wants."""
    return _dataset(infilling_problems("multi-line"))


def random_span(random_span: str | None = None, **_: object) -> dict[str, Any]:
    """Return the random-span set; raises `InputError` if its file is not named or is bad."""
    return _dataset(_read("random_span", random_span))


def random_span_light(random_span_light: str | None = None, **_: object) -> dict[str, Any]:
    """Return the light random-span set; raises `InputError` if its file is not named or is bad."""
    return _dataset(_read("random_span_light", random_span_light))


def rows_of(problems: Sequence[CodeProblem]) -> list[dict[str, str]]:
    """Return the problems as rows of text, with the field names of the published files."""
    rows = []
    for problem in problems:
        assert isinstance(problem.check, CallCheck)
        assert problem.suffix is not None
        rows.append(
            {
                "task_id": problem.task_id,
                "prompt": problem.prompt,
                "suffix": problem.suffix,
                "canonical_solution": problem.canonical,
                "context": problem.check.context,
                "test": problem.check.test,
                "entry_point": problem.check.entry_point,
            }
        )
    return rows


def process_results(doc: Mapping[str, str], results: Sequence[str]) -> dict[str, float]:
    """Grade one answer: does it pass, and is it the hidden text itself?"""
    (answer,) = results
    check = CallCheck(doc["context"], doc["test"], doc["entry_point"])
    program = doc["prompt"] + answer + doc["suffix"]
    return {
        "pass@1": float(_passes(program, check)),
        "exact_match": float(answer == doc["canonical_solution"]),
    }


def _passes(program: str, check: CallCheck) -> bool:
    ((_, verdict),) = grade([(program, check)], 1, Limits(), _isolation())
    return verdict.passed


@cache
def _isolation() -> Isolation:
    return best_isolation()  # which tries it first


def _read(name: str, path: str | None) -> list[CodeProblem]:
    if path is None:
        raise InputError(
            f"the {name} set is read from its published file; name it with "
            f"""--metadata '{{"{name}": "FILE.jsonl.gz"}}'"""
        )
    return read_problems(Path(path))


def _dataset(problems: Sequence[CodeProblem]) -> dict[str, Any]:
    from datasets import Dataset

    return {"test": Dataset.from_list(rows_of(problems))}
