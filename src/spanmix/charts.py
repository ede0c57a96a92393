"""Draw lines and bars as inline SVG: axes, ticks, a legend, values on hovering; no script."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from spanmix.chart_axes import NUM_COLORS, Axis, number
from spanmix.html import Html, slug, text

_WIDTH, _HEIGHT = 600, 300
_LEFT, _RIGHT, _TOP, _BOTTOM = 52, 14, 12, 40
_MAX_POINTS = 160
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
    x_axis = Axis(first_x, last_x, _LEFT, _WIDTH - _RIGHT, tight=True)
    low = min(settled)
    y_axis = Axis(min(0.0, low) if from_zero else low, max(settled), _HEIGHT - _BOTTOM, _TOP)
    clip = slug(title)
    drawn = [_grid(x_axis, y_axis, x_label)]
    drawn += [f'<g clip-path="url(#{clip})">']
    drawn += [_line(line, place, x_axis, y_axis) for place, line in enumerate(lines)]
    drawn += ["</g>"]
    width, height = _WIDTH - _LEFT - _RIGHT + 4, _HEIGHT - _TOP - _BOTTOM + 8
    inner = f'x="{_LEFT}" y="{_TOP - 4}" width="{width}" height="{height}"'
    legend = "".join(
        f'<li><svg width="26" height="8" aria-hidden="true"><line class="s{place % NUM_COLORS}" x1="1" '
        f'x2="25" y1="4" y2="4" stroke-dasharray="{_DASHES[place % len(_DASHES)]}"/></svg>'
        f"{text(line.name)} <b>{number(line.y[-1])}</b></li>"
        for place, line in enumerate(lines)
    )
    last = ", ".join(f"{line.name} ends at {number(line.y[-1])}" for line in lines)
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
    axis = Axis(0.0, max(max(value for _, value in bars), 1e-12), _HEIGHT - _BOTTOM, _TOP)
    bottom, wide = _HEIGHT - _BOTTOM, (_WIDTH - _LEFT - _RIGHT) / len(bars)
    drawn = []
    for value in axis.ticks:
        y = axis.place(value)
        drawn.append(f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y}" y2="{y}"/>')
        drawn.append(f'<text x="{_LEFT - 8}" y="{y + 4}" text-anchor="end">{number(value)}</text>')
    for place, (label, value) in enumerate(bars):
        x, y = round(_LEFT + place * wide, 1), axis.place(value)
        drawn.append(
            f'<rect class="bar" x="{round(x + wide * 0.1, 1)}" y="{y}" width="{round(wide * 0.8, 1)}" '
            f'height="{round(bottom - y, 1)}"><title>{text(label)}: {number(value)}</title></rect>'
        )
        middle = round(x + wide / 2, 1)
        size = ' style="font-size:9px"' if len(bars) > 9 else ""
        drawn.append(f'<text x="{middle}" y="{bottom + 17}" text-anchor="middle"{size}>{text(label)}</text>')
    drawn.append(f'<line class="axis" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{bottom}" y2="{bottom}"/>')
    middle = (_LEFT + _WIDTH - _RIGHT) / 2
    drawn.append(f'<text x="{middle}" y="{_HEIGHT - 6}" text-anchor="middle">{text(x_label)}</text>')
    said = ", ".join(f"{label}: {number(value)}" for label, value in bars)
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


def _grid(x_axis: Axis, y_axis: Axis, x_label: str) -> str:
    bottom = _HEIGHT - _BOTTOM
    parts = []
    for value in y_axis.ticks:
        y = y_axis.place(value)
        parts.append(f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y}" y2="{y}"/>')
        parts.append(f'<text x="{_LEFT - 8}" y="{y + 4}" text-anchor="end">{number(value)}</text>')
    for value in x_axis.ticks:
        x = x_axis.place(value)
        parts.append(f'<line class="axis" x1="{x}" x2="{x}" y1="{bottom}" y2="{bottom + 4}"/>')
        parts.append(f'<text x="{x}" y="{bottom + 17}" text-anchor="middle">{number(value)}</text>')
    parts.append(f'<line class="axis" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{bottom}" y2="{bottom}"/>')
    middle = (_LEFT + _WIDTH - _RIGHT) / 2
    parts.append(f'<text x="{middle}" y="{_HEIGHT - 6}" text-anchor="middle">{text(x_label)}</text>')
    return "".join(parts)


def _line(line: Series, place: int, x_axis: Axis, y_axis: Axis) -> str:
    color = f"s{place % NUM_COLORS}"
    points = [(x_axis.place(x), y_axis.place(y)) for x, y in zip(line.x, line.y, strict=True)]
    path = " ".join(f"{x},{y}" for x, y in points)
    radius = 3 if len(points) <= 24 else 0
    marks = "".join(
        f'<circle class="{color}" cx="{x}" cy="{y}" r="{radius}"/>'
        f'<circle class="hover" cx="{x}" cy="{y}" r="7">'
        f"<title>{text(line.name)}: {number(value)} at {number(at)}</title></circle>"
        for (x, y), at, value in zip(points, line.x, line.y, strict=True)
    )
    dash = _DASHES[place % len(_DASHES)]
    return f'<polyline class="{color}" points="{path}" stroke-dasharray="{dash}"/>{marks}'
