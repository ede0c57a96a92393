"""Imports point one way: a file may import only from the rows above its own, and never in a circle."""

import ast
from pathlib import Path

import spanmix

ROWS = [
    "root",
    "text",
    "objectives",
    "data",
    "model",
    "generate",
    "train",
    "evaluate",
    "interchange",
    "serve",
]
ROWS += ["lessons", "demo", "cli", "__main__"]
ROOT = Path(spanmix.__file__).parent


def row_of(module: str) -> int:
    """Row of a dotted module name such as ``spanmix.data.order``; the files of the root are row 0."""
    parts = module.split(".")
    return ROWS.index(parts[1]) if len(parts) > 1 and parts[1] in ROWS else 0


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


def trees() -> dict[str, ast.Module]:
    """Every module of the package, parsed."""
    return {
        module_name(path): ast.parse(path.read_text(encoding="utf-8")) for path in sorted(ROOT.rglob("*.py"))
    }


def test_imports_point_one_way():
    seen = 0
    wrong = []
    for importer, tree in trees().items():
        for name in imported(tree):
            seen += 1
            if row_of(name) > row_of(importer):
                wrong.append(f"{importer} imports {name}")
    assert seen > 50
    assert wrong == []


def test_there_is_no_import_circle():
    modules = trees()
    graph: dict[str, set[str]] = {}
    for importer, tree in modules.items():
        # `from spanmix.a import b` names the module spanmix.a.b, or the name b of spanmix.a.
        named = {name if name in modules else name.rpartition(".")[0] for name in imported(tree)}
        graph[importer] = named & modules.keys() - {importer}
    assert sum(len(targets) for targets in graph.values()) > 50
    while free := [module for module, targets in graph.items() if not targets & graph.keys()]:
        for module in free:
            del graph[module]
    assert not graph, f"these import each other in a circle, or lead to one: {sorted(graph)}"


def test_no_relative_imports():
    for module, tree in trees().items():
        for node in ast.walk(tree):
            assert not (isinstance(node, ast.ImportFrom) and node.level), f"{module} imports relatively"
