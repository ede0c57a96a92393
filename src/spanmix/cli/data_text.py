"""Print decoded rows in color, and what was counted as tables."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from spanmix.cli.terminal import print_table
from spanmix.control_pictures import printable

if TYPE_CHECKING:
    from rich.console import Console

    from spanmix.data.preview import Cell, PreviewRow
    from spanmix.data.stats import DataStats

_SPAN_COLORS = ("bright_cyan", "bright_yellow", "bright_green", "bright_magenta", "bright_red", "bright_blue")
_BAR_WIDTH = 40


def _console() -> Console:
    from rich.console import Console

    class Unhidden(Console):
        def on_broken_pipe(self) -> None:
            raise BrokenPipeError  # rich would end the process, with another exit code

    return Unhidden(file=sys.stdout, highlight=False, markup=False, emoji=False, soft_wrap=True)


def print_legend() -> None:
    """Say what the words mean, and the colors, where there are any."""
    from rich.text import Text

    from spanmix.data.preview import EPOCH_AND_PIECE

    print(EPOCH_AND_PIECE)
    console = _console()
    if console.is_terminal and not console.no_color:
        words = (
            ("a hidden span and its sentinel", _SPAN_COLORS[0]),
            ("another", _SPAN_COLORS[1]),
            ("control token", "bold"),
            ("no loss", "dim"),
            ("seen both ways", "underline"),
        )
        console.print(Text("  ").join(Text(text, style) for text, style in words))


def print_news(news: Sequence[str]) -> None:
    """Print what changed in the mixture, a line each."""
    for said in news:
        print(f"note: {said}")


def print_row(row: PreviewRow) -> None:
    """Print the text of a row."""
    from rich.text import Text

    console = _console()
    console.print(Text(f"\n── {row.summary} ", "bold"))
    for number, piece in enumerate(row.pieces, start=1):
        console.print(Text(f"segment {number} · {printable(piece.source)}: {printable(piece.name)}", "bold"))
        console.print(Text(f"          {piece.summary}"))
        console.print(Text.assemble(*((printable(cell.text), _style(cell)) for cell in piece.cells)))


def print_token_table(row: PreviewRow) -> None:
    """Print every position of a row: what stands there, what it predicts, and with what weight."""
    print(f"\n{row.summary}")
    lines = []
    for number, piece in enumerate(row.pieces, start=1):
        for cell, following in zip(piece.cells, piece.cells[1:], strict=False):
            ids, target = (" ".join(map(str, c.token_ids)) for c in (cell, following))
            weight = "1" if following.has_loss else "0"
            span = str(cell.span) if cell.span else "-"
            prefix = "prefix" if cell.in_prefix else "-"
            texts = (repr(printable(cell.text)), repr(printable(following.text)))
            lines.append([f"{number}:{cell.first}", ids, texts[0], target, texts[1], weight, span, prefix])
    print_table(["segment:position", "id", "token", "target", "its text", "loss", "span", "seen"], lines)


def _style(cell: Cell) -> str:
    styles = [_SPAN_COLORS[(cell.span - 1) % len(_SPAN_COLORS)]] if cell.span else []
    styles += ["bold"] if cell.is_control else []
    styles += [] if cell.has_loss else ["dim"]
    styles += ["underline"] if cell.in_prefix else []
    return " ".join(styles)


def print_stats(stats: DataStats, with_stage: bool) -> None:
    """Print what was counted in a stage."""
    from spanmix.data.stats import shown

    where = f"stage {stats.stage}: " if with_stage else ""
    packed = stats.positions - stats.padding
    print(
        f"{where}{stats.rows:,} rows of {stats.positions // stats.rows:,} positions, "
        f"{stats.first_row:,} to {stats.first_row + stats.rows - 1:,}, "
        f"{stats.padding / stats.positions:.2%} padding\n"
    )
    rows = [
        [
            name,
            f"{stats.weights[name]:.4f}",
            f"{stats.share_of(name):.4f}",
            f"{tally.positions:,}",
            f"{tally.documents:,}",
        ]
        for name, tally in stats.sources.items()
    ]
    print_table(["source", "weight", "share", "positions", "documents begun"], rows)
    print("\nobjectives: weight and share are of a source's documents")
    rows = [
        [
            f"{objective}, {source}",
            f"{stats.asked[source, objective]:.4f}",
            shown(stats.drawn(source, objective), ".4f"),
            f"{tally.positions / packed:.1%}",
            f"{tally.pieces:,}",
            shown(tally.loss_share, ".1%"),
            shown(tally.hidden_share, ".1%"),
            shown(tally.mean_span, ".1f"),
        ]
        for (source, objective), tally in stats.pairs.items()
    ]
    head = [
        "objective, source",
        "weight",
        "share",
        "of positions",
        "pieces",
        "with loss",
        "hidden",
        "mean span",
    ]
    print_table(head, rows)
    for objective in stats.span_lengths:
        _print_bars(f"{objective}: tokens in a span", stats.length_bars(objective))
        _print_bars(f"{objective}: spans in a piece", stats.number_bars(objective))


def _print_bars(name: str, bars: Sequence[tuple[str, int]]) -> None:
    """Print a histogram.

    >>> _print_bars("tokens", [("1", 4), ("2", 1)])
    <BLANKLINE>
    tokens
         1  4  ████████████████████████████████████████
         2  1  ██████████
    """
    most = max(count for _, count in bars)
    width = max(6, *(len(label) for label, _ in bars))
    count_width = len(f"{most:,}")
    print(f"\n{name}")
    for label, count in bars:
        bar = "█" * -(-count * _BAR_WIDTH // most)
        print(f"{label:>{width}}  {count:>{count_width},}  {bar}".rstrip())
