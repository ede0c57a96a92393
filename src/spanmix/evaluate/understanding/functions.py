"""The functions of Python files, each as a text of its own."""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from spanmix.evaluate.understanding.source_text import Edit, SourceText, edited, parse

FunctionNode = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Function:
    """A function or method, as a text that begins with its ``def`` in the first column.

    Args:
        path: of its file.
        line: where its ``def`` stands there, from 1.
        text: without decorators; ends in a newline.
    """

    path: str
    line: int
    text: str

    @cached_property
    def key(self) -> int:
        """64 bits of its text, by which everything random about it is decided."""
        return int.from_bytes(hashlib.sha256(self.text.encode()).digest()[:8], "little")

    @cached_property
    def form(self) -> str:
        """What does not change when names, blanks, comments and docstrings do; see `normal_form`."""
        return normal_form(self.text)


def functions_of(text: str, path: str) -> Iterator[Function]:
    """Yield the functions and methods of a file that are not within a function; none if it is no Python.

    >>> list(functions_of("class A:\\n    def f(self):\\n        return 1\\n", "a.py"))
    [Function(path='a.py', line=2, text='def f(self):\\n    return 1\\n')]
    """
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    tree = parse(text)
    if tree is None:
        return
    lines = text.split("\n")
    waiting: list[ast.stmt] = list(reversed(tree.body))
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            taken = _dedented(lines[node.lineno - 1 : node.end_lineno])
            found = parse(taken) if taken else None
            # A statement behind it on its last line would be another's.
            if found is not None and len(found.body) == 1 and isinstance(found.body[0], type(node)):
                yield Function(path, node.lineno, taken)
        else:
            inner = [child for child in ast.iter_child_nodes(node) if isinstance(child, ast.stmt)]
            waiting += reversed(inner)


def only_function(source: SourceText) -> FunctionNode:
    """Return the function that the text of a `Function` consists of."""
    node = source.tree.body[0]
    assert isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    return node


def without_remarks(text: str) -> str:
    """Take comments, docstrings and empty lines out of a function; strings stay as they are.

    >>> without_remarks('def f():  # of course\\n    "Why."\\n\\n    # here\\n    return 1\\n')
    'def f():\\n    return 1\\n'
    """
    source = SourceText(text)
    edits = [Edit(comment.start, comment.stop, "") for comment in source.comments]
    for node in ast.walk(source.tree):
        docstring = _docstring(node)
        if docstring is not None:
            is_spare = source.is_alone(docstring) and len(node.body) > 1  # type: ignore[attr-defined]
            edits.append(source.replace(docstring, "" if is_spare else "pass"))
    return _without_empty_lines(SourceText(edited(text, edits)))


def normal_form(text: str) -> str:
    """Return a hash of a text's tree with its names numbered in their order and docstrings left out.

    >>> one = normal_form("def f(a, b):\\n    return a - b\\n")
    >>> one == normal_form('def g(x,y):\\n  "Doc."\\n  return x-y\\n')
    True
    >>> one == normal_form("def f(a, b):\\n    return b - a\\n")
    False
    """
    tree = parse(text)
    assert tree is not None
    numbers: dict[str, str] = {}

    def number(name: str) -> str:
        return numbers.setdefault(name, f"n{len(numbers)}")

    for node in ast.walk(tree):
        if _docstring(node) is not None:
            node.body = node.body[1:]  # type: ignore[attr-defined]
        if isinstance(node, ast.Name):
            node.id = number(node.id)
        elif isinstance(node, ast.arg):
            node.arg = number(node.arg)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            node.name = number(node.name)
    return hashlib.sha256(ast.dump(tree).encode()).hexdigest()


def _dedented(lines: list[str]) -> str:
    indent = lines[0][: len(lines[0]) - len(lines[0].lstrip(" \t"))]
    return "\n".join(line.removeprefix(indent) for line in lines).rstrip() + "\n"


def _docstring(node: ast.AST) -> ast.Expr | None:
    if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return None
    first = node.body[0] if node.body else None
    is_text = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
    return first if is_text and isinstance(first.value.value, str) else None  # type: ignore


def _without_empty_lines(source: SourceText) -> str:
    in_strings: set[int] = set()
    for node in ast.walk(source.tree):
        if isinstance(node, ast.JoinedStr) or (
            isinstance(node, ast.Constant) and isinstance(node.value, str | bytes)
        ):
            in_strings |= set(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    lines = source.text.split("\n")
    kept = [
        line if number in in_strings else line.rstrip(" \t")
        for number, line in enumerate(lines, 1)
        if number in in_strings or line.strip()
    ]
    return "\n".join(kept) + "\n"
