"""Find what a file says of its own licence: SPDX tags anywhere, a notice or a licence's text at its start.

>>> found = header_licence("// SPDX-License-Identifier: MIT OR GPL-2.0\\n// Copyright 2020 Ann Author\\n")
>>> found.expression, found.copyrights
('MIT OR GPL-2.0-only', ('Copyright 2020 Ann Author',))
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from spanmix.text.licences.expressions import all_of, licence_ids, spdx_expression
from spanmix.text.licences.granted import granted
from spanmix.text.licences.phrases import words_of
from spanmix.text.licences.restrictions import negated, restrictions

HEADER_CHARACTERS = 8_000
"""How much of a file's start is read for notices: three BSD texts with their copyright lines."""
_MOST_COPYRIGHTS = 20
_LONGEST_LINE = 300

_TAG = re.compile(rf"spdx-license-identifier:[ \t]*([^\n\r]{{1,{_LONGEST_LINE}}})", re.IGNORECASE)
# Nothing but signs of a comment may stand in front, or a program that writes tags would seem to have them; in
# a comment also what ends in a separator, or speaks of copyright.
_IN_FRONT = re.compile(
    r"""[^\w"'`]{0,20}|\s*r?(?:\"{3}|'{3})\s*|(?:rem|dnl|\.\.)[ \t]+"""
    r"""|\s*(?:#|//|/?\*|--|;|%|<!--|\"{3}|'{3})[^"'`]*(?:[|,;.()–—-]|(?:copyright|©|file:)[^"'`]*)\s*""",
    re.IGNORECASE,
)
_TAG_END = re.compile(r"\s*(?:\*+/|\*\||-->|#\}|\*\)|--\]\]|\|#|%>|\"\"\"|'''|-\}).*$")
_TELLING = (
    "licen",
    "permission",
    "redistribut",
    "public domain",
    "copyright",
    "©",
    "proprietary",
    "perl itself",
    "gpl",
    "cc by",
    "creativecommons",
    "creative commons",
)
_BEFORE, _BEHIND = 500, 1_600
"""Characters of a notice in front of the first telling word and behind the last: a disclaimer has 900."""
_COPYRIGHT = re.compile(
    r"^[^\w\n©]{0,20}((?:SPDX-FileCopyrightText:[ \t]*|(?:portions )?copyright\b|©|\(c\)[ "
    r"\t]+(?=(?:copyright|\d{4})))"
    rf"[^\n\r]{{3,{_LONGEST_LINE}}})",
    re.IGNORECASE | re.MULTILINE,
)
_HOLDER = re.compile(
    r"\d{4}|©|\([cC]\)|(?i:copyright:? (?:by |the )?)[^\W\d_a-z]|(?i:contributors|authors|developers)\.?$"
)
"""A year, a sign or a name; the middle of a sentence has none of them."""
_SENTENCE = re.compile(
    r"copyright (?:(?:and|or|is|in|of|on|to)\b|notice|holder|owner|law|statement|interest|license|rights)",
    re.IGNORECASE,
)
_TO_FILL_IN = re.compile(
    r"[<\[{][^<>\[\]{}@:/\n]{0,30}\b(?:year|yyyy|yy|date|names?|fullname|author|owner|holders?|organization|company)\b"
    r"[^<>\[\]{}@:/\n]{0,40}[>\]}]|\b(?:19|20)yy\b|\byyyy\b|\byear your name\b",
    re.IGNORECASE,
)
"""What the texts of licences have where a holder is to write year and name."""
_OF_THE_TEXT = re.compile(
    "everyone is permitted to copy and distribute verbatim copies".replace(" ", r"[\s*#/-]+"), re.IGNORECASE
)
_ABOVE = 180
"""Characters in front of that sentence in which the holder of the licence's own text stands."""


@dataclass(frozen=True)
class Stated:
    """What was said of a licence somewhere.

    Args:
        expression: SPDX expression, or None if none is known.
        unknown: a statement that could not be understood, or ``""``.
        copyrights: the copyright lines, as written.
    """

    expression: str | None = None
    unknown: str = ""
    copyrights: tuple[str, ...] = ()


def header_licence(text: str) -> Stated:
    """Return what a file states of its own licence.

    Tags count wherever they begin a comment line. Notices count in the first `HEADER_CHARACTERS`. All of them
    together hold (AND), except that a tag already speaks for the texts of the licences that it names, and
    that a notice which offers a choice is one (OR). A restriction holds beside whatever else is said.
    """
    tagged, unknown = _tags(text)
    start = text[:HEADER_CHARACTERS]
    limits = restrictions(start)
    head = _notice(start)
    if not head:
        return Stated(_with_limits(tagged, limits), unknown)
    words = words_of(head)
    stated = _with_limits(with_texts(tagged, granted(words)), limits)
    return Stated(stated, unknown or negated(words), copyright_lines(head))


def text_expression(text: str) -> str | None:
    """Return the SPDX expression of a notice or a licence file's text with its restrictions, or None."""
    return _with_limits(granted(words_of(text)), restrictions(text))


def _with_limits(expression: str | None, limits: tuple[str, ...]) -> str | None:
    return all_of((*([] if expression is None else [expression]), *limits))


def with_texts(declared: str | None, texts: str | None) -> str | None:
    """Join a declared expression with that of texts beside it, which it speaks for if it names their
    licences.

    >>> with_texts("MIT OR GPL-2.0-or-later", "GPL-2.0-only AND MIT"), with_texts("MIT", "GPL-2.0-only")
    ('MIT OR GPL-2.0-or-later', 'GPL-2.0-only AND MIT')
    """
    if declared is None or texts is None:
        return declared or texts
    if {_bare(one) for one in licence_ids(texts)} <= {_bare(one) for one in licence_ids(declared)}:
        return declared
    return all_of((declared, texts))


def copyright_lines(text: str) -> tuple[str, ...]:
    """Return the lines that claim a copyright, without the signs of a comment, each once.

    The texts of licences have others: sentences that break in front of the word, what is to be filled in, and
    who holds the licence's own text, such as the Free Software Foundation.
    """
    lines = []
    matches = list(_COPYRIGHT.finditer(text))
    for match in _without_the_texts(text, matches):
        line = " ".join(match[1].split()).removesuffix("*/").rstrip(" */#-\"'")
        line = line.removeprefix("SPDX-FileCopyrightText:").strip()
        if _HOLDER.search(line) and not _SENTENCE.match(line) and not _TO_FILL_IN.search(line):
            lines.append(line)
    return tuple(dict.fromkeys(lines))[:_MOST_COPYRIGHTS]


def _without_the_texts(text: str, matches: list[re.Match[str]]) -> list[re.Match[str]]:
    """Return copyright lines without those of licences' own texts: the last one above their sentence."""
    places = [sentence.start() for sentence in _OF_THE_TEXT.finditer(text)] if matches else []
    above = [max((m.start() for m in matches if m.start() < place), default=0) for place in places]
    own = {start for start, place in zip(above, places, strict=True) if place - start <= _ABOVE}
    return [match for match in matches if match.start() not in own]


def _notice(head: str) -> str:
    """Return the part of a file's start where telling words are, or nothing: most files have none."""
    lower = head.lower()
    first = [place for word in _TELLING if (place := lower.find(word)) >= 0]
    if not first:
        return ""
    last = max(lower.rfind(word) for word in _TELLING)
    return head[max(0, min(first) - _BEFORE) : last + _BEHIND]


def _tags(text: str) -> tuple[str | None, str]:
    if "spdx-license-identifier:" not in text.lower():
        return None, ""
    known, unknown = [], ""
    for match in _TAG.finditer(text):
        line = text[max(0, match.start() - _LONGEST_LINE) : match.start()].rpartition("\n")[2]
        if _IN_FRONT.fullmatch(line) is None:
            continue
        statement = _TAG_END.sub("", match[1]).strip()
        expression = spdx_expression(statement)
        if expression is None:
            unknown = unknown or statement
        else:
            known.append(expression)
    return all_of(known), unknown


def _bare(spdx: str) -> str:
    # The text of a GNU licence is the same for "only" and "or later"; an exception adds to a licence.
    return spdx.partition(" WITH ")[0].removesuffix("-only").removesuffix("-or-later")
