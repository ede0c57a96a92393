"""What a report is made of, and how it is written as Markdown and as a page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from spanmix import html
from spanmix.html import Html


@dataclass(frozen=True)
class Link:
    """Words that lead somewhere, by a path relative to the report."""

    words: str
    target: str


Cell = str | Link | tuple[Link, ...]


@dataclass(frozen=True)
class Paragraph:
    """Text; `strong` is set in front of it, and a `note` is set smaller."""

    words: str
    strong: str = ""
    note: bool = False


@dataclass(frozen=True)
class Table:
    """Rows of cells; the first `label_columns` are words, the others figures."""

    caption: str
    header: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    label_columns: int = 1


@dataclass(frozen=True)
class Plot:
    """A drawing, which only the page has."""

    drawing: Html


Block = Paragraph | Table | Plot


@dataclass(frozen=True)
class Section:
    """A heading and what stands under it."""

    heading: str
    blocks: tuple[Block, ...]


def markdown(title: str, subtitle: str, sections: Sequence[Section]) -> str:
    """Write a report as Markdown."""
    lines = [f"# {_escaped(title)}", "", _escaped(subtitle), ""]
    for section in sections:
        lines += [f"## {_escaped(section.heading)}", ""]
        for block in section.blocks:
            if isinstance(block, Paragraph):
                strong = f"**{_escaped(block.strong)}** " if block.strong else ""
                lines += [f"{strong}{_escaped(block.words)}", ""]
            elif isinstance(block, Table):
                lines += [*_markdown_table(block), ""]
    return "\n".join(lines).rstrip() + "\n"


def _markdown_table(table: Table) -> list[str]:
    marks = ["---" if place < table.label_columns else "---:" for place in range(len(table.header))]
    lines = [f"{_escaped(table.caption)}:", ""] if table.caption else []
    lines += [_row([_escaped(one) for one in table.header]), _row(marks)]
    return lines + [_row([_markdown_cell(cell) for cell in row]) for row in table.rows]


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _markdown_cell(cell: Cell) -> str:
    if isinstance(cell, Link):
        return f"[{_escaped(cell.words)}]({cell.target})"
    if isinstance(cell, tuple):
        return " ".join(_markdown_cell(one) for one in cell)
    return _escaped(cell)


def _escaped(words: str) -> str:
    """Keep signs of Markdown and HTML as they are.

    >>> _escaped("a | b < c")
    'a \\\\| b &lt; c'
    """
    return words.replace("&", "&amp;").replace("<", "&lt;").replace("|", "\\|").replace("*", "\\*")


def page(title: str, subtitle: str, sections: Sequence[Section]) -> Html:
    """Write a report as a page."""
    return html.page(title, subtitle, [(one.heading, html.join(map(_html, one.blocks))) for one in sections])


def _html(block: Block) -> Html:
    if isinstance(block, Plot):
        return block.drawing
    if isinstance(block, Paragraph):
        if block.strong:
            return Html(f"<p>{html.strong(block.strong)} {html.text(block.words)}</p>")
        return html.paragraph(block.words, note=block.note)
    rows = [[_html_cell(cell) for cell in row] for row in block.rows]
    return html.table(block.header, rows, caption=block.caption, label_columns=block.label_columns)


def _html_cell(cell: Cell) -> Html:
    if isinstance(cell, Link):
        return Html(f'<a href="{html.text(cell.target)}">{html.text(cell.words)}</a>')
    if isinstance(cell, tuple):
        return Html(" ".join(_html_cell(one) for one in cell))
    return html.text(cell)
