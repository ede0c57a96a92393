"""Draw rows of bars and histograms as inline SVG, narrow enough to be read on a phone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from spanmix.chart_axes import NUM_COLORS, Axis, number
from spanmix.html import Html, text

_NARROW, _ROW, _LETTERS = 340, 18, 49
"""Width of a chart, whose letters stay readable on a phone; height of a line of words, and letters in it."""


@dataclass(frozen=True)
class Row:
    """A row of `horizontal_bars`: words at its left and right, and bars below them.

    Args:
        label: what it is, at the left; cut to what has room beside `words`, and whole on hovering.
        words: its figures, at the right.
        bars: (first, last, color) each, one below the other; the color is a number from 0 to 5.
    """

    label: str
    words: str
    bars: Sequence[tuple[float, float, int]]


def horizontal_bars(rows: Sequence[Row], *, title: str, note: str = "", legend: Sequence[str] = ()) -> Html:
    """Draw rows of bars, all on one scale that begins at 0, with their words above them.

    Args:
        rows: at least one; the first bar of a row is high, the others are flat.
        title, note: what is shown, and in which unit.
        legend: names of the colors, from 0 on.

    Raises:
        ValueError: there is no row.
    """
    if not rows:
        raise ValueError(f"chart {title!r} has no row")
    most = max((last for row in rows for _, last, _ in row.bars), default=0) or 1
    drawn, y = [], 0
    for row in rows:
        room = max(8, _LETTERS - len(row.words))
        label = row.label if len(row.label) <= room else row.label[: room - 1] + "…"
        drawn.append(
            f'<g><title>{text(row.label)}: {text(row.words)}</title><text y="{y + 13}">{text(label)}</text>'
        )
        drawn.append(f'<text x="{_NARROW}" y="{y + 13}" text-anchor="end">{text(row.words)}</text>')
        y += _ROW
        for place, (first, last, color) in enumerate(row.bars):
            left, height = round(first / most * _NARROW, 1), 4 if place else 9
            width = max(round((last - first) / most * _NARROW, 1), 1 if last > first else 0)
            drawn.append(
                f'<rect x="{min(left, _NARROW - width)}" y="{y}" width="{width}" height="{height}" rx="1" '
                f'fill="var(--c{color % NUM_COLORS})"/>'
            )
            y += height + 1
        drawn.append("</g>")
        y += 6
    said = ", ".join(f"{row.label}: {row.words}" for row in rows)
    return _narrow(title, note, legend, y, f"{title}: {said}", drawn)


def log_histogram(
    series: Sequence[tuple[str, Sequence[int]]], *, title: str, x_label: str, labels: Sequence[str]
) -> Html:
    """Draw how the values of one or two series are spread over bins, each as the share of its own series.

    Args:
        series: (name, counts) each; the first is drawn as bars, the second as steps over them.
        title: what is counted.
        x_label: the quantity of the bins with its unit.
        labels: of each bin where it begins, and of the last where it ends: one more than bins.

    Raises:
        ValueError: there is no bin, or nothing in them.
    """
    shares = [(name, counts, sum(counts)) for name, counts in series if sum(counts)]
    if not shares:
        raise ValueError(f"chart {title!r} has nothing to count")
    num_bins, left, bottom = len(labels) - 1, 46, 190
    right = _NARROW - 14
    wide = (right - left) / num_bins
    axis = Axis(0.0, max(100 * max(counts) / total for _, counts, total in shares), bottom, 8)
    drawn = []
    for value in axis.ticks:
        y = axis.place(value)
        drawn.append(f'<line class="grid" x1="{left}" x2="{right}" y1="{y}" y2="{y}"/>')
        drawn.append(f'<text x="{left - 6}" y="{y + 4}" text-anchor="end">{number(value)} %</text>')
    for color, (name, counts, total) in enumerate(shares):
        path = []
        for place, count in enumerate(counts):
            x, y = round(left + place * wide, 1), axis.place(100 * count / total)
            path += [f"{x},{y}", f"{round(x + wide, 1)},{y}"]
            if color == 0:
                hover = f"{labels[place]} to {labels[place + 1]}: {count:,} in {name}"
                drawn.append(
                    f'<rect class="bar" x="{round(x + 0.5, 1)}" y="{y}" width="{round(wide - 1, 1)}" '
                    f'height="{round(bottom - y, 1)}"><title>{text(hover)}</title></rect>'
                )
        if color:
            drawn.append(f'<polyline class="s{color}" points="{" ".join(path)}"/>')
    for place in range(0, num_bins + 1, -(-(num_bins + 1) // 9)):
        x = round(left + place * wide, 1)
        drawn.append(f'<text x="{x}" y="{bottom + 17}" text-anchor="middle">{text(labels[place])}</text>')
    drawn.append(f'<line class="axis" x1="{left}" x2="{right}" y1="{bottom}" y2="{bottom}"/>')
    said = "; ".join(f"{name}: {_in_words(counts, labels)}" for name, counts, _ in shares)
    return _narrow(title, x_label, [name for name, _, _ in shares], bottom + 24, f"{title}, {said}", drawn)


def _in_words(counts: Sequence[int], labels: Sequence[str]) -> str:
    """Write a histogram for those who hear it, without empty bins.

    >>> _in_words([2, 0, 1], ["1", "2", "4", "8"])
    '2 from 1 to 2, 1 from 4 to 8'
    """
    named = zip(counts, labels, labels[1:], strict=False)
    return ", ".join(f"{count:,} from {start} to {end}" for count, start, end in named if count)


def _narrow(
    title: str, note: str, legend: Sequence[str], height: int, said: str, drawn: Sequence[str]
) -> Html:
    names = "".join(
        f'<li><svg width="14" height="10" aria-hidden="true"><rect width="12" height="9" rx="1" '
        f'fill="var(--c{color})"/></svg>{text(name)}</li>'
        for color, name in enumerate(legend)
    )
    return Html(
        f'<figure class="chart"><figcaption>{text(title)} <span class="note">{text(note)}</span></figcaption>'
        f"{f'<ul class=legend>{names}</ul>' if names else ''}"
        f'<svg style="max-width:28rem" viewBox="0 0 {_NARROW} {height}" role="img" '
        f'aria-label="{text(said)}">{"".join(drawn)}</svg></figure>'
    )
