"""Say whose work was left out on request, which lines of a list fit nothing, and whom to ask."""

from __future__ import annotations

from spanmix import html
from spanmix.html import Html
from spanmix.text.corpus_page.figures import CorpusFigures
from spanmix.text.corpus_page.harmless import markdown, one_line
from spanmix.text.licences.opt_out_counts import unmatched

_MOST_LINES = 200


def opt_outs(figures: CorpusFigures) -> Html:
    """Return the lines of each opt-out list that fit no document; what was left out stands with the drops."""
    if not figures.opt_outs:
        return html.paragraph("No opt-out list was used.")
    sizes = _sizes(figures)
    found = unmatched(figures.opt_outs)
    words = (
        "A line that fits no document may be mistyped, or name what was not read. How many documents each "
        "line fits stands in audit/opt_out.jsonl; which they are, in audit/NAME.opt_out.jsonl."
    )
    rows = []
    for path, num_lines in sizes.items():
        entries = found.get(path, [])
        named = ", ".join(one_line(entry) for entry in entries[:_MOST_LINES])
        if len(entries) > _MOST_LINES:
            named += f" and {len(entries) - _MOST_LINES:,} more"
        cells = (one_line(path), f"{num_lines:,}", f"{len(entries):,}")
        rows.append([*map(html.text, cells), html.wrapped(named) if named else html.text("–")])
    columns = ["list", "lines", "fit nothing", "which"]
    return html.join([html.paragraph(words), html.table(columns, rows, label_columns=4)])


def opting_out(figures: CorpusFigures) -> list[str]:
    """Return the card's lines: the contact, and how many lines of each list fit no document.

    The lines themselves are not on the card: it is published, and they name people.
    """
    contact = None if figures.recipe is None else figures.recipe.opt_out_contact
    if contact is None:
        lines = [
            "> **Placeholder.** No contact is set (`corpus.opt_out_contact`). Whoever publishes this corpus "
            "writes here an address at which authors can ask that their work be left out, and how fast that "
            "is done."
        ]
    else:
        lines = [f"Authors who want their work left out write to <{contact}>."]
    lines += [
        "",
        "Who made a corpus leaves out what an opt-out list names (owner, repository or path) by preparing it "
        "again with that list.",
    ]
    found = unmatched(figures.opt_outs)
    for path, num_lines in _sizes(figures).items():
        number = len(found.get(path, []))
        where = " (`audit/opt_out.jsonl` has them)" if number else ""
        named = markdown(path)
        lines += ["", f"The list {named} has {num_lines:,} lines; {number:,} fit no document{where}."]
    return lines


def _sizes(figures: CorpusFigures) -> dict[str, int]:
    sizes: dict[str, int] = {}
    for one in figures.opt_outs:
        sizes[one.path] = sizes.get(one.path, 0) + 1
    return sizes
