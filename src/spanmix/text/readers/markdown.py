"""Drop the marks of Markdown and keep the words: CommonMark and GitHub's tables, by modest rules."""

from __future__ import annotations

import re
from operator import itemgetter

from spanmix.text.readers.paired_marks import without_pairs

_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})")
_HEADING = re.compile(r" {0,3}#{1,6}(?:[ \t]+|$)")
_UNDERLINE = re.compile(r" {0,3}(?:=+|-+)[ \t]*$")
_RULE = re.compile(r" {0,3}(?:(?:\*[ \t]*){3,}|(?:-[ \t]*){3,}|(?:_[ \t]*){3,})$")
# Two runs of blanks beside each other would share one out in all ways: none gives back what it took (`*+`).
_TABLE_RULE = re.compile(r"[ \t]*+\|?[ \t]*+:?-{2,}+:?[ \t]*+(?:\|[ \t]*+:?-++:?[ \t]*+)*\|?[ \t]*+$")
_QUOTE = re.compile(r"^ {0,3}(?:>[ \t]?)+")
_DEFINITION = re.compile(r" {0,3}\[[^\]\n]{1,200}\]:[ \t]*\S")
_FRONT_MATTER = re.compile(r"\A---[ \t]*\n(?:.{0,500}\n){0,200}?(?:---|\.\.\.)[ \t]*(?:\n|\Z)")

_TICKS = re.compile(r"(`+)")
_MAX_CODE, _MAX_EMPHASIZED = 2000, 1000  # characters between two marks
_IMAGE = re.compile(r"!\[([^\]\n]{0,500})\](?:\([^()\n]{0,2000}\)|\[[^\]\n]{0,200}\])")
_LINK = re.compile(
    r"\[([^\[\]\n]{1,1000})\](?:\((?:[^()\n]|\([^()\n]{0,200}\)){0,2000}+\)|\[[^\]\n]{0,200}\])"
)
_ADDRESS = re.compile(r"<((?:https?|ftp|mailto):[^<>\s]{1,2000}|[^<>\s@]{1,64}@[^<>\s@]{1,255})>")
_TAG = re.compile(r"</?[A-Za-z][A-Za-z0-9-]{0,30}(?:\s[^<>\n]{0,1000})?/?>")
_STARS = re.compile(r"(?<![\\*\w])(\*{1,3})(?=[^\s*])([^*\n]{1,1000}?)(?<=[^\s\\])\1(?!\*)")
_OPENING_UNDERSCORES = re.compile(r"(?<![\w\\])(_{1,3})(?=[^\s_])")
_CLOSING_UNDERSCORES = re.compile(r"(?<=[^\s\\_])(_{1,3})(?!\w)")
_STRUCK = re.compile(r"~~(?=\S)([^~\n]{1,1000}?)~~")
_ESCAPED = re.compile(r"\\([!-/:-@\[-`{-~])")
_MARK = re.compile(r"[*_`\[<\\~\ue000\ue001]")
_LINE_MARKS = frozenset("=-*_[|:>#")
"""What a line that is more than words begins with."""
_WORDS = itemgetter(1)
_EMPHASIZED = itemgetter(2)
_KEPT = re.compile("\ue000(\\d+)\ue001")


def markdown_to_text(text: str) -> str:
    r"""Return the words of a Markdown text.

    Headings, emphasis, links, images and tables lose their marks, and comments, HTML tags, rules, link
    definitions and a front matter are dropped. Code, the bullets and numbers of lists, and addresses in angle
    brackets stay; of links the words stay.

    >>> markdown_to_text("Title\n=====\n\n> See [the *docs*](http://x.y/z) of `a_b`.\n\n| a | b |\n|--|--|\n")
    'Title\n\nSee the docs of a_b.\n\na  b\n'
    """
    text = _FRONT_MATTER.sub("", text.replace("\r\n", "\n").replace("\r", "\n").removeprefix("\ufeff"))
    written: list[str] = []
    fence = ""
    in_comment = False
    for whole in text.split("\n"):
        line = whole
        if not fence and (in_comment or "<!--" in whole):
            line, in_comment = _without_comments(whole, in_comment)
            if not line.strip():
                written.append("")
                continue
        opened = _FENCE.match(line) if line.lstrip(" ")[:1] in ("`", "~") else None
        if fence:
            if opened and opened[1].startswith(fence) and not line.strip().strip(fence[0]):
                fence = ""
            else:
                written.append(line)
        elif opened:
            fence = opened[1]
        elif (plain := _plain_line(line, written)) is not None:
            written.append(plain)
    return _tidied(written)


def _without_comments(line: str, in_comment: bool) -> tuple[str, bool]:
    """Return what is left of a line, and whether a comment goes on behind it."""
    kept = []
    place = 0
    while True:
        mark = "-->" if in_comment else "<!--"
        found = line.find(mark, place)
        if not in_comment:
            kept.append(line[place : None if found < 0 else found])
        if found < 0:
            return "".join(kept), in_comment
        place = found + len(mark)
        in_comment = not in_comment


def _plain_line(line: str, written: list[str]) -> str | None:
    """Return what is left of a line, or None if it is only a mark."""
    if line[:1].isalnum():  # most lines
        return plain_inline(line)
    has_text_above = bool(written) and bool(written[-1].strip())
    if line.lstrip()[:1] not in _LINE_MARKS:
        is_code = line.startswith(("    ", "\t")) and not has_text_above
        return line if is_code else plain_inline(line)
    if (_UNDERLINE.match(line) and has_text_above) or _RULE.match(line) or _DEFINITION.match(line):
        return None
    if _TABLE_RULE.match(line) and ("|" in line or has_text_above):
        return None
    if line.startswith(("    ", "\t")) and not has_text_above:
        return line  # a block of code
    if ">" in line:
        line = _QUOTE.sub("", line, count=1)
    if "#" in line and (heading := _HEADING.match(line)):
        line = _without_closing(line[heading.end() :])
    if line.lstrip().startswith("|"):
        line = "  ".join(cell.strip() for cell in line.strip().strip("|").split("|"))
    return plain_inline(line)


def _without_closing(heading: str) -> str:
    """Return the words of a heading without the ``#`` behind them, which stand alone."""
    words = heading.rstrip(" \t").rstrip("#")
    is_closed = words.endswith((" ", "\t")) and heading[len(words) : len(words) + 1] == "#"
    return words.rstrip(" \t") if is_closed else heading


def plain_inline(line: str) -> str:
    """Return a line without the marks inside of it; code in it is kept as it is."""
    if _MARK.search(line) is None:
        return line.rstrip()
    kept: list[str] = []

    def keep(code: str) -> str:
        kept.append(code.strip() if code.strip() else code)
        return f"\ue000{len(kept) - 1}\ue001"

    line = line.replace("\ue000", "").replace("\ue001", "")
    # To look for a character takes far less time than to try a pattern that needs it.
    if "`" in line:
        line = without_pairs(line, _TICKS, _TICKS, _MAX_CODE, keep)
    if "][" in line or "](" in line:
        line = _LINK.sub(_WORDS, _IMAGE.sub(_WORDS, line))
    if "<" in line:
        line = _TAG.sub("", _ADDRESS.sub(_WORDS, line))
    for mark, without in (("*", _without_stars), ("_", _without_underscores)):
        if mark in line and (once := without(line)) != line:
            line = without(once)  # emphasis inside of emphasis
    if "~~" in line:
        line = _STRUCK.sub(_WORDS, line)
    if "\\" in line:
        line = _ESCAPED.sub(_WORDS, line)
    return (_KEPT.sub(lambda match: kept[int(match[1])], line) if kept else line).rstrip()


def _without_stars(line: str) -> str:
    return _STARS.sub(_EMPHASIZED, line)


def _without_underscores(line: str) -> str:
    return without_pairs(line, _OPENING_UNDERSCORES, _CLOSING_UNDERSCORES, _MAX_EMPHASIZED, str)


def _tidied(lines: list[str]) -> str:
    """Join lines with at most one empty line between two."""
    text = re.sub(r"\n{3,}", "\n\n", "\n".join(line.rstrip() for line in lines)).strip("\n")
    return text + "\n" * bool(text)
