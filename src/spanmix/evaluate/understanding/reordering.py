"""Change the order of what does not depend on each other: neighboring statements, sides of a comparison."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass

from spanmix import seeding
from spanmix.evaluate.understanding.source_text import Edit, SourceText, edited, with_parents

_READS_ONLY = (
    *(
        ast.Name,
        ast.Constant,
        ast.Attribute,
        ast.Subscript,
        ast.Tuple,
        ast.List,
        ast.Set,
        ast.Dict,
        ast.Lambda,
    ),
    *(ast.BinOp, ast.UnaryOp, ast.BoolOp, ast.Compare, ast.IfExp),
)
_MAKING_CALLS = frozenset({"dict", "list", "set"})
_READING_CALLS = _MAKING_CALLS | {
    "abs",
    "bool",
    "chr",
    "float",
    "hasattr",
    "int",
    "isinstance",
    "len",
    "ord",
    "type",
}
_MIRRORED = {
    ast.Lt: ">", ast.LtE: ">=", ast.Gt: "<", ast.GtE: "<=", ast.Eq: "==", ast.NotEq: "!=",
}  # fmt: skip


@dataclass(frozen=True)
class _Movable:
    """A statement that only gives names or attributes a value.

    Args:
        first_line, last_line: where it stands.
        reads, writes: names, and attributes such as ``.size``.
    """

    first_line: int
    last_line: int
    reads: frozenset[str]
    writes: frozenset[str]


def reordered(text: str, words: Iterator[int]) -> tuple[str, int]:
    """Return a function with independent neighbors in another order, and how many statements moved.

    Moved are assignments to names and attributes whose values are only read, and inner functions without
    decorators. It is taken for granted that an attribute is no property that does something else, and that
    operators and the likes of ``len`` only read.

    Args:
        text: of a function.
        words: random words, without end.
    """
    source = SourceText(text)
    lines = text.split("\n")
    num_moved = 0
    # The deepest first: what is moved within an inner function stays on that one's lines.
    for run in reversed([run for run in _runs(source) if len(run) > 1]):
        order = list(run)
        for n in range(len(order) - 1):
            if _are_independent(order[n], order[n + 1]) and seeding.below(next(words), 4):
                order[n], order[n + 1] = order[n + 1], order[n]
        blocks = [lines[item.first_line - 1 : item.last_line] for item in order]
        lines[run[0].first_line - 1 : run[-1].last_line] = [line for block in blocks for line in block]
        num_moved += sum(was is not now for was, now in zip(run, order, strict=True))
    return "\n".join(lines), num_moved


def mirrored(text: str, words: Iterator[int]) -> tuple[str, int]:
    """Return a function in which comparisons have changed sides, as ``a < b`` to ``b > a``, and how many.

    Args:
        text: of a function.
        words: random words, without end.
    """
    source = SourceText(text)
    edits: list[Edit] = []
    for node, _ in with_parents(source.tree):
        if not isinstance(node, ast.Compare) or type(node.ops[0]) not in _MIRRORED or len(node.ops) > 1:
            continue
        left, right = node.left, node.comparators[0]
        plain = all(
            isinstance(side, ast.Name | ast.Attribute | ast.Subscript | ast.Call) for side in (left, right)
        )
        if plain and _only_reads(left) and _only_reads(right) and seeding.below(next(words), 4):
            signs = source.tokens_between(source.stop(left), source.start(right))
            sign = next(token for token in signs if token.text not in ("(", ")"))
            if len(signs) == 1:
                edits += [
                    source.replace(left, source.of(right)),
                    Edit(sign.start, sign.stop, _MIRRORED[type(node.ops[0])]),
                    source.replace(right, source.of(left)),
                ]
    return edited(text, edits), len(edits) // 3


def _runs(source: SourceText) -> Iterator[list[_Movable]]:
    """Yield neighbors on lines that follow each other, also none; those within a statement come behind it."""
    for node in ast.walk(source.tree):
        for name in ("body", "orelse", "finalbody"):
            block = getattr(node, name, None)
            run: list[_Movable] = []
            for statement in block if isinstance(block, list) else []:
                movable = _movable(statement) if source.is_alone(statement) else None
                if movable is None or (run and run[-1].last_line + 1 != movable.first_line):
                    yield run
                    run = []
                if movable is not None:
                    run.append(movable)
            yield run


def _movable(statement: ast.stmt) -> _Movable | None:
    first, last = statement.lineno, statement.end_lineno or statement.lineno
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef):
        given = [*statement.args.defaults, *(d for d in statement.args.kw_defaults if d is not None)]
        annotated = any(isinstance(node, ast.arg) and node.annotation for node in ast.walk(statement.args))
        if statement.decorator_list or statement.returns or annotated or not all(map(_only_reads, given)):
            return None
        return _Movable(first, last, _read(given), frozenset({statement.name}))
    if isinstance(statement, ast.Assign):
        targets, value = statement.targets, statement.value
    elif isinstance(statement, ast.AnnAssign) and statement.value is not None and statement.simple:
        # In a function the annotation of a variable is not evaluated.
        targets, value = [statement.target], statement.value
    else:
        return None
    written = [_written(target, value) for target in targets]
    if None in written or not _only_reads(value):
        return None
    writes = frozenset(name for names in written for name in names or ())
    return _Movable(first, last, _read([value, *targets]), writes)


def _are_independent(one: _Movable, other: _Movable) -> bool:
    return not (one.writes & (other.reads | other.writes) or other.writes & one.reads)


def _only_reads(value: ast.expr) -> bool:
    """Whether an expression is made of names, attributes, numbered items and operators alone."""
    if isinstance(value, ast.Lambda):
        return not value.args.defaults and not value.args.kw_defaults
    if isinstance(value, ast.Call):
        if not isinstance(value.func, ast.Name) or value.func.id not in _READING_CALLS or value.keywords:
            return False
        # A list of an iterator uses it up.
        return all(map(_only_reads, value.args)) and not (value.args and value.func.id in _MAKING_CALLS)
    if not isinstance(value, _READS_ONLY):
        return False
    if isinstance(value, ast.Subscript) and not isinstance(value.slice, ast.Constant):
        return False
    return all(_only_reads(part) for part in ast.iter_child_nodes(value) if isinstance(part, ast.expr))


def _written(target: ast.expr, value: ast.expr) -> list[str] | None:
    """Return what an assignment to a target writes; None if that could do more than write."""
    if isinstance(target, ast.Name):
        return [target.id]
    if isinstance(target, ast.Attribute) and isinstance(target.value, ast.Name):
        # By the attribute alone: two names may mean one object.
        return [f".{target.attr}"]
    if not isinstance(target, ast.Tuple) or not isinstance(value, ast.Tuple):
        return None
    names = [part.id for part in target.elts if isinstance(part, ast.Name)]
    return names if len(names) == len(target.elts) == len(value.elts) else None


def _read(values: list[ast.expr]) -> frozenset[str]:
    nodes = [node for value in values for node in ast.walk(value)]
    names = {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)}
    return frozenset(names | {f".{node.attr}" for node in nodes if isinstance(node, ast.Attribute)})
