r"""Find the language of a file by what is in it, for files whose name does not say it.

Tried in this order: the ``#!`` line; a mode line of Emacs or Vim; beginnings that only one language has, and
whether it is JSON; and how the lines begin (`spanmix.text.languages.line_marks`). A language is named only
if it has enough points and clearly more than the next one; else there is none, for a wrong name is worse
than a missing one.

Only the first 16,000 characters are read, so a long file costs as much as a short one: about two
milliseconds. The answer depends on the text alone.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from itertools import islice

from spanmix.text.languages.line_marks import ANYWHERE, BY_FIRST_WORD
from spanmix.text.languages.names import language_name

_READ_CHARACTERS, _READ_LINES, _LINE_CHARACTERS, _JSON_CHARACTERS = 16_000, 250, 200, 1_000_000
_LEAST_POINTS, _LEAST_LEAD, _MOST_HITS = 3.0, 1.2, 8

_SHEBANG = re.compile(r"#!\s*+(?:\S*[^\s\w.+-])?([\w.+-]++)(?:[ \t]++(.*))?$")
_INTERPRETERS = {
    "sh": "bash", "bash": "bash", "dash": "bash", "zsh": "bash", "ksh": "bash", "ash": "bash", "mksh": "bash",
    "fish": "fish", "python": "python", "pypy": "python", "perl": "perl", "ruby": "ruby", "jruby": "ruby",
    "node": "javascript", "nodejs": "javascript", "bun": "javascript", "deno": "typescript",
    "ts-node": "typescript", "php": "php", "lua": "lua", "luajit": "lua", "tclsh": "tcl", "wish": "tcl",
    "rscript": "r", "awk": "awk", "gawk": "awk", "mawk": "awk", "make": "makefile", "julia": "julia",
    "groovy": "groovy", "scala": "scala", "kotlin": "kotlin", "swift": "swift", "runghc": "haskell",
    "runhaskell": "haskell", "stack": "haskell", "escript": "erlang", "elixir": "elixir", "racket": "racket",
    "guile": "scheme", "sbcl": "common-lisp", "emacs": "emacs-lisp", "ocaml": "ocaml", "pwsh": "powershell",
    "osascript": "applescript", "crystal": "crystal", "nix-shell": "nix", "dart": "dart", "tcsh": "tcsh",
    "csh": "tcsh",
}  # fmt: skip
_EMACS = re.compile(r"-\*-\s*(?:.*?\bmode:\s*([\w+#-]+)|([\w+#-]+)\s*)(?:;.*?)?\s*-\*-")
_VIM = re.compile(r"\b(?:vim?|ex):.*?\b(?:ft|filetype|syntax)=([\w+#-]+)")
_MODES = {
    "cperl": "perl",
    "shell-script": "bash",
    "sh": "bash",
    "lisp": "common-lisp",
    "rst": "restructuredtext",
}
_MODES |= {"js2": "javascript", "nxml": "xml", "latex": "tex", "cs": "csharp", "elisp": "emacs-lisp"}

_BEGINNINGS = (
    (re.compile(r"<\?php\b"), "php"),
    (re.compile(r"<\?xml\s[^<]{0,300}<xsl:", re.DOTALL), "xslt"),
    (
        re.compile(
            r"<\?xml\s(?:(?!<html).){0,400}<!DOCTYPE html|<!doctype html|<html[\s>]", re.I | re.DOTALL
        ),
        "html",
    ),
    (re.compile(r"<\?xml\s|<svg\s|<project\s"), "xml"),
    (re.compile(r"diff --git |Index: .*\n=====|--- \S.*\n\+\+\+ \S"), "diff"),
    (re.compile(r"(?:%.*\n|\s)*\\documentclass\b"), "tex"),
    (re.compile(r"%YAML\s"), "yaml"),
    (re.compile(r"%!PS"), "postscript"),
    (re.compile(r"\{\\rtf1"), "rtf"),
    (re.compile(r"<template>\s|<script setup"), "vue"),
)
_WORD = re.compile(
    r"#\s*(?=include\b|define\b|ifn?def\b|endif\b|pragma\b|import\b)|[#@.\\(<$:=!?`*\[~}\"'-]*"
)
_NAME = re.compile(r"[\w-]*")


def detect_language(text: str) -> str:
    r"""Return the language of a text, or ``""`` if that is not clear.

    >>> detect_language("#!/usr/bin/env python3\n"), detect_language("package main\n\nimport (\n")
    ('python', 'go')
    >>> detect_language("What is this?")
    ''
    """
    head = text[:_READ_CHARACTERS].removeprefix("\ufeff")
    return _by_shebang(head) or _by_mode_line(head) or _by_beginning(head, text) or _by_lines(head)


def _by_shebang(head: str) -> str:
    if not head.startswith("#!"):
        return ""
    found = _SHEBANG.match(head.split("\n", 1)[0].rstrip())
    if found is None:
        return ""
    name, rest = found.group(1), found.group(2) or ""
    if name == "env":
        words = [word for word in rest.split() if not word.startswith("-") and "=" not in word]
        name = words[0].rpartition("/")[2] if words else ""
    name = name.lower()
    return _INTERPRETERS.get(name) or _INTERPRETERS.get(name.rstrip("0123456789.-"), "")


def _by_mode_line(head: str) -> str:
    lines = head.split("\n", 5)[:5]
    for line in lines:
        line = line[:_LINE_CHARACTERS]
        if found := _EMACS.search(line):
            mode = (found.group(1) or found.group(2)).lower().removesuffix("-mode")
            return _MODES.get(mode) or language_name(mode)
        if found := _VIM.search(line):
            mode = found.group(1).lower()
            return _MODES.get(mode) or language_name(mode)
    return ""


def _by_beginning(head: str, text: str) -> str:
    start = head.lstrip()
    for pattern, language in _BEGINNINGS:
        if pattern.match(start):
            return language
    if start[:1] in ("{", "[") and len(text) <= _JSON_CHARACTERS:
        try:
            json.loads(text.removeprefix("\ufeff"))
        except (ValueError, RecursionError):
            return ""
        return "json"
    return ""


def _by_lines(head: str) -> str:
    points: dict[str, float] = defaultdict(float)
    hits: dict[re.Pattern[str], int] = defaultdict(int)  # a block of the same is one thing, seen often
    lines = (line.strip()[:_LINE_CHARACTERS] for line in head.split("\n"))
    for line in islice(filter(None, lines), _READ_LINES):
        mark, word = _first_word(line)
        marks = BY_FIRST_WORD.get(word, ())
        if mark != word:
            marks = [*marks, *BY_FIRST_WORD.get(mark, ())]
        for pattern, given in (*marks, *ANYWHERE):
            if hits[pattern] < _MOST_HITS and pattern.match(line):
                hits[pattern] += 1
                for language, number in given:
                    points[language] += number
    best = sorted(points.items(), key=lambda item: (-item[1], item[0]))[:2]
    if not best or best[0][1] < _LEAST_POINTS:
        return ""
    if len(best) == 2 and best[0][1] < _LEAST_LEAD * best[1][1]:
        return ""
    return best[0][0]


def _first_word(line: str) -> tuple[str, str]:
    """Return the marks that a line starts with, three of the same at most, and the same with the name
    behind."""
    found = _WORD.match(line)
    assert found is not None
    mark = found.group().replace(" ", "")
    name = _NAME.match(line, found.end())
    assert name is not None
    if len(mark) > 3 and len(set(mark)) == 1:
        mark = mark[:3]
    return mark, mark + name.group()
