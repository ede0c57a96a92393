"""Find the pieces of syntax in a file that are worth hiding: expressions, statements and function bodies.

The grammars are tree-sitter's, an optional part of the installation (``pip install 'spanmix[syntax]'``).
"""

from __future__ import annotations

import importlib
from functools import cache
from typing import TYPE_CHECKING

from spanmix.errors import InputError
from spanmix.objectives.spans import Spans

if TYPE_CHECKING:
    import tree_sitter

_GRAMMARS = {
    "python": ("tree_sitter_python", "language"),
    "javascript": ("tree_sitter_javascript", "language"),
    "typescript": ("tree_sitter_typescript", "language_typescript"),
    "java": ("tree_sitter_java", "language"),
    "go": ("tree_sitter_go", "language"),
    "rust": ("tree_sitter_rust", "language"),
    "c": ("tree_sitter_c", "language"),
    "cpp": ("tree_sitter_cpp", "language"),
}
LANGUAGES = tuple(_GRAMMARS)
_ALIASES = {"c++": "cpp", "golang": "go", "js": "javascript", "ts": "typescript", "py": "python"}

# Grammars name their nodes by what they are: if_statement, binary_expression, call_expression, function_body.
_ENDINGS = ("expression", "statement", "definition", "declaration", "_item")
_NAMES = frozenset(
    {
        *(
            "block",
            "statement_block",
            "compound_statement",
            "function_body",
            "constructor_body",
            "class_body",
        ),
        *("call", "binary_operator", "boolean_operator", "comparison_operator", "argument_list", "arguments"),
        *("attribute", "assignment", "await", "lambda", "list", "dictionary", "tuple", "set", "subscript"),
        *("list_comprehension", "dictionary_comprehension", "generator_expression", "method_invocation"),
        *("string", "composite_literal", "array", "object", "match_block", "declaration_list"),
    }
)


def find_nodes(text: bytes, language: str) -> Spans:
    """Return the (start, stop) byte offsets of a file's expressions, statements and bodies, in text order.

    Args:
        text: the whole file; where it is not well-formed, what the grammar could make of it is used.
        language: one of `LANGUAGES`, in any case; another has no grammar, and so no nodes.

    Raises:
        InputError: the grammar of a known language is not installed.

    >>> text = b"def f(x):\\n    return g(x) + 1\\n"
    >>> [text[start:stop] for start, stop in find_nodes(text, "python")][1:]
    [b'return g(x) + 1', b'g(x) + 1', b'g(x)', b'(x)']
    >>> find_nodes(text, "prose")
    []
    """
    name = language.lower()
    parser = parser_of(_ALIASES.get(name, name))
    if parser is None:
        return []
    cursor = parser.parse(text).walk()
    found: Spans = []
    while True:
        kind = cursor.node.type  # type: ignore[union-attr]
        if kind in _NAMES or kind.endswith(_ENDINGS):
            node = cursor.node
            assert node is not None
            if node.is_named and (not found or found[-1] != node.byte_range):
                found.append(node.byte_range)
        if cursor.goto_first_child() or cursor.goto_next_sibling():
            continue
        while cursor.goto_parent():
            if cursor.goto_next_sibling():
                break
        else:
            return found


@cache
def parser_of(language: str) -> tree_sitter.Parser | None:
    """Return the parser of a language, as `LANGUAGES` has it; None for another.

    Raises:
        InputError: the grammar of a known language is not installed.
    """
    if language not in _GRAMMARS:
        return None
    module, function = _GRAMMARS[language]
    try:
        import tree_sitter

        grammar = tree_sitter.Language(getattr(importlib.import_module(module), function)())
    except ImportError as error:
        raise InputError(
            f"objectives.span_units.nodes needs the grammar of {language} ({error}); install it with "
            "`pip install 'spanmix[syntax]'`, or leave out the weight of nodes"
        ) from error
    return tree_sitter.Parser(grammar)
