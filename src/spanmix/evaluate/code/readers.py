"""Read the problems of a file, whichever of the published shapes it has.

==========================  ==========================================================================
human-eval                  ``task_id, prompt, entry_point, canonical_solution, test``
human-eval-infilling        the same, and ``suffix``
MBPP                        ``task_id, text`` or ``prompt``, ``code, test_list``, and what is run first
EvalPlus                    ``base_input, plus_input, atol, contract``; see `spanmix.evaluate.code.evalplus`
MultiPL-E                   ``name, language, prompt, tests, stop_tokens``
==========================  ==========================================================================

A file is JSON lines or one JSON array, packed with gzip or not. Other fields are passed over.
"""

from __future__ import annotations

import ast
import hashlib
import json
import keyword
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Protocol

from spanmix.errors import InputError
from spanmix.evaluate.code.evalplus import EvalPlusRow
from spanmix.evaluate.code.problem import AssertCheck, CallCheck, CodeProblem, ExitCheck
from spanmix.files import parse_json
from spanmix.text.problems.json_lines import parse_object, read_objects


class _Row(Protocol):
    def problem(self, place: str, plus_tests: bool) -> CodeProblem:
        """Return it as a problem; raises `InputError` naming the field that cannot be used."""
        ...


@dataclass(frozen=True)
class _HumanEvalRow:
    task_id: str
    prompt: str
    entry_point: str
    canonical_solution: str
    test: str

    def problem(self, place: str, plus_tests: bool) -> CodeProblem:
        return call_problem(
            self.task_id,
            self.prompt,
            None,
            self.canonical_solution,
            _test(self.test, place),
            _name(self.entry_point, place),
        )


@dataclass(frozen=True)
class _InfillingRow:
    task_id: str
    prompt: str
    suffix: str
    entry_point: str
    canonical_solution: str
    test: str

    def problem(self, place: str, plus_tests: bool) -> CodeProblem:
        test, entry_point = _test(self.test, place), _name(self.entry_point, place)
        return call_problem(
            self.task_id, self.prompt, self.suffix, self.canonical_solution, test, entry_point
        )


@dataclass(frozen=True)
class _MbppRow:
    """A row of ``mbpp.jsonl``, of ``sanitized-mbpp.json``, or of the Hub's MBPP+, which has `test` too."""

    task_id: int | str
    code: str
    test_list: tuple[str, ...]
    text: str | None = None
    prompt: str | None = None
    test_setup_code: str = ""
    test_imports: tuple[str, ...] = ()
    test: str | None = None

    def problem(self, place: str, plus_tests: bool) -> CodeProblem:
        text = self.prompt if self.text is None else self.text
        if text is None:
            raise InputError(f"{place} has no text, and no prompt either")
        if not self.test_list:
            raise InputError(f"{place} has test_list []; every answer would pass, so it needs a test")
        task_id = f"MBPP/{self.task_id}" if isinstance(self.task_id, int) else self.task_id
        setup = "\n".join(part for part in (*self.test_imports, self.test_setup_code) if part)
        whole = (self.test,) if self.test is not None and plus_tests else self.test_list
        return CodeProblem(
            task_id, mbpp_prompt(text, self.test_list), None, self.code, AssertCheck(setup, whole)
        )


@dataclass(frozen=True)
class _MultiplERow:
    name: str
    language: str
    prompt: str
    tests: str
    stop_tokens: tuple[str, ...]

    def problem(self, place: str, plus_tests: bool) -> CodeProblem:
        if "" in self.stop_tokens:
            raise InputError(f"{place} has an empty string in stop_tokens; every answer would end at once")
        check = ExitCheck(self.language, self.tests)
        return CodeProblem(self.name, self.prompt, None, "", check, stop=self.stop_tokens)


@dataclass(frozen=True)
class _Shape:
    """A published shape, known by fields that no shape below it has together."""

    name: str
    marks: frozenset[str]
    row: type[_Row]


_SHAPES = (
    # Either field: without the other such a row would else pass for one of human-eval, with fewer tests.
    _Shape("EvalPlus", frozenset({"base_input"}), EvalPlusRow),
    _Shape("EvalPlus", frozenset({"plus_input"}), EvalPlusRow),
    _Shape("MultiPL-E", frozenset({"name", "language", "tests"}), _MultiplERow),
    _Shape("MBPP", frozenset({"test_list", "code"}), _MbppRow),
    _Shape("human-eval-infilling", frozenset({"test", "suffix"}), _InfillingRow),
    _Shape("human-eval", frozenset({"test", "entry_point"}), _HumanEvalRow),
)


def read_problems(path: Path, plus_tests: bool = True) -> list[CodeProblem]:
    """Read the problems of a file; its shape is recognized by the fields.

    Args:
        path: the file.
        plus_tests: of EvalPlus's files, whether to take the tests that it added; else those it began from.

    Raises:
        InputError: the file cannot be read, has no shape of the module's header or several, lacks a field,
            or two of its problems have the same id. The message names file, line and field.
    """
    problems: list[CodeProblem] = []
    seen: dict[str, str] = {}
    first: tuple[str, _Shape] | None = None
    for place, text in read_objects(path):
        shape = _shape_of(parse_object(place, text), place)
        first = first or (place, shape)
        if shape.name != first[1].name:
            raise InputError(
                f"{place} has the fields of {shape.name}, and {first[0]} those of {first[1].name}; a file "
                "holds problems of one benchmark"
            )
        problem = parse_json(text, shape.row, place).problem(place, plus_tests)
        if problem.task_id in seen:
            raise InputError(
                f"{place} has the id {problem.task_id!r}, which {seen[problem.task_id]} has too; samples "
                "are told apart by it, so each problem needs its own"
            )
        seen[problem.task_id] = place
        problems.append(problem)
    if not problems:
        raise InputError(f"{path} holds no problem")
    return problems


def call_problem(
    task_id: str, prompt: str, suffix: str | None, canonical: str, test: str, entry_point: str
) -> CodeProblem:
    """Return a problem whose test is HumanEval's ``check(candidate)``."""
    context = prompt + canonical + (suffix or "")
    return CodeProblem(task_id, prompt, suffix, canonical, CallCheck(context, test, entry_point))


def mbpp_prompt(text: str, test_list: Sequence[str]) -> str:
    """Return a docstring with the task and its first test.

    That is InCoder's prompt without examples, as bigcode-evaluation-harness has it (``tasks/mbpp.py``); the
    paper of MBPP shows three examples and all tests instead.

    >>> print(mbpp_prompt("Write a function to add.", ["assert add(1, 2) == 3", "assert add(0, 0) == 0"]))
    \"\"\"
    Write a function to add.
    assert add(1, 2) == 3
    \"\"\"
    <BLANKLINE>
    """
    return f'"""\n{text}\n{test_list[0]}\n"""\n'


def fingerprint(problems: Sequence[CodeProblem]) -> str:
    """Return the SHA-256, in hex, of every field of every problem, in their order."""
    digest = hashlib.sha256()
    for problem in problems:
        fields = {**asdict(problem), "kind": type(problem.check).__name__}
        digest.update(json.dumps(fields, sort_keys=True, default=_stable).encode())
        digest.update(b"\n")
    return digest.hexdigest()


def _stable(value: object) -> object:
    """Write a value that JSON does not have; the order of a set's items changes from process to process."""
    return sorted(map(repr, value)) if isinstance(value, (set, frozenset)) else repr(value)


def _shape_of(fields: dict[str, object], place: str) -> _Shape:
    for shape in _SHAPES:
        if shape.marks <= fields.keys():
            return shape
    known = "; ".join(f"{shape.name}: {', '.join(sorted(shape.marks))}" for shape in _SHAPES)
    raise InputError(
        f"{place} has the fields {', '.join(sorted(fields)) or '(none)'}, of no benchmark that is read here; "
        f"each is known by ({known})"
    )


def _name(entry_point: str, place: str) -> str:
    if not entry_point.isidentifier() or keyword.iskeyword(entry_point):
        raise InputError(f"{place} has entry_point {entry_point[:80]!r}, which is no name of a function")
    return entry_point


def _test(test: str, place: str) -> str:
    """Return the test, if it is one; with a broken one every answer would look wrong."""
    wrong = _wrong_in(test)
    if wrong is not None:
        raise InputError(f"{place} has a test that {wrong}, so every answer would fail; mend it")
    return test


@cache
def _wrong_in(test: str) -> str | None:
    try:
        nodes = list(ast.walk(ast.parse(test)))
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        return f"is not Python ({error})"
    names = {getattr(node, name, None) for node in nodes for name in ("name", "id", "asname")}
    return None if "check" in names else "defines no check(candidate)"
