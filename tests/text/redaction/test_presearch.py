"""The pre-search leaves out no line, and no rule, in which the library's own patterns find something."""

import random
import re
import string
from collections import Counter

import pytest
from detect_secrets.core.plugins.util import get_mapping_from_secret_type_to_class
from detect_secrets.plugins import keyword
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from spanmix.text.redaction.library import _LEFT_OUT, _plugins
from spanmix.text.redaction.needs import (
    ADDRESS,
    ASSIGNED,
    BESIDE_NAME,
    COMMAND,
    HEADER,
    NAMED_VALUE,
    NEEDS,
    PRIVATE_KEY,
    VARIABLE,
    candidate_lines,
    rules_for,
)
from spanmix.text.redaction.presearch import LONG_LINE, lines_with
from spanmix.text.redaction.service_tokens import RULES

CLASSES = get_mapping_from_secret_type_to_class().values()
PATTERNS = {
    (one.__name__, number): pattern
    for one in sorted(CLASSES, key=lambda one: one.__name__)
    if one.__name__ not in {"IPPublicDetector", "JwtTokenDetector"}
    for number, pattern in enumerate(getattr(one, "denylist", ()))
}
KEYWORDS = {
    ("KeywordDetector", number): pattern
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


SERVICES = {(name, 0): pattern for name, pattern in RULES.items()}
ALL = PATTERNS | KEYWORDS | SERVICES | {("JwtTokenDetector", 0): JWT}


def test_every_rule_says_what_it_needs():
    asked = {type(plugin).__name__ for plugin in _plugins()}
    ours = {ASSIGNED, VARIABLE, NAMED_VALUE, HEADER, COMMAND, BESIDE_NAME, ADDRESS}  # see test_unquoted.py
    assert set(NEEDS) == asked | set(RULES) | ours | {PRIVATE_KEY}
    assert {name for name, _ in ALL} == set(NEEDS) - ours


@pytest.mark.parametrize(("name", "number"), ALL)
def test_what_a_pattern_finds_is_in_a_candidate_line_and_the_rule_sees_it(name, number):
    pattern = ALL[name, number]
    token = rf"(?<![A-Za-z0-9]){pattern}" if name in RULES else pattern
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
        if not one_line(found) or not re.search(token, found):
            return
        seen["lines"] += 1
        lines = [line for line in candidate_lines(before + found + behind) if found in line.text]
        assert lines and all(name in rules_for(line.text) for line in lines), (before, found, behind)

    compare()
    assert seen["lines"] >= 1


def test_lines_come_with_their_number_and_place():
    text = "a\npwd1\n\nb\n" + "secret_x secret_y\nlast pwd"
    lines = list(candidate_lines(text))
    assert [(line.number, line.text) for line in lines] == [
        (1, "pwd1"),
        (4, "secret_x secret_y"),
        (5, "last pwd"),
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


@pytest.mark.parametrize("filling", ["word ", "wörd ", "字字 ", "\ud800𝔸 "])
def test_places_in_a_long_line_are_those_of_characters(filling):
    rng = random.Random(5)
    pieces = [filling * rng.randrange(400, 2_000) + f"AKIA{number:016}" for number in range(25)]
    text = "é\n" + "".join(pieces) + "\nend"
    lines = list(lines_with(text, "AKIA[0-9]{16}"))
    assert len(lines) == 25 and all(line.number == 1 for line in lines)
    assert all(text[line.start : line.start + len(line.text)] == line.text for line in lines)
    assert all(f"AKIA{number:016}" in line.text for number, line in enumerate(lines))


def test_encoded_data_and_source_maps_are_hardly_looked_at():
    """What slow rules get of them is a small part, although all prefixes of tokens stand in them."""
    rng = random.Random(6)
    letters = string.ascii_letters + string.digits + "+/"
    words = ["ABIA", "AKIA", "ASIA", "EAA", "APC", "A3T"]
    encoded = "".join(rng.choice(words) + "".join(rng.choices(letters, k=20)) for _ in range(20_000))
    mapped = ",".join(rng.choices(["EAAE", "GAAG", "EAAEA", "IAAI;AAIA", "AKIAD", "ASIA"], k=60_000))
    for text in (encoded, mapped):
        assert sum(map(text.count, ("EAA", "AKIA", "ASIA"))) > 5_000
        looked_at = sum(len(line.text) for line in candidate_lines(f'x="{text}"'))
        assert looked_at < 0.1 * len(text)


def test_a_line_is_given_only_to_the_rules_that_can_find_something_in_it():
    token = "ghp_" + "a1B2c3D4e5F6" * 3
    assert rules_for(f"x = '{token}'") == {"GitHubTokenDetector"}
    assert rules_for(f"password({token})") == {"GitHubTokenDetector", "KeywordDetector", BESIDE_NAME}
    assert rules_for("\ud800 x = 1") == set()
