"""Read EvalPlus's problems: HumanEval and MBPP with many more inputs, judged by a reference program.

Facts of EvalPlus at 26d6d00 (``evalplus/data/mbpp.py``, ``evalplus/eval``), which its files do not say:

- JSON has no tuples, sets or complex numbers, so the inputs of some MBPP+ tasks are turned back into them.
- Some tasks have more right answers than the reference program's; their check is written out here.
- Floats compare within ``atol``, and within 1e-6 where that is 0. EvalPlus allows 1e-7 of the expected float
  beside it, and at ``atol`` 0 only compares that way what is a float or a list of nothing but floats.
- ``contract`` tells which inputs are valid. Those of the files are, so it is not needed for grading.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from spanmix.errors import InputError
from spanmix.evaluate.code.problem import CallCheck, Check, CodeProblem, ReferenceCheck

LEAST_TOLERANCE = 1e-6
"""Of floats where a file says ``"atol": 0``."""

Given = list[Any]
"""The arguments of one call."""


@dataclass(frozen=True)
class EvalPlusRow:
    """One line of ``HumanEvalPlus.jsonl`` or ``MbppPlus.jsonl``."""

    task_id: str
    prompt: str
    entry_point: str
    canonical_solution: str
    base_input: list[Given]
    plus_input: list[Given]
    atol: float
    contract: str

    def problem(self, place: str, plus_tests: bool) -> CodeProblem:
        """Return it as a problem.

        Args:
            place: the file and the line, for errors.
            plus_tests: whether to call with `plus_input` behind `base_input`.

        Raises:
            InputError: a field cannot be used.
        """
        if not self.entry_point.isidentifier():
            shown = repr(self.entry_point[:60])
            raise InputError(f"{place} has entry_point {shown}, which is no name of a function")
        inputs = self._arguments("base_input", self.base_input, place)
        if plus_tests:
            inputs += self._arguments("plus_input", self.plus_input, place)
        if not inputs:
            raise InputError(f"{place} has no inputs; every answer would pass, so it needs some")
        reference = self.prompt + self.canonical_solution
        check: Check
        if oracle := _oracle(self.task_id, self.entry_point):
            check = _call_check(oracle, reference, self.entry_point, inputs, self.atol)
        else:
            tolerance = self.atol or LEAST_TOLERANCE
            check = ReferenceCheck(reference, self.entry_point, tuple(inputs), tolerance)
        return CodeProblem(self.task_id, self.prompt, None, self.canonical_solution, check)

    def _arguments(self, field: str, calls: Sequence[Given], place: str) -> list[tuple[object, ...]]:
        if not self.task_id.startswith(_MBPP):
            return [tuple(given) for given in calls]
        rebuild = _REBUILT.get(self.task_id.removeprefix(_MBPP), list)
        arguments = []
        for number, given in enumerate(calls, 1):
            try:
                arguments.append(tuple(rebuild(given)))
            except (TypeError, ValueError, IndexError, AttributeError) as error:
                shown = repr(given)[:60]
                raise InputError(
                    f"{place} has {shown} as call {number} of {field}, and {self.task_id} takes other values "
                    f"({error})"
                ) from None
        return arguments


_MBPP = "Mbpp/"


def _tuples_deep(value: Any) -> Any:
    return tuple(map(_tuples_deep, value)) if isinstance(value, list) else value


def _each_tuple(given: Given) -> Given:
    return [tuple(argument) for argument in given]


def _items_tuples(given: Given) -> Given:
    return [[tuple(item) for item in argument] for argument in given]


def _sets(given: Given) -> Given:
    # An empty one becomes {}, a dict: so it is in EvalPlus.
    return [[set(item) if isinstance(item, list) and item else {} for item in given[0]]]


def _mixed_tuple(given: Given) -> Given:
    return [tuple(tuple(item) if isinstance(item, list) else item for item in given[0])]


_KINDS: tuple[tuple[str, Callable[[Given], Given]], ...] = (
    ("2 116 132 143 222 261 273 394 399 421 424 429 470 560 579 596 616 630 726 740 744 809", _each_tuple),
    ("63 64 70 94 120 237 272 299 400 409 417 438 473 614 780", _items_tuples),
    ("75 413 444 753", lambda given: [[tuple(item) for item in given[0]], given[1]]),
    ("106 750", lambda given: [given[0], tuple(given[1])]),
    ("115", _sets),
    ("124", lambda given: [float(given[0]), complex(given[1])]),
    ("250 405 446 617 720 763 808", lambda given: [tuple(given[0]), given[1]]),
    ("307", lambda given: [tuple(given[0]), given[1], given[2]]),
    ("252", lambda given: [complex(given[0])]),
    ("259 401 445", lambda given: _each_tuple(_items_tuples(given))),
    ("278", _mixed_tuple),
    ("580 615 791", lambda given: list(_tuples_deep(given))),
    ("722", lambda given: [{key: tuple(value) for key, value in given[0].items()}, *given[1:]]),
)
_REBUILT = {number: rebuild for numbers, rebuild in _KINDS for number in numbers.split()}
"""How the arguments of MBPP+'s tasks become what they were before they were written as JSON."""

_SETS_OF = (
    "similar_elements find_char_long common_in_nested_lists extract_singly larg_nnum intersection_array "
    "find_dissimilar Diff"
)
_SOME_MATCH = "check_str text_match_three text_starta_endb"

_MBPP_ORACLES = {
    # Mbpp/164: sums of divisors; whatever is returned counts.
    "are_equivalent": "True",
    # Mbpp/295: whether a number is its own divisor is left open.
    "sum_div": "got == expected or got == 0",
    # Mbpp/581: the height may be that of the pyramid, and not of its sides.
    "surface_Area": "got == expected or abs(got - upright_area(*given)) <= tolerance",
    # Mbpp/558: numbers of several lengths may be filled up with zeros.
    "digit_distance_nums": "got == expected or got == digit_distance(*given)",
    **dict.fromkeys(_SETS_OF.split(), "set(got) == set(expected)"),
    # What matters is whether there is a match; it may be told by a bool.
    **dict.fromkeys(
        _SOME_MATCH.split(),
        "(got if isinstance(got, bool) else got is not None) == (expected is not None)",
    ),
}
_HUMANEVAL_ORACLES = {
    # HumanEval/32: a polynomial has several zeros.
    "find_zero": "abs(sum(factor * math.pow(got, n) for n, factor in enumerate(given[0]))) <= tolerance",
}

_CONTEXT = """{reference}

import copy
import math

inf, nan = math.inf, math.nan
_inputs = {inputs!r}
_expected = [{entry_point}(*copy.deepcopy(given)) for given in _inputs]
"""
"""What is expected is computed here: where the test runs, the reference's name is the answer's."""

_TEST = """
import copy
import math

tolerance = {tolerance!r}


def upright_area(base_edge, height):
    slant_height = math.sqrt((base_edge / 2) ** 2 + height**2)
    return round(base_edge**2 + 2 * base_edge * slant_height)


def digit_distance(one, other):
    width = max(len(str(one)), len(str(other)))
    digits = zip(str(one).zfill(width), str(other).zfill(width))
    return sum(abs(int(a) - int(b)) for a, b in digits)


def check(candidate):
    for given, expected in zip(_inputs, _expected):
        got = candidate(*copy.deepcopy(given))
        assert {condition}
"""


def _oracle(task_id: str, entry_point: str) -> str | None:
    oracles = _MBPP_ORACLES if task_id.startswith(_MBPP) else _HUMANEVAL_ORACLES
    return oracles.get(entry_point)


def _call_check(
    condition: str, reference: str, entry_point: str, inputs: Sequence[tuple[object, ...]], atol: float
) -> CallCheck:
    context = _CONTEXT.format(reference=reference, inputs=list(inputs), entry_point=entry_point)
    return CallCheck(context, _TEST.format(tolerance=atol, condition=condition), entry_point)
