"""Read a row of a benchmark, whatever its fields are called, as the texts of a problem.

==============  ==============================================================================================
what it is      fields that hold it
==============  ==============================================================================================
its name        ``task_id, name, problem_id, question_id, id``
what is asked   ``prompt, text, question, problem, description, instruction, docstring``
the answer      ``canonical_solution, solution, solutions, code, answer, reference_code, completion,
                response``
its check       ``test, tests, test_list, test_code``
one program     ``prefix, middle, suffix``, or ``prompt, canonical_solution, suffix``
==============  ==============================================================================================

So the files of HumanEval, HumanEval-Infilling, MBPP (both), EvalPlus, MultiPL-E and APPS are read, and
others with such fields. Fields of other names, and what is no text, are passed over.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from spanmix.errors import InputError
from spanmix.text.problems.description import describe, without_examples
from spanmix.text.problems.problem import DESCRIPTION, PROMPT, SOLUTION, TEST, BenchmarkProblem, Part

_NAMES = ("task_id", "name", "problem_id", "question_id", "id")
_ASKED = ("prompt", "text", "question", "problem", "description", "instruction", "docstring")
_ANSWERS = (
    "canonical_solution", "solution", "solutions", "code", "answer", "reference_code", "completion",
    "response",
)  # fmt: skip
_CHECKS = ("test", "tests", "test_list", "test_code")
_SPAN = ("middle", "canonical_solution", "solution")

Row = Mapping[str, Any]


def row_problem(row: Row, benchmark: str, place: str, number: int) -> BenchmarkProblem:
    """Return the problem of a row.

    Args:
        row: the fields.
        benchmark: name of the set.
        place: where the row is, for errors.
        number: its number in the file, from 1; its name if it has none.

    Raises:
        InputError: none of the fields that are read here holds a text.
    """
    parts = _infilling_parts(row) if isinstance(row.get("suffix"), str) else _parts(row)
    distinct = tuple(dict.fromkeys(part for part in parts if part.text.strip()))
    if not distinct:
        known = ", ".join(dict.fromkeys((*_ASKED, *_ANSWERS, *_CHECKS, "prefix", "middle", "suffix")))
        raise InputError(
            f"{place} has the fields {', '.join(sorted(row)) or '(none)'}, and a text in none of those that "
            f"are searched for ({known}); rename one that holds a text"
        )
    return BenchmarkProblem(benchmark, _task_id(row, benchmark, number), distinct)


def _parts(row: Row) -> list[Part]:
    parts = []
    for text in _texts(row, _ASKED):
        parts += _asked_parts(text)
    parts += [Part(SOLUTION, text) for text in _texts(row, _ANSWERS)]
    return parts + _check_parts(row)


def _asked_parts(prompt: str) -> list[Part]:
    description = describe(prompt).description or prompt
    return [Part(DESCRIPTION, without_examples(description)), Part(PROMPT, prompt)]


def _infilling_parts(row: Row) -> list[Part]:
    """Put a program together again, so that all rows made of one program have the same parts."""
    front = next((row[name] for name in ("prefix", "prompt") if isinstance(row.get(name), str)), "")
    hidden = next((row[name] for name in _SPAN if isinstance(row.get(name), str)), "")
    program = front + hidden + row["suffix"]
    described = describe(program)
    parts = [Part(SOLUTION, described.rest), *_check_parts(row)]
    if described.description:
        shown = program[: len(program) - len(described.rest)]
        parts = [Part(DESCRIPTION, without_examples(described.description)), Part(PROMPT, shown), *parts]
    return parts


def _check_parts(row: Row) -> list[Part]:
    """Return each check; the statements of a list are one, as each by itself may be a few words."""
    return [Part(TEST, "\n".join(_as_texts(row[name]))) for name in _CHECKS if name in row]


def _texts(row: Row, names: Sequence[str]) -> list[str]:
    return [text for name in names if name in row for text in _as_texts(row[name])]


def _as_texts(value: Any) -> list[str]:
    """Return a text, the texts of a list, or those of a list written as JSON, as APPS has it."""
    if isinstance(value, str):
        if value.startswith('["'):
            try:
                return _as_texts(json.loads(value))
            except (ValueError, RecursionError):
                return [value]
        return [value]
    return [text for text in value if isinstance(text, str)] if isinstance(value, (list, tuple)) else []


def _task_id(row: Row, benchmark: str, number: int) -> str:
    for name in _NAMES:
        value = row.get(name)
        if isinstance(value, str) and value.strip():
            return value
        if isinstance(value, int) and not isinstance(value, bool):
            return f"{benchmark}/{value}"
    return f"{benchmark}/{number}"
