"""Which names of a function can be changed without changing what it does."""

from __future__ import annotations

import ast
import builtins
import keyword
import symtable
import warnings
from collections.abc import Iterator

from spanmix.evaluate.understanding.functions import FunctionNode
from spanmix.evaluate.understanding.source_text import names_in_templates

_SEE_NAMES = frozenset({"locals", "vars", "eval", "exec", "dir", "globals", "__class__"})
_KEPT = frozenset({"self", "cls", "mcs", "_"})
_TYPE_PARAMETERS = ("TypeVar", "ParamSpec", "TypeVarTuple")
RESERVED = frozenset({*keyword.kwlist, *keyword.softkwlist, *dir(builtins)})


def renamable(text: str, function: FunctionNode) -> dict[str, list[ast.AST]]:
    """Return the names that are a function's own, and the nodes where each stands.

    Left as they are: names from outside; what is imported within; names of handlers, patterns, and ``global``
    or ``nonlocal`` statements, and those in f-strings, whose places the tree does not tell; attributes of
    inner classes; parameters that are given by name within; ``self`` and ``cls``. Nothing is renamed where a
    program could see its own names, as with ``locals()``.

    Args:
        text: of the function alone.
        function: its node.
    """
    places: dict[str, list[ast.AST]] = {}
    for node in ast.walk(function):
        name = _name_at(node)
        if name is not None:
            places.setdefault(name, []).append(node)
    if places.keys() & _SEE_NAMES:
        return {}
    bound, fixed = _bound_and_fixed(text)
    if _is_named_within(function):
        fixed.add(function.name)
    else:
        bound.add(function.name)
        fixed.discard(function.name)
    fixed |= _KEPT | names_in_templates(function) | set(_unplaced(function)) | _given_by_name(function)
    return {
        name: nodes
        for name, nodes in places.items()
        if name in bound and name not in fixed and not name.startswith("__")
    }


def _name_at(node: ast.AST) -> str | None:
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.arg):
        return node.arg
    return node.name if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) else None


def _bound_and_fixed(text: str) -> tuple[set[str], set[str]]:
    """Return names that some scope of the function binds, and names that some scope takes from outside."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        module = symtable.symtable(text, "function", "exec")
    bound: set[str] = set()
    # Defaults, decorators and annotations are read outside of the function.
    fixed = {symbol.get_name() for symbol in module.get_symbols() if symbol.is_referenced()}
    waiting = list(module.get_children())
    while waiting:
        scope = waiting.pop()
        waiting += scope.get_children()
        for symbol in scope.get_symbols():
            outside = symbol.is_global() or symbol.is_imported()
            in_class = scope.get_type() == "class" and symbol.is_local()
            (fixed if outside or in_class else bound).add(symbol.get_name())
    return bound, fixed


def _is_named_within(function: FunctionNode) -> bool:
    """Whether a function speaks of its own name in another way than as a plain name, or binds it anew."""
    for node in ast.walk(function):
        if isinstance(node, ast.Attribute) and node.attr == function.name:
            return True
        is_text = isinstance(node, ast.Constant) and isinstance(node.value, str)
        if is_text and function.name in node.value:  # type: ignore[attr-defined]
            return True
        if node is not function and _name_at(node) == function.name:
            is_use = isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)
            if not is_use:
                return True
    return False


def _unplaced(function: FunctionNode) -> Iterator[str]:
    """Yield names that stand at no node of their own."""
    for node in ast.walk(function):
        if isinstance(node, ast.Global | ast.Nonlocal):
            yield from node.names
        elif isinstance(node, ast.ExceptHandler | ast.MatchAs | ast.MatchStar) and node.name:
            yield node.name
        elif isinstance(node, ast.MatchMapping) and node.rest:
            yield node.rest
        elif isinstance(node, ast.ClassDef) or type(node).__name__ in _TYPE_PARAMETERS:
            yield node.name  # type: ignore[attr-defined]


def _given_by_name(function: FunctionNode) -> set[str]:
    """Return names with which a call gives an argument to something that could be of this text.

    Only what is called by a plain name can be a function of this text.
    """
    return {
        given.arg
        for node in ast.walk(function)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
        for given in node.keywords
        if given.arg is not None and node.func.id not in RESERVED
    }
