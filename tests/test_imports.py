"""Imports point one way: a file may import only from the rows above its own."""

import ast
from pathlib import Path

import spanmix

ROWS = ["root", "text", "objectives", "data", "model", "generate", "train", "evaluate", "interchange",
        "serve", "lessons", "demo", "cli"]
ROOT = Path(spanmix.__file__).parent


def row_of(module: str) -> int:
    """Row of a dotted module name such as ``spanmix.data.order``."""
    parts = module.split(".")
    name = parts[1] if len(parts) > 1 else "root"
    return ROWS.index(name) if name in ROWS else 0


def module_name(path: Path) -> str:
    relative = path.relative_to(ROOT).with_suffix("")
    return ".".join(["spanmix", *relative.parts]).removesuffix(".__init__")


def imported(tree: ast.AST) -> list[str]:
    names = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names += [f"{node.module}.{alias.name}" for alias in node.names]
    return [name for name in names if name.split(".")[0] == "spanmix"]


def test_imports_point_one_way():
    seen = 0
    wrong = []
    for path in sorted(ROOT.rglob("*.py")):
        importer = module_name(path)
        for name in imported(ast.parse(path.read_text(encoding="utf-8"))):
            seen += 1
            if row_of(name) > row_of(importer):
                wrong.append(f"{importer} imports {name}")
    assert seen > 50
    assert wrong == []


def test_no_relative_imports():
    for path in sorted(ROOT.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            assert not (isinstance(node, ast.ImportFrom) and node.level), f"{path} imports relatively"
