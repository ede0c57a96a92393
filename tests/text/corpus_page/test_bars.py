"""Bars lie inside their chart, are as long as their values, and show any text as text."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spanmix.row_charts import Row, horizontal_bars, log_histogram

RECT = re.compile(r'<rect x="([\d.]+)" y="(\d+)" width="([\d.]+)" height="(\d+)"')


@given(st.lists(st.tuples(st.integers(0, 10**12), st.integers(0, 10**12)), min_size=1, max_size=30))
def test_bars_have_the_lengths_of_their_values(pairs):
    rows = [Row(f"r{i}", "w", [(min(pair), max(pair), i)]) for i, pair in enumerate(pairs)]
    chart = horizontal_bars(rows, title="t")
    most = max(max(pair) for pair in pairs) or 1
    found = [tuple(map(float, one)) for one in RECT.findall(chart)]
    assert len(found) == len(pairs)
    for (x, _, width, _), pair in zip(found, pairs, strict=True):
        assert x >= 0 and x + width <= 340.001
        assert abs(width - (max(pair) - min(pair)) / most * 340) <= 1
        assert (width > 0) == (pair[0] != pair[1])
    places = [y for _, y, _, _ in found]
    assert places == sorted(set(places))


def test_a_label_leaves_room_for_the_figures():
    chart = horizontal_bars([Row("long label " * 20, "1,234,567 · 12.3 %", [(0, 1, 0)])], title="t")
    (label, words) = re.findall(r"<text[^>]*>([^<]*)</text>", chart)
    assert label.endswith("…") and len(label) + len(words) <= 49 and "long label " * 20 in chart


@given(st.lists(st.integers(0, 10**9), min_size=1, max_size=40), st.lists(st.integers(0, 50), max_size=40))
def test_a_histogram_has_a_bar_for_each_bin(train, held_out):
    size = max(len(train), len(held_out))
    counts = [one + [0] * (size - len(one)) for one in (train, held_out)]
    series = list(zip(("train", "held out"), counts, strict=True))
    labels = [str(i) for i in range(size + 1)]
    if not any(map(sum, counts)):
        with pytest.raises(ValueError, match="nothing to count"):
            log_histogram(series, title="t", x_label="x", labels=labels)
        return
    chart = log_histogram(series, title="t", x_label="x", labels=labels)
    first = next(one for one in counts if sum(one))
    heights = [float(h) for h in re.findall(r'class="bar"[^>]*height="([\d.]+)"', chart)]
    assert len(heights) == size and all(0 <= height <= 190 for height in heights)
    assert max(range(size), key=lambda i: heights[i]) in [
        i for i in range(size) if first[i] == max(first)
    ] or (max(heights) == heights[first.index(max(first))])
    assert chart.count("<polyline") == sum(1 for one in counts if sum(one)) - 1


def test_charts_of_nothing_are_refused_and_text_is_escaped():
    with pytest.raises(ValueError, match="no row"):
        horizontal_bars([], title="t")
    words = '<b>"&'
    chart = horizontal_bars([Row(words, words, [(0, 0, 0)])], title=words, note=words, legend=[words])
    chart += log_histogram([(words, [1])], title=words, x_label=words, labels=[words, words])
    assert "<b>" not in chart and chart.count("&lt;b&gt;&quot;&amp;") >= 12
