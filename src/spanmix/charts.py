"""Draw lines and bars as inline SVG: axes, ticks, a legend, values on hovering; no script."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from spanmix.html import Html, slug, text

_WIDTH, _HEIGHT = 600, 300
_LEFT, _RIGHT, _TOP, _BOTTOM = 52, 14, 12, 40
_MAX_POINTS = 160
_NUM_COLORS = 6
# Besides its color every line has a dash pattern of its own, for those who see colors alike.
_DASHES = ("none", "7 3", "2 3", "9 3 2 3", "12 4", "4 2")


@dataclass(frozen=True)
class Series:
    """One line of a chart: its name and its points, in rising x."""

    name: str
    x: Sequence[float]
    y: Sequence[float]

    def __post_init__(self) -> None:
        assert len(self.x) == len(self.y), f"{len(self.x)} x beside {len(self.y)} y"


def line_chart(
    series: Sequence[Series], *, title: str, x_label: str, y_label: str, from_zero: bool = False
) -> Html:
    """Draw lines as SVG, with axes, a legend that holds each last value, and the points' values on hover.

    Long lines are drawn as means over neighboring points. A line's first 5 % do not stretch the y axis:
    what a fresh model loses in its first steps would flatten all that follows.

    Args:
        series: at least one, each with at least one point; values that are not finite are left out.
        title: what is shown.
        x_label, y_label: quantities with their units; the x axis starts at 0.
        from_zero: start the y axis at 0.

    Raises:
        ValueError: there is no finite point.
    """
    lines = [_thin(_finite(one)) for one in series]
    lines = [line for line in lines if line.x]
    if not lines:
        raise ValueError(f"chart {title!r} has no finite point")
    first_x, last_x = min(0.0, *(line.x[0] for line in lines)), max(line.x[-1] for line in lines)
    settled = [
        y
        for line in lines
        for x, y in zip(line.x, line.y, strict=True)
        if x > first_x + 0.05 * (last_x - first_x)
    ] or [y for line in lines for y in line.y]
    x_axis = _Axis(first_x, last_x, _LEFT, _WIDTH - _RIGHT, tight=True)
    low = min(settled)
    y_axis = _Axis(min(0.0, low) if from_zero else low, max(settled), _HEIGHT - _BOTTOM, _TOP)
    clip = slug(title)
    drawn = [_grid(x_axis, y_axis, x_label)]
    drawn += [f'<g clip-path="url(#{clip})">']
    drawn += [_line(line, place, x_axis, y_axis) for place, line in enumerate(lines)]
    drawn += ["</g>"]
    width, height = _WIDTH - _LEFT - _RIGHT + 4, _HEIGHT - _TOP - _BOTTOM + 8
    inner = f'x="{_LEFT}" y="{_TOP - 4}" width="{width}" height="{height}"'
    legend = "".join(
        f'<li><svg width="26" height="8" aria-hidden="true"><line class="s{place % _NUM_COLORS}" x1="1" '
        f'x2="25" y1="4" y2="4" stroke-dasharray="{_DASHES[place % len(_DASHES)]}"/></svg>'
        f"{text(line.name)} <b>{_number(line.y[-1])}</b></li>"
        for place, line in enumerate(lines)
    )
    last = ", ".join(f"{line.name} ends at {_number(line.y[-1])}" for line in lines)
    return Html(
        f'<figure class="chart"><figcaption>{text(title)} <span class="note">{text(y_label)}</span>'
        "</figcaption>"
        f'<ul class="legend">{legend}</ul>'
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{text(f"{title}: {last}")}">'
        f'<clipPath id="{clip}"><rect {inner}/></clipPath>{"".join(drawn)}</svg></figure>'
    )


def bar_chart(bars: Sequence[tuple[str, float]], *, title: str, x_label: str, y_label: str) -> Html:
    """Draw a bar for each (label, value), with its value on hover; the axis of values starts at 0.

    Raises:
        ValueError: there is no bar.
    """
    if not bars:
        raise ValueError(f"chart {title!r} has no bar")
    axis = _Axis(0.0, max(max(value for _, value in bars), 1e-12), _HEIGHT - _BOTTOM, _TOP)
    bottom, wide = _HEIGHT - _BOTTOM, (_WIDTH - _LEFT - _RIGHT) / len(bars)
    drawn = []
    for value in axis.ticks:
        y = axis.place(value)
        drawn.append(f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y}" y2="{y}"/>')
        drawn.append(f'<text x="{_LEFT - 8}" y="{y + 4}" text-anchor="end">{_number(value)}</text>')
    for place, (label, value) in enumerate(bars):
        x, y = round(_LEFT + place * wide, 1), axis.place(value)
        drawn.append(
            f'<rect class="bar" x="{round(x + wide * 0.1, 1)}" y="{y}" width="{round(wide * 0.8, 1)}" '
            f'height="{round(bottom - y, 1)}"><title>{text(label)}: {_number(value)}</title></rect>'
        )
        middle = round(x + wide / 2, 1)
        size = ' style="font-size:9px"' if len(bars) > 9 else ""
        drawn.append(f'<text x="{middle}" y="{bottom + 17}" text-anchor="middle"{size}>{text(label)}</text>')
    drawn.append(f'<line class="axis" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{bottom}" y2="{bottom}"/>')
    middle = (_LEFT + _WIDTH - _RIGHT) / 2
    drawn.append(f'<text x="{middle}" y="{_HEIGHT - 6}" text-anchor="middle">{text(x_label)}</text>')
    said = ", ".join(f"{label}: {_number(value)}" for label, value in bars)
    return Html(
        f'<figure class="chart"><figcaption>{text(title)} <span class="note">{text(y_label)}</span>'
        "</figcaption>"
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{text(f"{title}: {said}")}">'
        f"{''.join(drawn)}</svg></figure>"
    )


def _finite(series: Series) -> Series:
    points = [(x, y) for x, y in zip(series.x, series.y, strict=True) if math.isfinite(y)]
    return Series(series.name, [x for x, _ in points], [y for _, y in points])


def _thin(series: Series) -> Series:
    """Average neighbors until a line has few enough points to be drawn."""
    group = -(-len(series.x) // _MAX_POINTS)
    if group <= 1:
        return series
    starts = range(0, len(series.x), group)
    x = [sum(part) / len(part) for part in (series.x[i : i + group] for i in starts)]
    y = [sum(part) / len(part) for part in (series.y[i : i + group] for i in starts)]
    return Series(series.name, x, y)


class _Axis:
    """Maps values to places, and knows its round values."""

    def __init__(self, low: float, high: float, start: float, stop: float, tight: bool = False) -> None:
        if high <= low:
            low, high = low - (abs(low) * 0.1 or 1), high + (abs(high) * 0.1 or 1)
        self.step = _round_step((high - low) / 5)
        if not tight:
            low, high = math.floor(low / self.step) * self.step, math.ceil(high / self.step) * self.step
        self.low, self.high, self.start, self.stop = low, high, start, stop

    def place(self, value: float) -> float:
        share = (value - self.low) / (self.high - self.low)
        return round(self.start + share * (self.stop - self.start), 1)

    @property
    def ticks(self) -> list[float]:
        first = math.ceil(self.low / self.step - 1e-9)
        last = math.floor(self.high / self.step + 1e-9)
        return [index * self.step for index in range(first, last + 1)]


def _round_step(rough: float) -> float:
    size = 10.0 ** math.floor(math.log10(rough))
    return next(size * factor for factor in (1, 2, 2.5, 5, 10) if size * factor >= rough * 0.999)


def _number(value: float) -> str:
    """Write a figure with three to four digits, and a letter for thousands and millions.

    >>> [_number(value) for value in (0, 0.5, 2.3456, 950, 12000, 2_400_000)]
    ['0', '0.5', '2.346', '950', '12k', '2.4M']
    """
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
        if abs(value) >= size:
            return f"{value / min(size, 1e3 if letter == 'k' else size):.4g}{letter}"
    return "0" if abs(value) < 1e-12 else f"{value:.4g}"


def _grid(x_axis: _Axis, y_axis: _Axis, x_label: str) -> str:
    bottom = _HEIGHT - _BOTTOM
    parts = []
    for value in y_axis.ticks:
        y = y_axis.place(value)
        parts.append(f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y}" y2="{y}"/>')
        parts.append(f'<text x="{_LEFT - 8}" y="{y + 4}" text-anchor="end">{_number(value)}</text>')
    for value in x_axis.ticks:
        x = x_axis.place(value)
        parts.append(f'<line class="axis" x1="{x}" x2="{x}" y1="{bottom}" y2="{bottom + 4}"/>')
        parts.append(f'<text x="{x}" y="{bottom + 17}" text-anchor="middle">{_number(value)}</text>')
    parts.append(f'<line class="axis" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{bottom}" y2="{bottom}"/>')
    middle = (_LEFT + _WIDTH - _RIGHT) / 2
    parts.append(f'<text x="{middle}" y="{_HEIGHT - 6}" text-anchor="middle">{text(x_label)}</text>')
    return "".join(parts)


def _line(line: Series, place: int, x_axis: _Axis, y_axis: _Axis) -> str:
    color = f"s{place % _NUM_COLORS}"
    points = [(x_axis.place(x), y_axis.place(y)) for x, y in zip(line.x, line.y, strict=True)]
    path = " ".join(f"{x},{y}" for x, y in points)
    radius = 3 if len(points) <= 24 else 0
    marks = "".join(
        f'<circle class="{color}" cx="{x}" cy="{y}" r="{radius}"/>'
        f'<circle class="hover" cx="{x}" cy="{y}" r="7">'
        f"<title>{text(line.name)}: {_number(value)} at {_number(at)}</title></circle>"
        for (x, y), at, value in zip(points, line.x, line.y, strict=True)
    )
    dash = _DASHES[place % len(_DASHES)]
    return f'<polyline class="{color}" points="{path}" stroke-dasharray="{dash}"/>{marks}'


_NARROW, _ROW = 400, 18
"""Width of the charts below, whose letters stay readable on a phone, and height of a line of words."""


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
        room = max(8, 58 - len(row.words))
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
                f'fill="var(--c{color % _NUM_COLORS})"/>'
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
    num_bins, left, bottom = len(labels) - 1, 40, 190
    right = _NARROW - 14
    wide = (right - left) / num_bins
    axis = _Axis(0.0, max(100 * max(counts) / total for _, counts, total in shares), bottom, 8)
    drawn = []
    for value in axis.ticks:
        y = axis.place(value)
        drawn.append(f'<line class="grid" x1="{left}" x2="{right}" y1="{y}" y2="{y}"/>')
        drawn.append(f'<text x="{left - 6}" y="{y + 4}" text-anchor="end">{_number(value)} %</text>')
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
    said = "; ".join(f"{name}: {', '.join(f'{count:,}' for count in counts)}" for name, counts, _ in shares)
    return _narrow(title, x_label, [name for name, _, _ in shares], bottom + 24, f"{title}, {said}", drawn)


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
        f'<svg style="max-width:32rem" viewBox="0 0 {_NARROW} {height}" role="img" '
        f'aria-label="{text(said)}">{"".join(drawn)}</svg></figure>'
    )
