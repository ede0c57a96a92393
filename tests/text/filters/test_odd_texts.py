"""No text makes the filters fail, and none makes them slow."""

import random
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from spanmix.corpus_configs.filters import FiltersConfig
from spanmix.text.dropped import Dropped
from spanmix.text.filters.comments import count_comment_characters
from spanmix.text.filters.step import FilterStep
from spanmix.types import Document

CONFIGS = [
    FiltersConfig("thorough", kind="code", per_extension=True, comment_share=(0.0, 1.0)),
    FiltersConfig("prose",
     min_sentences=1, min_punctuated_lines=0.1, max_short_lines=0.9, forbidden_texts=("{",)),
    FiltersConfig("codegen2"),
    FiltersConfig("bigcode"),
]  # fmt: skip
STEPS = [FilterStep(config, len) for config in CONFIGS]
PATHS = [
    "a.py",
    "a.js",
    "a.html",
    "a.json",
    "a.yml",
    "a.ps",
    "a.xml",
    "a.md",
    "x.map",
    "Makefile",
    "tool",
    "",
    "a/",
    ".x",
]
LANGUAGES = ["", "python", "c", "html", "markdown", "lua", "haskell", "ruby", "bash", "php", "no-such"]
PIECES = [
    "\n", "\r", "\r\n", "\u2028", "\x0c", " ", "\t", "a", "é", "😀", "\ud800", "0x1f, ", "\\x1f", "#",
     "//", "/*", "*/",
    '"', "'", '"""', "'''", "`", "\\", "<", ">", "<!--", "-->", "<script>", "--[[", "]]", "=begin\n",
     "{-", "@generated",
    "<?xml version=", "aB3z" * 16, "...", "• ", "- ", "The end. ", "def f(x):\n", "generated",
     "<meta name=generator ",
]  # fmt: skip


def note(kind, row):
    raise AssertionError("the filters write no audit rows")


seen: Counter[str] = Counter()


@given(
    st.lists(st.sampled_from(PIECES), max_size=60).map("".join),
    st.sampled_from(PATHS),
    st.sampled_from(LANGUAGES),
)
def check_odd_text(text, path, language):
    document = Document(text, "code", path, language)
    for step in STEPS:
        end = step(document, note)
        if isinstance(end, Dropped):
            seen[end.reason] += 1
            assert end.path == path and end.value is not None and len(end.excerpt) <= 200
        else:
            seen["kept"] += 1
            assert end.text == text
        results = step.explain(document)
        broken = next((result for result in results if not result.kept), None)
        assert (broken is None) == isinstance(end, Document)
        if broken is not None:
            assert (broken.reason, broken.value) == (end.reason, end.value)
    comments = count_comment_characters(text, language)
    assert comments is None or 0 <= comments <= len(text)
    seen["surrogate"] += "\ud800" in text
    seen["empty"] += not text


def test_no_text_makes_the_filters_fail_and_the_explanation_agrees():
    seen.clear()
    check_odd_text()
    assert len(seen) > 15 and min(seen["kept"], seen["surrogate"], seen["empty"]) > 0


def test_a_long_text_of_one_thing_is_read_in_time_that_grows_with_it():
    # A pattern that tries again from each place would take hours for one of these.
    size = 100_000
    units = [
        *PIECES,
        "0x1, ",
        "1f ",
        "\\0",
        "a" * 63 + " ",
        "=",
        "- [x](",
        "a.b:",
        "<a ",
        "a ",
        "x::",
        "(*",
        ";",
    ]
    for unit in units:
        text = unit * (size // len(unit))
        for path, language in (("a.html", "html"), ("a.py", "python"), ("a.xml", "javascript"), ("a", "lua")):
            for step in STEPS:
                step(Document(text, "code", path, language), note)


def test_edges_without_a_line():
    for text in ("", "\n", "\n\n\n", "\r\r", " ", "x", "\ufeff"):
        for step in STEPS:
            assert step(Document(text, "code", "a"), note) is not None


def test_the_same_text_meets_the_same_end():
    choose = random.Random(3)
    for _ in range(50):
        text = "".join(choose.choices(PIECES, k=40))
        document = Document(text, "code", choose.choice(PATHS))
        for config, step in zip(CONFIGS, STEPS, strict=True):
            assert FilterStep(config, len)(document, note) == step(document, note)
