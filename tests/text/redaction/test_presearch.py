"""The pre-search leaves out no line in which the library's own patterns find something."""

from collections import Counter

import pytest
from detect_secrets.core.plugins.util import get_mapping_from_secret_type_to_class
from detect_secrets.plugins import keyword
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from spanmix.text.redaction.library import _LEFT_OUT, _plugins
from spanmix.text.redaction.presearch import LONG_LINE, candidate_lines, lines_with

CLASSES = get_mapping_from_secret_type_to_class().values()
PATTERNS = {
    f"{one.__name__}{number}": pattern
    for one in sorted(CLASSES, key=lambda one: one.__name__)
    if one.__name__ not in {"IPPublicDetector", "JwtTokenDetector"}
    for number, pattern in enumerate(getattr(one, "denylist", ()))
}
KEYWORDS = {
    f"keyword{number}": pattern
    for number, pattern in enumerate(
        dict.fromkeys(pattern for patterns in keyword.REGEX_BY_FILETYPE.values() for pattern in patterns)
    )
}
EXAMPLES = 6
JWT = r"eyJ[A-Za-z0-9-_=]+\.[A-Za-z0-9-_=]+\.?[A-Za-z0-9-_.+/=]*?"


def one_line(text):
    return "\n" not in text and len(text) < LONG_LINE


def test_every_plugin_is_asked_or_left_out_by_name():
    asked = {type(plugin).__name__ for plugin in _plugins()}
    assert {one.__name__ for one in CLASSES} == asked | _LEFT_OUT and not asked & _LEFT_OUT
    assert len(asked) >= 20 and len(PATTERNS) >= 25 and len(KEYWORDS) >= 9


@pytest.mark.parametrize("name", [*PATTERNS, *KEYWORDS, "jwt"])
def test_what_a_pattern_of_the_library_finds_is_in_a_candidate_line(name):
    pattern = PATTERNS.get(name) or KEYWORDS.get(name) or JWT
    seen = Counter()

    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=[*HealthCheck],
    )
    @given(
        st.from_regex(pattern),
        st.sampled_from(["", "x = ", "é ß ", "a\nb "]),
        st.sampled_from(["", "\nlast", ")"]),
    )
    def compare(found, before, behind):
        if not one_line(found):
            return
        seen["lines"] += 1
        lines = list(candidate_lines(before + found + behind))
        assert any(found in line.text for line in lines), (before, found, behind)

    compare()
    assert seen["lines"] >= 1


def test_lines_come_with_their_number_and_place():
    text = "a\nAKIA1\n\nb\n" + "ghp_x ghp_y\nlast ghp_"
    lines = list(candidate_lines(text))
    assert [(line.number, line.text) for line in lines] == [
        (1, "AKIA1"),
        (4, "ghp_x ghp_y"),
        (5, "last ghp_"),
    ]
    assert all(text[line.start :].startswith(line.text) for line in lines)


@given(
    st.lists(st.sampled_from(["a", "ß", "\n", "\r", "AKIA", "\ud800", "𝔸", " "]), max_size=60).map("".join)
)
def test_any_text_is_searched_line_by_line(text):
    expected = [number for number, line in enumerate(text.split("\n")) if "AKIA" in line]
    found = list(lines_with(text, "AKIA"))
    assert [line.number for line in found] == expected
    assert [line.text for line in found] == [text.split("\n")[number] for number in expected]


def test_of_a_long_line_the_surroundings_of_each_find_are_searched():
    token = "ghp_" + "a1B2c3D4e5F6" * 3
    text = "first\n" + " ".join([f"{'word ' * 500}{token}"] * 20) + "\nlast"
    lines = list(candidate_lines(text))
    assert len(lines) == 20 and all(token in line.text and line.number == 1 for line in lines)
    assert all(text[line.start : line.start + len(line.text)] == line.text for line in lines)
    assert max(len(line.text) for line in lines) < 2_000
