"""Write HTML pages: the only file that does.

A page is one file that needs no network, no script and no font: it opens from disk, follows the
reader's light or dark scheme, and prints. Every text is escaped on its way in, by `text` or by the
function that takes it; `Html` is what has been through that. The same input gives the same bytes.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Sequence
from typing import NewType

Html = NewType("Html", str)
"""Text that is HTML already."""


def text(value: object) -> Html:
    """Escape any value for a place between tags or in a quoted attribute.

    >>> text('<b> & "c"')
    '&lt;b&gt; &amp; &quot;c&quot;'
    """
    return Html(html.escape(str(value), quote=True))


def join(parts: Iterable[Html]) -> Html:
    """Put pieces one behind the other."""
    return Html("".join(parts))


def paragraph(words: str, *, note: bool = False) -> Html:
    """Return a paragraph; a `note` is set smaller and paler."""
    return Html(f'<p class="note">{text(words)}</p>' if note else f"<p>{text(words)}</p>")


def figure_with_range(value: str, low: str, high: str) -> Html:
    """Return a figure with its 95 % interval beside it, set smaller."""
    return Html(f'{text(value)} <span class="range">{text(low)} to {text(high)}</span>')


def strong(words: object) -> Html:
    """Return words that stand out."""
    return Html(f"<strong>{text(words)}</strong>")


def warning(words: str) -> Html:
    """Return a paragraph that says what is not as it should be; its color is not all that says so."""
    return Html(f'<p class="warning"><strong>Warning:</strong> {text(words)}</p>')


def wrapped(words: str) -> Html:
    """Return words for a cell that may break anywhere, such as a path or a hash."""
    return Html(f'<span class="long">{text(words)}</span>')


def details(summary: str, content: Html) -> Html:
    """Return a part that is shown when its summary is opened."""
    return Html(f"<details><summary>{text(summary)}</summary>{content}</details>")


def slug(words: str) -> str:
    """Return words as an id: lower case, digits and hyphens."""
    return re.sub(r"[^a-z0-9]+", "-", words.lower()).strip("-") or "part"


def table(
    columns: Sequence[str], rows: Sequence[Sequence[Html]], *, caption: str = "", label_columns: int = 1
) -> Html:
    """Return a table whose first columns are labels, set to the left, and the rest figures, to the right.

    Args:
        columns: headings.
        rows: cells, each of them through `text` or another function of this file.
        caption: one sentence above it.
        label_columns: how many columns are labels.

    A table that is wider than the window is scrolled by itself, with the keyboard too.
    """
    head = "".join(
        f'<th scope="col"{"" if index < label_columns else " class=number"}>{text(name)}</th>'
        for index, name in enumerate(columns)
    )
    body = []
    for row in rows:
        assert len(row) == len(columns), f"{len(row)} cells under {len(columns)} columns"
        cells = [
            f'<th scope="row">{cell}</th>'
            if index == 0
            else f"<td{'' if index < label_columns else ' class=number'}>{cell}</td>"
            for index, cell in enumerate(row)
        ]
        body.append(f"<tr>{''.join(cells)}</tr>")
    title = f"<caption>{text(caption)}</caption>" if caption else ""
    inside = f"{title}<thead><tr>{head}</tr></thead><tbody>{''.join(body)}</tbody>"
    named = text(caption or ", ".join(columns))
    return Html(
        f'<div class="scroll" tabindex="0" role="group" aria-label="{named}"><table>{inside}</table></div>'
    )


def cards(entries: Iterable[tuple[str, str, str]]) -> Html:
    """Return the few figures that matter most, large: (label, figure, explanation) each."""
    parts = [
        f'<div class="card"><div class="label">{text(label)}</div><div class="figure">{text(figure)}</div>'
        f'<div class="note">{text(explanation)}</div></div>'
        for label, figure, explanation in entries
    ]
    return Html(f'<div class="cards">{"".join(parts)}</div>')


def columns(parts: Iterable[Html]) -> Html:
    """Set pieces side by side where the window is wide enough."""
    return Html(f'<div class="columns">{"".join(parts)}</div>')


def code(parts: Iterable[tuple[str, str]], *, title: str = "", note: str = "") -> Html:
    """Return program text in which some stretches are marked.

    Args:
        parts: (text, role) each; the role is ``""``, ``"infill"``, ``"truth"`` or ``"hidden"``.
        title: a line above it, such as a path.
        note: a line beside the title.
    """
    body = []
    for words, role in parts:
        assert role in ("", "infill", "truth", "hidden"), f"unknown role {role!r}"
        body.append(f'<mark class="{role}">{text(words)}</mark>' if role else text(words))
    head = (
        f'<figcaption>{text(title)} <span class="note">{text(note)}</span></figcaption>'
        if title or note
        else ""
    )
    return Html(f'<figure class="code">{head}<pre tabindex="0"><code>{"".join(body)}</code></pre></figure>')


def tokens(cells: Iterable[tuple[str, str, str]], *, title: str = "", note: str = "") -> Html:
    """Return program text token by token.

    Args:
        cells: (text, class names, what is shown on hovering) each; neighbors of one class run together. The
            classes are ``control``, ``silent`` (no loss), ``prefix`` and ``span0`` to ``span5``.
        title, note: as for `code`.
    """
    body = "".join(
        f'<span class="{text(names)}" title="{text(hover)}">{text(words)}</span>'
        for words, names, hover in cells
    )
    head = f'<figcaption>{text(title)} <span class="note">{text(note)}</span></figcaption>'
    return Html(f'<figure class="code tokens">{head}<pre><code>{body}</code></pre></figure>')


def page(title: str, subtitle: str, sections: Iterable[tuple[str, Html]]) -> Html:
    """Return a whole page.

    Args:
        title: its name.
        subtitle: one sentence under it.
        sections: (heading, content) each; headings are linked from the top.
    """
    parts = list(sections)
    links = "".join(f'<a href="#{slug(heading)}">{text(heading)}</a>' for heading, _ in parts)
    body = "".join(
        f'<section id="{slug(heading)}"><h2>{text(heading)}</h2>{content}</section>'
        for heading, content in parts
    )
    return Html(
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="color-scheme" content="light dark"><meta name="generator" content="Spanmix">'
        f"<title>{text(title)}</title><style>{_STYLE}</style></head>"
        f"<body><header><h1>{text(title)}</h1><p>{text(subtitle)}</p>"
        f'<nav aria-label="Sections">{links}</nav></header>'
        f"<main>{body}</main></body></html>\n"
    )


# Okabe and Ito's colors, darkened on white and lightened on black until each has a contrast of 3 : 1.
_STYLE = """
:root{--back:#fbfbfa;--card:#fff;--ink:#1c1e21;--pale:#62676e;--rule:#e3e4e6;--infill:#d3efe1;--infill-ink:#0a4a33;
--truth:#fde7c8;--truth-ink:#6b3e00;--c0:#0072b2;--c1:#c84e00;--c2:#00805d;--c3:#a8528a;--c4:#8a6d00;--c5:#56606b}
@media(prefers-color-scheme:dark){:root{--back:#14161a;--card:#1b1e23;--ink:#e8e9eb;--pale:#a2a8b0;--rule:#30343b;
--infill:#113d2e;--infill-ink:#a9ecd0;--truth:#47300d;--truth-ink:#fbd9a3;
--c0:#5cb8ee;--c1:#f0935b;--c2:#3fc79a;--c3:#e39cc8;--c4:#e8c547;--c5:#aab2bb}}
*{box-sizing:border-box}
body{margin:0 auto;max-width:76rem;padding:2.5rem 1.5rem 4rem;background:var(--back);color:var(--ink);
font:16px/1.55 system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",sans-serif}
h1{font-size:2.1rem;line-height:1.2;margin:0;letter-spacing:-.02em}
header p{color:var(--pale);margin:.4rem 0 1rem;font-size:1.05rem}
h2{font-size:1.3rem;margin:3rem 0 .75rem;letter-spacing:-.01em}
nav{display:flex;flex-wrap:wrap;gap:.25rem 1.25rem;border-block:1px solid var(--rule);padding:.6rem 0}
a{color:var(--c0);text-decoration:none}a:hover{text-decoration:underline}
p{max-width:48rem;margin:.6rem 0}
.warning{border-left:4px solid var(--c1);background:var(--truth);color:var(--truth-ink);
padding:.5rem .9rem;border-radius:6px}
.long{overflow-wrap:anywhere;display:block;min-width:min(16rem,60vw)}
details{margin:.5rem 0}summary{cursor:pointer;padding:.25rem 0;overflow-wrap:anywhere}
.note{color:var(--pale);font-size:.875rem;font-weight:400}
.cards,.columns{display:grid;gap:1rem}
.cards{grid-template-columns:repeat(auto-fit,minmax(13rem,1fr));margin-top:1.75rem}
.columns{grid-template-columns:repeat(auto-fit,minmax(min(100%,28rem),1fr))}
.card,.chart,.code,.scroll{background:var(--card);border:1px solid var(--rule);border-radius:10px}
.card,.chart,.code{margin:0;min-width:0}
.card{padding:1rem 1.15rem;display:grid;
grid-template-rows:subgrid;grid-row:span 3;align-items:start;gap:.15rem}
.card .label{font-size:.875rem;font-weight:600}
.card .figure{font-size:2rem;line-height:1.25;font-weight:650;letter-spacing:-.02em;
font-variant-numeric:tabular-nums}
.scroll{overflow-x:auto;margin:1rem 0}
table{border-collapse:collapse;width:100%;font-size:.94rem;font-variant-numeric:tabular-nums}
caption{text-align:left;padding:.8rem 1rem .2rem;font-weight:600}
th,td{text-align:left;padding:.5rem 1rem;border-top:1px solid var(--rule);vertical-align:baseline}
thead th{border-top:0;color:var(--pale);font-size:.82rem;font-weight:600}
tbody th{font-weight:500;min-width:min(11rem,40vw)}
.number{text-align:right;white-space:nowrap}
thead .number{white-space:normal}
.columns tbody th{white-space:normal;overflow-wrap:anywhere;min-width:9rem}
.columns .number{padding-left:.4rem}
.range{color:var(--pale);font-size:.8rem;display:block}
.chart{padding:.9rem 1rem .6rem}
figcaption{font-weight:600}
.chart>svg{display:block;width:100%;height:auto;margin-top:.25rem}
.legend{list-style:none;display:flex;flex-wrap:wrap;gap:.1rem 1.1rem;margin:.3rem 0 0;padding:0;
font-size:.85rem}
.legend svg{margin-right:.4rem;vertical-align:middle}.legend b{font-variant-numeric:tabular-nums}
svg text{font-size:12px;fill:var(--pale);font-variant-numeric:tabular-nums}
svg line,polyline{fill:none;stroke-width:2;stroke-linejoin:round;stroke-linecap:round}
svg .grid{stroke:var(--rule);stroke-width:1}svg .axis{stroke:var(--pale);stroke-width:1}
.s0{stroke:var(--c0)}.s1{stroke:var(--c1)}.s2{stroke:var(--c2)}.s3{stroke:var(--c3)}.s4{stroke:var(--c4)}.s5{stroke:var(--c5)}
circle.s0{fill:var(--c0)}circle.s1{fill:var(--c1)}circle.s2{fill:var(--c2)}
circle.s3{fill:var(--c3)}circle.s4{fill:var(--c4)}circle.s5{fill:var(--c5)}
.hover{fill:transparent;stroke:none}.hover:hover{fill:var(--pale);fill-opacity:.35}
.code{overflow:hidden}
.code figcaption{padding:.6rem 1rem;border-bottom:1px solid var(--rule);font-size:.88rem;
overflow-wrap:anywhere}
pre{margin:0;padding:.8rem 1rem;overflow-x:auto;tab-size:4;
font:13px/1.5 ui-monospace,SFMono-Regular,Menlo,Consolas,monospace}
mark{border-radius:3px;padding:1px 0;color:inherit;background:none}
mark.infill{background:var(--infill);color:var(--infill-ink)}
mark.truth{background:var(--truth);color:var(--truth-ink)}
mark.hidden{color:var(--pale)}
.bar{fill:var(--c0)}.bar:hover{fill:var(--c1)}
.tokens{margin:1rem 0}.tokens pre{white-space:pre-wrap;overflow-wrap:anywhere}
.tokens span:hover{outline:1px solid var(--pale);border-radius:2px}
.tokens .control{font-weight:650;font-size:.85em;opacity:.9}.tokens .silent{opacity:.5}
.tokens .prefix{text-decoration:underline dotted var(--pale);text-underline-offset:3px}
.span0{color:var(--c0);background:color-mix(in srgb,var(--c0) 14%,transparent)}
.span1{color:var(--c1);background:color-mix(in srgb,var(--c1) 14%,transparent)}
.span2{color:var(--c2);background:color-mix(in srgb,var(--c2) 14%,transparent)}
.span3{color:var(--c3);background:color-mix(in srgb,var(--c3) 14%,transparent)}
.span4{color:var(--c4);background:color-mix(in srgb,var(--c4) 14%,transparent)}
.span5{color:var(--c5);background:color-mix(in srgb,var(--c5) 18%,transparent)}
:focus-visible{outline:2px solid var(--c0);outline-offset:2px}
@media(max-width:40rem){body{padding-inline:1rem}.cards{grid-template-columns:repeat(auto-fit,minmax(9rem,1fr))}
.card .figure{font-size:1.4rem}th,td{padding:.45rem .7rem}
tbody th,tbody td:not(.number){white-space:normal;min-width:5.5rem}
tbody th{overflow-wrap:anywhere;min-width:7rem}}
@media print{body{max-width:none;padding:0}section{break-inside:avoid-page}}
"""
