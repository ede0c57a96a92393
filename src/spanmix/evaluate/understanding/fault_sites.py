"""Find the places where a fault of each kind of `spanmix.evaluate.understanding.faults` can be made.

A place is the edits that make the fault there. Decorators, annotations, the function's own defaults and
f-strings have none.
"""

from __future__ import annotations

import ast
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise

from spanmix.evaluate.understanding.functions import FunctionNode
from spanmix.evaluate.understanding.source_text import Edit, SourceText, of_own_scope, with_parents

Site = tuple[Edit, ...]


@dataclass(frozen=True)
class Body:
    """A function's text, its node, and what its body is made of, each node with its parent."""

    source: SourceText
    function: FunctionNode

    @cached_property
    def nodes(self) -> list[tuple[ast.AST, ast.AST]]:
        """Without decorators, annotations, the function's own defaults, and what is in f-strings."""
        return [
            pair
            for statement in self.function.body
            for pair in [(statement, self.function), *with_parents(statement)]
        ]


Finder = Callable[[Body], list[Site]]

_COMPARISONS = {
    "<": ("<=", ">"), "<=": ("<", ">="), ">": (">=", "<"), ">=": (">", "<="), "==": ("!=",), "!=": ("==",),
    "in": ("not in",), "not in": ("in",), "is": ("is not",), "is not": ("is",),
}  # fmt: skip
_OPERATORS = {
    "+": "-", "-": "+", "*": "/", "/": "*", "//": "/", "%": "//", "**": "*", "&": "|", "|": "&", "<<": ">>",
    ">>": "<<", "and": "or", "or": "and",
}  # fmt: skip
_LARGEST_BOUND = 1000
_SEQUENCES = (ast.JoinedStr, ast.List, ast.ListComp, ast.Tuple)
_ANY_ORDER = ("min", "max", "gcd", "union", "intersection")
_SIMPLE = (ast.Name, ast.Attribute, ast.Subscript, ast.Constant)
_RECEIVERS = ("self", "cls", "mcs")


def comparisons(body: Body) -> list[Site]:
    """Find comparisons."""
    found: list[Site] = []
    for node, _ in body.nodes:
        if isinstance(node, ast.Compare):
            sides = [node.left, *node.comparators]
            for left, right in pairwise(sides):
                operator = _operator(body.source, body.source.stop(left), body.source.start(right))
                found += [(replace(operator, text=other),) for other in _COMPARISONS.get(operator.text, ())]
    return found


def bounds(body: Body) -> list[Site]:
    """Find whole numbers that count something."""
    found: list[Site] = []
    parent_of = {id(node): parent for node, parent in body.nodes}
    for node, parent in body.nodes:
        if not isinstance(node, ast.Constant) or type(node.value) is not int or node.value > _LARGEST_BOUND:
            continue
        if body.source.of(node) != str(node.value):
            continue
        is_negative = isinstance(parent, ast.UnaryOp) and isinstance(parent.op, ast.USub)
        if is_negative:
            parent = parent_of.get(id(parent), parent)
        if _counts(parent):
            least = 1 if is_negative else 0
            others = [other for other in (node.value - 1, node.value + 1) if other >= least]
            found += [(body.source.replace(node, str(other)),) for other in others]
    return found


def operators(body: Body) -> list[Site]:
    """Find operators between two values."""
    found: list[Site] = []
    for node, _ in body.nodes:
        sides: list[ast.expr] = []
        if isinstance(node, ast.BoolOp):
            sides = node.values
        elif isinstance(node, ast.BinOp):
            sides = [node.left, node.right]
        elif isinstance(node, ast.AugAssign):
            sides = [node.target, node.value]
        if not isinstance(node, ast.BoolOp) and any(_is_sequence(side) for side in sides):
            continue
        for left, right in pairwise(sides):
            operator = _operator(body.source, body.source.stop(left), body.source.start(right))
            sign = operator.text.removesuffix("=")
            if sign in _OPERATORS:
                other = _OPERATORS[sign] + operator.text.removeprefix(sign)
                found.append((replace(operator, text=other),))
    return found


def names(body: Body) -> list[Site]:
    """Find uses of a variable where another one has a value, too."""
    arguments = body.function.args
    parameters = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
    parameters += [extra for extra in (arguments.vararg, arguments.kwarg) if extra is not None]
    first = {parameter.arg: -1 for parameter in parameters}
    copies: set[frozenset[str]] = set()
    uses, called = [], set()
    for node in of_own_scope(body.function):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            first[node.id] = min(first.get(node.id, body.source.start(node)), body.source.start(node))
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
            uses.append(node)
        elif isinstance(node, ast.Assign) and isinstance(node.value, ast.Name):
            # Where one is a copy of the other, it does not matter which is used.
            copies |= {frozenset((node.value.id, t.id)) for t in node.targets if isinstance(t, ast.Name)}
        elif isinstance(node, ast.Call):
            called.add(id(node.func))
        elif isinstance(node, ast.Global | ast.Nonlocal):
            return []
    mine = [name for name in first if name not in _RECEIVERS and not name.startswith("_")]
    return [
        (body.source.replace(use, other),)
        for use in uses
        if use.id in mine and id(use) not in called
        for other in mine
        if other != use.id
        and first[other] < body.source.start(use)
        and frozenset((other, use.id)) not in copies
    ]


def conditions(body: Body) -> list[Site]:
    """Find conditions that are a plain value or its opposite."""
    found: list[Site] = []
    for node, _ in body.nodes:
        if not isinstance(node, ast.If | ast.While | ast.IfExp | ast.Assert):
            continue
        test = node.test
        if isinstance(test, ast.Name | ast.Attribute | ast.Call | ast.Subscript):
            found.append((Edit(body.source.start(test), body.source.start(test), "not "),))
        elif isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
            start, stop = body.source.start(test), body.source.start(test.operand)
            if body.source.text[start:stop] == "not ":
                found.append((Edit(start, stop, ""),))
    return found


def droppable(body: Body) -> list[Site]:
    """Find statements without which the function is still one."""
    found: list[Site] = []
    for node, _ in [(body.function, body.function), *body.nodes]:
        for block in (getattr(node, name, None) for name in ("body", "orelse", "finalbody")):
            if not isinstance(block, list):
                continue
            told = [statement for statement in block if not _is_text(statement)]
            if len(told) > 1 and isinstance(told[0], ast.stmt):
                found += [_lines(body.source, s) for s in told if _can_go(s) and body.source.is_alone(s)]
    return found


def arguments(body: Body) -> list[Site]:
    """Find neighboring arguments that are not the same."""
    found: list[Site] = []
    for node, _ in body.nodes:
        if not isinstance(node, ast.Call) or _called(node) in _ANY_ORDER:
            continue
        for one, other in pairwise(node.args):
            if isinstance(one, _SIMPLE) and isinstance(other, _SIMPLE) and ast.dump(one) != ast.dump(other):
                found.append(
                    (
                        body.source.replace(one, body.source.of(other)),
                        body.source.replace(other, body.source.of(one)),
                    )
                )
    return found


def constants(body: Body) -> list[Site]:
    """Find truth values."""
    return [
        (body.source.replace(node, str(not node.value)),)
        for node, _ in body.nodes
        if isinstance(node, ast.Constant) and isinstance(node.value, bool)
    ]


FINDERS: dict[str, Finder] = {
    "comparison": comparisons,
    "off_by_one": bounds,
    "operator": operators,
    "name": names,
    "condition": conditions,
    "dropped": droppable,
    "arguments": arguments,
    "constant": constants,
}


def _operator(source: SourceText, start: int, stop: int) -> Edit:
    """Return the operator between two operands, of one word or two."""
    parts = [token for token in source.tokens_between(start, stop) if token.text not in ("(", ")")]
    return Edit(parts[0].start, parts[-1].stop, " ".join(part.text for part in parts))


def _counts(parent: ast.AST) -> bool:
    """Whether a number there is likely to be a bound, a place or a distance."""
    if isinstance(parent, ast.BinOp):
        return isinstance(parent.op, ast.Add | ast.Sub)
    in_range = isinstance(parent, ast.Call) and _called(parent) == "range"
    return in_range or isinstance(parent, ast.Subscript | ast.Slice | ast.Compare)


def _called(call: ast.Call) -> str:
    function = call.func
    return function.id if isinstance(function, ast.Name) else getattr(function, "attr", "")


def _is_sequence(node: ast.expr) -> bool:
    is_text = isinstance(node, ast.Constant) and isinstance(node.value, str | bytes)
    return is_text or isinstance(node, _SEQUENCES)


def _is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def _can_go(statement: ast.stmt) -> bool:
    if isinstance(statement, ast.Return):
        # Leaving with nothing is what happens at the end anyway.
        value = statement.value
        return value is not None and not (isinstance(value, ast.Constant) and value.value is None)
    if isinstance(statement, ast.Assign):
        return all(isinstance(target, ast.Attribute | ast.Subscript) for target in statement.targets)
    is_call = isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Call | ast.Await)
    return is_call or isinstance(statement, ast.AugAssign | ast.Raise | ast.Break | ast.Continue)


def _lines(source: SourceText, statement: ast.stmt) -> Site:
    last = statement.end_lineno or statement.lineno
    return (Edit(source.line_start(statement.lineno), source.line_start(last + 1), ""),)
