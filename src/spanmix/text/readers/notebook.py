"""Turn a Jupyter notebook into a script of its language: code as it is, prose as comments, no outputs."""

from __future__ import annotations

import ast
import re
import warnings
from typing import Any

from spanmix.text.languages.names import language_name
from spanmix.text.readers.json_values import NotUtf8Error, parse_value

_COMMENTS = {
    "python": "#", "r": "#", "julia": "#", "ruby": "#", "bash": "#", "perl": "#", "powershell": "#",
    "elixir": "#", "nim": "#", "coffeescript": "#", "javascript": "//", "typescript": "//", "scala": "//",
    "java": "//", "kotlin": "//", "groovy": "//", "go": "//", "rust": "//", "c": "//", "cpp": "//",
    "csharp": "//", "fsharp": "//", "swift": "//", "php": "//", "haskell": "--", "sql": "--", "lua": "--",
    "matlab": "%", "octave": "%", "erlang": "%", "tex": "%", "clojure": ";", "scheme": ";",
    "common-lisp": ";", "racket": ";",
}  # fmt: skip
_MAGIC = re.compile(
    r"[ \t]*+(?:[%!]|\?{1,2}\w|\w[\w.]*+\?{1,2}[ \t]*+$)|[\w., \t]++=[ \t]*+[!%]\w"  # each linear: `*+`
)
_MAX_PARSED = 200_000  # characters of a cell: a syntax tree takes some 100 times as much
_MAX_PARSES = 64
_PYTHON_CELL_MAGICS = frozenset({"time", "timeit", "capture", "prun", "python", "python3", "pypy", "memit"})


class MalformedNotebookError(ValueError):
    """It is no notebook; the text says why."""


def to_script(data: bytes) -> tuple[str, str]:
    r"""Return the script of a notebook and its language.

    Cells are kept in their order with an empty line between two. In Python, the lines that only IPython
    understands (``%magic``, ``!command``, ``name?``) become comments, with ``pass`` where they would leave a
    block empty, so that what parses without them parses.

    Raises:
        MalformedNotebookError: it is not JSON, or has no cells.
        NotUtf8Error: it is in another encoding.

    >>> to_script(b'{"cells": [{"cell_type": "code", "source": ["%time\\n", "x = 1"], "outputs": []}]}')
    ('# %time\nx = 1\n', 'python')
    """
    try:
        notebook = parse_value(data)
    except NotUtf8Error:
        raise
    except ValueError as error:
        raise MalformedNotebookError(f"not valid JSON: {error}") from None
    language = _language(notebook)
    comment = _COMMENTS.get(language, "#")
    parts = []
    for cell in _cells(notebook):
        kind = cell.get("cell_type")
        source = _source(cell)
        if not source.strip():
            continue
        if kind == "code":
            parts.append(_python(source) if language == "python" else _other(source, comment))
        elif kind in ("markdown", "heading"):
            parts.append(_commented(source, comment))
    return "\n\n".join(parts) + "\n" * bool(parts), language


def _language(notebook: Any) -> str:
    metadata = notebook.get("metadata") if isinstance(notebook, dict) else None
    for section, key in (("language_info", "name"), ("kernelspec", "language")):
        inner = metadata.get(section) if isinstance(metadata, dict) else None
        if isinstance(inner, dict) and isinstance(name := inner.get(key), str) and name:
            known = language_name(name)
            return "python" if known in ("ipython", "ipython3") else known
    return "python"


def _cells(notebook: Any) -> list[dict[str, Any]]:
    if not isinstance(notebook, dict):
        raise MalformedNotebookError(f"it holds {type(notebook).__name__}, not the fields of a notebook")
    cells = notebook.get("cells")
    if cells is None and isinstance(sheets := notebook.get("worksheets"), list):  # before version 4
        inner = [sheet.get("cells") for sheet in sheets if isinstance(sheet, dict)]
        cells = [cell for group in inner if isinstance(group, list) for cell in group]
    if not isinstance(cells, list):
        raise MalformedNotebookError("it has no cells")
    if not all(isinstance(cell, dict) for cell in cells):
        raise MalformedNotebookError("a cell has no fields")
    return cells


def _source(cell: dict[str, Any]) -> str:
    value = cell.get("source", cell.get("input", ""))
    if isinstance(value, list) and all(isinstance(line, str) for line in value):
        value = "".join(value)
    if not isinstance(value, str):
        raise MalformedNotebookError("the source of a cell is no text")
    return value.replace("\r\n", "\n").replace("\r", "\n").rstrip("\n")


def _other(source: str, comment: str) -> str:
    """Comment a cell out if it is of another language than the notebook's, as its first line says."""
    return _commented(source, comment) if source.lstrip().startswith("%%") else source


def _python(source: str) -> str:
    if _wrong_line(source) is None:
        return source
    first, _, rest = source.lstrip().partition("\n")
    if first.startswith("%%"):
        if first[2:].split(" ")[0].strip() not in _PYTHON_CELL_MAGICS:
            return _commented(source, "#")
        return f"# {first}\n{_python(rest)}" if rest else f"# {first}"
    return _without_magics(source)


def _without_magics(source: str) -> str:
    """Comment out the lines that are IPython's own.

    Where a line starts with ``%`` or ``!`` inside of a string or brackets, it is Python. So the parser is
    asked which line is wrong, and only that one is changed, until none is. If another kind of line is wrong,
    such as a ``print`` of Python 2, or there are many, all lines that look like IPython's are changed.
    """
    lines = source.split("\n")
    for _ in range(_MAX_PARSES):
        wrong = _wrong_line("\n".join(lines))
        if wrong is None:
            return "\n".join(lines)
        if wrong >= len(lines) or _MAGIC.match(lines[wrong]) is None:
            break
        _hide(lines, wrong)
    for i in range(len(lines)):
        if _MAGIC.match(lines[i]):
            _hide(lines, i)
    return "\n".join(lines)


def _hide(lines: list[str], i: int) -> None:
    """Comment out a line, and those that it goes on in behind a backslash."""
    text = lines[i].lstrip(" \t")
    margin = lines[i][: len(lines[i]) - len(text)]
    goes_on = text.endswith("\\")
    lines[i] = f"{margin}pass  # {text}" if margin else f"# {text}"
    while goes_on and i + 1 < len(lines):
        i += 1
        goes_on = lines[i].endswith("\\")
        lines[i] = f"{margin}# {lines[i].lstrip()}"


def _commented(text: str, comment: str) -> str:
    return "\n".join(f"{comment} {line}".rstrip() for line in text.split("\n"))


def _wrong_line(source: str) -> int | None:
    """Return the first line, from 0, that is no Python, or None; of a very long cell it is the first."""
    if len(source) > _MAX_PARSED:
        return 0
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of escapes in its strings
            ast.parse(source)
    except SyntaxError as error:
        return max((error.lineno or 1) - 1, 0)
    except (ValueError, RecursionError, MemoryError):
        return 0
    return None
