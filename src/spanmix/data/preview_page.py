"""Show decoded rows and what was counted as a page."""

from __future__ import annotations

from collections.abc import Sequence

from spanmix import html
from spanmix.charts import bar_chart
from spanmix.control_pictures import printable
from spanmix.data.preview import EPOCH_AND_PIECE, Cell, Piece, PreviewRow
from spanmix.data.stats import DataStats, shown
from spanmix.html import Html

_NUM_COLORS = 6
_LEGEND = (
    ("shown text", ""),
    ("a sentinel and the span that it hides", "span0"),
    ("another", "span1"),
    ("control token", "control"),
    ("carries no loss", "silent"),
    ("seen in both directions", "prefix"),
)


def preview_page(rows: Sequence[PreviewRow], recipe: str) -> Html:
    """Return a page of decoded rows; hovering over a token tells its id, place, target and weight."""
    legend = html.tokens(
        [(f" {words} ", names, words) for words, names in _LEGEND], title="Legend", note=EPOCH_AND_PIECE
    )
    sections = [("How to read it", legend)]
    for row in rows:
        pieces = html.join(_piece(piece) for piece in row.pieces)
        sections.append(
            (row.summary.partition(":")[0].capitalize(), html.join([html.paragraph(row.summary), pieces]))
        )
    return html.page("Data preview", f"The rows of {recipe}, as the model gets them.", sections)


def _piece(piece: Piece) -> Html:
    cells = [
        (printable(cell.text), _classes(cell), _hover(cell, following))
        for cell, following in zip(piece.cells, [*piece.cells[1:], None], strict=True)
    ]
    return html.tokens(cells, title=printable(f"{piece.source}: {piece.name}"), note=piece.summary)


def _classes(cell: Cell) -> str:
    names = [f"span{(cell.span - 1) % _NUM_COLORS}"] if cell.span else []
    names += ["control"] if cell.is_control else []
    names += [] if cell.has_loss else ["silent"]
    names += ["prefix"] if cell.in_prefix else []
    return " ".join(names)


def _hover(cell: Cell, following: Cell | None) -> str:
    ids = " ".join(map(str, cell.token_ids))
    target = f"; then {following.text!r}" if following else "; the last one, only predicted"
    return f"{cell.text!r}, id {ids}, position {cell.first}, loss weight {int(cell.has_loss)}{target}"


def stats_page(stages: Sequence[DataStats], recipe: str) -> Html:
    """Return a page of counts, a section for each stage."""
    sections = []
    for stats in stages:
        charts = []
        for objective in stats.span_lengths:
            lengths, numbers = stats.length_bars(objective), stats.number_bars(objective)
            title = f"Span lengths of {objective}"
            charts.append(bar_chart(lengths, title=title, x_label="tokens in a span", y_label="spans"))
            title = f"Spans in a piece of {objective}"
            charts.append(bar_chart(numbers, title=title, x_label="spans", y_label="pieces"))
        name = f"Stage {stats.stage}" if len(stages) > 1 else "What was counted"
        parts = [_cards(stats), _sources(stats), _pairs(stats), html.columns(charts)]
        sections.append((name, html.join(parts)))
    return html.page("Data statistics", f"What the rows of {recipe} are made of.", sections)


def _cards(stats: DataStats) -> Html:
    used = stats.positions - stats.padding
    spans = sum(tally.spans for tally in stats.objectives.values())
    pieces = sum(counts.total() for counts in stats.spans_in_piece.values())
    last = stats.first_row + stats.rows - 1
    return html.cards(
        [
            ("Rows", f"{stats.rows:,}", f"{stats.first_row:,} to {last:,}; {stats.positions:,} positions"),
            ("Packing", f"{used / stats.positions:.2%}", f"{stats.padding:,} positions of padding"),
            ("Hidden spans", f"{spans:,}", f"in {pieces:,} pieces"),
        ]
    )


def _sources(stats: DataStats) -> Html:
    rows = [
        [
            html.text(name),
            html.text(f"{stats.weights[name]:.4f}"),
            html.text(f"{stats.share_of(name):.4f}"),
            html.text(f"{tally.positions:,}"),
            html.text(f"{tally.documents:,}"),
        ]
        for name, tally in stats.sources.items()
    ]
    columns = ["source", "weight", "share", "positions", "documents begun"]
    return html.table(columns, rows, caption="Sources, by packed positions")


def _pairs(stats: DataStats) -> Html:
    packed = stats.positions - stats.padding
    rows = [
        [
            html.text(objective),
            html.text(source),
            html.text(f"{stats.asked[source, objective]:.4f}"),
            html.text(shown(stats.drawn(source, objective), ".4f")),
            html.text(f"{tally.positions / packed:.1%}"),
            html.text(f"{tally.pieces:,}"),
            html.text(shown(tally.loss_share, ".1%")),
            html.text(shown(tally.hidden_share, ".1%")),
            html.text(shown(tally.mean_span, ".1f")),
        ]
        for (source, objective), tally in stats.pairs.items()
    ]
    columns = ["objective", "source", "weight", "share", "of positions", "pieces", "with loss", "hidden"]
    caption = "Objectives; weight and share are of a source's documents"
    return html.table([*columns, "mean span"], rows, caption=caption, label_columns=2)
