"""Drop the marks of reStructuredText and keep the words, by modest rules, for Sphinx's texts too."""

from __future__ import annotations

import re
from operator import itemgetter

from spanmix.text.readers.paired_marks import without_pairs

_RULE = re.compile(r"([!-/:-@\[-`{-~])\1{2,}[ \t]*$")
_SHORT_RULE = re.compile(r"([!-/:-@\[-`{-~])\1{0,1}[ \t]*$")
_TABLE_RULE = re.compile(r"[ \t]*(?:\+[-=+]{2,}\+|={2,}(?:[ \t]+={2,})+|-{2,}(?:[ \t]+-{2,})+)[ \t]*$")
_DIRECTIVE = re.compile(r"([ \t]*)\.\.[ \t]+(?:\|[^|\n]{1,200}\|[ \t]+)?([\w:+.-]{1,80}?)::(?:[ \t]+(.*))?$")
_TARGET = re.compile(r"[ \t]*(?:\.\.[ \t]+_[^\n]{1,500}:|__[ \t])")
_FOOTNOTE = re.compile(r"([ \t]*)\.\.[ \t]+(\[[^\]\n]{1,100}\])[ \t]*(.*)$")
_COMMENT = re.compile(r"([ \t]*)\.\.(?:[ \t]|$)")
_OPTION = re.compile(r"[ \t]+:[\w-]{1,60}:(?:[ \t]|$)")
_FIELD = re.compile(r"^([ \t]*):([A-Za-z][^:\n]{0,100}):(?:[ \t]+|$)")

_CODE = re.compile(r"``([^\n]{1,1000}?)``")
# What is in front of an address ends with a word, or each of its blanks would be tried as its last.
_TITLE = r"`([^`<>\n]{1,500}?(?<!\s)|\s)\s*+"
_ROLE_TITLE = re.compile(rf":[\w:+.-]{{1,60}}:{_TITLE}<[^`<>\n]{{1,500}}>`")
_ROLE = re.compile(r":[\w:+.-]{1,60}:`[~!]?([^`\n]{1,500})`")
_LINK = re.compile(rf"{_TITLE}<[^`<>\n]{{1,1000}}>`_{{0,2}}")
_QUOTED = re.compile(r"`([^`\n]{1,500})`_{0,2}")
# Zero characters wide, so that all are found that begin inside of another.
_OPENING_STARS, _CLOSING_STARS = re.compile(r"(?=(\*\*)\S)"), re.compile(r"(?<=\S)(?=(\*\*))")
_MAX_STRONG = 1000  # characters between two marks
_EMPHASIS = re.compile(r"(?<![\w*\\])\*(?=[^\s*])([^*\n]{1,1000}?)(?<=[^\s\\])\*(?!\w)")
_NAMED = re.compile(r"(?<![\w`])(\w[\w.-]{0,100}?)_{1,2}(?=[\s.,;:!?)\]'\"]|$)")
_NOTE_MARK = re.compile(r"(\[[\w#*-]{1,60}\])_(?!\w)")
_SUBSTITUTION = re.compile(r"(?<!\w)\|([^|\s](?:[^|\n]{0,200}[^|\s])?)\|_{0,2}(?!\w)")
_ESCAPED = re.compile(r"\\(\S)")

_CODE_BLOCKS = frozenset(
    {"code", "code-block", "sourcecode", "parsed-literal", "highlight", "doctest", "testcode"}
)
_DROPPED = frozenset(
    {
        *("toctree", "contents", "include", "literalinclude", "index", "raw", "image", "figure", "graphviz"),
        *("meta", "highlight", "default-role", "role", "currentmodule", "module", "automodule", "autoclass"),
        *("autofunction", "automethod", "autosummary", "plot", "sectnum", "tabularcolumns", "only", "math"),
    }
)
_MARK = re.compile(r"[*_`|\\\ue000\ue001]")
_END_OF_NAMED = re.compile(r"_(?=[\s.,;:!?)\]'\"]|$)")
_WORDS = itemgetter(1)
_MAX_DEPTH = 40
_KEPT = re.compile("\ue000(\\d+)\ue001")


def restructured_text_to_text(text: str, depth: int = 0) -> str:
    r"""Return the words of a reStructuredText.

    Lines above and below headings, borders of tables, comments, targets of links, options of directives, and
    directives without words of their own (pictures, lists of contents, what is included) are dropped; the
    bodies of the others are moved to the margin of the directive. Code stays, and of roles and links the
    words.

    Args:
        text: the whole text.
        depth: how many directives it lies in; inside of 40 it is kept as it is.

    >>> restructured_text_to_text("Title\n=====\n\n.. note::\n   See :ref:`the *docs* <docs>` of ``a_b``.\n")
    'Title\n\nSee the docs of a_b.\n'
    """
    lines = text.replace("\r\n", "\n").replace("\r", "\n").removeprefix("\ufeff").expandtabs(8).split("\n")
    written: list[str] = []
    i = 0
    while i < len(lines):
        line = lines[i]
        i += 1
        first = line.lstrip()[:1]
        if (not first or first.isalnum()) and not line.rstrip().endswith("::"):  # most lines
            written.append(plain_inline(line))
        elif directive := _DIRECTIVE.match(line):
            end = _end_of_block(lines, i, len(directive[1]))
            written += _directive(directive, lines[i:end], depth)
            i = end
        elif _TARGET.match(line):
            i = _end_of_paragraph(lines, i, line)
        elif footnote := _FOOTNOTE.match(line):
            written.append(f"{footnote[1]}{footnote[2]} {plain_inline(footnote[3])}")
        elif comment := _COMMENT.match(line):
            i = _end_of_block(lines, i, len(comment[1]))
        elif line.rstrip().endswith("::"):
            end = _end_of_block(lines, i, _indent(line))
            head = plain_inline(line.rstrip()[:-1]).rstrip(":" if line.strip() == "::" else "")
            written += [head, *lines[i:end]]
            i = end
        elif not (_TABLE_RULE.match(line) or _RULE.match(line) or _is_underline(line, written)):
            written.append(_plain_line(line))
    return _tidied(written)


def _directive(match: re.Match[str], body: list[str], depth: int) -> list[str]:
    name = match[2].rpartition(":")[2].lower()
    while body and _OPTION.match(body[0]):
        body = body[1:]
    if name in _CODE_BLOCKS or depth == _MAX_DEPTH:
        return ["", *_moved(body, match[1]), ""]
    if name in _DROPPED:
        return []
    # The words behind a directive are its title, or its first line.
    title = [match[1] + plain_inline(match[3])] if match[3] else []
    inner = restructured_text_to_text("\n".join(_moved(body, "")), depth + 1).rstrip("\n").split("\n")
    return [*title, *(match[1] + line if line else "" for line in inner), ""]


def _is_underline(line: str, written: list[str]) -> bool:
    title = written[-1].strip() if written else ""
    return bool(title) and _SHORT_RULE.match(line) is not None and len(line.strip()) >= len(title)


def _plain_line(line: str) -> str:
    if line.lstrip().startswith("|") and line.count("|") > 1:
        line = "  ".join(cell.strip() for cell in line.strip().strip("|").split("|"))
    elif line.lstrip().startswith("| "):  # a line of verse
        line = line.replace("| ", "", 1)
    return plain_inline(_FIELD.sub(r"\1\2: ", line))


def plain_inline(line: str) -> str:
    """Return a line without the marks inside of it; code in it is kept as it is."""
    if _MARK.search(line) is None:
        return line.rstrip()
    kept: list[str] = []

    def keep(match: re.Match[str]) -> str:
        kept.append(match[1])
        return f"\ue000{len(kept) - 1}\ue001"

    line = line.replace("\ue000", "").replace("\ue001", "")
    # To look for a character takes far less time than to try a pattern that needs it.
    if "`" in line:
        line = _CODE.sub(keep, line)
        for pattern in (_ROLE_TITLE, _ROLE, _LINK, _QUOTED):
            line = pattern.sub(_WORDS, line)
    if "*" in line:
        line = without_pairs(line, _OPENING_STARS, _CLOSING_STARS, _MAX_STRONG, str)
        line = _EMPHASIS.sub(_WORDS, line)
    if "|" in line:
        line = _SUBSTITUTION.sub(_WORDS, line)
    if "_" in line:
        line = _NOTE_MARK.sub(_WORDS, line)
        if _END_OF_NAMED.search(line):
            line = _NAMED.sub(_WORDS, line)
    if "\\" in line:
        line = _ESCAPED.sub(_WORDS, line)
    return (_KEPT.sub(lambda match: kept[int(match[1])], line) if kept else line).rstrip()


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip(" "))


def _end_of_block(lines: list[str], start: int, indent: int) -> int:
    """Return the first line from `start` on that is not empty and not further in than `indent`."""
    end = start
    for i in range(start, len(lines)):
        if lines[i].strip():
            if _indent(lines[i]) <= indent:
                break
            end = i + 1
    return end


def _end_of_paragraph(lines: list[str], start: int, line: str) -> int:
    end = start
    while end < len(lines) and lines[end].strip() and _indent(lines[end]) > _indent(line):
        end += 1
    return end


def _moved(body: list[str], margin: str) -> list[str]:
    least = min((_indent(line) for line in body if line.strip()), default=0)
    return [margin + line[least:] if line.strip() else "" for line in body]


def _tidied(lines: list[str]) -> str:
    text = re.sub(r"\n{3,}", "\n\n", "\n".join(line.rstrip() for line in lines)).strip("\n")
    return text + "\n" * bool(text)
