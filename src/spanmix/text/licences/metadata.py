"""Read the licence that a package declares of itself in its metadata: Python's, npm's, Cargo's and REUSE's.

What cannot be read states nothing: a broken ``package.json`` is no reason to stop.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Callable
from typing import Any

from spanmix.text.licences.expressions import all_of, any_of, column_expression, spdx_expression
from spanmix.text.licences.headers import Stated

_PARSE_ERRORS = (ValueError, TypeError, AttributeError, RecursionError, KeyError)
_MOST_DOTS = 300
_DOTTED_KEY = re.compile(r"""(?:(?:[\w-]++|"[^"\n]*+"|'[^'\n]*+')[ \t]*+\.[ \t]*+)++""")
_NOT_STATED = ("see license in", "see licence in")


def read_metadata(name: str, text: str) -> Stated:
    """Return what the metadata file of that name states, such as ``package.json``."""
    reader = READERS.get(name.lower())
    if reader is None:
        return Stated()
    try:
        return reader(text)
    except _PARSE_ERRORS:
        return Stated()


def _toml(text: str) -> dict[str, Any]:
    """Parse TOML, but none with a key of very many parts: its time grows with the square of them."""
    if any(key[0].count(".") > _MOST_DOTS for key in _DOTTED_KEY.finditer(text)):
        raise ValueError(f"a key has more than {_MOST_DOTS} dots")
    return tomllib.loads(text)


def _package_json(text: str) -> Stated:
    record = json.loads(text)
    single, several = record.get("license"), record.get("licenses")
    if isinstance(single, dict):
        single = single.get("type")
    if isinstance(single, str):
        return _stated(single)
    if isinstance(several, list):
        # npm's older form: "licenses" listed what its user may choose from.
        types = [one.get("type") if isinstance(one, dict) else one for one in several]
        known = [spdx_expression(one) for one in types if isinstance(one, str)]
        if known and None not in known:
            return Stated(any_of(one for one in known if one is not None))
        return Stated(None, ", ".join(str(one) for one in types)[:200])
    return Stated()


def _cargo_toml(text: str) -> Stated:
    package = _toml(text).get("package", {})
    value = package.get("license")
    return _stated(value) if isinstance(value, str) else Stated()


def _pyproject(text: str) -> Stated:
    record = _toml(text)
    project: dict[str, Any] = record.get("project") or record.get("tool", {}).get("poetry") or {}
    value = project.get("license")
    if isinstance(value, dict):
        value = value.get("text")
    classifiers = [one for one in project.get("classifiers", []) if isinstance(one, str)]
    return _python(value if isinstance(value, str) else "", classifiers)


def _core_metadata(text: str) -> Stated:
    """``METADATA`` and ``PKG-INFO``: headers as in a mail, the description behind them."""
    head = re.split(r"\r?\n\r?\n", text, maxsplit=1)[0]
    fields: dict[str, list[str]] = {}
    for line in head.splitlines():
        name, colon, value = line.partition(":")
        if colon and not line[:1].isspace():
            fields.setdefault(name.lower(), []).append(value.strip())
    declared = fields.get("license-expression")
    if declared:
        return _stated(declared[0])
    return _python((fields.get("license") or [""])[0], fields.get("classifier", []))


def _setup_cfg(text: str) -> Stated:
    match = re.search(r"^license[ \t]*[=:][ \t]*([^\n]+)$", text, re.MULTILINE)
    return _stated(match[1]) if match else Stated()


def _python(value: str, classifiers: list[str]) -> Stated:
    """The field ``License`` where it can be read, else the classifiers, which are no more exact than they
    are."""
    expression = spdx_expression(value) if value else None
    if expression is not None:
        return Stated(expression)
    named = [one for one in classifiers if one.startswith("License ::") and one != "License :: OSI Approved"]
    known = column_expression(named)
    return Stated(known, "" if known else "; ".join([value, *named]).strip("; ")[:200])


def _reuse_toml(text: str) -> Stated:
    """Every annotation of ``REUSE.toml`` together; `reuse_patterns` says which files each is about."""
    found = [expression for _, expression in reuse_patterns(text)]
    return Stated(all_of(found))


def reuse_patterns(text: str) -> list[tuple[str, str]]:
    """Return the path patterns of a ``REUSE.toml`` with their expressions, the last that fits being the
    one."""
    rows = []
    try:
        for annotation in _toml(text).get("annotations", []):
            paths, value = annotation.get("path", []), annotation.get("SPDX-License-Identifier")
            expression = column_expression(value)
            if expression is not None:
                rows += [(path, expression) for path in ([paths] if isinstance(paths, str) else paths)]
    except _PARSE_ERRORS:
        return []
    return [(path, expression) for path, expression in rows if isinstance(path, str)]


def _stated(value: str) -> Stated:
    expression = spdx_expression(value)
    if expression is None and value.lower().startswith(_NOT_STATED):
        return Stated()  # the file it points to is read anyhow
    return Stated(expression, "" if expression else value.strip()[:200])


READERS: dict[str, Callable[[str], Stated]] = {
    "package.json": _package_json,
    "cargo.toml": _cargo_toml,
    "pyproject.toml": _pyproject,
    "pkg-info": _core_metadata,
    "metadata": _core_metadata,
    "setup.cfg": _setup_cfg,
    "reuse.toml": _reuse_toml,
}
"""By the file's name, in lower case."""
