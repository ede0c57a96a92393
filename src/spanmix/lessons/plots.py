"""Draw effects with their intervals as inline SVG: one below the other, or against each other; no script."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from spanmix.html import Html, text

_WIDTH = 600
_ROW, _HEAD, _FOOT = 34, 8, 42
_LEFT, _RIGHT = 52, 26
_SIDE = 340
_COLORS = {"agrees": "s2", "disagrees": "s1", "cannot tell": "s5"}
_MARKS = {"agrees": "●", "disagrees": "■", "cannot tell": "○"}


@dataclass(frozen=True)
class Bar:
    """An effect with its interval and the bound of its claim.

    Args:
        label: what it is of.
        value, low, high: the effect; no interval where the ends are None.
        bound: of the claim.
        side: on which side of the bound the claim lies.
        verdict: of the claim.
    """

    label: str
    value: float
    low: float | None
    high: float | None
    bound: float
    side: str
    verdict: str


@dataclass(frozen=True)
class Point:
    """A figure against another one, each with its interval."""

    label: str
    x: tuple[float, float, float]
    y: tuple[float, float, float]


def forest(bars: Sequence[Bar], *, title: str, unit: str) -> Html:
    """Draw effects below each other, with a line at 0, and on each row a mark where its bound is.

    Args:
        bars: at least one.
        title: what is shown.
        unit: of the effects.
    """
    ends = [0.0]
    for bar in bars:
        ends += [value for value in (bar.value, bar.low, bar.high, bar.bound) if value is not None]
    axis = _Axis(min(ends), max(ends), _LEFT, _WIDTH - _RIGHT)
    bottom = _HEAD + 2 * _ROW * len(bars)
    drawn = [_vertical(axis, value, bottom) for value in axis.ticks]
    zero = axis.place(0.0)
    drawn.append(f'<line class="axis" x1="{zero}" x2="{zero}" y1="{_HEAD}" y2="{bottom}"/>')
    for place, bar in enumerate(bars):
        drawn.append(_bar(bar, axis, _HEAD + 2 * _ROW * place))
    drawn.append(_caption(unit, (_LEFT + _WIDTH - _RIGHT) / 2, bottom + _FOOT - 8))
    said = "; ".join(f"{bar.label}: {_said(bar)}" for bar in bars)
    note = "● agrees, ■ disagrees, ○ cannot tell; | the bound, with an arrow to the side of the claim"
    return _figure(title, note, bottom + _FOOT, said, "".join(drawn))


def _bar(bar: Bar, axis: _Axis, top: int) -> str:
    color = _COLORS.get(bar.verdict, "s5")
    y = top + _ROW + 14
    x, bound = axis.place(bar.value), axis.place(bar.bound)
    parts = [
        f'<text x="{_LEFT}" y="{top + 22}">{text(_MARKS.get(bar.verdict, "○"))} {text(bar.label)}</text>'
    ]
    arrow = 9 if bar.side == "greater" else -9
    parts.append(f'<line class="axis" x1="{bound}" x2="{bound}" y1="{y - 11}" y2="{y + 11}"/>')
    parts.append(f'<line class="axis" x1="{bound}" x2="{bound + arrow}" y1="{y - 11}" y2="{y - 11}"/>')
    if bar.low is not None and bar.high is not None:
        low, high = axis.place(bar.low), axis.place(bar.high)
        parts.append(f'<line class="{color}" x1="{low}" x2="{high}" y1="{y}" y2="{y}"/>')
    parts.append(f'<circle class="{color}" cx="{x}" cy="{y}" r="4"/>')
    parts.append(f'<circle class="hover" cx="{x}" cy="{y}" r="9"><title>{text(_said(bar))}</title></circle>')
    return "".join(parts)


def _said(bar: Bar) -> str:
    interval = "no interval" if bar.low is None or bar.high is None else f"{bar.low:+.4f} to {bar.high:+.4f}"
    return f"{bar.value:+.4f}, {interval}, bound {bar.bound:+.3f}, {bar.verdict}"


def scatter(points: Sequence[Point], *, title: str, x_label: str, y_label: str) -> Html:
    """Draw figures against each other, with the intervals of both.

    Args:
        points: at least one; each figure is (value, low, high).
        title: what is shown.
        x_label, y_label: quantities with their units.
    """
    x_axis = _Axis(*_ends([point.x for point in points]), _LEFT, _WIDTH - _RIGHT)
    y_axis = _Axis(*_ends([point.y for point in points]), _SIDE - _FOOT, _HEAD)
    bottom = _SIDE - _FOOT
    drawn = [_vertical(x_axis, value, bottom) for value in x_axis.ticks]
    for value in y_axis.ticks:
        y = y_axis.place(value)
        drawn.append(f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y}" y2="{y}"/>')
        drawn.append(f'<text x="{_LEFT - 6}" y="{y + 4}" text-anchor="end">{_number(value)}</text>')
    zero_x, zero_y = x_axis.place(0.0), y_axis.place(0.0)
    drawn.append(f'<line class="axis" x1="{zero_x}" x2="{zero_x}" y1="{_HEAD}" y2="{bottom}"/>')
    drawn.append(f'<line class="axis" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{zero_y}" y2="{zero_y}"/>')
    drawn += [_point(point, place, x_axis, y_axis) for place, point in enumerate(points)]
    drawn.append(_caption(x_label, (_LEFT + _WIDTH - _RIGHT) / 2, _SIDE - 8))
    said = "; ".join(f"{point.label}: {point.x[0]:+.4f} and {point.y[0]:+.4f}" for point in points)
    return _figure(title, y_label, _SIDE, said, "".join(drawn))


def _point(point: Point, place: int, x_axis: _Axis, y_axis: _Axis) -> str:
    color = f"s{place % 6}"
    x, y = x_axis.place(point.x[0]), y_axis.place(point.y[0])
    across = f'x1="{x_axis.place(point.x[1])}" x2="{x_axis.place(point.x[2])}" y1="{y}" y2="{y}"'
    along = f'x1="{x}" x2="{x}" y1="{y_axis.place(point.y[1])}" y2="{y_axis.place(point.y[2])}"'
    label = f"{point.label}: {point.x[0]:+.4f}, {point.y[0]:+.4f}"
    anchor, shift = ("end", -8) if x > _WIDTH * 0.75 else ("start", 8)
    return (
        f'<line class="{color}" {across} stroke-opacity="0.45"/>'
        f'<line class="{color}" {along} stroke-opacity="0.45"/>'
        f'<circle class="{color}" cx="{x}" cy="{y}" r="4"/>'
        f'<text x="{x + shift}" y="{y - 7}" text-anchor="{anchor}">{text(point.label)}</text>'
        f'<circle class="hover" cx="{x}" cy="{y}" r="9"><title>{text(label)}</title></circle>'
    )


def _ends(figures: Sequence[tuple[float, float, float]]) -> tuple[float, float]:
    values = [0.0, *(value for figure in figures for value in figure)]
    return min(values), max(values)


def _vertical(axis: _Axis, value: float, bottom: int) -> str:
    x = axis.place(value)
    return (
        f'<line class="grid" x1="{x}" x2="{x}" y1="{_HEAD}" y2="{bottom}"/>'
        f'<text x="{x}" y="{bottom + 17}" text-anchor="middle">{_number(value)}</text>'
    )


def _caption(words: str, x: float, y: float) -> str:
    return f'<text x="{x}" y="{y}" text-anchor="middle">{text(words)}</text>'


def _figure(title: str, note: str, height: int, said: str, drawn: str) -> Html:
    return Html(
        f'<figure class="chart"><figcaption>{text(title)} <span class="note">{text(note)}</span></figcaption>'
        f'<svg style="max-width:44rem" viewBox="0 0 {_WIDTH} {height}" role="img" '
        f'aria-label="{text(f"{title}: {said}")}">'
        f"{drawn}</svg></figure>"
    )


def _number(value: float) -> str:
    return "0" if abs(value) < 1e-12 else f"{value:+.4g}".replace("-", "\N{MINUS SIGN}")


class _Axis:
    """Maps values to places, with round values a little beyond both ends."""

    def __init__(self, low: float, high: float, start: float, stop: float) -> None:
        if high <= low:
            low, high = low - 1, high + 1
        rough = (high - low) / 5
        size = 10.0 ** math.floor(math.log10(rough))
        self._step = next(size * factor for factor in (1, 2, 2.5, 5, 10) if size * factor >= rough * 0.999)
        self._first, self._last = math.floor(low / self._step - 0.1), math.ceil(high / self._step + 0.1)
        self._start, self._stop = start, stop

    def place(self, value: float) -> float:
        low, high = self._first * self._step, self._last * self._step
        return round(self._start + (value - low) / (high - low) * (self._stop - self._start), 1)

    @property
    def ticks(self) -> list[float]:
        return [index * self._step for index in range(self._first, self._last + 1)]
