"""Pages escape everything, stand alone, and are the same bytes for the same input."""

import math
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spanmix import html
from spanmix.chart_axes import Axis
from spanmix.charts import Series, line_chart

VOID = {"meta"}


class Outline(HTMLParser):
    """Collects tags, attributes and text, and proves that tags are closed in order."""

    def __init__(self, page):
        super().__init__(convert_charrefs=True)
        self.open, self.tags, self.words, self.attributes = [], [], [], []
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)


def whole_page(words):
    table = html.table(
        (words, "n"), [[html.text(words), html.figure_with_range(words, "1", "2")]], caption=words
    )
    chart = line_chart([Series(words, [0, 1], [2, 1])], title=words, x_label=words, y_label=words)
    code = html.code([(words, ""), (words, "infill"), (words, "truth")], title=words, note=words)
    content = html.join(
        [
            html.cards([(words, words, words)]),
            table,
            html.columns([chart, code]),
            html.paragraph(words),
            html.strong(words),
            html.warning(words),
            html.wrapped(words),
            html.details(words, html.code([(words, "")])),
        ]
    )
    return html.page(words, words, [(words, content)])


@given(st.text("<>&\"'/ab\n\x00;=-", min_size=1, max_size=20))
def test_no_text_becomes_a_tag(words):
    assert Outline(whole_page(words)).tags == Outline(whole_page("plain")).tags


def test_hostile_text_is_shown_as_it_is():
    hostile = '</code><script>alert("1")</script>'
    outline = Outline(whole_page(hostile))
    assert "script" not in outline.tags
    assert sum(hostile in words for words in outline.words) >= 15


def test_a_page_needs_nothing_from_outside():
    page = whole_page("plain")
    assert not re.search(r"https?:|//|@import|url\((?!#)", page)
    names = {name for name, _ in Outline(page).attributes}
    assert not names & {"src", "onload", "onclick"}
    assert all(value.startswith("#") for name, value in Outline(page).attributes if name == "href")


def test_only_one_file_writes_what_opens():
    root = Path(html.__file__).parent
    written = [path.name for path in sorted(root.rglob("*.py")) if "<details" in path.read_text()]
    assert written == ["html.py"]


def test_what_scrolls_can_be_reached_with_the_keyboard_and_has_a_name():
    page = whole_page("plain")
    boxes = re.findall(r'<div class="scroll" tabindex="0" role="group" aria-label="([^"]+)">', page)
    assert boxes == ["plain"] and page.count("<table>") == 1
    assert page.count("<pre>") == 0 < page.count('<pre tabindex="0">')
    unnamed = html.table(("a", "b"), [[html.text(1), html.text(2)]])
    assert 'aria-label="a, b"' in unnamed


def test_the_same_input_gives_the_same_bytes():
    assert whole_page("x") == whole_page("x")


@given(
    st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=400),
    st.booleans(),
)
def test_every_point_has_a_finite_place(values, from_zero):
    steps = list(range(len(values)))
    series = [Series("a", steps, values), Series("b", steps, [math.nan] * len(values))]
    chart = line_chart(series, title="t", x_label="x", y_label="y", from_zero=from_zero)
    (points,) = re.findall(r'<polyline[^>]* points="([^"]*)"', chart)
    places = [tuple(map(float, pair.split(","))) for pair in points.split()]
    assert 1 <= len(places) <= 160
    assert all(math.isfinite(x) and math.isfinite(y) for x, y in places)
    assert [x for x, _ in places] == sorted(x for x, _ in places)


def test_a_chart_of_nothing_is_refused():
    with pytest.raises(ValueError, match="no finite point"):
        line_chart([Series("a", [1], [math.inf])], title="t", x_label="x", y_label="y")


def test_ticks_are_round_and_lie_on_the_axis():
    for low, high in [(0, 1), (1.93, 7.2), (0, 2_400_000), (-3, 5), (2.0, 2.0), (1e-5, 3e-4)]:
        axis = Axis(low, high, 0, 100)
        assert 3 <= len(axis.ticks) <= 12
        assert axis.low <= low and high <= axis.high
        assert all(0 <= axis.place(tick) <= 100 for tick in axis.ticks)
