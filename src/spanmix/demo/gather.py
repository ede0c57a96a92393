"""Gather the demo's raw sources from this machine: Python code, and prose about Python.

Code is the standard library and a share of the installed packages. Prose is the language reference
that ``pydoc`` carries, READMEs and other documents of the packages, and docstrings. Docstrings are taken
only from packages whose code is *not* used, so that no held-out file's text is seen through them. Nothing is
of Spanmix itself, whose README would change the corpus with it.
"""

from __future__ import annotations

import ast
import json
import re
import sysconfig
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from spanmix import seeding
from spanmix.files import write_text

PACKAGE_BYTES = 3_000_000
"""Most code that one package gives, so that no package fills the corpus."""
_DOCUMENT_NAMES = ("*.dist-info/METADATA", "**/README*", "**/*.rst", "**/*.md")
_OWN = "spanmix"
_SKIPPED_DIRECTORIES = {"site-packages", "__pycache__", "test", "tests", "lib2to3", "encodings"}


class Text(NamedTuple):
    """A document with the place it came from."""

    path: str
    text: str


def gather(folder: Path, code_bytes: int, prose_bytes: int, seed: int) -> tuple[Path, Path]:
    """Write ``code.jsonl`` and ``prose.jsonl`` and return their paths.

    Args:
        folder: where to write; files that are there already are kept, so a second run reads the same.
        code_bytes: stop taking packages when the code is this large.
        prose_bytes: stop taking docstrings when the prose is this large.
        seed: decides which packages are taken.
    """
    code, prose = folder / "code.jsonl", folder / "prose.jsonl"
    if code.exists() and prose.exists():
        return code, prose
    folder.mkdir(parents=True, exist_ok=True)
    packages = _packages(seed)
    taken: list[Text] = list(_files(Path(sysconfig.get_path("stdlib")), "python", None))
    size = sum(len(item.text) for item in taken)
    others: list[Path] = []
    for package in packages:
        if size >= code_bytes:
            others.append(package)
            continue
        files = list(_files(package, package.name, PACKAGE_BYTES))
        taken += files
        size += sum(len(item.text) for item in files)
    _write(prose, _prose(others, prose_bytes))
    _write(code, taken)
    return code, prose


def _packages(seed: int) -> list[Path]:
    """List the installed packages of Python code, in an order keyed by their names."""
    site = Path(sysconfig.get_path("purelib"))
    packages = [path for path in site.iterdir() if (path / "__init__.py").is_file() and path.name != _OWN]
    return sorted(packages, key=lambda path: seeding.mix(seed ^ seeding.name_key(path.name)))


def _files(root: Path, name: str, limit: int | None) -> Iterator[Text]:
    """Yield the Python files below a folder in sorted order, up to `limit` characters."""
    size = 0
    for path in sorted(root.rglob("*.py")):
        if _SKIPPED_DIRECTORIES.intersection(path.relative_to(root).parts) or not path.is_file():
            continue
        text = _read(path)
        size += len(text)
        if limit is not None and size > limit:
            return
        if text:
            yield Text(f"{name}/{path.relative_to(root)}", text)


def _prose(packages: Iterable[Path], limit: int) -> Iterator[Text]:
    from pydoc_data.topics import topics

    size = 0
    for topic, text in sorted(topics.items()):
        size += len(text)
        yield Text(f"pydoc/{topic}", text)
    site = Path(sysconfig.get_path("purelib"))
    for path in sorted({path for name in _DOCUMENT_NAMES for path in site.glob(name) if path.is_file()}):
        if _is_own(path.relative_to(site)):
            continue
        text = _read(path)
        size += len(text)
        if text and "license" not in path.name.lower():
            yield Text(f"documents/{path.relative_to(site)}", text)
    for package in packages:
        for item in _files(package, package.name, None):
            if size >= limit:
                return
            text = _docstrings(item.text)
            if len(text) > 200:
                size += len(text)
                yield Text(f"docstrings/{item.path}", text)


def _is_own(path: Path) -> bool:
    """Say whether a file below ``site-packages`` was installed with Spanmix."""
    top = path.parts[0]
    return top == _OWN or re.fullmatch(rf"{_OWN}-[^-]+\.(?:dist|egg)-info", top, re.IGNORECASE) is not None


def _docstrings(code: str) -> str:
    """Return the docstrings of a file, one after the other; nothing if it is not valid Python."""
    try:
        tree = ast.parse(code)
    except (SyntaxError, ValueError, RecursionError):
        return ""
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    found = [ast.get_docstring(node) for node in ast.walk(tree) if isinstance(node, documented)]
    return "\n\n".join(text for text in found if text and len(text) > 40)


def _read(path: Path) -> str:
    """Return a file's text; nothing if it is not UTF-8."""
    try:
        return path.read_bytes().decode("utf-8")
    except (OSError, UnicodeDecodeError):
        return ""


def _write(path: Path, items: Iterable[Text]) -> None:
    lines = [json.dumps({"path": item.path, "text": item.text}, ensure_ascii=False) + "\n" for item in items]
    write_text(path, "".join(lines))
