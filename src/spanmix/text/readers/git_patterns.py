"""Match names as git's ``.gitignore`` and ``.gitattributes`` do.

The patterns are compiled by ``pathspec``; which of them decides is done here. Each is asked about the entry
alone, never about the folders above it: a folder that is ignored is not entered (gitignore(5): a file cannot
be taken back in if a folder above it is left out), and an attribute of a folder says nothing of its files
(gitattributes(5)). A pattern is the bytes of its line, each a character.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from pathspec.patterns.gitignore.base import GitIgnorePatternError
from pathspec.patterns.gitignore.spec import GitIgnoreSpecPattern

from spanmix.text.regular_files import read_regular

ATTRIBUTES = ("linguist-generated", "linguist-vendored")
RULE_FILES = (".gitignore", ".gitattributes")
MAX_RULE_BYTES = 1_000_000
"""Bytes that are read of a file of rules; git's own tests have none that is longer."""

_MAX_DOUBLE_STARS = 4  # each multiplies the time that a long path takes
_STAR = "[^/]*"


class Pattern(NamedTuple):
    """A compiled pattern: `search` it in the entry's path below the file that holds it, or in its name."""

    regex: re.Pattern[str]
    is_negated: bool
    only_folders: bool
    by_name: bool

    def matches(self, path: str, is_folder: bool) -> bool:
        """Return whether it names the entry with this path below the file of rules."""
        if self.only_folders and not is_folder:
            return False
        name = path.rpartition("/")[2] if self.by_name else path
        # Git compares bytes: its ? is one of the two of an é.
        match = self.regex.search(name if name.isascii() else os.fsencode(name).decode("latin-1"))
        # pathspec marks where a pattern ended at a folder, and the path goes on below it.
        return match is not None and match.groupdict().get("ps_d") is None


class AttributeLine(NamedTuple):
    """What a line of ``.gitattributes`` says: an attribute is set, unset, or (None) not spoken of."""

    pattern: Pattern
    settings: dict[str, bool | None]


@dataclass(frozen=True)
class Rules:
    """The files of rules from the top of a checkout down to one folder; later ones go first.

    Args:
        ignored: for each ``.gitignore``, the path of its folder with a slash behind it, and its patterns.
        attributes: the same of ``.gitattributes``.
        attributes_last: of ``.git/info/attributes``, which goes before all others.
    """

    ignored: tuple[tuple[str, tuple[Pattern, ...]], ...] = ()
    attributes: tuple[tuple[str, tuple[AttributeLine, ...]], ...] = ()
    attributes_last: tuple[AttributeLine, ...] = ()

    def ignores(self, path: str, is_folder: bool) -> bool:
        """Return whether git leaves out the entry with this path below the checkout."""
        for base, patterns in reversed(self.ignored):
            below = path[len(base) :]
            for pattern in reversed(patterns):
                if pattern.matches(below, is_folder):
                    return not pattern.is_negated
        return False

    def attributes_of(self, path: str) -> set[str]:
        """Return those of `ATTRIBUTES` that a file has."""
        found: dict[str, bool | None] = {}
        for base, lines in (*self.attributes, ("", self.attributes_last)):
            for line in lines:
                if line.pattern.matches(path[len(base) :], is_folder=False):
                    found |= line.settings
        return {name for name, value in found.items() if value}

    def below(self, folder: str, inside: str, names: Iterable[str]) -> Rules:
        """Return the rules for the entries of a folder, with its own files of rules.

        Args:
            folder: where it lies on disk.
            inside: its path below the checkout, ``""`` or with a slash behind it.
            names: what it holds.
        """
        ignored, attributes = self.ignored, self.attributes
        if ".gitignore" in names and (patterns := read_ignored(os.path.join(folder, ".gitignore"))):  # noqa: PTH118
            ignored = (*ignored, (inside, patterns))
        if ".gitattributes" in names and (lines := read_attributes(os.path.join(folder, ".gitattributes"))):  # noqa: PTH118
            attributes = (*attributes, (inside, lines))
        return Rules(ignored, attributes, self.attributes_last)


def read_ignored(path: str, follow_link: bool = False) -> tuple[Pattern, ...]:
    """Read the patterns of a ``.gitignore``; a file that cannot be read has none, as for git.

    Nor has a link, unless it may be one, as only those in ``.git`` may (gitignore(5)).
    """
    return tuple(
        pattern for line in _lines(path, follow_link) if (pattern := compile_pattern(line)) is not None
    )


def read_attributes(path: str, follow_link: bool = False) -> tuple[AttributeLine, ...]:
    """Read the lines of a ``.gitattributes`` that speak of `ATTRIBUTES`; of links see `read_ignored`."""
    found = []
    for line in _lines(path, follow_link):
        pattern_text, words = _split_attributes(line)
        settings = dict(setting for word in words if (setting := _setting(word)) is not None)
        if not settings or pattern_text.startswith(("!", "[attr]")) or pattern_text.endswith("/"):
            continue
        if (pattern := compile_pattern(pattern_text)) is not None:
            found.append(AttributeLine(pattern, settings))
    return tuple(found)


def compile_pattern(line: str) -> Pattern | None:
    r"""Compile a line of ``.gitignore``; None if it says nothing.

    >>> compile_pattern("/build/").matches("build", True), compile_pattern("*.o").matches("a/b.o", False)
    (True, True)
    """
    text = _without_trailing_blanks(line)
    if not text or text.startswith("#"):
        return None
    is_negated = text.startswith("!")
    text = text[is_negated:]
    only_folders = text.endswith("/")
    text = text.rstrip("/") if only_folders else text
    if not text or re.sub(r"(\*\*/)+", "**/", text).count("**") > _MAX_DOUBLE_STARS:
        return None
    by_name = "/" not in text
    if text.startswith(("#", "!")):
        text = "\\" + text
    try:
        regex, _ = GitIgnoreSpecPattern.pattern_to_regex(text)
        if regex is None:
            return None
        return Pattern(re.compile(_quick(regex)), is_negated, only_folders, by_name)
    except (GitIgnorePatternError, re.error, ValueError):
        return None


def _quick(regex: str) -> str:
    """Keep ``*`` from trying again: the first place at which what follows it fits is as good as any.

    Otherwise ``*a*a*a*a*a*b`` would take hours for a long name. It is so because what stands between two
    ``*`` of one name has one length.
    """
    first, *parts = regex.split(_STAR)
    written = [first]
    for i, part in enumerate(parts):
        before_star = i + 1 < len(parts) and "/" not in part.replace("[^/]", "")
        written.append(f"(?>{_STAR}?{part})" if before_star else _STAR + part)
    return "".join(written)


def _without_trailing_blanks(line: str) -> str:
    text = line.rstrip(" ")
    if text != line and (len(text) - len(text.rstrip("\\"))) % 2:
        return text + " "
    return text


def _lines(path: str, follow_link: bool) -> list[str]:
    try:
        data = read_regular(path, MAX_RULE_BYTES, follow_link)
    except OSError:
        return []
    lines = data.removeprefix(b"\xef\xbb\xbf").split(b"\n")
    return [line.removesuffix(b"\r").decode("latin-1") for line in lines]


def _split_attributes(line: str) -> tuple[str, list[str]]:
    line = line.strip(" \t\r")
    if not line or line.startswith("#"):
        return "", []
    if quoted := re.match(r'"((?:[^"\\]|\\.)*)"', line):
        return re.sub(r"\\(.)", r"\1", quoted[1]), line[quoted.end() :].split()
    pattern, *words = line.split()
    return pattern, words


def _setting(word: str) -> tuple[str, bool | None] | None:
    name, _, value = word.lstrip("-!").partition("=")
    if name not in ATTRIBUTES:
        return None
    if word.startswith("!"):
        return name, None
    return name, not word.startswith("-") and value.lower() not in ("false", "0", "no")
