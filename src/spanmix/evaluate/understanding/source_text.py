"""A Python text with its syntax tree, in which what stands at a node can be replaced and all else stays."""

from __future__ import annotations

import ast
import io
import tokenize
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property

_TEMPLATES = tuple(
    kind for name in ("JoinedStr", "TemplateStr") if (kind := getattr(ast, name, None)) is not None
)
_BESIDE = ("annotation", "returns", "decorator_list", "type_params", "type_comment")
_NESTED = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)
_COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)


@dataclass(frozen=True)
class Edit:
    """Put `text` in the place of the characters from `start` to before `stop`."""

    start: int
    stop: int
    text: str


def edited(text: str, edits: Iterable[Edit]) -> str:
    """Apply edits that do not overlap.

    >>> edited("a < b", [Edit(4, 5, "c"), Edit(2, 3, "<=")])
    'a <= c'
    """
    for edit in sorted(edits, key=lambda edit: edit.start, reverse=True):
        text = text[: edit.start] + edit.text + text[edit.stop :]
    return text


def parse(text: str) -> ast.Module | None:
    """Return the tree of a text, or None if it is no Python that this version knows."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return ast.parse(text)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return None


class SourceText:
    """A text, its tree and its tokens; lines end in ``\\n``.

    Raises:
        ValueError: the text is no Python that this version knows.
    """

    def __init__(self, text: str) -> None:
        tree = parse(text)
        if tree is None:
            raise ValueError("it is no Python")
        self.text = text
        self.tree = tree
        self._lines = text.split("\n")
        self._starts = [0]
        for line in self._lines:
            self._starts.append(self._starts[-1] + len(line) + 1)

    def line_start(self, line: int) -> int:
        """Return where a line begins, counted from 1; behind the last one, where the text ends."""
        return min(self._starts[line - 1], len(self.text))

    def line_text(self, line: int) -> str:
        """Return a line, counted from 1, without its end."""
        return self._lines[line - 1]

    def start(self, node: ast.AST) -> int:
        """Return where a node begins."""
        return self._offset(node.lineno, node.col_offset)  # type: ignore[attr-defined]

    def stop(self, node: ast.AST) -> int:
        """Return where a node ends."""
        return self._offset(node.end_lineno, node.end_col_offset)  # type: ignore[attr-defined]

    def of(self, node: ast.AST) -> str:
        """Return the text of a node."""
        return self.text[self.start(node) : self.stop(node)]

    def replace(self, node: ast.AST, text: str) -> Edit:
        """Return the edit that puts a text in the place of a node."""
        return Edit(self.start(node), self.stop(node), text)

    def tokens_between(self, start: int, stop: int) -> list[Edit]:
        """Return names and operators that lie wholly within, each as the edit that would change nothing."""
        return [token for token in self.words if start <= token.start and token.stop <= stop]

    def is_alone(self, statement: ast.stmt) -> bool:
        """Whether a statement has its lines for itself, but for a comment behind it."""
        last = statement.end_lineno or statement.lineno
        before = self.text[self.line_start(statement.lineno) : self.start(statement)]
        behind = self.text[self.stop(statement) : self.line_start(last) + len(self.line_text(last))].strip()
        return not before.strip() and (not behind or behind.startswith("#"))

    @cached_property
    def words(self) -> list[Edit]:
        """Names, keywords and operators, as in `tokens_between`."""
        kinds = (tokenize.NAME, tokenize.OP)
        return [self._token(token) for token in self._tokens if token.type in kinds]

    @cached_property
    def comments(self) -> list[Edit]:
        """Comments, as in `tokens_between`."""
        return [self._token(token) for token in self._tokens if token.type == tokenize.COMMENT]

    @cached_property
    def _tokens(self) -> list[tokenize.TokenInfo]:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return list(tokenize.generate_tokens(io.StringIO(self.text, newline="\n").readline))

    def _token(self, token: tokenize.TokenInfo) -> Edit:
        # These count in characters, and nodes in UTF-8 bytes.
        start = self._starts[token.start[0] - 1] + token.start[1]
        return Edit(start, self._starts[token.end[0] - 1] + token.end[1], token.string)

    def _offset(self, line: int, column_bytes: int) -> int:
        text = self._lines[line - 1]
        column = column_bytes if text.isascii() else len(text.encode()[:column_bytes].decode())
        return self._starts[line - 1] + column


def with_parents(node: ast.AST) -> Iterator[tuple[ast.AST, ast.AST]]:
    """Yield the nodes below one, each with its parent; f-strings, annotations and decorators are passed over.

    Before Python 3.12 nodes within an f-string do not say where they stand.
    """
    waiting = [(node, node)]
    while waiting:
        here, parent = waiting.pop()
        if here is not node:
            yield here, parent
            if isinstance(here, _TEMPLATES):
                continue
        for name in reversed(here._fields):
            value = getattr(here, name, None)
            if isinstance(value, list) and name not in _BESIDE:
                waiting += [(child, here) for child in reversed(value) if isinstance(child, ast.AST)]
            elif isinstance(value, ast.AST) and name not in _BESIDE:
                waiting.append((value, here))


def names_in_templates(node: ast.AST) -> set[str]:
    """Return the names that f-strings below a node use."""
    return {
        part.id
        for template in ast.walk(node)
        if isinstance(template, _TEMPLATES)
        for part in ast.walk(template)
        if isinstance(part, ast.Name)
    }


def of_own_scope(function: ast.FunctionDef | ast.AsyncFunctionDef) -> Iterator[ast.AST]:
    """Yield the nodes of a function's body that are no part of an inner function, class or comprehension."""
    waiting: list[ast.AST] = list(reversed(function.body))
    while waiting:
        node = waiting.pop()
        yield node
        if not isinstance(node, (*_NESTED, *_COMPREHENSIONS, *_TEMPLATES)):
            waiting += reversed(list(ast.iter_child_nodes(node)))
