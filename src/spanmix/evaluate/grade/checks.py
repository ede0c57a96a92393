"""Decide, in the judge's own process, whether a program passes a check.

The text of a check is the benchmark's, and trusted. It sees the program as `remote.RemoteProgram`.
"""

from __future__ import annotations

import ast
import builtins
import copy
import importlib
import sys
from collections.abc import Callable
from typing import Any

from spanmix.evaluate.grade.remote import RemoteProgram
from spanmix.evaluate.grade.values import unpack


def run(program: RemoteProgram, text: str, check: dict[str, Any]) -> None:
    """Run the program and its check; returns if it passed, and raises anything if not.

    Args:
        program: where it runs.
        text: the program.
        check: ``kind`` has the name of a class of `spanmix.evaluate.code.problem`, and the rest its fields.
    """
    program.run(text)
    fields = {name: value for name, value in check.items() if name != "kind"}
    _KINDS[check["kind"]](program, **fields)
    program.require_alive()


def _call_check(program: RemoteProgram, context: str, test: str, entry_point: str) -> None:
    names: dict[str, Any] = {"__name__": "check"}
    _execute(context, names)
    # Also for a test that calls it by its name: the context has the reference under that.
    names[entry_point] = program.name(entry_point)
    _execute(test, names)
    names["check"](names[entry_point])


def _assert_check(program: RemoteProgram, setup: str, statements: list[str]) -> None:
    names = _Names(program, "\n".join([setup, *statements]))
    _execute(setup, names)
    for statement in statements:
        _execute(statement, names)


def _reference_check(
    program: RemoteProgram, reference: str, entry_point: str, inputs: list[Any], tolerance: float
) -> None:
    names: dict[str, Any] = {"__name__": "reference"}
    _execute(reference, names)
    answer = program.name(entry_point)
    for number, packed in enumerate(inputs):
        given = unpack(packed, _no_handle)
        expected = names[entry_point](*copy.deepcopy(given))
        assert equal(answer(*given), expected, tolerance), f"call {number} gives another value"


_KINDS: dict[str, Callable[..., None]] = {
    "CallCheck": _call_check,
    "AssertCheck": _assert_check,
    "ReferenceCheck": _reference_check,
}


def _execute(text: str, names: dict[str, Any]) -> None:
    exec(compile(text, "<string>", "exec", dont_inherit=True), names)


def _no_handle(number: int) -> object:
    raise ValueError("the inputs of a check are builtin values")


class _Names(dict[str, Any]):
    """The names of a check's statements; those that nobody has set are the program's.

    Builtins and modules are the judge's own all the same, or a program could bring a ``set`` or a ``math``
    that finds everything equal. But where a check uses no name that is not builtin, the function that is
    tested must be one with a builtin's name.
    """

    def __init__(self, program: RemoteProgram, text: str) -> None:
        super().__init__(__name__="check")
        self._program = program
        tree = ast.parse(text)
        names = [node for node in ast.walk(tree) if isinstance(node, ast.Name)]
        bound = {node.id for node in names if not isinstance(node.ctx, ast.Load)} | _bound_otherwise(tree)
        free = {node.id for node in names} - bound
        parents = {
            node.value.id
            for node in ast.walk(tree)
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)
        }
        self._modules = {name for name in free & parents if name in sys.stdlib_module_names}
        self._shadows = free if all(hasattr(builtins, name) for name in free) else set()

    def __missing__(self, name: str) -> Any:
        if name in self._modules:
            self[name] = importlib.import_module(name)
            return self[name]
        if hasattr(builtins, name):
            if name not in self._shadows:
                raise KeyError(name)
            try:
                return self._program.name(name)
            except NameError:
                raise KeyError(name) from None
        return self._program.name(name)


def _bound_otherwise(tree: ast.AST) -> set[str]:
    """Return the names that imports, definitions and arguments bind."""
    bound = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.alias):
            bound.add((node.asname or node.name).split(".")[0])
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            bound.add(node.name)
        elif isinstance(node, ast.arg):
            bound.add(node.arg)
    return bound


def equal(answer: Any, expected: Any, tolerance: float) -> bool:
    """Compare an answer with what was expected.

    Args:
        answer: builtin values, or a `Remote`, which equals nothing.
        expected: what the reference returned.
        tolerance: see `spanmix.evaluate.code.problem.ReferenceCheck`.

    >>> equal([1.0, (2, "a")], [1.0000001, (2, "a")], tolerance=1e-6)
    True
    >>> equal([1.0, (2, "a")], [1.0000001, [2, "a"]], tolerance=1e-6)
    False
    """
    kinds = {type(answer), type(expected)}
    if not tolerance:
        return bool(answer == expected)
    if float in kinds and kinds <= {int, float}:
        return _near(answer, expected, tolerance)
    if kinds in ({list}, {tuple}):
        pairs = zip(answer, expected, strict=False)
        return len(answer) == len(expected) and all(equal(*pair, tolerance=tolerance) for pair in pairs)
    if kinds == {dict}:
        same_keys = answer.keys() == expected.keys()
        return same_keys and all(equal(answer[key], item, tolerance) for key, item in expected.items())
    return bool(answer == expected)


def _near(answer: float, expected: float, tolerance: float) -> bool:
    if answer != answer or expected != expected:
        return answer != answer and expected != expected
    try:
        return answer == expected or abs(answer - expected) <= tolerance * max(1.0, abs(expected))
    except OverflowError:  # a whole number that no float can hold
        return False
