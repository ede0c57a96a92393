"""Read Debian's machine-readable copyright files: which licence holds for which files of a package.

The format is DEP-5, ``https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/``; REUSE took it
over as ``.reuse/dep5``. Of the paragraphs that fit a path, the last one holds.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from spanmix.text.licences.expressions import all_of, spdx_expression
from spanmix.text.licences.headers import Stated, copyright_lines

_FORMAT = re.compile(
    r"^format(?:-specification)?:.*(?:copyright-format|dep5|dep-5)", re.IGNORECASE | re.MULTILINE
)


@dataclass(frozen=True)
class Paragraph:
    """One ``Files`` paragraph: its patterns and what it states."""

    patterns: tuple[str, ...]
    stated: Stated


def is_dep5(text: str) -> bool:
    """Say whether a copyright file is machine-readable."""
    return _FORMAT.search(text[:2_000]) is not None


def read_dep5(text: str) -> tuple[Paragraph, ...]:
    """Return the ``Files`` paragraphs in their order; what is not one is passed over."""
    found = []
    for block in re.split(r"\n[ \t]*\n", text.replace("\r\n", "\n")):
        fields = _fields(block)
        if "files" not in fields or "license" not in fields:
            continue
        name = fields["license"].partition("\n")[0].strip()
        expression = spdx_expression(name)
        lines = copyright_lines(
            "\n".join(f"Copyright {one}" for one in fields.get("copyright", "").split("\n") if one)
        )
        stated = Stated(expression, "" if expression else name[:200], lines)
        found.append(Paragraph(tuple(fields["files"].split()), stated))
    return tuple(found)


def stated_for(paragraphs: tuple[Paragraph, ...], path: str | None) -> Stated:
    """Return what holds for a path below the package's root, or for all files together if it is None."""
    if path is None:
        known = [one.stated.expression for one in paragraphs if one.stated.expression]
        unknown = next((one.stated.unknown for one in paragraphs if one.stated.unknown), "")
        copyrights = tuple(dict.fromkeys(line for one in paragraphs for line in one.stated.copyrights))
        return Stated(all_of(known), unknown, copyrights)
    for paragraph in reversed(paragraphs):
        if any(matches(pattern, path) for pattern in paragraph.patterns):
            return paragraph.stated
    return Stated()


def matches(pattern: str, path: str) -> bool:
    """Say whether a pattern fits a path: ``*`` and ``?`` stand for slashes too.

    >>> matches("debian/*", "debian/patches/a.diff"), matches("*.c", "src/a.py")
    (True, False)
    """
    return _compiled(pattern).fullmatch(path) is not None


@lru_cache(maxsize=4096)
def _compiled(pattern: str) -> re.Pattern[str]:
    # Not fnmatch: its [brackets] are no part of the format, and ** of REUSE means what * means here.
    parts = re.split(r"(\*+|\?)", pattern.removeprefix("./"))
    return re.compile(
        "".join(".*" if p.startswith("*") else "." if p == "?" else re.escape(p) for p in parts), re.DOTALL
    )


def _fields(block: str) -> dict[str, str]:
    fields: dict[str, str] = {}
    name = ""
    for line in block.split("\n"):
        if line.startswith("#"):
            continue
        if line[:1] in (" ", "\t") and name:
            fields[name] += "\n" + line.strip()
        else:
            name, colon, value = line.partition(":")
            name = name.strip().lower() if colon else ""
            if name:
                fields[name] = value.strip()
    return fields
