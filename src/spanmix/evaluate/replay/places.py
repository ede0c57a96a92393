"""Find the places of a file that can be filled in: lines, indented blocks, bodies of functions.

Every place is made of whole lines. In this file lines 3 and 4 are a block, and line 4 is the body of a
function: the docstring stands with the signature, as in HumanEval, because it says what the body is for::

    1  import math
    2  def area(r):
    3      "The area of a circle."
    4      return math.pi * r * r
    5  print(area(2))
"""

from __future__ import annotations

import ast
import warnings
from collections.abc import Callable, Iterator
from itertools import accumulate
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from spanmix.errors import InputError
from spanmix.evaluate.infill_spans import SINGLE_LINE, spans_of
from spanmix.objectives import nodes, units

if TYPE_CHECKING:
    import tree_sitter

_BYTE_ORDER_MARK = "\ufeff"
_FUNCTION_NODES = frozenset(
    {
        *("function_declaration", "function_definition", "method_declaration", "method_definition"),
        *(
            "function_item",
            "constructor_declaration",
            "generator_function_declaration",
            "function_expression",
        ),
    }
)


class Place(NamedTuple):
    """Characters ``start..stop-1`` of a file; the first of them begins line number `line` (from 1)."""

    start: int
    stop: int
    line: int


def line_places(text: str, language: str) -> list[Place]:
    """Return each line that is not blank, with a line in front of it and something behind it.

    >>> [place.line for place in line_places("a\\n\\nb\\nc\\nd", "python")]
    [3, 4]
    """
    words_L2 = np.zeros((text.count("\n") + 1, 2), dtype=np.uint64)
    return [Place(start, stop, line) for _, start, stop, line in spans_of(text, SINGLE_LINE, 0, words_L2)]


def block_places(text: str, language: str) -> list[Place]:
    """Return each run of two or more lines that are indented more deeply than the line above the run."""
    content = text.encode("utf-8")
    line_of = {stop: line for line, stop in enumerate(units.line_stops(content).tolist())}
    spans = [(line_of[start], line_of[stop]) for start, stop in units.blocks(content)]
    return _whole_lines(text, (span for span in spans if span[1] - span[0] > 1))


def function_places(text: str, language: str) -> list[Place]:
    """Return the body of each function, without the docstring in front of it or the braces around it.

    Python is read by its own parser, and nothing is returned of a file that it does not take. Other
    languages are read by tree-sitter's grammars where they are installed.

    >>> text = "def f(x):\\n    'Doubles.'\\n    return 2 * x\\n"
    >>> [text[place.start:place.stop] for place in function_places(text, "python")]
    ['    return 2 * x\\n']
    """
    if language == "python":
        return _whole_lines(text, _python_bodies(text))
    try:
        # The cursor of its tree knows what a node is to its parent; `find_nodes` gives places alone.
        parser = nodes.parser_of(language)
    except InputError:  # the grammar is not installed
        return []
    return [] if parser is None else _whole_lines(text, _bodies(parser.parse(text.encode("utf-8")), text))


KINDS: dict[str, Callable[[str, str], list[Place]]] = {
    "line": line_places,
    "block": block_places,
    "function": function_places,
}
"""By name; each is called with a text and its language."""


def parses(text: str) -> bool:
    """Say whether a text is Python; warnings about it are not shown."""
    return _parsed(text) is not None


def _parsed(text: str) -> ast.Module | None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return ast.parse(text.removeprefix(_BYTE_ORDER_MARK))
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return None


def _whole_lines(text: str, spans: Iterator[tuple[int, int]]) -> list[Place]:
    """Turn (first line, line behind the last), from 0, into places in the order of the file, each once."""
    starts = list(accumulate((len(line) + 1 for line in text.split("\n")), initial=0))
    return [
        Place(starts[first], min(starts[after], len(text)), first + 1) for first, after in sorted(set(spans))
    ]


def _python_bodies(text: str) -> Iterator[tuple[int, int]]:
    if "\r" in text.replace("\r\n", ""):
        return  # Python ends a line there, and editors do not
    tree = _parsed(text)
    lines = text.split("\n")
    for node in ast.walk(tree) if tree is not None else ():
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) or node.end_lineno is None:
            continue
        body = node.body if ast.get_docstring(node, clean=False) is None else node.body[1:]
        if not body:
            continue
        decorators = getattr(body[0], "decorator_list", [])
        first = min([body[0].lineno, *(decorator.lineno for decorator in decorators)])
        line = lines[first - 1]
        if len(line) - len(line.lstrip()) == body[0].col_offset:  # nothing else stands in front of it
            yield first - 1, node.end_lineno


def _bodies(tree: tree_sitter.Tree, text: str) -> Iterator[tuple[int, int]]:
    """Yield the lines between the braces of each function, where they stand at the ends of their lines."""
    lines = text.encode("utf-8").split(b"\n")
    pending = [tree.root_node]
    while pending:
        node = pending.pop()
        pending += node.children
        body = node.child_by_field_name("body") if node.type in _FUNCTION_NODES else None
        if body is None or body.end_point.row - body.start_point.row < 2:
            continue
        opening = lines[body.start_point.row][body.start_point.column :].strip()
        closing = lines[body.end_point.row][: body.end_point.column].strip()
        first, after = body.start_point.row + 1, body.end_point.row
        if opening == b"{" and closing == b"}" and any(line.strip() for line in lines[first:after]):
            yield first, after
