"""The published sets of filters, each value with where it is known from.

What a publication does not say is not guessed: it is listed in `NOT_KNOWN`, and no rule stands in for it.
Rules on licences, copies, secrets and benchmarks belong to other steps, also where the same publication has
them.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from spanmix.corpus_configs.filters import FROM_PRESET, RULES, FiltersConfig
from spanmix.text.filters.bounds import Bounds
from spanmix.text.languages.names import language_name

CODEGEN2_LANGUAGES = (
    "c", "cpp", "csharp", "dart", "go", "java", "javascript", "kotlin", "lua", "php", "python", "ruby",
    "rust", "scala", "bash", "sql", "swift", "typescript", "vue",
)  # fmt: skip
"""The 19 languages of CodeGen2's model card, under the names that Spanmix has for them."""

_NL2C = "Nijkamp et al., 2022, A Conversational Paradigm for Program Synthesis, appendix on data"
_CARD = "model card of Salesforce/codegen2-1B"
_BIGCODE = "bigcode-project/bigcode-dataset, preprocessing/arguments.py and filtering.py"
_TABLE = "bigcode-project/bigcode-dataset, preprocessing/visual_inspection.csv"
_GOPHER = "Rae et al., 2021, Scaling Language Models, appendix A.1.1 and table A1"
_STACK_V2 = "Lozhkov et al., 2024, StarCoder 2 and The Stack v2, section on preprocessing"
_LINGUIST = "github-linguist 7.22"
_OWN = "Spanmix"

_BIGCODE_BOUNDS = Bounds(
    per_extension=True,
    max_line_length=1000,
    max_mean_line_length=100,
    min_alphanumeric_share=0.25,
    drop_xml=True,
    html_visible=(0.2, 100),
    data_characters=(100, 5000),
    comment_share=(0.01, 0.8),
    comment_languages=("python", "java", "javascript"),
    min_characters_per_token={"python": 2.5, "java": 2.9, "javascript": 2.6},
)
_PROSE_BOUNDS = Bounds(
    kind="prose",
    prose_languages=("en",),
    min_language_confidence=0.65,
    min_words=50,
    max_words=100_000,
    mean_word_length=(3, 10),
    max_symbols_per_word=0.1,
    max_bullet_lines=0.9,
    max_ellipsis_lines=0.3,
    min_alphabetic_words=0.8,
    min_stop_words=2,
    max_duplicate_lines=0.3,
    max_duplicate_paragraphs=0.3,
    max_duplicate_line_characters=0.2,
    max_duplicate_paragraph_characters=0.2,
    max_top_ngram={2: 0.2, 3: 0.18, 4: 0.16},
    max_duplicate_ngrams={5: 0.15, 6: 0.14, 7: 0.13, 8: 0.12, 9: 0.11, 10: 0.1},
)

PRESET_BOUNDS = {
    "none": Bounds(),
    "codegen2": Bounds(
        languages=CODEGEN2_LANGUAGES,
        max_mean_line_length=100,
        mean_below=True,
        max_line_length=1000,
        max_digit_share=0.9,
    ),
    "bigcode": _BIGCODE_BOUNDS,
    "stack-permissive": Bounds(),
    "prose": _PROSE_BOUNDS,
    "thorough": dataclasses.replace(
        _PROSE_BOUNDS,
        kind="by_language",
        per_extension=False,
        max_line_length=1000,
        max_mean_line_length=100,
        min_alphanumeric_share=0.25,
        max_digit_share=0.9,
        drop_xml=True,
        html_visible=(0.2, 100),
        data_characters=(100, 5000),
        max_encoded_share=0.5,
        max_encoded_run=1024,
        drop_generated=True,
        drop_generated_headers=True,
        drop_vendored=True,
        drop_minified=True,
        drop_lock_files=True,
    ),
}
"""By name: what each preset asks."""

_GOPHER_FIELDS = """
min_words max_words mean_word_length max_symbols_per_word max_bullet_lines max_ellipsis_lines
min_alphabetic_words min_stop_words max_duplicate_lines max_duplicate_paragraphs max_duplicate_line_characters
max_duplicate_paragraph_characters max_top_ngram max_duplicate_ngrams
"""
_PROSE_ORIGINS = dict.fromkeys(_GOPHER_FIELDS.split(), _GOPHER) | {
    "prose_languages": "Rae et al., 2021: English text alone",
    "min_language_confidence": "Penedo et al., 2024, FineWeb: 0.65 with another identifier",
}
_SHARED_FIELDS = """
max_line_length max_mean_line_length min_alphanumeric_share drop_xml html_visible data_characters
"""
_BIGCODE_ORIGINS = {
    name: _BIGCODE for name in RULES if getattr(_BIGCODE_BOUNDS, name) != getattr(Bounds(), name)
}
ORIGINS: dict[str, dict[str, str]] = {
    "none": {},
    "codegen2": {
        "languages": _CARD,
        "max_mean_line_length": _NL2C,
        "max_line_length": _NL2C,
        "max_digit_share": _NL2C,
    },
    "bigcode": _BIGCODE_ORIGINS | {"per_extension": _TABLE},
    "stack-permissive": {},
    "prose": _PROSE_ORIGINS,
    "thorough": _PROSE_ORIGINS
    | dict.fromkeys(_SHARED_FIELDS.split(), _BIGCODE)
    | {"max_digit_share": _NL2C, "max_encoded_share": _STACK_V2, "max_encoded_run": _STACK_V2}
    | {"drop_generated_headers": _STACK_V2, "drop_lock_files": _OWN}
    | dict.fromkeys(("drop_generated", "drop_vendored", "drop_minified"), _LINGUIST),
}
"""By preset and field: the publication that a value is from."""

NOT_KNOWN = {
    "codegen2": (
        "the rules are those of CodeGen; which of them CodeGen2 used on The Stack v1.1 is not published",
        "which licences the stricter subset kept",
        "the list of endings; the languages are known, their weights are not",
    ),
    "bigcode": ("whether StarCoderData used the comment and token rules; SantaCoder's data did",),
    "stack-permissive": (
        "rules on the contents of a file: The Stack v1.1 is published as chosen by licence and ending and"
        " freed of copies, which are other steps here, so this preset has none of its own",
    ),
}
"""By preset: what its publications leave open."""


def resolve(config: FiltersConfig) -> Bounds:
    """Return the preset's bounds with the recipe's own values in their place.

    >>> resolve(FiltersConfig("bigcode", max_line_length=2000, comment_share=None)).max_line_length
    2000
    """
    preset = PRESET_BOUNDS[config.preset]
    given: dict[str, Any] = {
        name: getattr(config, name) for name in ("kind", *RULES) if getattr(config, name) != FROM_PRESET
    }
    for name in ("languages", "comment_languages"):
        if given.get(name):
            given[name] = tuple(map(language_name, given[name]))
    if given.get("extensions"):
        given["extensions"] = tuple(ending.lower().lstrip(".") for ending in given["extensions"])
    if given.get("min_characters_per_token"):
        table = given["min_characters_per_token"]
        given["min_characters_per_token"] = {language_name(name): value for name, value in table.items()}
    if "max_mean_line_length" in given:
        given["mean_below"] = False
    return dataclasses.replace(preset, **given, fixed=frozenset(given))
