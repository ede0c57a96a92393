"""Each preset is what its publication says, with the recipe's own values in their place."""

import dataclasses
import pickle

import pytest

from spanmix.corpus_configs.filters import PRESETS, RULES, FiltersConfig
from spanmix.errors import InputError
from spanmix.text.dropped import Dropped
from spanmix.text.filters.bounds import Bounds
from spanmix.text.filters.per_extension import ENDINGS
from spanmix.text.filters.presets import NOT_KNOWN, ORIGINS, PRESET_BOUNDS, resolve
from spanmix.text.filters.step import FilterStep
from spanmix.types import Document

GOPHER = {
    "min_words": 50, "max_words": 100_000, "mean_word_length": (3, 10), "max_symbols_per_word": 0.1,
    "max_bullet_lines": 0.9, "max_ellipsis_lines": 0.3, "min_alphabetic_words": 0.8, "min_stop_words": 2,
    "max_duplicate_lines": 0.3, "max_duplicate_paragraphs": 0.3, "max_duplicate_line_characters": 0.2,
    "max_duplicate_paragraph_characters": 0.2, "max_top_ngram": {2: 0.2, 3: 0.18, 4: 0.16},
    "max_duplicate_ngrams": {5: 0.15, 6: 0.14, 7: 0.13, 8: 0.12, 9: 0.11, 10: 0.1},
    "prose_languages": ("en",), "min_language_confidence": 0.65,
}  # fmt: skip
SHARED = {
    "max_line_length": 1000, "max_mean_line_length": 100, "min_alphanumeric_share": 0.25, "drop_xml": True,
    "html_visible": (0.2, 100), "data_characters": (100, 5000),
}  # fmt: skip
GOLDEN = {
    "none": {},
    "stack-permissive": {},
    "codegen2": {
        "languages": (
            "c", "cpp", "csharp", "dart", "go", "java", "javascript", "kotlin", "lua", "php", "python",
            "ruby",
            "rust", "scala", "bash", "sql", "swift", "typescript", "vue",
        ),
        "max_mean_line_length": 100, "max_line_length": 1000, "max_digit_share": 0.9,
    },
    "bigcode": SHARED | {
        "per_extension": True, "comment_share": (0.01, 0.8),
        "min_characters_per_token": {"python": 2.5, "java": 2.9, "javascript": 2.6},
    },
    "prose": GOPHER,
    "thorough": GOPHER | SHARED | {
        "max_digit_share": 0.9, "max_encoded_share": 0.5, "max_encoded_run": 1024, "drop_generated": True,
        "drop_generated_headers": True, "drop_vendored": True, "drop_minified": True, "drop_lock_files": True,
    },
}  # fmt: skip


def note(kind, row):
    raise AssertionError("the filters write no audit rows")


@pytest.mark.parametrize("preset", PRESETS)
def test_a_preset_is_what_its_publication_says(preset):
    bounds = PRESET_BOUNDS[preset]
    on = {name: getattr(bounds, name) for name in RULES if getattr(bounds, name) != getattr(Bounds(), name)}
    assert on == GOLDEN[preset]
    assert set(ORIGINS[preset]) == set(on) and all(ORIGINS[preset].values())
    assert resolve(FiltersConfig(preset)) == bounds


def test_what_is_not_known_is_said():
    assert set(NOT_KNOWN) == {"codegen2", "bigcode", "stack-permissive"}


def test_a_field_of_the_recipe_is_a_field_of_the_bounds():
    names = {field.name for field in dataclasses.fields(Bounds)}
    assert names == {*RULES, "kind", "mean_below", "fixed"}


def test_the_recipe_goes_before_the_preset():
    config = FiltersConfig("bigcode", max_line_length=2000, comment_share=None, languages=("C++", "Shell"))
    bounds = resolve(config)
    assert bounds.max_line_length == 2000 and bounds.comment_share is None
    assert bounds.languages == ("cpp", "bash")
    assert bounds.max_mean_line_length == 100


def test_codegen2_wants_a_mean_below_100_and_bigcode_up_to_it():
    text = "\n".join(["x" * 100] * 3)
    ends = {}
    for preset in ("codegen2", "bigcode"):
        config = FiltersConfig(preset, comment_share=None)
        ends[preset] = FilterStep(config)(Document(text, "code", "a.py", "python"), note)
    assert isinstance(ends["bigcode"], Document)
    assert isinstance(ends["codegen2"], Dropped)
    assert ends["codegen2"].reason == "mean line of 100 characters or longer"
    own = FiltersConfig("codegen2", max_mean_line_length=100.0)
    assert isinstance(FilterStep(own)(Document(text, "code", "a.py", "python"), note), Document)


def test_an_ending_changes_the_bounds_but_not_those_of_the_recipe():
    long = "select 'x" + "x" * 1500 + "';\n" + "select 1;\n" * 40
    step = FilterStep(FiltersConfig("bigcode"))
    assert isinstance(step(Document(long, "code", "a.sql", "sql"), note), Document)
    assert isinstance(step(Document(long, "code", "a.rb", "ruby"), note), Dropped)
    assert isinstance(step(Document(long, "code", "bin/a", "ruby"), note), Dropped)
    own = FilterStep(FiltersConfig("bigcode", max_line_length=1200))
    dropped = own(Document(long, "code", "a.sql", "sql"), note)
    assert isinstance(dropped, Dropped) and dropped.reason == "line longer than 1,200 characters"


def test_bigcodes_table_of_endings():
    assert len(ENDINGS) == 263
    assert ENDINGS["fsh"].max_line_length == 500 and ENDINGS["json"].min_alphabetic_share == 0.5
    assert ENDINGS["md"].max_line_length is None and ENDINGS["md"].min_alphanumeric_share == 0.25
    assert ENDINGS["nb"].min_alphanumeric_share is None
    assert not {"csx", "rkt", "toml", "yy"} & set(ENDINGS)


def test_the_kind_decides_which_rules_see_a_document():
    step = FilterStep(FiltersConfig("thorough"))
    code = step(Document("x = 1\n", "code", "a.py", "python"), note)
    prose = step(Document("x = 1\n", "code", "a.md", "markdown"), note)
    assert isinstance(code, Document)
    assert isinstance(prose, Dropped) and prose.reason == "fewer than 50 words"


def test_a_missing_language_is_found_and_a_known_one_stays():
    step = FilterStep(FiltersConfig("none", languages=("python",)))
    found = step(Document("#!/usr/bin/env python3\nprint(1)\n", "code", "bin/tool"), note)
    assert isinstance(found, Document) and found.language == "python"
    given = step(Document("x", "code", "a", "Python3"), note)
    assert isinstance(given, Document) and given.language == "Python3"
    unknown = step(Document("?", "code", "bin/tool"), note)
    assert isinstance(unknown, Dropped) and unknown.value == "unknown"


def test_a_step_survives_pickling():
    step = pickle.loads(pickle.dumps(FilterStep(FiltersConfig("bigcode"), len)))
    document = Document("x = 1\n", "code", "a.py", "python")
    dropped = step(document, note)
    assert isinstance(dropped, Dropped) and dropped.reason == "comment share of 0.01 or less"


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"preset": "bigcod"}, "filters.preset is 'bigcod'; use one of none, codegen2"),
        ({"kind": "both"}, "filters.kind is 'both'; use one of code, prose"),
        ({"max_digit_share": 1.5}, "filters.max_digit_share is 1.5; it is a share"),
        ({"max_line_length": -1}, "filters.max_line_length is -1; use a number from 0 on"),
        ({"max_line_length": float("nan")}, "filters.max_line_length is nan"),
        ({"comment_share": (0.8, 0.1)}, r"filters.comment_share is \[0.8, 0.1\]; use \[least, most\]"),
        ({"comment_share": (0.1, 2.0)}, "both are shares"),
        ({"html_visible": (2.0, 3.0)}, r"filters.html_visible is \[2.0, 3.0\]; use \[share, characters\]"),
        ({"mean_word_length": (1.0,)}, r"filters.mean_word_length is \[1.0\]"),
        ({"languages": ()}, r"filters.languages is \[\]; use a list of at least one text"),
        ({"languages": ("c", "c")}, "each once"),
        ({"max_top_ngram": {0: 0.1}}, "filters.max_top_ngram.0 is 0.1; use 1 to 100 words as key"),
        ({"max_top_ngram": {2: 1.1}}, "filters.max_top_ngram.2 is 1.1; it is a share"),
        ({"min_characters_per_token": {"c": -1.0}}, "filters.min_characters_per_token.c is -1.0"),
    ],
)  # fmt: skip
def test_a_wrong_value_names_its_field(fields, message):
    with pytest.raises(InputError, match=message):
        FiltersConfig(**fields)
